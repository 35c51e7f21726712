"""run_many over real sockets: bounded, lazy, a failure is an outcome, leaving ends it."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async import (
    BadRequestError,
    ConfigurationError,
    RunRequest,
    StartUncertainError,
    WaitTimeoutError,
)
from kognitos_async.testing import Schedule, faults
from tests.support import eventually, site


def requests_of(server, count):
    return [RunRequest(process_id=server.process.id, name=f"run {n}", inputs={"n": n}) for n in range(count)]


def unsettled(server):
    return sum(run.status in ("Created", "Running") for run in server.runs.values())


async def nothing_continues(server):
    """No task of the library remains and no request is sent."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "kognitos_async" in task.get_name()]
    # What was in flight when the block ended is counted when the server comes to it.
    for _ in range(20):
        seen = server.count()
        await asyncio.sleep(0.05)
        if server.count() == seen:
            return
    raise AssertionError("requests go on")


async def test_each_request_has_one_run_and_one_outcome():
    """One start each, settled, in whatever status, with one attempt counted."""
    words = {"Succeeded": 0.5, "Exception": 0.3, "Stopped": 0.2}
    async with site(schedule=Schedule.random(0.0, 0.1, outcomes=words)) as (server, client):
        requests = requests_of(server, 60)
        async with client.run_many(requests) as outcomes:
            got = [outcome async for outcome in outcomes]
        assert {o.request.name: o.run.name for o in got} == {r.name: r.name for r in requests}
        assert all(o.run.settled and o.error is None and o.attempts == 1 and not o.resumed for o in got)
        assert {str(o.run.status) for o in got} == set(words)
        assert len(server.runs) == 60
        assert server.duplicates() == {}
        await nothing_continues(server)


async def test_outcomes_come_in_the_order_of_completion():
    """Not in the order of the requests."""
    async with site(schedule=Schedule.manual()) as (server, client):
        job = client.run_many(requests_of(server, 4))
        async with job as outcomes:
            await eventually(lambda: len(server.runs) == 4)
            for number in (2, 0, 3, 1):
                server.set_status(server.runs_named(f"run {number}")[0].id, "Stopped")
                assert (await anext(outcomes)).request.name == f"run {number}"


@pytest.mark.parametrize("limit", [1, 3])
async def test_never_more_than_max_in_flight(limit):
    """The next run starts when one has settled and its outcome is taken, not before."""
    async with site(schedule=Schedule.manual()) as (server, client):
        requests = requests_of(server, limit + 3)
        async with client.run_many(requests, max_in_flight=limit) as outcomes:
            for extra in range(3):
                await eventually(lambda extra=extra: len(server.runs) >= limit + extra)
                await asyncio.sleep(0.03)
                assert unsettled(server) == limit
                server.set_status(
                    next(r.id for r in server.runs.values() if r.status == "Created"), "Stopped"
                )
                await anext(outcomes)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_endless_input_is_read_no_further_than_needed(asynchronous):
    """At most max_in_flight and two requests ahead of the outcomes taken, also by a slow consumer."""
    async with site() as (server, client):
        read = 0

        def forever():
            nonlocal read
            while True:
                read += 1
                yield RunRequest(process_id=server.process.id, name=f"run {read}")

        async def forever_async():
            for request in forever():
                await asyncio.sleep(0)
                yield request

        taken = 0
        source = forever_async() if asynchronous else forever()
        async with client.run_many(source, max_in_flight=5) as outcomes:
            async for _ in outcomes:
                taken += 1
                if taken in (3, 6, 9):
                    await asyncio.sleep(0.05)
                assert read <= taken + 5 + 2
                if taken == 20:
                    break
        await nothing_continues(server)


async def test_an_input_that_raises_ends_after_what_was_begun():
    """Outcomes of the runs begun come first, then the very error."""
    async with site() as (server, client):
        problem = LookupError("the table is gone")

        def broken():
            yield from requests_of(server, 7)
            raise problem

        names = []
        with pytest.raises(LookupError) as caught:
            async with client.run_many(broken(), max_in_flight=3) as outcomes:
                async for outcome in outcomes:
                    names.append(outcome.request.name)  # noqa: PERF401 - kept when the input raises
        assert caught.value is problem
        assert sorted(names) == [f"run {n}" for n in range(7)]


async def test_no_requests_no_outcomes():
    """An empty input ends at once."""
    async with site() as (server, client):
        async with client.run_many([]) as outcomes:
            assert [o async for o in outcomes] == []
        assert server.count() == 0


async def test_a_refused_request_stops_no_other():
    """A 400, and objects that cannot be sent, are outcomes with their error and no run."""
    async with site() as (server, client):
        good = requests_of(server, 6)
        bad = [
            RunRequest(process_id="nope", name="unknown process"),
            RunRequest(process_id=server.process.id, name=""),
            RunRequest(process_id=server.process.id, name="nan", inputs={"x": float("nan")}),
            "not a request",
        ]
        async with client.run_many([*bad, *good]) as outcomes:
            got = [o async for o in outcomes]
        failed = [o for o in got if o.error is not None]
        assert len(got) == 10
        assert len(failed) == 4
        assert all(o.run is None for o in failed)
        assert sum(isinstance(o.error, ConfigurationError) for o in failed) == 3
        assert {o.request.name for o in got if o.error is None} == {r.name for r in good}


async def test_a_400_is_an_outcome():
    """The API's refusal comes out as it is."""
    async with site() as (server, client):
        server.misbehave("create_run", faults.answer(400, b'{"message": "no"}'))
        async with client.run_many(requests_of(server, 3)) as outcomes:
            errors = [o.error for o in [o async for o in outcomes] if o.error is not None]
        assert [type(error) for error in errors] == [BadRequestError]
        assert len(server.runs) == 2


@pytest.mark.parametrize("fault", [faults.reset(after_work=True), faults.server_error(after_work=True)])
async def test_an_uncertain_start_is_an_outcome_without_a_journal(fault):
    """StartUncertainError, and never a second start."""
    async with site() as (server, client):
        server.misbehave("create_run", fault)
        async with client.run_many(requests_of(server, 4)) as outcomes:
            errors = [o.error for o in [o async for o in outcomes] if o.error is not None]
        assert [type(error) for error in errors] == [StartUncertainError]
        assert errors[0].request.name.startswith("run ")
        assert len(server.runs) == 4
        assert server.duplicates() == {}


async def test_a_run_that_takes_too_long_is_an_outcome_with_the_run():
    """WaitTimeoutError, the run as last seen, and its place is free for the next."""
    async with site(schedule=Schedule.manual()) as (server, client):
        async with client.run_many(requests_of(server, 4), max_in_flight=2, run_timeout=0.1) as outcomes:
            got = [o async for o in outcomes]
        assert len(got) == 4
        for outcome in got:
            assert isinstance(outcome.error, WaitTimeoutError)
            assert outcome.run.name == outcome.request.name


async def test_a_full_organization_is_waited_for():
    """Capacity 403s are no outcomes: every run starts once there is room."""
    async with site(schedule=Schedule.fixed(0.05)) as (server, client):
        server.misbehave("create_run", faults.capacity_reached(), times=3, skip=2)
        async with client.run_many(requests_of(server, 12), max_in_flight=12) as outcomes:
            got = [o async for o in outcomes]
        assert all(o.error is None for o in got)
        assert len(server.runs) == 12
        assert server.count("create_run", status=403) == 3


async def test_rate_limits_are_waited_out():
    """429s, with and without Retry-After, are no outcomes."""
    async with site() as (server, client):
        server.misbehave("create_run", faults.rate_limited(), times=1)
        server.misbehave("create_run", faults.rate_limited(0.01), times=1, skip=1)
        async with asyncio.timeout(30), client.run_many(requests_of(server, 5)) as outcomes:
            got = [o async for o in outcomes]
        assert [o.error for o in got] == [None] * 5
        assert server.duplicates() == {}


async def test_leaving_early_ends_everything():
    """No start, no poll and no task after the block."""
    async with site(schedule=Schedule.manual()) as (server, client):
        async with client.run_many(requests_of(server, 50), max_in_flight=10):
            await eventually(lambda: len(server.runs) >= 3)
        await nothing_continues(server)
        assert len(server.runs) <= 10


async def test_an_error_of_the_block_passes_unwrapped():
    """It is the very exception, not a group around it."""
    async with site(schedule=Schedule.manual()) as (server, client):
        problem = LookupError("mine")
        with pytest.raises(LookupError) as caught:
            async with client.run_many(requests_of(server, 5)):
                await eventually(lambda: len(server.runs) >= 2)
                raise problem
        assert caught.value is problem
        await nothing_continues(server)


async def test_entering_twice_is_refused():
    """One object, one pass over the requests."""
    async with site() as (server, client):
        job = client.run_many(requests_of(server, 1))
        async with job as outcomes:
            assert len([o async for o in outcomes]) == 1
        with pytest.raises(RuntimeError, match="already entered"):
            await job.__aenter__()
        assert len(server.runs) == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"requests": 7}, TypeError),
        ({"requests": "text"}, TypeError),
        ({"max_in_flight": 0}, ValueError),
        ({"max_in_flight": True}, TypeError),
        ({"max_in_flight": 2.5}, TypeError),
        ({"run_timeout": -1}, ValueError),
        ({"absence_delay": None}, ValueError),
        ({"absence_delay": -1}, ValueError),
        ({"poll": 1}, TypeError),
    ],
)
async def test_wrong_arguments_are_refused_at_once(wrong, error):
    """TypeError or ValueError from the call itself."""
    async with site() as (_, client):
        with pytest.raises(error):
            client.run_many(**{"requests": [], **wrong})
