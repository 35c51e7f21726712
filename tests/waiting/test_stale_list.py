"""A list that shows old statuses is noticed, and the runs are then read singly."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults
from kognitos_async.waiting import stale_list
from kognitos_async.waiting.stale_list import LAG, StaleCheck
from tests.support import POLL, eventually


def checks(check, sweeps):
    return [n for n in range(1, sweeps + 1) if check.swept(changed=False)]


def test_a_quiet_list_is_checked_ever_more_rarely():
    assert checks(StaleCheck(), 80) == [5, 15, 35, 55, 75]


def test_a_change_begins_anew():
    check = StaleCheck()
    assert checks(check, 20) == [5, 15]
    assert not check.swept(changed=True)
    assert checks(check, 20) == [5, 15]


def test_a_list_that_lags_for_a_moment_is_not_stale():
    check = StaleCheck()
    check.read("r", "Succeeded", listed="Running", now=100.0)
    assert check.run_id == "r"
    assert not check.is_disproved("Running", asked_at=100.0 + LAG - 0.1)
    assert check.run_id == "r"
    assert not check.is_disproved("Succeeded", asked_at=101.0)
    assert check.run_id is None


def test_a_list_that_shows_what_was_disproved_is_stale():
    check = StaleCheck()
    check.read("r", "Succeeded", listed="Running", now=100.0)
    check.read("s", "Succeeded", listed="Running", now=109.0)  # the first one stays
    assert check.run_id == "r"
    assert check.is_disproved("Running", asked_at=100.0 + LAG)
    assert check.run_id is None


@pytest.mark.parametrize(("status", "listed"), [("Running", "Running"), ("Succeeded", None)])
def test_a_read_that_is_not_ahead_says_nothing(status, listed):
    check = StaleCheck()
    check.read("r", status, listed=listed, now=100.0)
    assert check.run_id is None


@pytest.mark.parametrize("api", ["v2", "platform"])
async def test_waits_end_although_the_list_is_frozen(monkeypatch, api):
    """All of them: the first single read that is ahead of the list has the others read singly, too."""
    monkeypatch.setattr(stale_list, "LAG", 0.2)
    async with KognitosServer(capacity=None) as server:
        world = server if api == "v2" else server.platform
        opened = server.client if api == "v2" else server.platform_client
        runs = [world.add_run(schedule=Schedule.fixed(60)) for _ in range(20)]
        listed = "list_runs" if api == "v2" else "ListRuns"
        server.misbehave(listed, faults.status_word("Running" if api == "v2" else "executing"), times=None)
        async with asyncio.timeout(20), opened(poll=POLL) as client:
            known = [await client.runs.get(run.id if api == "v2" else run.name) for run in runs]
            assert not any(run.settled for run in known)
            waits = [asyncio.create_task(client.wait_for_run(run)) for run in known]
            await eventually(lambda: server.count(listed) > 1)
            server.advance(120)
            settled = await asyncio.gather(*waits)
        assert all(run.succeeded for run in settled)
