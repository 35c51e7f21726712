"""Starting exactly once without a bulk job: hooks before sending, start or find, one reading for many."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial

import aiohttp
import msgspec
import pytest

from kognitos_async import (
    CapacityError,
    KognitosClient,
    RunHandle,
    RunRequest,
    StartUncertainError,
    shared_client,
    shared_platform_client,
    transport,
)
from kognitos_async.event_loop import steady_time
from kognitos_async.server_clock import StartWindow
from kognitos_async.testing import Schedule, faults
from tests.support import FAST, eventually

ORDERS = ["newest", "oldest", "shuffled"]


def request_of(server, name="Invoice 1", **changes):
    return RunRequest(**{"process_id": server.process.id, "name": name, **changes})


def ago(seconds):
    return datetime.now(UTC) - timedelta(seconds=seconds)


# Before sending


async def test_a_hook_is_awaited_right_before_each_attempt(client, server):
    """Again before a retry; nothing has been sent when it runs."""
    server.misbehave("create_run", faults.rate_limited(0), times=2)
    seen = []

    async def note():
        seen.append(server.count("create_run"))

    run = await client.runs.start(server.process.id, name="x", before_send=note)
    assert list(server.runs) == [run.id]
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("error", [RuntimeError("fenced"), CapacityError("none of the API's", status=403)])
async def test_an_error_of_a_hook_is_raised_and_nothing_is_sent(client, server, error):
    """Unchanged, whatever its type."""

    async def refuse():
        raise error

    with pytest.raises(type(error)) as caught:
        await client.runs.start(server.process.id, name="x", before_send=refuse)
    assert caught.value is error
    assert server.count() == 0


async def test_a_hook_that_raises_after_a_refusal_leaves_no_doubt(client, server):
    """The first attempt was certainly refused, the second was not made."""
    server.misbehave("create_run", faults.rate_limited(0))
    calls = []

    async def twice():
        calls.append(1)
        if len(calls) == 2:
            raise FencedError

    class FencedError(Exception):
        pass

    with pytest.raises(FencedError):
        await client.runs.start(server.process.id, name="x", before_send=twice)
    assert (server.count("create_run"), len(server.runs)) == (1, 0)


async def test_a_hook_waits_for_the_slot(server, connect):
    """It runs immediately before the start is sent, not while others hold the connections."""
    client = await connect(server, max_connections=1)
    server.misbehave("get_health", faults.slow_body(0.3))
    busy = asyncio.create_task(client.health())
    while not server.count("get_health"):  # noqa: ASYNC110 - nothing tells otherwise
        await asyncio.sleep(0.005)
    times = []

    async def note():
        times.append(busy.done() or server.count("get_health", status=200) == 1)

    await client.runs.start(server.process.id, name="x", before_send=note)
    assert times == [True]
    await busy


@pytest.mark.parametrize("hook", ["text", 3])
async def test_a_hook_must_be_callable(client, server, hook):
    """Refused before anything is sent."""
    with pytest.raises(TypeError, match="before_send must be a callable"):
        await client.runs.start(server.process.id, name="x", before_send=hook)
    assert server.count() == 0


async def test_without_waiting_for_capacity(serve, connect):
    """CapacityError after one attempt."""
    server = await serve(capacity=1, schedule=Schedule.manual())
    client = await connect(server)
    await client.runs.start(server.process.id, name="first")
    with pytest.raises(CapacityError) as caught:
        await client.runs.start(server.process.id, name="second", wait_for_room=False)
    assert caught.value.attempts == 1
    assert server.count("create_run") == 2


async def test_a_start_in_doubt_has_a_window(client, server):
    """As JSON, for a journal."""
    await client.runs.start(server.process.id, name="known")
    server.misbehave("create_run", faults.reset(after_work=True))
    with pytest.raises(StartUncertainError) as caught:
        await client.runs.start(server.process.id, name="x")
    window = caught.value.window
    assert window.since == caught.value.since
    assert msgspec.json.decode(msgspec.json.encode(window), type=StartWindow) == window
    created = server.runs_named("x")[0].created_at.timestamp()
    assert window.stamped_from <= created <= window.stamped_until


# Start or find


async def test_started_once(client, server):
    """Without an earlier attempt it only starts."""
    run = await client.runs.start_once(request_of(server, inputs={"n": 1}))
    assert list(server.runs) == [run.id]
    assert server.count("list_runs") == 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("made", [True, False])
async def test_an_earlier_attempt_is_looked_up(serve, connect, order, made):
    """Its run is returned, or one is started if it provably does not exist."""
    server = await serve(order=order)
    client = await connect(server)
    for number in range(120):
        server.add_run(name=f"old {number}", created_at=ago(600 + number))
    earlier = ago(30)
    known = server.add_run(name="Invoice 1", created_at=ago(29)) if made else None
    run = await client.runs.start_once(request_of(server), earlier=earlier, absence_delay=0.05)
    assert server.count("create_run") == (not made)
    assert [run.id] == [one.id for one in server.runs_named("Invoice 1")]
    assert known is None or run.id == known.id


@pytest.mark.parametrize("after_work", [True, False])
async def test_an_answer_lost_by_start_once_is_looked_up_too(client, server, after_work):
    """After the absence delay; in the end there is one run."""
    server.misbehave("create_run", faults.reset(after_work=after_work))
    began = asyncio.get_running_loop().time()
    run = await client.runs.start_once(request_of(server), absence_delay=0.2)
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert list(server.runs) == [run.id]
    assert server.count("create_run") == 2 - after_work


async def test_lost_again_and_again(client, server):
    """Five starts, each after the one before was proved absent; then StartUncertainError."""
    server.misbehave("create_run", faults.reset(after_work=False), times=None)
    with pytest.raises(StartUncertainError):
        await client.runs.start_once(request_of(server), absence_delay=0.01)
    assert server.count("create_run") == 5


OTHERS = {
    "created before": {"name": "Invoice 1", "after": -3600},
    "created hours later": {"name": "Invoice 1", "after": 3600},
    "in small letters": {"name": "invoice 1", "after": 0.5},
    "with other blanks": {"name": "Invoice\u00a0 1", "after": 0.5},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
async def test_an_ambiguous_look_up_starts_nothing(client, server, other):
    """The run found may belong to another client."""
    earlier = ago(2 * 3600)
    created = earlier + timedelta(seconds=other["after"])
    theirs = server.add_run(name=other["name"], created_at=created)
    with pytest.raises(StartUncertainError, match=theirs.id) as caught:
        await client.runs.start_once(request_of(server), earlier=earlier, absence_delay=0.01)
    assert caught.value.since == earlier
    assert server.count("create_run") == 0


@pytest.mark.parametrize("member", ["process_id", "agent_id"])
async def test_a_list_that_ignores_what_it_is_asked_for(client, server, member):
    """A run of the name that belongs to another process or agent is not the one, and proves no absence."""

    def of_another(page):
        page["items"] = [{**item, member: "another"} for item in page["items"]]
        return page

    server.add_run(name="Invoice 1", created_at=ago(9))
    server.misbehave("list_runs", faults.rewritten(of_another), times=None)
    earlier = ago(10)
    assert await client.runs.find_started(request_of(server), since=earlier) == []
    with pytest.raises(StartUncertainError, match="may be another's"):
        await client.runs.start_once(request_of(server), earlier=earlier, absence_delay=0.01)
    assert server.count("create_run") == 0


async def test_an_unreadable_list_decides_nothing(client, server):
    """Its error is the cause."""
    server.misbehave("list_runs", faults.answer(403, b"{}"), times=None)
    with pytest.raises(StartUncertainError, match="could not be read") as caught:
        await client.runs.start_once(request_of(server), earlier=ago(1), absence_delay=0.01)
    assert caught.value.__cause__ is not None
    assert server.count("create_run") == 0


async def test_two_at_once_of_one_name_do_not_share_a_run(client, server):
    """The look-ups are ambiguous."""
    server.misbehave("create_run", faults.reset(after_work=True))
    server.misbehave("create_run", faults.reset(after_work=False))
    got = await asyncio.gather(
        *(client.runs.start_once(request_of(server), absence_delay=0.1) for _ in range(2)),
        return_exceptions=True,
    )
    assert [type(one) for one in got] == [StartUncertainError] * 2
    assert len(server.runs) == 1


async def test_a_lost_start_does_not_take_anothers_answered_run(server, connect):
    """Of two starts with one name one is answered: its run is not attributed to the lost one."""
    client = await connect(server, request_timeout=0.5)
    server.misbehave("create_run", faults.hang())
    mine = asyncio.create_task(client.runs.start_once(request_of(server), absence_delay=0.05))
    await eventually(lambda: server.count("create_run") == 1)
    theirs = await client.runs.start(server.process.id, name="Invoice 1")
    assert (await mine).id != theirs.id
    assert len(server.runs) == 2


@pytest.mark.parametrize("after_work", [True, False])
async def test_a_start_in_doubt_can_be_resolved_by_another_client(serve, connect, after_work):
    """By the time and the window of its error, which records that the clocks differ."""
    server = await serve(created_at=lambda time: time + timedelta(hours=2))
    client = await connect(server)
    await client.runs.start(server.process.id, name="known")
    server.misbehave("create_run", faults.reset(after_work=after_work))
    with pytest.raises(StartUncertainError) as caught:
        await client.runs.start(server.process.id, name="Invoice 1")
    again = client.runs.start_once(caught.value.request, earlier=caught.value.since, absence_delay=0.01)
    if after_work:
        assert [(await again).id] == [run.id for run in server.runs_named("Invoice 1")]
    else:
        with pytest.raises(StartUncertainError, match="off this machine's clock"):
            await again
    assert server.count("create_run") == 2


async def test_a_hook_fences_start_once(client, server):
    """It is awaited before the start, not before the look-up."""
    calls = []

    async def note():
        calls.append(server.count("list_runs"))

    await client.runs.start_once(request_of(server), earlier=ago(1), before_send=note, absence_delay=0.01)
    assert calls == [1]


@pytest.mark.parametrize(
    "arguments", [{"earlier": "now"}, {"earlier": datetime(2026, 1, 1)}, {"absence_delay": -1}]
)
async def test_arguments_are_checked_first(client, server, arguments):
    """Each error names the argument."""
    with pytest.raises((TypeError, ValueError), match=next(iter(arguments))):
        await client.runs.start_once(request_of(server), **arguments)
    assert server.count() == 0


# One reading for many


@pytest.mark.parametrize("api", ["rest_v2", "platform_v1"])
@pytest.mark.parametrize("given", [False, True])
async def test_a_start_is_not_sent_long_after_its_hook(server, monkeypatch, api, given):
    """If the process was suspended in between, the hook is awaited again and may refuse."""
    suspended = iter([100.0])
    monkeypatch.setattr(transport, "steady_time", lambda: steady_time() + next(suspended, 0.0))
    answers = iter([None, None, PermissionError("taken over")])

    async def hook():
        if (refusal := next(answers)) is not None:
            raise refusal

    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession()) if given else None
        if api == "rest_v2":
            client = await stack.enter_async_context(server.client(session=session, **FAST))
            start = partial(client.runs.start, server.process.id, name="n")
        else:
            client = await stack.enter_async_context(server.platform_client(session=session, **FAST))
            start = partial(client.automations.invoke, server.platform.automation.id)
        await start(before_send=hook)
        assert server.count() == 1
        suspended = iter([100.0])
        with pytest.raises(PermissionError):
            await start(before_send=hook)
        assert server.count() == 1


@pytest.mark.parametrize("order", ORDERS)
async def test_many_are_found_in_one_reading(serve, connect, order):
    """Fifty names among 5,000 runs."""
    server = await serve(order=order, capacity=None)
    client = await connect(server)
    for number in range(5000):
        server.add_run(name=f"old {number}", created_at=ago(600 + number))
    since = ago(10)
    requests = [request_of(server, f"n {number}") for number in range(50)]
    made = {request.name: server.add_run(name=request.name).id for request in requests[::2]}
    found = await client.runs.find_many(requests, since=since)
    assert {name: [run.id for run in runs] for name, runs in found.items()} == {
        request.name: [made[request.name]] if request.name in made else [] for request in requests
    }
    assert server.count("list_runs") <= 51


@pytest.mark.parametrize("order", ORDERS)
async def test_many_lost_starts_at_once_read_the_list_once(serve, connect, order):
    """Fifty calls of `start_once`, 5,000 runs, as after a crash."""
    server = await serve(order=order, capacity=None)
    client = await connect(server)
    for number in range(4950):
        server.add_run(name=f"old {number}", created_at=ago(600 + number))
    earlier = ago(10)
    requests = [request_of(server, f"n {number}") for number in range(50)]
    made = [server.add_run(name=request.name).id for request in requests]
    found = await asyncio.gather(
        *(client.runs.start_once(request, earlier=earlier, absence_delay=0.0) for request in requests)
    )
    assert [run.id for run in found] == made
    assert server.count("create_run") == 0
    assert server.count("list_runs") <= 50


async def test_concurrent_look_ups_share_a_reading(serve, connect):
    """Those that begin during a reading share the next one."""
    server = await serve(order="shuffled", capacity=None)
    client = await connect(server)
    for number in range(1000):
        server.add_run(name=f"old {number}", created_at=ago(600 + number))
    run = server.add_run(name="n")

    async def look():
        return await client.runs.find_started(request_of(server, "n"), since=ago(10))

    first = asyncio.create_task(look())
    await eventually(lambda: server.count("list_runs"))
    found = await asyncio.gather(first, *(look() for _ in range(29)))
    assert [[one.id for one in runs] for runs in found] == [[run.id]] * 30
    pages = 11
    assert server.count("list_runs") == 2 * pages


async def test_cancelling_a_look_up_affects_no_other(serve, connect):
    """Cancelling all of them ends the reading."""
    server = await serve(order="shuffled", capacity=None, latency=0.02)
    client = await connect(server)
    for number in range(500):
        server.add_run(name=f"old {number}")
    tasks = [
        asyncio.create_task(client.runs.find_started(request_of(server, f"old {n}"), since=ago(60)))
        for n in range(3)
    ]
    await asyncio.sleep(0.03)
    tasks[0].cancel()
    assert len(await tasks[1]) == 1
    assert len(await tasks[2]) == 1
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    alone = asyncio.create_task(client.runs.find_started(request_of(server, "x"), since=ago(60)))
    await asyncio.sleep(0.03)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    assert [task for task in asyncio.all_tasks() if "look-up" in task.get_name()] == []


async def test_an_error_reaches_every_look_up_that_shares(client, server):
    """As a separate copy."""
    server.misbehave("list_runs", faults.answer(403, b"{}"), times=None)
    got = await asyncio.gather(
        *(client.runs.find_started(request_of(server, f"{n}"), since=ago(1)) for n in range(3)),
        return_exceptions=True,
    )
    assert len({id(error) for error in got}) == 3
    assert {error.status for error in got} == {403}
    assert server.count("list_runs") == 1


async def test_find_many_needs_unique_names(client, server):
    """They are the keys of the result."""
    twice = [request_of(server), request_of(server, inputs={"n": 2})]
    with pytest.raises(ValueError, match="requests must have unique names"):
        await client.runs.find_many(twice, since=ago(1))
    with pytest.raises(TypeError, match="request must be a RunRequest"):
        await client.runs.find_many(["Invoice 1"], since=ago(1))
    assert await client.runs.find_many([], since=ago(1)) == {}
    assert server.count() == 0


async def test_names_a_service_may_have_changed_are_found(client, server):
    """In another case, with other whitespace or in another Unicode form."""
    since = datetime.now(UTC)
    for name in ("invoice 1", "Invoice  1 ", "\uff29nvoice 1", "invoice 11"):
        server.add_run(name=name)
    found = await client.runs.find_started(request_of(server), since=since)
    assert [run.name for run in found] == ["invoice 1", "Invoice  1 ", "\uff29nvoice 1"]


# Handles


async def test_every_wait_takes_a_handle(client, server):
    """Also one decoded from JSON, as workflow engines store it."""
    runs = [await client.runs.start(server.process.id, name=f"n {n}") for n in range(3)]
    handles = [msgspec.json.decode(msgspec.json.encode(run.handle), type=RunHandle) for run in runs]
    assert handles[0] == RunHandle(runs[0].id, runs[0].agent_id, runs[0].process_id, runs[0].created_at)
    settled = await client.wait_for_run(handles[0])
    assert settled.settled
    async with client.wait_for_runs(handles) as settling:
        assert {run.id async for run in settling} == {run.id for run in runs}


async def test_a_handle_must_hold_an_id(client):
    """Like any other id."""
    with pytest.raises(ValueError, match="run"):
        await client.wait_for_run(RunHandle("", "a", "p", datetime.now(UTC)))


# Shared clients


async def test_users_of_equal_settings_share_a_client(server):
    """Open from the first to the last."""
    settings = {"base_url": server.url, "api_key": server.api_key, "agent_id": server.agent_id}
    async with shared_client(**settings) as first:
        async with shared_client(**settings) as second:
            assert second is first
        async with shared_client(**settings, request_timeout=5) as other:
            assert other is not first
        assert (await first.health()).ok
    async with shared_client(**settings) as later:
        assert later is not first
        assert isinstance(later, KognitosClient)


async def test_many_open_it_at_once(server):
    """One client, in whatever order the tasks enter, leave or fail."""
    settings = {"base_url": server.url, "api_key": server.api_key, "agent_id": server.agent_id}

    async def use(number):
        async with shared_client(**settings) as client:
            await asyncio.sleep(0.001 * number)
            assert (await client.health()).ok
            if number % 3 == 0:
                raise RuntimeError
            return client

    got = await asyncio.gather(*(use(number) for number in range(9)), return_exceptions=True)
    assert len({id(one) for one in got if isinstance(one, KognitosClient)}) == 1
    assert sum(isinstance(one, RuntimeError) for one in got) == 3


async def test_cancelling_its_last_user_twice_still_closes_it(server, monkeypatch):
    """Else its connections would stay open until the process ends."""
    settings = {"base_url": server.url, "api_key": server.api_key, "agent_id": server.agent_id}
    closing, go_on, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    close = KognitosClient.aclose

    async def slowly(client):
        closing.set()
        await go_on.wait()
        await close(client)
        closed.set()

    monkeypatch.setattr(KognitosClient, "aclose", slowly)

    async def use():
        async with shared_client(**settings) as client:
            assert (await client.health()).ok
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await eventually(lambda: server.count("get_health"))
    await asyncio.sleep(0.05)
    task.cancel()
    await closing.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()


async def test_the_environment_is_part_of_the_settings(server, monkeypatch):
    """It provides the settings that are omitted."""
    monkeypatch.setenv("KOGNITOS_BASE_URL", server.url)
    monkeypatch.setenv("KOGNITOS_API_KEY", server.api_key)
    async with shared_client() as one:
        monkeypatch.setenv("KOGNITOS_AGENT_ID", "another")
        async with shared_client() as other:
            assert other is not one


async def test_invalid_settings_of_a_shared_client(server):
    """They raise as in the client, and no client is kept."""
    for _ in range(2):
        with pytest.raises(ValueError, match="request_timeout"):
            async with shared_client(base_url=server.url, api_key="k", request_timeout=-1):
                pass
    with pytest.raises(TypeError, match="hashable"):
        async with shared_client(base_url=server.url, api_key="k", region={}):
            pass


async def test_the_platform_client_is_shared_too(server):
    """By a separate function."""
    settings = {"base_url": server.url, "token": "kgn_pat_x", "organization_id": "o", "workspace_id": "w"}
    async with shared_platform_client(**settings) as one, shared_platform_client(**settings) as same:
        assert one is same


def test_each_event_loop_has_a_client_of_its_own():
    """A loop that ended without closing its client does not affect the next."""
    made = []

    async def use():
        async with shared_client(base_url="http://127.0.0.1:9", api_key="k") as client:
            made.append(client)

    asyncio.run(use())
    asyncio.run(use())
    assert made[0] is not made[1]


# Services that are off


async def lost_once(client, server, name="Invoice 1", *, after_work):
    """The result of `start_once` after one lost answer: the run or the error."""
    server.misbehave("create_run", faults.reset(after_work=after_work))
    try:
        return await client.runs.start_once(request_of(server, name), absence_delay=0.05)
    except StartUncertainError as error:
        return error


OFF = {
    "local time behind": {"created_at": lambda time: time - timedelta(hours=5)},
    "local time ahead": {"created_at": lambda time: time + timedelta(hours=9)},
    "a gateway behind": {"date": lambda time: time - timedelta(minutes=5)},
    "a gateway ahead": {"date": lambda time: time + timedelta(minutes=5)},
    "trimmed names": {"stored_name": str.strip},
    "small names": {"stored_name": str.lower},
    "single blanks": {"stored_name": lambda name: " ".join(name.split())},
    "dashes": {"stored_name": lambda name: name.replace(" ", "-")},
    "a list that lags": {"list_lag": 0.4},
    "an order that jitters": {"order_jitter": 1.0},
}


# With nothing to show that blanks become dashes, nothing could tell.
@pytest.mark.parametrize("after_work", [True, False])
@pytest.mark.parametrize(
    ("off", "known"), [(off, known) for off in OFF for known in (True, False) if known or off != "dashes"]
)
async def test_no_clock_offset_makes_two_runs(serve, connect, off, known, after_work):
    """With and without earlier runs of this client as evidence; what is returned is the one run."""
    server = await serve(**OFF[off])
    client = await connect(server)
    if known or off == "a list that lags":
        await client.runs.start(server.process.id, name="Known one")
    name = " Invoice  1"
    answer = await lost_once(client, server, name, after_work=after_work)
    made = [run for run in server.runs.values() if "nown" not in run.name]
    if isinstance(answer, StartUncertainError):
        assert len(made) == after_work
    else:
        assert [answer.id] == [run.id for run in made]
    decided = not isinstance(answer, StartUncertainError)
    if off in ("a gateway behind", "a gateway ahead", "a list that lags", "an order that jitters"):
        assert decided
    if "local time" in off and known:
        # Runs of ours show how the clock goes, and that no list proves absence.
        assert decided == after_work


@pytest.mark.parametrize("behind", [timedelta(minutes=5), timedelta(hours=5)])
async def test_an_earlier_run_is_not_adopted_whatever_the_date_header(serve, connect, behind):
    """A Date that is behind makes it possible, not likely."""
    server = await serve(date=lambda time: time - behind)
    client = await connect(server)
    assert (await client.health()).ok
    theirs = server.add_run(name="Invoice 1", created_at=datetime.now(UTC) - behind)
    answer = await lost_once(client, server, after_work=False)
    assert isinstance(answer, StartUncertainError)
    assert list(server.runs) == [theirs.id]
    found = await client.runs.find_started(request_of(server), since=datetime.now(UTC))
    assert [run.id for run in found] == [theirs.id]


async def test_a_look_up_repeated_on_one_client_starts_no_second_run(server, client):
    """The first has proved absence and started the run, so long after the attempt that it is not its own."""
    request = RunRequest(process_id=server.process.id, name="invoice 7")
    earlier = datetime.now(UTC) - timedelta(minutes=10)
    run = await client.runs.start_once(request, earlier=earlier, absence_delay=0)
    with pytest.raises(StartUncertainError, match=run.id):
        await client.runs.start_once(request, earlier=earlier, absence_delay=0)
    assert len(server.runs) == 1
