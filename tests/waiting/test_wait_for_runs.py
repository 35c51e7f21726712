"""wait_for_runs over real sockets: each run as it settles."""

from __future__ import annotations

import asyncio
import random

import pytest

from kognitos_async import (
    ClientClosedError,
    NotFoundError,
    RunStatus,
    WaitTimeoutError,
)
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests import support
from tests.support import FAST


def site(**options):
    """A server whose runs settle on request, and a client."""
    return support.site(**{"schedule": Schedule.manual(), **options})


async def started(client, server, count):
    return [await client.runs.start(server.process.id, name=f"run {n}") for n in range(count)]


async def no_library_tasks():
    """No task of the library remains; the emulator keeps its own."""
    for _ in range(3):
        await asyncio.sleep(0)
    ours = [t for t in asyncio.all_tasks() if "kognitos_async shared polls" in t.get_name()]
    assert not ours


@pytest.mark.parametrize("bare", [False, True])
async def test_runs_come_out_in_the_order_they_settle(bare):
    """Not in the order given, and each exactly once, with its outputs."""
    async with site(list_outputs=False) as (server, client):
        runs = await started(client, server, 8)
        order = [run.id for run in runs]
        random.Random(4).shuffle(order)
        came = []
        async with client.wait_for_runs([run.id if bare else run for run in runs]) as settled:
            for run_id in order:
                server.set_status(run_id, "Succeeded", {"total": 1})
                run = await anext(settled)
                assert run.outputs_by_name == {"total": 1}
                came.append(run.id)
            with pytest.raises(StopAsyncIteration):
                await anext(settled)
        assert came == order
        await no_library_tasks()


async def test_no_runs_end_at_once():
    """An empty input is an empty iteration without a request."""
    async with site() as (server, client):
        async with client.wait_for_runs([]) as settled:
            assert [run async for run in settled] == []
        assert server.count() == 0


async def test_settled_runs_come_out_without_a_request():
    """A run given as settled, outputs and all, is not read again."""
    async with site(schedule=Schedule.fixed(0)) as (server, client):
        (run,) = await started(client, server, 1)
        run = await client.wait_for_run(run)
        seen = server.count()
        async with client.wait_for_runs([run, run]) as settled:
            assert [one async for one in settled] == [run, run]
        assert server.count() == seen


async def test_an_error_is_raised_in_its_turn_and_the_others_follow():
    """After a NotFoundError the iterator returns the rest."""
    async with site() as (server, client):
        runs = await started(client, server, 2)
        async with client.wait_for_runs([*runs, "no-such-run"]) as settled:
            with pytest.raises(NotFoundError):
                await anext(settled)
            for run in runs:
                server.set_status(run.id, "Stopped")
                assert (await anext(settled)).id == run.id
            with pytest.raises(StopAsyncIteration):
                await anext(settled)


async def test_the_timeout_covers_the_whole():
    """Each run still unsettled then is a WaitTimeoutError that carries it."""
    async with site() as (server, client):
        runs = await started(client, server, 3)
        server.set_status(runs[0].id, "Succeeded", {"total": 1})
        missing = set()
        async with asyncio.timeout(5), client.wait_for_runs(runs, timeout=0.1) as settled:
            assert (await anext(settled)).id == runs[0].id
            for _ in range(2):
                with pytest.raises(WaitTimeoutError) as caught:
                    await anext(settled)
                missing.add(caught.value.run.id)
        assert missing == {runs[1].id, runs[2].id}


async def test_until_names_other_statuses():
    """Waiting for Running ends there."""
    async with site() as (server, client):
        runs = await started(client, server, 2)
        async with client.wait_for_runs(runs, until={RunStatus.RUNNING}) as reached:
            for run in runs:
                server.set_status(run.id, "Running")
            assert {run.status async for run in reached} == {RunStatus.RUNNING}


async def test_a_slow_consumer_loses_nothing():
    """Runs that settle between reads are kept, in order."""
    async with site() as (server, client):
        runs = await started(client, server, 5)
        async with client.wait_for_runs(runs) as settled:
            for run in reversed(runs):
                server.set_status(run.id, "Stopped")
                async with asyncio.timeout(5):
                    while run.id in client._waits._polls._runs.by_id:  # noqa: ASYNC110 - nothing tells otherwise
                        await asyncio.sleep(0.005)
            assert [run.id async for run in settled] == [run.id for run in reversed(runs)]


async def test_leaving_the_block_ends_all_waits():
    """No task remains and no request is sent."""
    async with site() as (server, client):
        runs = await started(client, server, 10)
        async with client.wait_for_runs(runs) as settled:
            server.set_status(runs[3].id, "Stopped")
            async for run in settled:
                assert run.id == runs[3].id
                break
        await no_library_tasks()
        seen = server.count()
        await asyncio.sleep(0.05)
        assert server.count() == seen


@pytest.mark.parametrize("runs", ["run-1", None, 5])
async def test_one_run_is_no_list_of_runs(runs):
    """An id alone would be read letter by letter."""
    async with site() as (server, client):
        with pytest.raises(TypeError, match="runs must be an iterable"):
            client.wait_for_runs(runs)
        async with server.platform_client() as platform:
            with pytest.raises(TypeError, match="runs must be an iterable"):
                platform.wait_for_runs(runs)


async def test_an_error_of_the_block_passes_unwrapped():
    """It is the very exception, not a group around it."""
    async with site() as (server, client):
        runs = await started(client, server, 3)
        problem = LookupError("mine")
        with pytest.raises(LookupError) as caught:
            async with client.wait_for_runs(runs):
                raise problem
        assert caught.value is problem
        await no_library_tasks()


async def test_cancelling_the_block_ends_all_waits():
    """A task cancelled inside the block ends as cancelled and leaves nothing."""
    async with site() as (server, client):
        runs = await started(client, server, 3)

        async def work():
            async with client.wait_for_runs(runs) as settled:
                await anext(settled)

        task = asyncio.create_task(work())
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await no_library_tasks()


async def test_a_stream_is_entered_once_and_read_inside():
    """RuntimeError for entering twice and for iterating outside the block."""
    async with site() as (_, client):
        stream = client.wait_for_runs([])
        with pytest.raises(RuntimeError, match="async with"):
            await anext(stream)
        async with stream:
            pass
        with pytest.raises(RuntimeError, match="already entered"):
            await stream.__aenter__()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_closing_the_client_ends_the_waits():
    """Each unsettled run raises ClientClosedError."""
    async with KognitosServer(schedule=Schedule.manual()) as server:
        client = await server.client(**FAST).open()
        runs = await started(client, server, 3)
        async with client.wait_for_runs(runs) as settled:
            await asyncio.sleep(0.03)
            await client.aclose()
            for _ in runs:
                with pytest.raises(ClientClosedError):
                    await anext(settled)


async def test_faults_on_the_way_only_delay():
    """Lost answers, 5xx, 429 and proxies' pages end no wait."""
    async with site(schedule=Schedule.random(0.05, 0.2, seed=1)) as (server, client):
        runs = await started(client, server, 40)
        for fault in (
            faults.reset(after_work=False),
            faults.server_error(),
            faults.proxy_error(),
            faults.rate_limited(),
            faults.html_page(),
            faults.cut_body(),
        ):
            server.misbehave("get_run", fault, times=None, probability=0.05)
            server.misbehave("list_runs", fault, times=None, probability=0.05)
        async with asyncio.timeout(20), client.wait_for_runs(runs) as settled:
            assert {run.id async for run in settled} == {run.id for run in runs}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"runs": [7]}, TypeError),
        ({"runs": [""]}, ValueError),
        ({"runs": [], "timeout": -1}, ValueError),
        ({"runs": [], "until": "Running"}, TypeError),
        ({"runs": [], "until": ()}, ValueError),
        ({"runs": [], "poll": 3}, TypeError),
    ],
)
async def test_wrong_arguments_are_refused_before_anything_is_sent(wrong, error):
    """TypeError or ValueError from the call itself."""
    async with site() as (server, client):
        with pytest.raises(error):
            client.wait_for_runs(**wrong)
        assert server.count() == 0
