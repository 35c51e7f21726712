"""Validation of arguments before anything is sent."""

from __future__ import annotations

import math

import pytest

from kognitos_async import ConfigurationError, KognitosClient, Pager
from tests.unit.fakes import Scripted, answer, client_of


@pytest.fixture
def transport():
    return Scripted(answer(500))


@pytest.fixture
def client(transport):
    return client_of(transport)


@pytest.mark.parametrize("limit", [1, 99, 100])
def test_a_page_holds_1_to_100_items(client, limit):
    """Both bounds are accepted, for runs and for processes."""
    assert isinstance(client.runs.list("p-1", limit=limit), Pager)
    assert isinstance(client.processes.list(limit=limit), Pager)


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        (0, ValueError),
        (101, ValueError),
        (-1, ValueError),
        (True, TypeError),
        (10.0, TypeError),
        ("10", TypeError),
        (None, TypeError),
    ],
)
def test_other_page_sizes_are_refused_at_the_call(client, transport, limit, error):
    """Not at the first page, so that the traceback shows the faulty call."""
    for listing in (lambda: client.runs.list("p-1", limit=limit), lambda: client.processes.list(limit=limit)):
        with pytest.raises(error, match="limit"):
            listing()
    assert not transport.sent


@pytest.mark.parametrize(
    ("listing", "error", "named"),
    [
        (lambda c: c.runs.list(""), ValueError, "process_id"),
        (lambda c: c.runs.list(None), TypeError, "process_id"),
        (lambda c: c.runs.list("p-1", agent_id=""), ValueError, "agent_id"),
        (lambda c: c.runs.list("p-1", agent_id=7), TypeError, "agent_id"),
        (lambda c: c.runs.list("p-1", stage="draft"), ValueError, "stage"),
        (lambda c: c.runs.list("p-1", stage=1), TypeError, "stage"),
        (lambda c: c.runs.list("p-1", continuation_token=""), ValueError, "continuation_token"),
        (lambda c: c.runs.list("p-1", continuation_token=7), TypeError, "continuation_token"),
        (lambda c: c.processes.list(agent_id=""), ValueError, "agent_id"),
        (lambda c: c.wait_for_runs([""]), ValueError, "run"),
        (lambda c: c.wait_for_runs([7]), TypeError, "run"),
        (lambda c: c.wait_for_runs(["r-1"], timeout=-1), ValueError, "timeout"),
        (lambda c: c.wait_for_runs(["r-1"], timeout=math.nan), ValueError, "timeout"),
        (lambda c: c.wait_for_runs(["r-1"], timeout=True), TypeError, "timeout"),
        (lambda c: c.wait_for_runs(["r-1"], until="Succeeded"), TypeError, "until"),
        (lambda c: c.wait_for_runs(["r-1"], until=()), ValueError, "until"),
        (lambda c: c.wait_for_runs(["r-1"], poll=1), TypeError, "poll"),
        (lambda c: c.run_many([], max_in_flight=0), ValueError, "max_in_flight"),
        (lambda c: c.run_many([], absence_delay=-1), ValueError, "absence_delay"),
        (lambda c: c.run_many([], absence_delay=math.inf), ValueError, "absence_delay"),
        (lambda c: c.run_many([], run_timeout="60"), TypeError, "run_timeout"),
    ],
)
def test_iterators_and_context_managers_check_arguments_at_the_call(client, transport, listing, error, named):
    """Before they are iterated or entered; the error names the argument and nothing is sent."""
    with pytest.raises(error, match=named):
        listing(client)
    assert not transport.sent


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda c: c.runs.get(""), ValueError, "run_id"),
        (lambda c: c.runs.get(7), TypeError, "run_id"),
        (lambda c: c.runs.get("."), ValueError, "run_id"),
        (lambda c: c.runs.get(" "), ValueError, "run_id"),
        (lambda c: c.runs.get("\ud800"), ValueError, "run_id"),
        (lambda c: c.processes.get(""), ValueError, "process_id"),
        (lambda c: c.processes.get(b"p-1"), TypeError, "process_id"),
        (lambda c: c.processes.get("p-1", agent_id=""), ValueError, "agent_id"),
        (lambda c: c.runs.start("p-1", name=""), ValueError, "name"),
        (lambda c: c.runs.start("p-1", name="n", agent_id=""), ValueError, "agent_id"),
        (lambda c: c.files.create(""), ValueError, "file_name"),
        (lambda c: c.files.create("x" * 257), ValueError, "file_name"),
        (lambda c: c.files.create(7), TypeError, "file_name"),
        (lambda c: c.files.upload(b"", file_name="n", agent_id=""), ValueError, "agent_id"),
        (lambda c: c.files.upload(b"", file_name="n", on_progress=1), TypeError, "on_progress"),
        (lambda c: c.request("FETCH", "/health"), ValueError, "method"),
        (lambda c: c.request("GET", "health"), ValueError, "path"),
        (lambda c: c.request("GET", "//evil.example/"), ValueError, "path"),
        (lambda c: c.request("GET", "/runs?limit=1"), ValueError, "path"),
        (lambda c: c.request("GET", "/runs/../keys"), ValueError, "path"),
        (lambda c: c.request("GET", "/runs/a b"), ValueError, "path"),
        (lambda c: c.request("GET", "/runs\r\nHost: evil"), ValueError, "path"),
        (lambda c: c.request("GET", None), TypeError, "path"),
    ],
)
async def test_wrong_arguments_of_calls_are_refused_before_sending(client, transport, call, error, named):
    """ValueError or TypeError names the argument; nothing is sent."""
    async with client:
        with pytest.raises(error, match=named):
            await call(client)
    assert not transport.sent


def test_the_agent_is_required_from_call_client_or_environment(monkeypatch):
    """Without any of them the error says what to set."""
    with pytest.raises(ConfigurationError, match="KOGNITOS_AGENT_ID"):
        KognitosClient("a-key").runs.list("p-1")
    assert isinstance(KognitosClient("a-key").runs.list("p-1", agent_id="a-1"), Pager)
    monkeypatch.setenv("KOGNITOS_AGENT_ID", "a-1")
    assert isinstance(KognitosClient("a-key").runs.list("p-1"), Pager)
