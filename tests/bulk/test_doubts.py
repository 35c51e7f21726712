"""Starts that an earlier process left in doubt are looked up together when their journal is opened."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async import ClientClosedError, InvokeRequest, RetryPolicy, RunRequest, StartUncertainError
from kognitos_async.rest_v2 import look_up
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.journals import summary
from tests.support import POLL, eventually

ONCE = RetryPolicy(max_attempts=1, base_delay=0.01, max_delay=0.05)
START = {"v2": "create_run", "platform": "InvokeAutomation"}
LIST = {"v2": "list_runs", "platform": "ListRuns"}
APIS = pytest.mark.parametrize("api", list(START))


def requests_of(server, api, count):
    if api == "v2":
        return [RunRequest(process_id=server.process.id, name=f"r{n}", inputs={"n": n}) for n in range(count)]
    automation = server.platform.automation.id
    return [InvokeRequest(automation=automation, name=f"r{n}", inputs={"n": n}) for n in range(count)]


async def outcomes_of(server, api, requests, path, **options):
    opened = server.client if api == "v2" else server.platform_client
    async with (
        asyncio.timeout(30),
        opened(poll=POLL, retry=ONCE) as client,
        client.run_many(requests, journal=path, absence_delay=0.05, **options) as outcomes,
    ):
        return [outcome async for outcome in outcomes]


async def left_in_doubt(server, api, requests, path, *, carried_out):
    """Leave every request in doubt: its answer was lost, and the list could not be read."""
    server.misbehave(START[api], faults.reset(after_work=carried_out), times=None)
    server.misbehave(LIST[api], faults.proxy_error(), times=None)
    await outcomes_of(server, api, requests, path)
    server.behave()
    assert summary(path)["starting"] == len(requests)


@APIS
@pytest.mark.parametrize("limit", [3, 100])
async def test_one_reading_of_the_list_serves_all(tmp_path, api, limit):
    """However few requests may be in flight: else each group of them would read the list again."""
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, api, 30)
        await left_in_doubt(server, api, requests, tmp_path / "j", carried_out=False)
        before = len(server.log)
        got = await outcomes_of(server, api, requests, tmp_path / "j", max_in_flight=limit)
        seen = [request.operation for request in server.log[before:]]
        if api == "platform":  # which proves no absence
            assert all(isinstance(o.error, StartUncertainError) for o in got)
            assert seen == [LIST[api]]
        else:
            assert all(o.error is None and o.resumed for o in got)
            assert sorted(run.name for run in server.runs.values()) == sorted(r.name for r in requests)
            assert seen[: seen.index(START[api])] == [LIST[api]]


@APIS
@pytest.mark.parametrize("limit", [3, 100])
async def test_the_runs_that_were_started_are_found(tmp_path, api, limit):
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, api, 30)
        await outcomes_of(server, api, requests[:1], tmp_path / "j")  # on the platform it tells who we are
        await left_in_doubt(server, api, requests[1:], tmp_path / "j", carried_out=True)
        got = await outcomes_of(server, api, requests, tmp_path / "j", max_in_flight=limit)
        runs = server.runs if api == "v2" else server.platform.runs
        assert all(o.error is None and o.resumed for o in got)
        assert len({o.run.id for o in got}) == len(runs) == 30


async def test_a_look_up_that_failed_for_all_is_repeated_for_each(tmp_path):
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, "v2", 4)
        await left_in_doubt(server, "v2", requests, tmp_path / "j", carried_out=False)
        server.misbehave("list_runs", faults.proxy_error())
        got = await outcomes_of(server, "v2", requests, tmp_path / "j")
        assert all(o.error is None for o in got)
        assert len(server.runs) == 4


@APIS
async def test_a_client_closed_before_the_look_up_is_the_outcome_of_all(tmp_path, api):
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, api, 3)
        await left_in_doubt(server, api, requests, tmp_path / "j", carried_out=False)
        opened = server.client if api == "v2" else server.platform_client
        async with (
            asyncio.timeout(20),
            opened(poll=POLL, retry=ONCE) as client,
            client.run_many(requests, journal=tmp_path / "j", absence_delay=30) as outcomes,
        ):
            await eventually(lambda: outcomes._job._all_read)  # nothing public tells
            await client.aclose()
            got = [outcome async for outcome in outcomes]
        assert [type(o.error) for o in got] == [ClientClosedError] * 3
        assert summary(tmp_path / "j")["starting"] == 3


async def test_left_during_the_look_up_nothing_is_sent(tmp_path):
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, "v2", 4)
        await left_in_doubt(server, "v2", requests, tmp_path / "j", carried_out=False)
        before = server.count()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), server.client(poll=POLL, retry=ONCE) as client:
                job = client.run_many(requests, journal=tmp_path / "j", absence_delay=30)
                async with job as outcomes:
                    await anext(outcomes)
        assert server.count() == before
        assert summary(tmp_path / "j")["starting"] == 4


async def left_beside_another(server, path):
    """A start in doubt that made its run, in the journal beside a run that was started after it."""
    lost, other = requests_of(server, "v2", 2)
    server.misbehave("create_run", faults.reset(after_work=True))
    server.misbehave("list_runs", faults.proxy_error(), times=None)
    async with (
        asyncio.timeout(20),
        server.client(poll=POLL, retry=ONCE) as client,
        client.run_many([lost, other], journal=path, max_in_flight=1, absence_delay=0.05) as outcomes,
    ):
        errors = [outcome.error async for outcome in outcomes]
    assert [type(error) for error in errors] == [StartUncertainError, type(None)]
    assert len(server.runs) == 2
    server.behave()
    return [lost, other]


@pytest.mark.parametrize(
    ("quirk", "reason"),
    [
        ({"stored_name": lambda name: f"{name} (import)"}, "under another name than was sent"),
        ({"list_lag": 60.0}, "does not show runs that certainly exist"),
    ],
    ids=["names stored otherwise", "a list that lags"],
)
async def test_what_an_earlier_process_saw_counts_against_absence(tmp_path, monkeypatch, quirk, reason):
    """Its runs show how the service stores names, and whether the list is complete."""
    monkeypatch.setattr(look_up, "_REREAD_DELAYS", (0.01,))
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None, **quirk) as server:
        requests = await left_beside_another(server, tmp_path / "j")
        got = {
            outcome.request.name: outcome
            for outcome in await outcomes_of(server, "v2", requests, tmp_path / "j")
        }
        assert isinstance(got["r0"].error, StartUncertainError)
        assert reason in str(got["r0"].error)
        assert got["r1"].error is None
        assert len(server.runs) == 2


@APIS
async def test_a_run_started_just_before_a_crash_may_not_be_readable_yet(tmp_path, api):
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        requests = requests_of(server, api, 1)
        read = {"v2": "get_run", "platform": "GetRun"}[api]
        server.misbehave(read, faults.not_found(), times=None)
        opened = server.client if api == "v2" else server.platform_client
        async with (
            opened(poll=POLL, retry=ONCE) as client,
            client.run_many(requests, journal=tmp_path / "j"),
        ):
            await eventually(lambda: server.count(read, status=404))
        server.behave()
        server.misbehave(read, faults.not_found(), times=3)
        [outcome] = await outcomes_of(server, api, requests, tmp_path / "j")
        assert outcome.error is None
        assert server.count(read, status=404) >= 3
