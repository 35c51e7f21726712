"""A start is sent again only if it certainly started nothing, whatever the network does."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import (
    APIStatusError,
    BadRequestError,
    CapacityError,
    NotFoundError,
    NotSentError,
    RateLimitError,
    RetryPolicy,
    RunRequest,
    ServerError,
    StartUncertainError,
)
from kognitos_async.testing import Schedule, faults

NOW_AND_HOUR_AGO = timedelta(hours=1)

LOST_BEFORE = {
    "reset": faults.reset(after_work=False),
    "hang": faults.hang(after_work=False),
    "500": faults.server_error(500),
    "502": faults.server_error(502),
    "504": faults.server_error(504),
    "bare 503": faults.unavailable(),
    "proxy 502": faults.proxy_error(502),
    "proxy 503": faults.proxy_error(503),
    "408": faults.answer(408, b"{}"),
    "101": faults.answer(101),
    "html 200": faults.html_page(200),
}
LOST_AFTER = {
    "reset": faults.reset(after_work=True),
    "hang": faults.hang(after_work=True),
    "500": faults.server_error(500, after_work=True),
    "502": faults.server_error(502, after_work=True),
    "504": faults.server_error(504, after_work=True),
    "bare 503": faults.server_error(503, after_work=True),
    "proxy 502": faults.proxy_error(502, after_work=True),
    "proxy 504": faults.proxy_error(504, after_work=True),
    "cut": faults.cut_body(),
    "unreadable 201": faults.answer(201, b'{"id": 1', {"Content-Type": "application/json"}, after_work=True),
    "empty 201": faults.answer(201, b"", after_work=True),
    "wrong json": faults.wrong_json(),
    "wrong shape": faults.wrong_shape(),
    "slow": faults.slow_body(3600.0),
}


def _request(server, name="Invoice 1", **changes):
    return RunRequest(**{"process_id": server.process.id, "name": name, **changes})


async def _start_in_doubt(client, server):
    with pytest.raises(StartUncertainError) as caught:
        await client.runs.start(server.process.id, name="Invoice 1", inputs={"n": 1})
    return caught.value


@pytest.mark.parametrize("fault", LOST_BEFORE.values(), ids=LOST_BEFORE)
async def test_a_start_lost_before_the_work(server, connect, fault):
    """An ambiguous failure is not retried; nothing was started, and the look-up finds nothing."""
    client = await connect(server, request_timeout=1.0)
    server.misbehave("create_run", fault, times=None)
    async with asyncio.timeout(5):
        error = await _start_in_doubt(client, server)
        assert (server.count("create_run"), len(server.runs), server.duplicates()) == (1, 0, {})
        assert await client.runs.find_started(error.request, since=error.since) == []


@pytest.mark.parametrize("fault", LOST_AFTER.values(), ids=LOST_AFTER)
async def test_a_start_lost_after_the_work(server, connect, fault):
    """A start whose answer was lost is not sent again, and the look-up finds its one run."""
    client = await connect(server, request_timeout=1.0)
    server.misbehave("create_run", fault, times=None)
    async with asyncio.timeout(5):
        error = await _start_in_doubt(client, server)
        assert (server.count("create_run"), len(server.runs), server.duplicates()) == (1, 1, {})
        found = await client.runs.find_started(error.request, since=error.since)
    assert [run.id for run in found] == [server.runs_named("Invoice 1")[0].id]


async def test_the_error_can_be_used_for_the_look_up(client, server):
    """StartUncertainError carries the request and the time before it was sent, and can be pickled."""
    server.misbehave("create_run", faults.reset(after_work=True))
    before = datetime.now(UTC)
    error = await _start_in_doubt(client, server)
    assert before <= error.since <= datetime.now(UTC)
    assert error.request == _request(server, inputs={"n": 1})
    assert "find_started" in str(error)
    assert error.__cause__ is not None
    again = pickle.loads(pickle.dumps(error))
    assert (again.request, again.since, str(again)) == (error.request, error.since, str(error))


REFUSED = {
    "429": faults.rate_limited(),
    "429 in 0 s": faults.rate_limited(0),
    "503 in 0 s": faults.unavailable(0),
    "503 at a date": faults.unavailable(datetime(2020, 1, 1, tzinfo=UTC)),
    "capacity": faults.capacity_reached(),
}


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED)
async def test_a_start_that_was_certainly_refused_is_sent_again(client, server, fault):
    """In the end there is one run."""
    server.misbehave("create_run", fault)
    async with asyncio.timeout(5):
        run = await client.runs.start(server.process.id, name="Invoice 1")
    assert server.count("create_run") == 2
    assert (list(server.runs), server.duplicates()) == ([run.id], {})


async def test_the_server_is_full(serve, connect):
    """Without capacity after all retries, a start raises CapacityError."""
    server = await serve(capacity=1, schedule=Schedule.manual())
    client = await connect(server)
    first = await client.runs.start(server.process.id, name="first")
    with pytest.raises(CapacityError) as caught:
        await client.runs.start(server.process.id, name="second")
    assert (caught.value.status, caught.value.attempts) == (403, 4)
    assert list(server.runs) == [first.id]


async def test_another_403_is_not_capacity(client, server):
    """Without words about capacity it is PermissionDeniedError after one attempt."""
    server.misbehave("create_run", faults.answer(403, b'{"message":"Forbidden"}'), times=None)
    with pytest.raises(APIStatusError) as caught:
        await client.runs.start(server.process.id, name="x")
    assert not isinstance(caught.value, CapacityError)
    assert (caught.value.status, server.count()) == (403, 1)


async def test_still_refused_at_the_end(client, server):
    """A 503 with Retry-After on every attempt is raised as ServerError: nothing was started."""
    server.misbehave("create_run", faults.unavailable(0), times=None)
    with pytest.raises(APIStatusError) as caught:
        await client.runs.start(server.process.id, name="x")
    assert (caught.value.status, caught.value.retry_after, server.count()) == (503, 0, 4)


async def test_refused_and_then_lost(client, server):
    """Refused first and lost on the second attempt, a start is in doubt and not sent a third time."""
    server.misbehave("create_run", faults.unavailable(0))
    server.misbehave("create_run", faults.reset(after_work=True), times=None)
    error = await _start_in_doubt(client, server)
    assert (server.count("create_run"), server.duplicates()) == (2, {})
    assert len(await client.runs.find_started(error.request, since=error.since)) == 1


@pytest.mark.parametrize(("status", "kind"), [(400, BadRequestError), (404, NotFoundError)])
async def test_refused_for_good(client, server, status, kind):
    """A 400 or 404 is raised after one attempt."""
    server.misbehave("create_run", faults.answer(status, b'{"message":"no"}'), times=None)
    with pytest.raises(kind):
        await client.runs.start(server.process.id, name="x")
    assert server.count() == 1


async def test_no_connection(server, connect):
    """Without a listening server a start is retried, then raises NotSentError."""
    client = await connect(server)
    await server.stop()
    with pytest.raises(NotSentError) as caught:
        await client.runs.start(server.process.id, name="x")
    assert caught.value.attempts == 4
    await server.start()
    await client.runs.start(server.process.id, name="x")
    assert server.duplicates() == {}


@pytest.mark.parametrize("fault", [faults.rate_limited(3600), faults.unavailable(3600)], ids=["429", "503"])
async def test_come_back_in_an_hour(client, server, fault):
    """A Retry-After above the limit is raised at once."""
    server.misbehave("create_run", fault, times=None)
    async with asyncio.timeout(2):
        with pytest.raises(APIStatusError) as caught:
            await client.runs.start(server.process.id, name="x")
    assert (caught.value.retry_after, server.count()) == (3600, 1)


async def test_retry_after_is_never_shortened(client, server):
    """A start waits at least Retry-After, even if the backoff is shorter."""
    server.misbehave("create_run", faults.unavailable(0.05))
    await client.runs.start(server.process.id, name="x")
    first, second = (seen.time for seen in server.log)
    assert second - first >= 0.05


async def test_many_starts_through_a_bad_network(serve, connect):
    """Of 120 starts with lost, broken and refused answers, none makes two runs."""
    server = await serve(capacity=None, seed=7)
    client = await connect(server)
    for fault in (
        faults.reset(after_work=True),
        faults.reset(after_work=False),
        faults.cut_body(),
        faults.proxy_error(502, after_work=True),
        faults.unavailable(0),
        faults.capacity_reached(),
    ):
        server.misbehave("create_run", fault, times=None, probability=0.1)

    async def start(number: int):
        try:
            return await client.runs.start(server.process.id, name=f"n-{number}")
        except (StartUncertainError, ServerError, CapacityError) as error:  # the last two: refused four times
            return error

    async with asyncio.timeout(50):
        outcomes = await asyncio.gather(*(start(number) for number in range(120)))
        in_doubt = [outcome for outcome in outcomes if isinstance(outcome, StartUncertainError)]
        assert in_doubt
        for error in in_doubt:
            found = await client.runs.find_started(error.request, since=error.since)
            assert [run.id for run in found] == [run.id for run in server.runs_named(error.request.name)]
    assert server.duplicates() == {}


# Looking a lost start up


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("time_format", ["naive", "offset", "nanoseconds", "seconds"])
async def test_found_among_older_runs(serve, connect, order, time_format):
    """In any order of the list, among 250 older runs."""
    server = await serve(order=order, time_format=time_format)
    client = await connect(server)
    now = datetime.now(UTC)
    for number in range(250):
        server.add_run(name=f"old-{number}", created_at=now - timedelta(minutes=10 + number))
    server.misbehave("create_run", faults.reset(after_work=True))
    error = await _start_in_doubt(client, server)
    found = await client.runs.find_started(error.request, since=error.since)
    assert [run.id for run in found] == [server.runs_named("Invoice 1")[0].id]


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
async def test_an_older_run_of_the_name_is_another(serve, connect, order):
    """A run of the same name from before the window is not returned."""
    server = await serve(order=order)
    client = await connect(server)
    server.add_run(name="Invoice 1", created_at=datetime.now(UTC) - NOW_AND_HOUR_AGO)
    server.misbehave("create_run", faults.reset(after_work=False))
    error = await _start_in_doubt(client, server)
    assert await client.runs.find_started(error.request, since=error.since) == []


async def test_newer_runs_do_not_hide_it(serve, connect):
    """The run is found behind 250 newer ones, newest first."""
    server = await serve(order="newest")
    client = await connect(server)
    server.misbehave("create_run", faults.reset(after_work=True))
    error = await _start_in_doubt(client, server)
    for number in range(250):
        server.add_run(name=f"new-{number}", created_at=datetime.now(UTC) + timedelta(milliseconds=number))
    found = await client.runs.find_started(error.request, since=error.since)
    assert [run.name for run in found] == ["Invoice 1"]


async def test_a_long_history_is_not_read_to_the_end(serve, connect):
    """In a list sorted newest first, reading ends once the window has passed."""
    server = await serve(order="newest")
    client = await connect(server)
    now = datetime.now(UTC)
    for number in range(1000):
        server.add_run(name=f"old-{number}", created_at=now - timedelta(minutes=10 + number))
    assert await client.runs.find_started(_request(server), since=now) == []
    assert server.count("list_runs") < 5


async def test_stage_process_and_agent_count(client, server):
    """A run of the same name in the other stage or of another process is not returned."""
    other = server.add_process("Other")
    since = datetime.now(UTC)
    server.add_run(name="Invoice 1", stage="Draft")
    server.add_run(other.id, name="Invoice 1")
    assert await client.runs.find_started(_request(server), since=since) == []
    found = await client.runs.find_started(_request(server, stage="Draft"), since=since)
    assert len(found) == 1


async def test_several_of_a_name_come_oldest_first(serve, connect):
    """All runs of the name within the window are returned."""
    server = await serve(order="shuffled")
    client = await connect(server)
    since = datetime.now(UTC)
    made = [server.add_run(name="Invoice 1", created_at=since + timedelta(seconds=n)) for n in (3, 1, 2)]
    found = await client.runs.find_started(_request(server), since=since)
    assert [run.id for run in found] == [made[1].id, made[2].id, made[0].id]


@pytest.mark.parametrize("since", [datetime(2026, 1, 1), "2026-01-01", None])
async def test_since_needs_a_zone(client, server, since):
    """A naive datetime, or another type, is refused before anything is sent."""
    with pytest.raises((ValueError, TypeError), match="since"):
        await client.runs.find_started(_request(server), since=since)
    assert server.count() == 0


async def test_one_attempt_is_one_attempt(server, connect):
    """With max_attempts=1 even a certain refusal is raised at once."""
    client = await connect(server, retry=RetryPolicy(max_attempts=1))
    server.misbehave("create_run", faults.rate_limited(0), times=None)
    with pytest.raises(RateLimitError):
        await client.runs.start(server.process.id, name="x")
    assert server.count() == 1
