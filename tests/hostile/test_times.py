"""Services that stamp their runs at the ends of the calendar: nothing overflows."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import InvokeRequest, RunRequest, StartUncertainError
from kognitos_async.testing import Schedule, faults
from tests.support import FAST, eventually

ENDS = {
    "year 1": datetime.min.replace(tzinfo=UTC),
    "year 9999": datetime.max.replace(tzinfo=UTC) - timedelta(hours=1),
}
pytestmark = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


@pytest.fixture
async def server(serve, end):
    """A server whose clock shows that time and no other."""
    return await serve(created_at=lambda _: end, schedule=Schedule.fixed(0.1))


def earliest_and_latest():
    return datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


async def test_a_bulk_job(server, connect, tmp_path):
    """Its lost starts are outcomes of their own."""
    client = await connect(server)
    server.misbehave("create_run", faults.reset(after_work=False), skip=2)
    requests = [RunRequest(process_id=server.process.id, name=f"n{number}") for number in range(6)]
    async with client.run_many(requests, journal=tmp_path / "j", absence_delay=0.01) as outcomes:
        errors = [type(outcome.error) async for outcome in outcomes if outcome.error is not None]
    assert errors == [StartUncertainError]


async def test_waits_and_look_ups(server, connect):
    """Of one run and of several, whatever time is asked for."""
    client = await connect(server)
    runs = [await client.runs.start(server.process.id, name=f"n{number}") for number in range(3)]
    async with client.wait_for_runs(runs) as settled:
        assert len([run async for run in settled]) == 3
    request = RunRequest(process_id=server.process.id, name="n1")
    for time in earliest_and_latest():
        await client.runs.find_started(request, since=time)
        with pytest.raises(StartUncertainError) as caught:
            await client.runs.start_once(request, earlier=time, absence_delay=0)
        assert caught.value.since == time


async def test_the_platform_api(server):
    """The same there."""
    async with server.platform_client(**FAST) as client:
        automation = server.platform.automation.id
        run = await client.automations.invoke(automation)
        assert (await client.wait_for_run(run)).succeeded
        assert (await client.wait_for_run(await client.automations.invoke(automation))).succeeded
        for time in earliest_and_latest():
            await client.runs.find_started(InvokeRequest(automation=automation, name="x"), since=time)


async def test_following_and_mirroring(server, connect, tmp_path):
    """A change is seen, and a second pass of a mirror reads what the first has left open."""
    client = await connect(server)
    started = await client.runs.start(server.process.id, name="known")
    async with client.runs.follow(server.process.id) as changes:
        reading = asyncio.ensure_future(anext(changes))
        await eventually(lambda: server.count("list_runs") > 1 or reading.done())
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
    server.add_run(name="old", created_at=datetime.now(UTC) - timedelta(days=1))
    for _ in range(3):
        await client.runs.sync(tmp_path / "mirror.sqlite", process_id=server.process.id)
    assert (await client.wait_for_run(started)).succeeded
