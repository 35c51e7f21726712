"""Cancelling and closing in the middle of anything leaves no task, no connection, no warning."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path

import aiohttp
import anyio
import pytest

from kognitos_async import (
    ClientClosedError,
    ConfigurationError,
    KognitosError,
    PollPolicy,
    RetryPolicy,
    RunRequest,
    StartUncertainError,
)
from kognitos_async.testing import Schedule, faults
from tests.client.helpers import quiet
from tests.support import eventually

SLOW = RetryPolicy(base_delay=3600.0, max_delay=3600.0)


def _sockets() -> set[str]:
    """The sockets this process holds, by inode; empty where the system does not list them."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return {target for target in found if target.startswith("socket:")}


@pytest.fixture(autouse=True)
async def _nothing_left():
    """After the test, clients and servers closed: no task and no socket more than before."""
    before = _sockets()
    yield
    async with asyncio.timeout(2):
        await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
        await eventually(lambda: not _sockets() - before)
    gc.collect(1)  # a coroutine or a session that was let go of warns now


@pytest.fixture
async def server(serve):
    """A server whose runs never settle."""
    return await serve(schedule=Schedule.manual())


async def _pieces():
    for _ in range(4):
        yield b"x" * 100_000


async def _walk(client, server):
    return [run async for run in client.runs.list(server.process.id, limit=1)]


async def _many(client, server):
    requests = [RunRequest(process_id=server.process.id, name=f"n{n}") for n in range(5)]
    async with client.run_many(requests) as outcomes:
        return [outcome async for outcome in outcomes]


async def _several(client, server):
    async with client.wait_for_runs(["a", "b", "c"]) as runs:
        return [run async for run in runs]


async def _follow(client, server):
    async with client.runs.follow(server.process.id) as runs:
        return [run async for run in runs]


CALLS = {
    "health": lambda client, server: client.health(),
    "get": lambda client, server: client.runs.get("a"),
    "process": lambda client, server: client.processes.get("a"),
    "start": lambda client, server: client.runs.start(server.process.id, name="x"),
    "form": lambda client, server: client.files.create("a.txt"),
    "upload": lambda client, server: client.files.upload(b"x" * 1_000_000, file_name="a.txt"),
    "spooled": lambda client, server: client.files.upload(_pieces(), file_name="a.txt"),
    "page": lambda client, server: client.runs.list(server.process.id)._first(),
    "collect": lambda client, server: client.runs.list(server.process.id).collect(),
    "walk": _walk,
    "wait": lambda client, server: client.wait_for_run("a"),
    "run and wait": lambda client, server: client.run_and_wait(server.process.id, name="x"),
    "waits": _several,
    "many": _many,
    "follow": _follow,
    "request": lambda client, server: client.request("GET", "/health"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


async def _cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@every_call
async def test_cancelling_a_request(server, connect, call):
    """A call cancelled while its request hangs ends at once and gives back the only connection.

    A bulk job lets its start end first, for at most `request_timeout`.
    """
    client = await connect(server, max_connections=1, **({"request_timeout": 0.5} if call is _many else {}))
    handle = server.misbehave("*", faults.hang(), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: handle.hits)
    await _cancelled(task)
    server.behave()
    assert (await client.health()).ok


@every_call
async def test_cancelling_a_body(server, connect, call):
    """A call cancelled while the body of its answer drips ends at once, and the client goes on.

    A bulk job lets its start end first, for at most `request_timeout`.
    """
    client = await connect(server, max_connections=1, **({"request_timeout": 0.5} if call is _many else {}))
    for number in range(3):
        server.add_run(name=f"r{number}", status="Running")
    handle = server.misbehave("*", faults.slow_body(3600, chunks=100), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: handle.hits)
    await asyncio.sleep(0.01)
    await _cancelled(task)
    server.behave()
    assert (await client.health()).ok


@every_call
async def test_cancelling_a_retry_sleep(server, connect, call):
    """A call cancelled while it sleeps before a retry ends at once."""
    client = await connect(server, retry=SLOW, max_connections=1)
    server.misbehave("*", faults.unavailable(0.5), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: server.count(status=503))
    await asyncio.sleep(0.01)
    await _cancelled(task)
    server.behave()
    assert (await client.health()).ok


async def test_cancelling_an_upload(server, connect):
    """An upload cancelled while the store hangs ends at once, nothing is stored."""
    client = await connect(server, max_connections=1)
    handle = server.misbehave("upload_file", faults.hang(), times=None)
    for source in (b"x" * 3_000_000, _pieces()):
        hits = handle.hits
        task = asyncio.create_task(client.files.upload(source, file_name="a.bin"))
        await eventually(lambda hits=hits: handle.hits > hits)
        await _cancelled(task)
    assert not server.files
    server.behave()
    await client.files.upload(b"x", file_name="a.bin")


async def test_cancelling_at_the_gate(server, connect):
    """A queued request that is cancelled leaves the queue."""
    client = await connect(server, max_connections=1)
    handle = server.misbehave("get_health", faults.hang(), times=1)
    first = asyncio.create_task(client.health())
    await eventually(lambda: handle.hits)
    others = [asyncio.create_task(client.health()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in others[:4]:
        await _cancelled(task)
    await _cancelled(first)
    assert (await others[4]).ok


async def test_cancelling_a_wait_between_polls(server, connect):
    """A wait cancelled between two polls ends at once."""
    client = await connect(server, poll=PollPolicy(initial=3600, maximum=3600))
    made = server.add_run(status="Running")
    task = asyncio.create_task(client.wait_for_run(made.id))
    await eventually(lambda: server.count("get_run", status=200))
    await _cancelled(task)
    assert made.status == "Running"


# Closing


async def test_closing_under_a_cancelled_scope(server):
    """All sessions are closed, though a scope of anyio cancels each await in it."""
    with anyio.CancelScope() as scope:
        async with server.client() as client:
            await client.files.upload(b"x", file_name="a.txt")
            await client.runs.start(server.process.id, name="x")
            scope.cancel()
    assert scope.cancel_called


@every_call
async def test_closing_during_a_request(server, call):
    """Closing the client ends a call in flight at once with a KognitosError."""
    handle = server.misbehave("*", faults.hang(), times=None)
    client = await server.client().open()
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: handle.hits)
    await client.aclose()
    async with asyncio.timeout(1):
        [outcome] = await asyncio.gather(task, return_exceptions=True)
    if call is _many:
        kinds = {type(one.error) for one in outcome}
        assert StartUncertainError in kinds
        assert kinds <= {StartUncertainError, ClientClosedError}
    elif call in (CALLS["start"], CALLS["run and wait"]):
        assert isinstance(outcome, StartUncertainError)
    else:
        assert isinstance(outcome, ClientClosedError)


@every_call
async def test_closing_during_a_retry_sleep(server, call):
    """A call that sleeps before a retry when the client closes raises ClientClosedError at once."""
    client = await server.client(retry=SLOW).open()
    server.misbehave("*", faults.unavailable(60), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: server.count(status=503))
    await asyncio.sleep(0.01)
    await client.aclose()
    async with asyncio.timeout(1):
        [outcome] = await asyncio.gather(task, return_exceptions=True)
    if call is _many and isinstance(outcome, list):
        assert {type(one.error) for one in outcome} <= {ClientClosedError}
    else:
        assert isinstance(outcome, ClientClosedError)


async def test_closing_during_waits(server):
    """Waits between polls end with ClientClosedError when the client closes."""
    client = await server.client(poll=PollPolicy(initial=3600, maximum=3600)).open()
    run = await client.runs.start(server.process.id, name="x")
    made = server.add_run(status="Running")
    tasks = [asyncio.create_task(client.wait_for_run(run)) for run in (run, made.id, made.id)]
    await eventually(lambda: server.count("get_run", status=200))
    await client.aclose()
    async with asyncio.timeout(1):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 3


@pytest.mark.parametrize("source", [lambda: b"x" * 3_000_000, _pieces], ids=["bytes", "iterator"])
async def test_closing_during_an_upload(server, source):
    """Closing the client ends an upload in flight at once with a KognitosError."""
    client = await server.client().open()
    handle = server.misbehave("upload_file", faults.hang(), times=None)
    task = asyncio.create_task(client.files.upload(source(), file_name="a.bin"))
    await eventually(lambda: handle.hits)
    await client.aclose()
    async with asyncio.timeout(1):
        [outcome] = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, KognitosError)
    assert not server.files


async def test_closing_with_requests_at_the_gate(server):
    """Queued requests raise ClientClosedError when the client closes."""
    client = await server.client(max_connections=1).open()
    handle = server.misbehave("*", faults.hang(), times=None)
    tasks = [asyncio.create_task(client.health()) for _ in range(5)]
    await eventually(lambda: handle.hits)
    await client.aclose()
    async with asyncio.timeout(1):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ClientClosedError] * 5


async def test_an_error_in_the_block_passes(server):
    """An error inside `async with client` is raised as it is, and the client is closed."""
    with pytest.raises(LookupError, match="mine"):
        async with server.client() as client:
            await client.health()
            raise LookupError("mine")
    with pytest.raises(ClientClosedError):
        await client.health()


@every_call
async def test_use_before_opening(server, call):
    """A client that was not opened raises ClientClosedError, a ConfigurationError, and sends nothing."""
    with pytest.raises(ClientClosedError) as caught:
        await call(server.client(), server)
    assert isinstance(caught.value, ConfigurationError)
    assert server.count() == 0


@every_call
async def test_use_after_closing(server, call):
    """A client that was closed raises ClientClosedError and sends nothing."""
    async with server.client() as client:
        pass
    with pytest.raises(ClientClosedError):
        await call(client, server)
    assert server.count() == 0


async def test_open_and_close_twice(server):
    """Opening twice is refused, before and after closing; closing twice, or unopened, has no effect."""
    await server.client().aclose()
    client = server.client()
    assert await client.open() is client
    with pytest.raises(ClientClosedError):
        await client.open()
    assert (await client.health()).ok
    await client.aclose()
    await client.aclose()
    with pytest.raises(ClientClosedError):
        async with client:
            pass


async def test_a_given_session_stays_open(server):
    """A session that was given is used for requests and uploads and stays open."""
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        async with server.client(session=session) as client:
            await client.health()
            await client.files.upload(b"x", file_name="a.txt")
        assert not session.closed
        assert {seen.headers.get("X-Mine") for seen in server.log} == {"yes"}
        with pytest.raises(ClientClosedError):
            await client.health()
        async with session.get(server.url) as answer:
            assert answer.status in (401, 404)
    assert server.leaks == 0


async def test_closing_with_a_given_session(server):
    """Closing ends calls in flight on a user's session too, which stays open."""
    async with aiohttp.ClientSession() as session:
        client = await server.client(session=session).open()
        handle = server.misbehave("*", faults.hang(), times=None)
        task = asyncio.create_task(client.health())
        await eventually(lambda: handle.hits)
        await client.aclose()
        async with asyncio.timeout(1):
            [outcome] = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(outcome, ClientClosedError)
        assert not session.closed


async def test_a_given_session_that_was_closed(server, connect):
    """If its owner closed it, ClientClosedError is raised, not aiohttp's RuntimeError."""
    session = aiohttp.ClientSession()
    client = await connect(server, session=session)
    await client.health()
    await session.close()
    with pytest.raises(KognitosError):
        await client.health()


async def test_leaving_a_block_in_the_middle(server, connect):
    """Leaving the block of run_many in the middle ends its starts and polls."""
    client = await connect(server)
    before = server.count("create_run")
    async with client.run_many(
        RunRequest(process_id=server.process.id, name=f"n{n}") for n in range(1000)
    ) as outcomes:
        await eventually(lambda: server.count("create_run") > before + 3)
        del outcomes
    await quiet(server)
    assert server.duplicates() == {}
