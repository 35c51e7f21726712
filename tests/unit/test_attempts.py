"""The attempts of one call: logs, notifications, charges and refunds. Under virtual time."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from kognitos_async import BadRequestError, OutcomeUnknownError, RetryPolicy, ServerError, UploadError
from kognitos_async.attempts import Attempts, Retries
from kognitos_async.messages import Request
from kognitos_async.observers import Observer, Observers
from kognitos_async.retry import RetryQuota
from tests.virtual_time import run_virtually

RUN = Request("GET", "/runs/r%201?token=hidden")
DOWN = ServerError("down", status=500)


class Recorder(Observer):
    """Records the attempts and retries it is notified of."""

    def __init__(self):
        self.notes = []

    def attempt_ended(self, what, number, seconds, result):
        self.notes.append(("ended", what, number, round(seconds, 6), result))

    def retry_planned(self, failure, number, delay):
        self.notes.append(("retry", failure, number, round(delay, 6)))


def shared(**policy):
    """The shared part of a client's retries; every delay is the upper end of its range."""

    class Top(random.Random):
        def uniform(self, low, high):
            return high

    policy = RetryPolicy(**{"max_attempts": 3, "base_delay": 0.5, **policy})
    return Retries(policy, RetryQuota(), Top(), asyncio.sleep, Observers())


def records_of(caplog):
    return [record for record in caplog.records if record.name == "kognitos_async"]


def test_attempts_and_retries_are_logged_and_observers_notified(caplog):
    """With number, seconds and result; log records carry the operation, the attempt and the run."""
    caplog.set_level(logging.DEBUG, "kognitos_async")

    async def main():
        loop, retries, recorder = asyncio.get_running_loop(), shared(), Recorder()
        retries.observers.add(recorder)
        attempts = Attempts(retries)
        attempts.begin(loop.time())
        await asyncio.sleep(2)
        attempts.record(RUN, DOWN)
        await attempts.back_off(DOWN, retryable=True, what=RUN)
        assert loop.time() == 2.5
        attempts.begin(loop.time())
        await asyncio.sleep(1)
        attempts.record(RUN, 200)
        assert recorder.notes == [
            ("ended", RUN, 1, 2.0, DOWN),
            ("retry", DOWN, 1, 0.5),
            ("ended", RUN, 2, 1.0, 200),
        ]

    run_virtually(main())
    records = records_of(caplog)
    assert [(record.levelname, record.getMessage()) for record in records] == [
        ("DEBUG", "GET /runs/r%201: ServerError in 2.000 s, attempt 1"),
        ("WARNING", f"{DOWN}; sending again in 0.50 s, attempt 2 of 3"),
        ("DEBUG", "GET /runs/r%201: 200 in 1.000 s, attempt 2"),
    ]
    fields = [(record.operation, record.attempt, record.run_id) for record in records]
    assert fields == [("GET /runs/r%201", number, "r 1") for number in (1, 1, 2)]


def test_a_record_of_a_request_without_a_run_has_no_run_id(caplog):
    """The attribute is absent, not None."""
    caplog.set_level(logging.DEBUG, "kognitos_async")

    async def main():
        Attempts(shared()).record("an upload", "stored")

    run_virtually(main())
    [record] = records_of(caplog)
    assert record.operation == "an upload"
    assert not hasattr(record, "run_id")


def test_steps_of_an_attempt_are_timed_separately():
    """The time of an upload does not include that of its form."""

    async def main():
        loop, retries, recorder = asyncio.get_running_loop(), shared(), Recorder()
        retries.observers.add(recorder)
        attempts = Attempts(retries)
        attempts.begin(loop.time())
        await asyncio.sleep(5)
        attempts.restart_timer()
        await asyncio.sleep(1)
        attempts.record("file", "stored")
        assert recorder.notes == [("ended", "file", 1, 1.0, "stored")]

    run_virtually(main())


@pytest.mark.parametrize(
    ("failure", "retryable", "number"),
    [
        (DOWN, False, 1),
        (DOWN, True, 3),
        (ServerError("down", status=503, retry_after=3600.0), True, 1),
        (BadRequestError("no", status=400), False, 2),
        (OutcomeUnknownError("lost"), False, 2),
    ],
)
def test_failures_that_are_not_retried_carry_the_number_of_attempts(failure, retryable, number):
    """Nothing is slept or charged, and no observer is notified."""

    async def main():
        loop, retries, recorder = asyncio.get_running_loop(), shared(), Recorder()
        retries.observers.add(recorder)
        attempts = Attempts(retries)
        for _ in range(number):
            attempts.begin(loop.time())
        with pytest.raises(type(failure)) as caught:
            await attempts.back_off(failure, retryable=retryable, what=RUN)
        assert caught.value is failure
        assert failure.attempts == number
        assert (loop.time(), retries.quota.tokens, recorder.notes) == (0.0, 500, [])

    run_virtually(main())


def test_without_tokens_no_attempt_is_repeated():
    """The failure is raised at once."""

    async def main():
        retries = shared()
        retries.quota = RetryQuota(4)
        attempts = Attempts(retries)
        attempts.begin(0.0)
        with pytest.raises(ServerError):
            await attempts.back_off(DOWN, retryable=True, what=RUN)
        assert asyncio.get_running_loop().time() == 0.0

    run_virtually(main())


def test_success_refunds_the_last_retry_once():
    """A second success of the same call, and one without a retry, refund one token each."""

    async def main():
        retries = shared(max_attempts=9)
        attempts = Attempts(retries)
        for _ in range(3):
            attempts.begin(0.0)
            await attempts.back_off(DOWN, retryable=True, what=RUN)
        assert retries.quota.tokens == 485
        attempts.succeeded()
        assert retries.quota.tokens == 490
        attempts.succeeded()
        Attempts(retries).succeeded()
        assert retries.quota.tokens == 492

    run_virtually(main())


def test_progress_resets_the_count():
    """A stream that made progress has as many attempts left as after its first one."""

    async def main():
        retries = shared()
        attempts = Attempts(retries)
        assert attempts.number == 0
        for _ in range(2):
            attempts.begin(0.0)
            await attempts.back_off(DOWN, retryable=True, what=RUN)
        attempts.begin(0.0)
        assert attempts.number == 3
        attempts.start_over()
        assert (attempts.number, retries.quota.tokens) == (1, 495)
        await attempts.back_off(DOWN, retryable=True, what=RUN)
        attempts.begin(0.0)
        assert attempts.number == 2

    run_virtually(main())


def test_an_error_of_the_file_store_has_no_number_of_attempts():
    """Only API errors and transport errors have one."""

    async def main():
        attempts = Attempts(shared())
        attempts.begin(0.0)
        with pytest.raises(UploadError) as caught:
            await attempts.back_off(UploadError("refused"), retryable=False, what="file")
        assert not hasattr(caught.value, "attempts")

    run_virtually(main())
