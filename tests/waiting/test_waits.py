"""Waiting for one run: the schedule, what ends a wait and what does not. Under virtual time."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import (
    SETTLED,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    Run,
    RunStatus,
    ServerError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.rest_v2.models import ENDED
from kognitos_async.waiting.watch import Watch
from tests.unit.fakes import Scripted, answer, client_of, run
from tests.virtual_time import run_virtually

STEADY = PollPolicy(jitter=0)
ONE_TRY = RetryPolicy(max_attempts=1)
DONE = answer(200, run("Succeeded"))
RUNNING = answer(200, run("Running"))


def model(status="Running", **fields):
    return msgspec.convert(run(status, **fields), Run)


def just_started(**fields):
    return model("Created", created_at=datetime.now(UTC).isoformat(), **fields)


def wait(transport, target="r-1", *, poll=STEADY, retry=ONE_TRY, **arguments):
    """The outcome of a wait, and the time it took; the transport knows the rest."""

    async def main():
        loop = asyncio.get_running_loop()
        async with client_of(transport, poll=poll, retry=retry) as client:
            began = loop.time()
            try:
                outcome = await client.wait_for_run(target, **arguments)
            except Exception as error:  # noqa: BLE001
                outcome = error
            took = loop.time() - began
            for _ in range(3):
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return outcome, took

    return run_virtually(main())


# The policy

policies = st.builds(
    lambda initial, factor, more, jitter: PollPolicy(
        initial=initial, factor=factor, maximum=initial + more, jitter=jitter
    ),
    st.floats(0.001, 1e6),
    st.floats(1, 2) | st.floats(1, 1e300),
    st.floats(0, 1e9),
    st.floats(0, 0.999),
)


@given(policies, st.integers(0, 10**6), st.integers(0, 2**32).map(random.Random))
def test_poll_delays_keep_to_the_formula(policy, poll, chance):
    """Between the jittered initial delay and the jittered maximum, for ever, without overflow."""
    delay = policy.delay(poll, chance)
    try:
        grown = min(policy.maximum, policy.initial * policy.factor**poll)
    except OverflowError:
        grown = policy.maximum
    assert grown * (1 - policy.jitter) * 0.999 <= delay <= grown * (1 + policy.jitter) * 1.001


def test_the_schedule_of_the_defaults():
    """1, 1.5, 2.25 … at most 15 s, each up to 20 % more or less."""
    delays = [STEADY.delay(n, random.Random(1)) for n in range(9)]
    assert delays == pytest.approx([1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625, 15, 15])
    drawn = [PollPolicy().delay(0, random.Random(n)) for n in range(1000)]
    assert 0.8 <= min(drawn) < 0.82
    assert 1.18 < max(drawn) <= 1.2


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0},
        {"initial": -1},
        {"factor": 0.9},
        {"maximum": 0.5},
        {"jitter": 1},
        {"jitter": -0.1},
        {"initial": True},
        {"factor": "2"},
        {"maximum": float("inf")},
        {"unknown_status": "ignore"},
        {"unknown_status": None},
    ],
)
def test_an_invalid_poll_policy_is_refused(wrong):
    """ConfigurationError names the field."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        PollPolicy(**wrong)


# Watch


def watch(**fields):
    return Watch(**{"run_id": "r-1", "until": SETTLED, "ended": ENDED, "policy": STEADY, **fields})


@given(st.lists(st.sampled_from([*RunStatus, RunStatus("Paused"), RunStatus("Queued"), None]), max_size=30))
def test_three_unknown_words_in_a_row_and_no_fewer_raise(seen):
    """Failed polls count for nothing; a known word begins anew; an end is an end."""
    one, in_a_row = watch(), 0
    for status in seen:
        if status is None:
            one.failed(ServerError("down", status=500), now=0.0)
            continue
        in_a_row = 0 if status.known else in_a_row + 1
        if in_a_row == 3:
            with pytest.raises(UnknownStatusError, match=str(status)) as caught:
                one.found(model(status))
            assert caught.value.run.status == status
            return
        over = one.found(model(status))
        assert over == (status in SETTLED)
        if over:
            return


@pytest.mark.parametrize(
    "error",
    [
        ServerError("down", status=500),
        ServerError("bad gateway", status=502),
        RateLimitError("slow down", status=429),
        OutcomeUnknownError("lost"),
        NotSentError("no connection"),
        DecodeError("html", path="$", body=b"", malformed=True),
    ],
)
def test_a_watch_outlives_transient_errors(error):
    """5xx, 429, lost connections, a page that is not JSON."""
    one = watch()
    one.failed(error, now=1e9)
    assert one.timed_out(5).__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("key", status=401),
        PermissionDeniedError("may not", status=403),
        NotFoundError("none", status=404),
        BadRequestError("wrong", status=400),
        DecodeError("shape", path="$.id", body=b"{}"),
        ClientClosedError("closed"),
    ],
)
def test_a_watch_ends_with_other_errors(error):
    """At once, with the error as it is."""
    with pytest.raises(type(error)) as caught:
        watch().failed(error, now=0.0)
    assert caught.value is error


# Waits through the client


def test_a_bare_id_is_polled_at_once_and_then_on_schedule():
    """0, 1, 2.5, 4.75 … seconds after the call."""
    transport = Scripted(RUNNING, RUNNING, RUNNING, DONE)
    outcome, took = wait(transport)
    assert outcome.succeeded
    assert outcome.outputs_by_name == {"the output total": 42}
    assert transport.times == pytest.approx([0, 1, 2.5, 4.75])
    assert took == pytest.approx(4.75)
    assert {request.target for _, request in transport.sent} == {"/runs/r-1"}


def test_a_run_just_started_is_first_polled_after_the_initial_delay():
    """It cannot have settled yet."""
    transport = Scripted(RUNNING, DONE)
    outcome, _ = wait(transport, just_started())
    assert outcome.succeeded
    assert transport.times == pytest.approx([1, 2.5])


def test_a_run_started_long_ago_is_polled_at_once():
    """It may have settled meanwhile."""
    transport = Scripted(DONE)
    outcome, took = wait(transport, model("Running"))
    assert outcome.succeeded
    assert took == 0


@pytest.mark.parametrize("status", ["Exception", "Stopped", "Failed", "Cancelled", "TimedOut"])
def test_a_failed_run_is_returned_not_raised(status):
    """Each settled word ends the wait; a run known to be settled needs no request."""
    outcome, _ = wait(Scripted(answer(200, run(status))))
    assert outcome.status == status
    transport = Scripted(DONE)
    outcome, took = wait(transport, model(status))
    assert outcome.status == status
    assert (took, transport.sent) == (0, [])


def test_a_succeeded_run_without_outputs_is_completed_by_one_get():
    """It may come from a list that leaves them out."""
    transport = Scripted(DONE)
    outcome, _ = wait(transport, model("Succeeded", outputs=None))
    assert outcome.outputs_by_name == {"the output total": 42}
    assert len(transport.sent) == 1
    transport = Scripted(DONE)
    wait(transport, model("Succeeded"))
    assert transport.sent == []


def test_until_may_name_other_statuses():
    """The wait ends with the first of them, or with an end that is not left again."""
    outcome, _ = wait(Scripted(answer(200, run("Created")), RUNNING), until={RunStatus.RUNNING})
    assert outcome.status == RunStatus.RUNNING
    outcome, _ = wait(Scripted(RUNNING, DONE), until={RunStatus.EXCEPTION})
    assert outcome.succeeded
    outcome, _ = wait(Scripted(answer(200, run("Exception")), DONE), until={RunStatus.SUCCEEDED})
    assert outcome.succeeded
    outcome, _ = wait(Scripted(answer(200, run("Archived"))), until=[RunStatus("Archived")])
    assert outcome.status == "Archived"


@pytest.mark.parametrize("latency", [0.0, 0.3, 3.0, 100.0])
def test_the_timeout_covers_sleep_and_requests_alike(latency):
    """Exactly 10 s after the call, with the last run seen, whether it slept or waited for an answer."""
    transport = Scripted(RUNNING, latency=latency)
    outcome, took = wait(transport, timeout=10)
    assert isinstance(outcome, WaitTimeoutError)
    assert isinstance(outcome, TimeoutError)
    assert took == pytest.approx(10)
    if latency <= 3:
        assert outcome.run.status == RunStatus.RUNNING
        assert "last seen Running" in str(outcome)
    else:
        assert outcome.run is None
        assert "never seen" in str(outcome)
    assert "10 s" in str(outcome)


def test_a_timeout_of_zero_ends_at_once_and_infinity_never():
    """0 is a limit, infinity none."""
    outcome, took = wait(Scripted(RUNNING, latency=1), timeout=0)
    assert isinstance(outcome, WaitTimeoutError)
    assert took == 0
    outcome, took = wait(Scripted(*[RUNNING] * 1000, DONE), timeout=float("inf"))
    assert outcome.succeeded
    assert took > 10_000


def test_a_404_soon_after_the_start_does_not_end_the_wait():
    """The run may not be visible for some seconds."""
    missing = answer(404, {"message": "Run r-1 not found"})
    outcome, _ = wait(Scripted(missing, missing, DONE), just_started())
    assert outcome.succeeded


def test_a_404_later_than_that_is_not_found():
    """From five seconds after the start on, or at once for an id not started by this client."""
    missing = answer(404, {"message": "Run r-1 not found"})
    outcome, took = wait(Scripted(missing), just_started())
    assert isinstance(outcome, NotFoundError)
    assert 5 <= took < 9
    for target in ("r-1", model("Running")):
        outcome, took = wait(Scripted(missing), target)
        assert isinstance(outcome, NotFoundError)
        assert took == 0


def test_the_same_holds_for_the_id_of_a_run_started_by_this_client():
    """run.id is as good as run."""
    missing = answer(404, {"message": "not found"})

    async def main():
        started = answer(201, run("Created", created_at=datetime.now(UTC).isoformat()))
        transport = Scripted(started, missing, DONE)
        async with client_of(transport, poll=STEADY, retry=ONE_TRY) as client:
            begun = await client.runs.start("p-1", name="Invoice 42")
            assert (await client.wait_for_run(begun.id)).succeeded
        assert len(transport.sent) == 3

    run_virtually(main())


@pytest.mark.parametrize("status", [400, 401, 403, 405, 409, 422])
def test_permanent_errors_end_the_wait_at_once(status):
    """Such as that of a revoked key."""
    transport = Scripted(RUNNING, answer(status, {"message": "no"}))
    outcome, took = wait(transport)
    assert outcome.status == status
    assert took == pytest.approx(1)


def test_an_answer_that_is_too_large_ends_the_wait_at_once():
    """It would be as large at the next poll; the error says what it is."""
    transport = Scripted(RUNNING, OutcomeUnknownError("the answer is larger than 64 bytes", too_large=True))
    outcome, took = wait(transport, retry=RetryPolicy(), timeout=1000)
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.too_large
    assert took == pytest.approx(1)
    assert len(transport.sent) == 2


def test_a_client_that_is_not_open_refuses_to_wait():
    """Before, between and after: at once, saying what to do."""

    async def main():
        client = client_of(Scripted(DONE))
        for run_or_id in ("r-1", model("Running")):
            with pytest.raises(ClientClosedError, match="async with"):
                await client.wait_for_run(run_or_id)
        async with client.wait_for_runs(["r-1"]) as runs:
            with pytest.raises(ClientClosedError):
                await anext(runs)
        async with client:
            assert (await client.wait_for_run("r-1")).succeeded
        with pytest.raises(ClientClosedError, match="closed"):
            await client.wait_for_run("r-1")

    run_virtually(main())


def test_a_wrong_shape_ends_the_wait_at_once():
    """JSON that is not a run will not become one."""
    outcome, _ = wait(Scripted(answer(200, {"id": 7})))
    assert isinstance(outcome, DecodeError)


@pytest.mark.parametrize(
    "trouble",
    [
        answer(500),
        answer(502, b"<html>bad gateway</html>"),
        answer(503),
        answer(504),
        answer(408),
        answer(429),
        answer(200, b"<html>sign in</html>", {"Content-Type": "text/html"}),
        answer(200, b'{"id": "r-'),
        NotSentError("no connection"),
        OutcomeUnknownError("lost"),
    ],
)
def test_transient_errors_do_not_end_the_wait(trouble):
    """An hour of it is survived; the wait then finds the run."""
    outcome, took = wait(Scripted(RUNNING, *[trouble] * 250, DONE), timeout=24 * 3600)
    assert outcome.succeeded
    assert took > 3000


def test_the_last_transient_error_is_the_cause_of_the_timeout():
    """WaitTimeoutError says what the last poll met."""
    outcome, took = wait(Scripted(RUNNING, answer(502)), timeout=30)
    assert isinstance(outcome, WaitTimeoutError)
    assert took == pytest.approx(30)
    assert outcome.run.status == RunStatus.RUNNING
    assert isinstance(outcome.__cause__, ServerError)
    assert "502" in str(outcome)


def test_a_retry_after_of_an_hour_is_obeyed_between_polls():
    """The wait continues after it, unless its timeout comes first."""
    later = answer(429, None, {"Retry-After": "3600"})
    transport = Scripted(RUNNING, later, DONE)
    outcome, _ = wait(transport, retry=RetryPolicy())
    assert outcome.succeeded
    assert transport.times[2] - transport.times[1] >= 3600
    transport = Scripted(later, DONE)
    outcome, took = wait(transport, timeout=60)
    assert isinstance(outcome, WaitTimeoutError)
    assert took == pytest.approx(60)
    assert len(transport.sent) == 1


def test_an_unknown_status_on_three_polls_raises_instead_of_polling_for_ever():
    """UnknownStatusError carries the run and says what to do."""
    transport = Scripted(answer(200, run("Paused")))
    outcome, took = wait(transport)
    assert isinstance(outcome, UnknownStatusError)
    assert outcome.run.status == "Paused"
    assert not outcome.run.settled
    assert took == pytest.approx(2.5)
    assert "unknown_status" in str(outcome)


OTHER = answer(200, run("Succeeded", id="R-1"))


def test_three_answers_in_a_row_about_another_run_end_the_wait():
    """The service spells the id otherwise, for instance: the next answer would be no better."""
    transport = Scripted(OTHER)
    outcome, took = wait(transport)
    assert isinstance(outcome, DecodeError)
    assert outcome.other_resource
    assert len(transport.sent) == 3
    assert took == pytest.approx(2.5)


def test_stray_answers_about_another_run_do_no_harm():
    """As long as the right one comes in between, be it without news."""
    outcome, _ = wait(Scripted(*[OTHER, OTHER, RUNNING] * 20, OTHER, OTHER, DONE))
    assert outcome.succeeded


def test_unknown_statuses_may_be_waited_out():
    """`unknown_status="wait"` polls on."""
    paused = answer(200, run("Paused"))
    outcome, _ = wait(
        Scripted(*[paused] * 20, DONE), poll=PollPolicy(jitter=0, unknown_status="wait"), timeout=10_000
    )
    assert outcome.succeeded


def test_on_update_is_called_once_for_each_change():
    """In order, with the run itself."""
    heard = []
    created = answer(200, run("Created"))
    wait(Scripted(created, created, RUNNING, RUNNING, DONE), on_update=heard.append)
    assert [seen.status for seen in heard] == ["Created", "Running", "Succeeded"]
    heard.clear()
    wait(Scripted(created, RUNNING, DONE), just_started(), on_update=heard.append)
    assert [seen.status for seen in heard] == ["Running", "Succeeded"]


def test_an_error_of_on_update_is_the_callers():
    """It ends the wait and is raised as it is."""

    def broken(_run):
        raise ZeroDivisionError

    outcome, _ = wait(Scripted(RUNNING), on_update=broken)
    assert isinstance(outcome, ZeroDivisionError)


def test_the_policy_of_the_call_goes_before_the_clients():
    """One wait may be in more of a hurry."""
    transport = Scripted(RUNNING, RUNNING, DONE)
    wait(transport, poll=PollPolicy(initial=5, maximum=5, jitter=0))
    assert transport.times == pytest.approx([0, 5, 10])

    async def main():
        fast = Scripted(RUNNING, RUNNING, DONE)
        async with client_of(fast, poll=PollPolicy(initial=5, maximum=5)) as client:
            await client.wait_for_run("r-1", poll=PollPolicy(initial=0.1, maximum=0.1, jitter=0))
        assert fast.times == pytest.approx([0, 0.1, 0.2])

    run_virtually(main())


def test_cancelling_a_wait_stops_its_polling_and_nothing_else():
    """No more requests, no task, and the client stays usable."""

    async def main():
        transport = Scripted(RUNNING)
        async with client_of(transport, poll=STEADY) as client:
            waiting = asyncio.create_task(client.wait_for_run("r-1"))
            await asyncio.sleep(2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            polls = len(transport.sent)
            await asyncio.sleep(100)
            assert len(transport.sent) == polls
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert (await client.runs.get("r-1")).status == "Running"

    run_virtually(main())


def test_closing_the_client_ends_its_waits():
    """With ClientClosedError, whether they sleep or read."""

    async def main(latency):
        transport = Scripted(RUNNING, latency=latency)
        client = await client_of(transport, poll=STEADY).open()
        waits = [asyncio.create_task(client.wait_for_run(run_id)) for run_id in ("r-1", "r-2")]
        await asyncio.sleep(0.5)
        await client.aclose()
        async with asyncio.timeout(1):
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 2
        with pytest.raises(ClientClosedError):
            await client.wait_for_run("r-1")

    run_virtually(main(0.0))
    run_virtually(main(10.0))


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "10"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"until": "Succeeded"}, TypeError, "until"),
        ({"until": 7}, TypeError, "until"),
        ({"until": ()}, ValueError, "until"),
        ({"poll": RetryPolicy()}, TypeError, "poll"),
        ({"on_update": "print"}, TypeError, "on_update"),
        ({"run": ""}, ValueError, "run"),
        ({"run": 7}, TypeError, "run"),
        ({"run": None}, TypeError, "run"),
    ],
)
def test_wrong_arguments_of_a_wait_are_refused_by_name(arguments, error, named):
    """Before anything is sent, and before run_and_wait starts a run."""

    async def main():
        transport = Scripted(answer(201, run()))
        async with client_of(transport) as client:
            with pytest.raises(error, match=named):
                await client.wait_for_run(**{"run": "r-1", **arguments})
            if "run" not in arguments:
                with pytest.raises(error, match=named):
                    await client.run_and_wait("p-1", name="n", **arguments)
        assert transport.sent == []

    run_virtually(main())


def test_a_coroutine_function_as_on_update_is_refused():
    """It would not be awaited."""

    async def on_update(_run):
        pass

    outcome, _ = wait(Scripted(RUNNING), on_update=on_update)
    assert isinstance(outcome, TypeError)


def test_run_and_wait_counts_the_start_into_its_timeout():
    """It never cuts the start itself short: the run it started is in the error."""

    async def main(latency):
        started = run("Created", created_at=datetime.now(UTC).isoformat())
        transport = Scripted(answer(201, started), RUNNING, latency=latency)
        async with client_of(transport, poll=STEADY) as client:
            with pytest.raises(WaitTimeoutError) as caught:
                await client.run_and_wait("p-1", name="Invoice 42", timeout=10)
        assert caught.value.run.id == "r-1"
        return asyncio.get_running_loop().time()

    assert run_virtually(main(0.1)) == pytest.approx(10)
    assert run_virtually(main(25)) == pytest.approx(25)


def test_run_and_wait_returns_the_settled_run():
    """One start, then polls on schedule."""

    async def main():
        started = run("Created", created_at=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
        transport = Scripted(answer(201, started), RUNNING, DONE)
        async with client_of(transport, poll=STEADY) as client:
            outcome = await client.run_and_wait("p-1", name="Invoice 42", inputs={"n": 1})
        assert outcome.succeeded
        assert [request.method for _, request in transport.sent] == ["POST", "GET", "GET"]
        assert transport.times == pytest.approx([0, 1, 2.5])

    run_virtually(main())
