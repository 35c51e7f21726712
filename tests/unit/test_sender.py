"""Sending with retries: exact delays, what is repeated, what is raised. Under virtual time."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import (
    BadRequestError,
    CapacityError,
    ClientClosedError,
    DecodeError,
    Health,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from kognitos_async.messages import Redactor, Request, decoder_for
from kognitos_async.sender import Sender
from tests.unit.fakes import Scripted, answer
from tests.virtual_time import run_virtually

OK = answer(200, {"status": "OK"})
GET = Request("GET", "/health")
POST = Request("POST", "/runs", b"{}", repeatable=False, starts_run=True)
DOWN = answer(500, {"message": "down"})
HEALTH = decoder_for(Health)


class Half(random.Random):
    """Always the middle of the range."""

    def random(self):
        return 0.5


def sender(transport, *, policy=RetryPolicy(), chance=None, **options):  # noqa: B008
    return Sender(
        transport,
        policy=policy,
        redactor=Redactor("test-key"),
        max_concurrent=options.pop("max_concurrent", 10),
        requests_per_second=None,
        chance=chance or Half(),
    )


def send(transport, request=GET, **options):
    """The outcome of one request, the times of its attempts, and the total time."""

    async def main():
        loop = asyncio.get_running_loop()
        one = sender(transport, **options)
        await one.open()
        try:
            outcome = await one.send(request, HEALTH)
        except Exception as error:  # noqa: BLE001
            outcome = error
        took = loop.time()
        await one.close()
        return outcome, took

    outcome, took = run_virtually(main())
    return outcome, transport.times, took


def test_the_exact_delays_of_an_outage():
    """Half of 0.5, 1 and 2 s with the middle of the jitter; the fourth failure is raised."""
    outcome, times, took = send(Scripted(DOWN))
    assert times == pytest.approx([0, 0.25, 0.75, 1.75])
    assert took == pytest.approx(1.75)
    assert isinstance(outcome, ServerError)
    assert outcome.attempts == 4


def test_the_delays_follow_the_random_generator():
    """The same seed gives the same schedule."""
    _, times, _ = send(Scripted(DOWN), chance=random.Random(7))
    drawn = random.Random(7)
    expected = [0.0]
    for ceiling in (0.5, 1, 2):
        expected.append(expected[-1] + drawn.uniform(0, ceiling))
    assert times == pytest.approx(expected)


@pytest.mark.parametrize("asked", ["3", "3.5", "119"])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_never_shortened(status, asked):
    """Also for a start."""
    for request in (GET, POST):
        refusal = answer(status, {"message": "later"}, {"Retry-After": asked})
        outcome, times, _ = send(Scripted(refusal, OK), request)
        assert outcome.ok
        assert times[1] >= float(asked)
        assert times[1] == pytest.approx(float(asked), rel=0.02)


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimitError), (503, ServerError)])
def test_a_retry_after_above_the_limit_is_raised_at_once(status, kind):
    """The error has the requested delay."""
    refusal = answer(status, {"message": "later"}, {"Retry-After": "3600"})
    for request in (GET, POST):
        outcome, times, took = send(Scripted(refusal), request)
        assert type(outcome) is kind
        assert outcome.retry_after == 3600
        assert (times, took) == ([0], 0)


@pytest.mark.parametrize(
    "step",
    [
        *(DOWN, answer(502, b"<html>"), answer(503), answer(504), answer(408), answer(302)),
        *(OutcomeUnknownError("lost"), OutcomeUnknownError("late", timed_out=True)),
    ],
)
def test_a_start_that_may_have_been_processed_is_sent_once(step):
    """A second start could make a second run."""
    outcome, times, _ = send(Scripted(step, OK), POST)
    assert isinstance(outcome, Exception)
    assert times == [0]


@pytest.mark.parametrize(
    "step",
    [
        NotSentError("no connection"),
        answer(429),
        answer(503, None, {"Retry-After": "0"}),
        answer(403, {"message": "Resource Not Available"}),
    ],
)
def test_a_start_that_was_certainly_not_processed_is_retried(step):
    """In the four documented cases."""
    outcome, times, _ = send(Scripted(step, OK), POST)
    assert outcome.ok
    assert len(times) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 501, 505])
def test_permanent_errors_are_raised_at_once(status):
    """Also for a read."""
    outcome, times, _ = send(Scripted(answer(status, {"message": "no"}), OK))
    assert outcome.status == status
    assert len(times) == 1


def test_a_read_is_retried_after_lost_connections():
    """Whether or not the request was received."""
    outcome, times, _ = send(Scripted(OutcomeUnknownError("lost"), NotSentError("no connection"), OK))
    assert outcome.ok
    assert times == pytest.approx([0, 0.25, 0.75])


def test_the_error_raised_counts_the_attempts():
    """Transport errors too."""
    outcome, times, _ = send(Scripted(OutcomeUnknownError("lost")), policy=RetryPolicy(max_attempts=3))
    assert outcome.attempts == len(times) == 3
    outcome, _, _ = send(Scripted(answer(403, {"message": "at capacity"})), POST)
    assert isinstance(outcome, CapacityError)
    assert outcome.attempts == 4


def test_an_answer_that_cannot_be_decoded_is_not_retried():
    """The next one would be the same."""
    outcome, times, _ = send(Scripted(answer(200, {"status": 7}), OK))
    assert isinstance(outcome, DecodeError)
    assert len(times) == 1


@given(
    st.lists(
        st.sampled_from(
            [
                *(DOWN, answer(400), answer(429), answer(503, None, {"Retry-After": "1"}), OK, answer(404)),
                *(NotSentError("none"), OutcomeUnknownError("lost")),
            ]
        ),
        min_size=1,
        max_size=8,
    ),
    st.integers(1, 5),
    st.booleans(),
)
def test_attempts_are_bounded_and_end_with_the_last_answer(steps, most, repeatable):
    """At most max_attempts are made; the outcome is that of the last."""
    transport = Scripted(*steps)
    outcome, times, _ = send(transport, GET if repeatable else POST, policy=RetryPolicy(max_attempts=most))
    assert 1 <= len(times) <= most
    last = steps[min(len(times), len(steps)) - 1]
    if isinstance(last, Exception):
        assert outcome is last
    elif last is OK:
        assert outcome.ok
    else:
        assert outcome.status == last.status


def test_the_shared_retry_quota_bounds_the_load_in_an_outage():
    """A hundred failing requests make a hundred retries, not three hundred; successes refill the quota."""

    async def main():
        transport = Scripted(DOWN)
        one = sender(transport, max_concurrent=1000, chance=random.Random(1))
        await one.open()
        await asyncio.gather(*(one.send(GET, HEALTH) for _ in range(100)), return_exceptions=True)
        assert len(transport.sent) == 200
        with pytest.raises(ServerError):
            await one.send(GET, HEALTH)
        assert len(transport.sent) == 201
        transport.steps = [OK]
        for _ in range(5):
            await one.send(GET, HEALTH)
        transport.steps = [DOWN, OK]
        assert (await one.send(GET, HEALTH)).ok
        await one.close()

    run_virtually(main())


def test_a_429_pauses_all_requests():
    """No queued request is sent before Retry-After is over."""

    async def main():
        transport = Scripted(answer(429, None, {"Retry-After": "10"}), OK, latency=0.1)
        one = sender(transport, max_concurrent=1)
        await one.open()
        await asyncio.gather(*(one.send(GET, HEALTH) for _ in range(5)))
        assert transport.times[0] == 0
        assert min(transport.times[1:]) >= 10.1
        await one.close()

    run_virtually(main())


def test_a_retry_after_above_the_limit_does_not_pause_the_client():
    """Only its caller gets the error."""

    async def main():
        transport = Scripted(answer(429, None, {"Retry-After": "3600"}), OK)
        one = sender(transport)
        await one.open()
        with pytest.raises(RateLimitError):
            await one.send(GET, HEALTH)
        assert (await one.send(GET, HEALTH)).ok
        assert asyncio.get_running_loop().time() < 10
        await one.close()

    run_virtually(main())


def test_the_slot_is_released_before_the_sleep():
    """A request that backs off blocks no other."""

    async def main():
        transport = Scripted(answer(503, None, {"Retry-After": "50"}), OK)
        one = sender(transport, max_concurrent=1)
        await one.open()
        retried = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(1)
        await one.send(GET, HEALTH)
        assert asyncio.get_running_loop().time() == pytest.approx(1)
        await retried
        assert transport.times == pytest.approx([0, 1, 50])
        await one.close()

    run_virtually(main())


def test_closing_ends_sleeps_and_queues_with_client_closed():
    """Requests that back off or are queued raise ClientClosedError at once."""

    async def main():
        transport = Scripted(answer(503, None, {"Retry-After": "100"}), OK, latency=5)
        one = sender(transport, max_concurrent=1)
        await one.open()
        sleeping = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(6)
        sending = asyncio.create_task(one.send(POST, HEALTH))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(1)
        await one.close()
        await one.close()
        results = await asyncio.gather(sleeping, waiting, return_exceptions=True)
        assert all(isinstance(result, ClientClosedError) for result in results)
        assert (await sending).ok
        assert asyncio.get_running_loop().time() == pytest.approx(11)
        assert transport.closed == 1
        with pytest.raises(ClientClosedError):
            await one.send(GET, HEALTH)

    run_virtually(main())


def test_a_read_cut_off_by_closing_raises_client_closed():
    """Not OutcomeUnknownError; a start stays uncertain."""

    async def main(request):
        one = sender(Scripted(OutcomeUnknownError("lost"), latency=5))
        await one.open()
        sending = asyncio.create_task(one.send(request, HEALTH))
        await asyncio.sleep(1)
        await one.close()
        return (await asyncio.gather(sending, return_exceptions=True))[0]

    closed = run_virtually(main(GET))
    assert isinstance(closed, ClientClosedError)
    assert isinstance(closed.__cause__, OutcomeUnknownError)
    assert isinstance(run_virtually(main(POST)), OutcomeUnknownError)


def test_a_sender_opens_once_and_sends_only_when_open():
    """The error says how to use a client."""

    async def main():
        one = sender(Scripted(OK))
        with pytest.raises(ClientClosedError, match="async with"):
            await one.send(GET, HEALTH)
        with pytest.raises(ClientClosedError, match="async with"):
            await one.sleep(1)
        await one.close()
        await one.open()
        with pytest.raises(ClientClosedError, match="once"):
            await one.open()
        await one.close()

    run_virtually(main())


def test_attempts_are_logged_as_debug_and_retries_as_warnings(caplog):
    """The records name the request, the result and the number of the attempt."""
    caplog.set_level(logging.DEBUG, "kognitos_async")
    send(Scripted(DOWN, OutcomeUnknownError("lost"), OK), Request("GET", "/runs?token=hidden"))
    records = [(r.levelname, r.getMessage()) for r in caplog.records if r.name == "kognitos_async"]
    assert [level for level, _ in records] == ["DEBUG", "WARNING", "DEBUG", "WARNING", "DEBUG"]
    assert "GET /runs: 500" in records[0][1]
    assert "down" in records[1][1]
    assert "attempt 2 of 4" in records[1][1]
    assert "OutcomeUnknownError" in records[2][1]
    assert not [text for _, text in records if "hidden" in text]


def test_a_status_error_has_the_message_of_the_api():
    """400 carries the API's own words."""
    outcome, _, _ = send(Scripted(answer(400, {"message": "Invalid input values", "details": []})), POST)
    assert isinstance(outcome, BadRequestError)
    assert outcome.message == "Invalid input values"


def test_no_record_holds_a_secret(caplog):
    """Neither an echoed key, nor a query, nor a body."""
    caplog.set_level(logging.DEBUG, "kognitos_async")
    echo = answer(503, {"message": "the key test-key is busy"}, {"Retry-After": "1"})
    start = Request("POST", "/runs?token=hidden", b'{"inputs": "private"}', repeatable=False, starts_run=True)
    outcome, times, _ = send(Scripted(echo), start)
    assert len(times) == 4
    assert isinstance(outcome, ServerError)
    text = caplog.text + str(outcome) + repr(outcome) + repr(vars(outcome))
    assert "is busy" in caplog.text
    assert "/runs" in caplog.text
    for secret in ("test-key", "hidden", "private"):
        assert secret not in text


def test_capacity_errors_are_retried_or_raised_as_the_request_says():
    """Retried like a 429 by default; raised at once for callers with their own retry logic."""
    full = answer(403, {"message": "Resource Not Available: maximum number of concurrent runs"})
    outcome, times, _ = send(Scripted(full, full, OK), POST)
    assert outcome.ok
    assert times == pytest.approx([0, 0.25, 0.75])
    impatient = Request("POST", "/runs", b"{}", repeatable=False, starts_run=True, waits_for_capacity=False)
    outcome, times, _ = send(Scripted(full, OK), impatient)
    assert isinstance(outcome, CapacityError)
    assert times == [0]


def test_cancelling_during_the_sleep_sends_nothing_more():
    """The slot is free for other requests."""

    async def main():
        transport = Scripted(DOWN, OK)
        one = sender(transport, max_concurrent=1, policy=RetryPolicy(base_delay=20))
        await one.open()
        sleeping = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(1)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        await asyncio.sleep(100)
        assert len(transport.sent) == 1
        assert (await one.send(GET, HEALTH)).ok
        await one.close()

    run_virtually(main())


def test_cancelling_an_attempt_releases_its_slot():
    """The attempt is cancelled too, so that its connection is not reused."""

    async def main():
        transport = Scripted(OK, latency=10)
        one = sender(transport, max_concurrent=1)
        await one.open()
        sending = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert transport.cancelled == 1
        async with asyncio.timeout(11):
            assert (await one.send(GET, HEALTH)).ok
        await one.close()

    run_virtually(main())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status):
    """The key would be sent to its target; the error says what to check."""
    outcome, times, _ = send(Scripted(answer(status, None, {"Location": "https://evil.example/"})))
    assert outcome.status == status
    assert "base_url" in str(outcome)
    assert times == [0]


@pytest.mark.parametrize("lost", [DOWN, OutcomeUnknownError("late", timed_out=True)])
def test_a_successful_retry_is_refunded(lost):
    """A failure that passes costs the quota nothing."""

    async def main():
        one = sender(Scripted(lost, OK))
        await one.open()
        await one.send(GET, HEALTH)
        assert one.quota.tokens == 500
        await one.close()

    run_virtually(main())


def test_before_send_is_awaited_immediately_before_each_attempt():
    """In the slot, after the wait for the rate."""
    log = []

    async def main():
        loop = asyncio.get_running_loop()
        transport = Scripted(
            answer(429, None, {"Retry-After": "7"}), answer(503, None, {"Retry-After": "3"}), OK, latency=1
        )
        one = sender(transport, max_concurrent=1)
        await one.open()

        async def note():
            log.append((loop.time(), len(transport.sent)))

        other = asyncio.create_task(one.send(GET, HEALTH))
        await asyncio.sleep(0.5)
        await one.send(POST, HEALTH, before_send=note)
        await other
        await one.close()

    run_virtually(main())
    # The GET is refused at 1 and pauses all until 8; the start is refused at 9, then the GET goes first.
    assert [sent for _, sent in log] == [1, 3]
    assert log[0][0] >= 8
    assert log[1][0] >= log[0][0] + 4


class TakenOverError(Exception):
    pass


@pytest.mark.parametrize(
    "problem", [TakenOverError, asyncio.CancelledError, NotSentError("of somebody else")]
)
def test_an_error_of_before_send_is_raised_and_nothing_is_sent(problem):
    """The slot is released, and the error is not retried."""

    async def main():
        transport = Scripted(OK)
        one = sender(transport, max_concurrent=1)
        await one.open()

        async def refuse():
            raise problem

        with pytest.raises(problem if isinstance(problem, type) else type(problem)):
            await one.send(POST, HEALTH, before_send=refuse)
        assert transport.sent == []
        async with asyncio.timeout(1):
            assert (await one.send(GET, HEALTH)).ok
        await one.close()

    run_virtually(main())


def test_attempts_can_be_shared_by_the_requests_of_one_call():
    """Their owner records the success."""

    async def main():
        transport = Scripted(DOWN, OK, DOWN)
        one = sender(transport, policy=RetryPolicy(max_attempts=3))
        await one.open()
        attempts = one.attempts()
        assert (await one.send(GET, HEALTH, attempts=attempts)).ok
        assert one.quota.tokens == 495
        with pytest.raises(ServerError) as caught:
            await one.send(GET, HEALTH, attempts=attempts)
        assert caught.value.attempts == len(transport.sent) == 3
        await one.close()

    run_virtually(main())
