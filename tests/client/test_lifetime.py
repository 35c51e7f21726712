"""Cancelling and closing during calls: no task, socket or warning remains, and the client stays usable."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from kognitos_async import (
    ClientClosedError,
    KognitosError,
    StartUncertainError,
    UploadError,
)
from kognitos_async.testing import Schedule, faults
from tests.conftest import client_tasks
from tests.support import FAST, eventually

pytestmark = pytest.mark.usefixtures("nothing_left")


async def endless():
    while True:
        yield b"x" * 1000
        await asyncio.sleep(0.005)


CALLS = {
    "health": ("get_health", lambda c, s: c.health()),
    "processes.list": ("list_processes", lambda c, s: c.processes.list().collect()),
    "processes.get": ("get_process", lambda c, s: c.processes.get(s.process.id)),
    "runs.list": ("list_runs", lambda c, s: c.runs.list(s.process.id).collect()),
    "runs.get": ("get_run", lambda c, s: c.runs.get("r-1")),
    "runs.start": ("create_run", lambda c, s: c.runs.start(s.process.id, name="n")),
    "files.create": ("create_file", lambda c, s: c.files.create("a")),
    "files.upload": ("upload_file", lambda c, s: c.files.upload(bytes(10_000), file_name="a")),
    "wait_for_run": ("get_run", lambda c, s: c.wait_for_run("r-1")),
    "run_and_wait": ("create_run", lambda c, s: c.run_and_wait(s.process.id, name="n")),
    "request": ("get_health", lambda c, s: c.request("GET", "/health")),
}


@pytest.mark.parametrize("name", CALLS)
async def test_cancelling_any_call_leaves_nothing(client, server, name):
    """The connection is closed, and the next call succeeds."""
    operation, call = CALLS[name]
    server.misbehave(operation, faults.hang(), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: server.count(operation) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.behave()
    assert (await client.health()).ok
    assert server.count(operation) == 1 + (operation == "get_health")


@pytest.mark.parametrize("name", CALLS)
async def test_closing_in_the_middle_of_any_call_ends_it_at_once(server, name):
    """Reads raise ClientClosedError, starts StartUncertainError, uploads UploadError or ClientClosedError."""
    operation, call = CALLS[name]
    client = await server.client(**FAST).open()
    server.misbehave(operation, faults.hang(), times=None)
    task = asyncio.create_task(call(client, server))
    await eventually(lambda: server.count(operation) == 1)
    async with asyncio.timeout(2):
        await client.aclose()
        with pytest.raises(KognitosError) as caught:
            await task
    expected = {"create_run": StartUncertainError, "upload_file": (UploadError, ClientClosedError)}
    assert isinstance(caught.value, expected.get(operation, ClientClosedError))
    assert server.count(operation) == 1


async def test_cancelling_a_retrying_call_ends_its_sleep(server, connect):
    """No further attempt is made."""
    client = await connect(server)
    server.misbehave("get_health", faults.unavailable(50), times=None)
    task = asyncio.create_task(client.health())
    await eventually(lambda: server.count("get_health", status=503) == 1)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    assert server.count("get_health") == 1


async def test_cancelled_calls_release_their_connections(server, connect):
    """Twenty cancellations do not use up two connections."""
    client = await connect(server, max_connections=2)
    server.misbehave("get_run", faults.hang(), times=None)
    for n in range(20):
        task = asyncio.create_task(client.runs.get("r"))
        await eventually(lambda n=n: server.count("get_run") == n + 1)
        task.cancel()
        await asyncio.wait([task])
    async with asyncio.timeout(1):
        assert (await client.health()).ok


async def test_leaving_a_listing_early_leaves_nothing(client, server):
    """By break, error or cancellation, while the next page is fetched."""
    for n in range(12):
        server.add_run(name=f"n-{n}", status="Succeeded")
    server.misbehave("list_runs", faults.hang(), skip=1, times=None)
    async for _run in client.runs.list(server.process.id, limit=5):
        await eventually(lambda: server.count("list_runs") == 2)
        break
    del _run
    await eventually(lambda: not client_tasks())
    server.behave()
    assert (await client.health()).ok


async def test_an_upload_cancelled_in_the_middle_stops_reading_its_source(client, server):
    """And the store keeps nothing of it."""
    heard = []
    task = asyncio.create_task(
        client.files.upload(
            endless(), file_name="a", size=10**9, on_progress=lambda sent, _size: heard.append(sent)
        )
    )
    await eventually(lambda: len(heard) > 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    count = len(heard)
    await asyncio.sleep(0.05)
    assert len(heard) == count
    assert not server.files


async def test_closing_ends_all_calls_in_flight(server):
    """Those that send, those that are queued and those that back off."""
    client = await server.client(max_connections=3, **FAST).open()
    server.misbehave("*", faults.hang(), times=None)
    calls = [asyncio.create_task(client.runs.get(f"r-{n}")) for n in range(20)]
    calls += [asyncio.create_task(client.wait_for_run(f"w-{n}")) for n in range(5)]
    await eventually(lambda: server.count() == 3)
    async with asyncio.timeout(2):
        await client.aclose()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ClientClosedError}
    assert server.count() == 3


async def test_an_error_in_the_block_closes_the_client(server):
    """Like leaving the block without one."""
    with pytest.raises(ZeroDivisionError):
        async with server.client() as client:
            await client.health()
            raise ZeroDivisionError
    with pytest.raises(ClientClosedError):
        await client.health()


async def test_a_session_of_the_user_survives_a_closed_client_and_a_call_in_the_middle(server):
    """Closing the client is not closing the session."""
    async with aiohttp.ClientSession() as session:
        client = await server.client(session=session, **FAST).open()
        await client.health()
        await client.aclose()
        assert not session.closed
        async with server.client(session=session) as second:
            assert (await second.health()).ok


async def test_waits_leave_no_task_when_half_are_cancelled(serve, connect):
    """Of fifty waits, the others succeed."""
    server = await serve(schedule=Schedule.fixed(3600))
    client = await connect(server)
    runs = [await client.runs.start(server.process.id, name=f"n-{n}") for n in range(50)]
    tasks = [asyncio.create_task(client.wait_for_run(run)) for run in runs]
    await asyncio.sleep(0.05)
    for task in tasks[::2]:
        task.cancel()
    server.advance(4000)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(outcome.succeeded and outcome.outputs for outcome in outcomes[1::2])
