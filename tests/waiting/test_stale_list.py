"""A list that shows old statuses is noticed, and the runs are then read singly."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async import RunStatus
from kognitos_async.paging import Page
from kognitos_async.testing import KognitosServer, Schedule, faults
from kognitos_async.waiting import stale_list
from kognitos_async.waiting.stale_list import LAG, StaleCheck
from tests.support import POLL, eventually
from tests.virtual_time import run_virtually
from tests.waiting.fakes import copy_of
from tests.waiting.test_poller import Noting, noting, poll_for, polls_of, wait


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


class Frozen(Noting):
    """A list that shows all runs as they were at first, until it `thaws`."""

    thaws = float("inf")

    async def read_page(self, group, token, since=None, *, size=None):
        page = await super().read_page(group, token, since, size=size)
        if asyncio.get_running_loop().time() >= self.thaws:
            return page
        return Page(
            tuple(copy_of(run, status=RunStatus.RUNNING, outputs=()) for run in page.items),
            page.continuation_token,
        )


def frozen(count):
    reader = Frozen()
    for number in range(count):
        reader.add(f"r{number}", 2.5, born=number / 100)
    return reader


def test_a_quiet_list_costs_a_single_read_now_and_then():
    """Of another run each time, after the sixth poll, and ever more rarely."""
    reader = noting(8)
    poll_for(85, reader, reader.ends)
    assert sorted(reader.read_counts(0, 85).items()) == [(5.3, 1), (15.8, 1), (36.8, 1), (57.8, 1), (78.8, 1)]
    assert max(reader.reads.values()) == 1
    assert len(reader.page_times) == 81  # none of them more or less


def test_a_list_that_shows_changes_is_not_checked():
    """One run settles with each poll."""
    reader = noting(30)
    for number in range(30):
        reader.ends[f"r{number}"] = 1.05 * number

    async def main():
        polls, _ = polls_of(reader)
        await asyncio.gather(*(wait(polls, reader, run_id) for run_id in reader.ends))

    run_virtually(main())
    assert reader.reads.total() <= 1  # the last one, alone


@pytest.mark.parametrize("thaws", [10.5, float("inf")])
def test_runs_settle_by_single_reads_if_the_list_stays_behind_for_five_seconds(thaws):
    """A list that has caught up by then is polled as before."""
    reader = frozen(20)
    reader.thaws = thaws

    async def main():
        polls, choices = polls_of(reader)
        await asyncio.gather(*(wait(polls, reader, run_id) for run_id in reader.ends))
        return choices.chosen

    chosen = run_virtually(main())
    assert reader.page_times == [0, 1.05, 2.1, 3.15, 4.2, 5.25, 6.3, 7.35, 8.4, 9.45, 10.5]
    if thaws == 10.5:
        assert reader.read_counts(0, 99) == {5.3: 1}
        assert chosen == [("list", 20)] * 6 + [("list", 19)] * 5
    else:
        assert reader.read_counts(0, 99) == {5.3: 1, 11.55: 19}
        assert chosen == [("list", 20)] * 6 + [("list", 19)] * 5 + [("single", 19)]


def test_a_stale_list_is_asked_for_again_after_a_minute():
    """Its runs are read singly meanwhile: they have another status than it shows."""
    reader = frozen(5)
    reader.word = dict.fromkeys(reader.word, "Pending")
    poll_for(72, reader, reader.ends)
    assert reader.page_times[10:] == [10.5, 71.4]
    assert set(reader.read_counts(11, 71).values()) == {5}


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
