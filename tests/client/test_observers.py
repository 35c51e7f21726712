"""What an observer is told of requests."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kognitos_async import NotFoundError, RetryPolicy, ServerError
from kognitos_async.testing import faults


class Notes:
    """Writes down what it is told."""

    def __init__(self):
        self.told = []

    def request_began(self, request):
        self.told.append(("began", str(request)))
        return len(self.told)

    def request_ended(self, began, error):
        self.told.append(("ended", began, type(error)))

    def attempt_ended(self, what, number, seconds, result):
        assert 0 <= seconds < 5
        self.told.append(("attempt", str(what), number, result if isinstance(result, int) else type(result)))

    def retry_planned(self, failure, number, delay):
        self.told.append(("retry", type(failure), number, delay))


@pytest.fixture
async def observed(server):
    async with server.client(retry=RetryPolicy(max_attempts=2, base_delay=0)) as client:
        client._sender.observer = Notes()
        yield client


async def test_a_request_its_attempts_and_its_end_are_told(server, observed):
    """In the order in which they happen."""
    server.misbehave("get_health", faults.unavailable())
    await observed.health()
    assert observed._sender.observer.told == [
        ("began", "GET /health"),
        ("attempt", "GET /health", 1, 503),
        ("retry", ServerError, 1, 0.0),
        ("attempt", "GET /health", 2, 200),
        ("ended", 1, type(None)),
    ]


async def test_a_failure_and_a_cancellation_end_a_request_too(server, observed):
    """Whoever opened a span can close it."""
    with pytest.raises(NotFoundError):
        await observed.runs.get("nobody")
    server.misbehave("get_health", faults.hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await observed.health()
    told = observed._sender.observer.told
    assert [entry for entry in told if entry[0] == "ended"] == [
        ("ended", 1, NotFoundError),
        ("ended", 4, asyncio.CancelledError),
    ]


async def test_records_say_operation_and_attempt(server, client, caplog):
    """As fields of their own, for structured logs."""
    caplog.set_level(logging.DEBUG, "kognitos_async")
    server.misbehave("get_health", faults.unavailable())
    await client.health()
    debug = [
        record
        for record in caplog.records
        if record.levelno == logging.DEBUG and record.name == "kognitos_async"
    ]
    assert [(record.operation, record.attempt) for record in debug] == [
        ("GET /health", 1),
        ("GET /health", 2),
    ]
