"""The pending runs: when each is due, to which list it belongs, which waits are notified."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import SETTLED, PollPolicy, RateLimitError, ServerError
from kognitos_async.rest_v2.models import ENDED
from kognitos_async.waiting.pending import Group, Pending, PendingRuns, Waiter
from kognitos_async.waiting.poll_plan import Plan
from kognitos_async.waiting.watch import Watch
from tests.virtual_time import run_virtually
from tests.waiting.fakes import run_of

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
INF = float("inf")


def waiter(*, maximum=15.0, deadline=INF, run=None):
    policy = PollPolicy(initial=0.5, maximum=maximum)
    return Waiter(Watch(run_id="r", until=SETTLED, ended=ENDED, policy=policy, run=run), deadline)


def waited(runs, run_id, key="list"):
    """A pending run with one wait."""
    pending = runs.add(run_id, key)
    pending.waiters.append(waiter())
    return pending


# What is due


def test_runs_come_when_they_are_due_in_the_order_of_their_times():
    """And once."""
    runs = PendingRuns()
    late, early, later = (waited(runs, run_id) for run_id in ("late", "early", "later"))
    assert runs.next_time() is None
    assert [runs.schedule(late, 5.0), runs.schedule(early, 2.0), runs.schedule(later, 9.0)] == [
        True,
        True,
        False,
    ]
    assert runs.next_time() == 2.0
    assert runs.take_due(1.9) == []
    assert runs.take_due(5.0) == [early, late]
    assert runs.take_due(8.0) == []
    assert runs.next_time() == 9.0


def test_of_two_runs_due_together_the_first_comes_first():
    """As they were scheduled."""
    runs = PendingRuns()
    first, second = waited(runs, "b"), waited(runs, "a")
    runs.schedule(first, 1.0)
    runs.schedule(second, 1.0)
    assert runs.take_due(1.0) == [first, second]


def test_a_timer_that_fires_a_little_early_finds_its_run():
    """An event loop may count in milliseconds."""
    runs = PendingRuns()
    run = waited(runs, "r")
    runs.schedule(run, 1.0)
    assert runs.take_due(0.9995) == [run]


def test_a_run_scheduled_anew_comes_at_its_new_time_only():
    """Sooner or later than before."""
    runs = PendingRuns()
    run = waited(runs, "r")
    runs.schedule(run, 1.0)
    runs.schedule(run, 3.0)
    runs.schedule(run, 2.0)
    assert run.due == 2.0
    assert runs.take_due(1.0) == []
    assert runs.take_due(2.0) == [run]
    assert runs.take_due(9.0) == []


def test_runs_without_a_wait_or_with_a_read_in_flight_are_skipped():
    """The one is not needed, the other is being read."""
    runs = PendingRuns()
    abandoned, read, third = (waited(runs, run_id) for run_id in "abc")
    abandoned.waiters.clear()
    read.reading = True
    for run in (abandoned, read, third):
        runs.schedule(run, 1.0)
    assert runs.take_due(1.0) == [third]


def test_a_held_run_comes_when_its_hold_ends():
    """Unless it was read meanwhile."""
    runs = PendingRuns()
    held, read = waited(runs, "held"), waited(runs, "read")
    for run in (held, read):
        runs.schedule(run, 1.0)
    for run in runs.take_due(1.0):
        run.owed = True
        assert runs.hold(run, 3.0) == (run is held)
    runs.schedule(read, 7.0)
    assert not read.owed
    assert read.recheck_at == INF
    assert runs.take_due(2.0) == []
    assert runs.take_due(3.0) == [held]
    assert runs.take_due(7.0) == [read]


@pytest.mark.parametrize(
    ("due", "maximum", "deadline", "silent_since", "until"),
    [
        (10.0, 15.0, INF, 10.0, 15.0),  # five seconds at most
        (10.0, 2.0, INF, 10.0, 14.0),  # twice the longest interval
        (10.0, 15.0, 16.0, 10.0, 13.0),  # half of what is left
        (10.0, 15.0, INF, INF, 15.0),  # nothing is asked of the list
        (10.0, 15.0, INF, 8.0, 13.0),  # the list has been silent for two seconds
        (10.0, 15.0, INF, 1.0, 10.0),  # for so long that nothing is left
    ],
)
def test_how_long_a_due_run_is_held_for_a_sweep(due, maximum, deadline, silent_since, until):
    """So that a sweep can bring it, without a wait noticing."""
    group = Group("list")
    group.asked_at = silent_since
    pending = Pending("r", group)
    pending.due = due
    pending.waiters = [waiter(maximum=maximum, deadline=deadline), waiter(maximum=0.5)]
    assert pending.held_until() == until
    pending.waiters.reverse()
    assert pending.held_until() == until


def test_a_run_of_unknown_list_or_without_a_wait_is_held_too():
    """The one from when it is due, the other not at all."""
    pending = Pending("r", None)
    pending.due = 10.0
    assert pending.held_until() == 10.0
    pending.waiters = [waiter()]
    assert pending.held_until() == 15.0


# Which list a run belongs to


def test_a_run_is_kept_once_however_often_it_is_waited_for():
    """In the group of its list, or among the bare ids."""
    runs = PendingRuns()
    known, bare = runs.add("known", "list"), runs.add("bare", None)
    assert runs.add("known", "list") is known
    assert runs.add("bare", "list") is bare
    assert runs.by_id == {"known": known, "bare": bare}
    assert runs.ungrouped == {"bare": bare}
    assert (known.group, bare.group) == (runs.groups["list"], None)
    assert runs.groups["list"].members == {"known": known}
    assert runs.group("list") is known.group


@pytest.mark.parametrize(("tried", "missed"), [(None, 0), ({"list"}, 1), ({"other"}, 0)])
def test_a_bare_id_joins_the_group_of_its_run(tried, missed):
    """If that list was searched without finding it, it counts as missed there."""
    runs = PendingRuns()
    bare = runs.add("bare", None)
    bare.tried = tried
    runs.assign(bare, "list")
    assert not runs.ungrouped
    assert bare.group is runs.groups["list"]
    assert bare.group.members == {"bare": bare}
    assert bare.missed == missed


def test_a_run_that_is_removed_leaves_nothing():
    """Its group goes with its last member, and is another afterwards."""
    runs = PendingRuns()
    first, second, bare = runs.add("1", "list"), runs.add("2", "list"), runs.add("3", None)
    runs.remove(first)
    assert runs.groups["list"].members == {"2": second}
    runs.remove(bare)
    runs.remove(second)
    assert not runs.by_id
    assert not runs.ungrouped
    assert not runs.groups


def test_a_group_without_members_stays_while_it_may_be_needed():
    """A sweep is under way, or bare ids are searched for in its list."""
    runs = PendingRuns()
    group = runs.add("1", "list").group
    bare = runs.add("3", None)
    runs.remove(runs.by_id["1"])
    assert runs.groups == {"list": group}
    runs.remove(bare)
    group.sweeping = True
    runs.forget_if_empty(group)
    assert runs.groups == {"list": group}
    group.sweeping = False
    runs.forget_if_empty(group)
    assert not runs.groups
    runs.forget_if_empty(group)  # again
    another = runs.group("list")
    runs.forget_if_empty(group)  # not the one of that key any more
    assert runs.groups == {"list": another}


def test_after_the_end_nothing_is_due():
    """And no group is kept."""
    runs = PendingRuns()
    runs.schedule(waited(runs, "r"), 1.0)
    runs.clear()
    assert runs.next_time() is None
    assert not runs.groups


def test_the_oldest_time_of_a_group_is_known_if_that_of_each_member_is():
    """Or a filter by time would hide the others."""
    runs = PendingRuns()
    first, second = runs.add("1", "list"), runs.add("2", "list")
    assert Group("empty").earliest() is None
    first.created_at = EPOCH
    assert first.group.earliest() is None
    second.created_at = EPOCH - timedelta(seconds=1)
    assert first.group.earliest() == EPOCH - timedelta(seconds=1)


def test_runs_missed_again_and_again_are_hardly_worth_a_sweep():
    """Each miss leaves a quarter of a run's weight; located ones count by their page."""
    runs = PendingRuns()
    group = runs.group("list")
    assert group.plan(0) is None
    assert group.plan(2) == Plan(0, 1)
    members = [runs.add(str(number), "list") for number in range(2)]
    assert group.plan(0) == Plan(0, 1)
    members[0].missed = 1  # 1.25 runs
    assert group.plan(0) is None
    assert group.plan(1) == Plan(0, 1)
    for member in members:
        member.page = 0
    assert group.plan(0) == Plan(1, 0)
    assert group.plan(1) == Plan(1, 1)
    for number in range(2, 58):
        runs.add(str(number), "list").missed = 0
    assert group.plan(0) == Plan(1, 1 + int(0.6 * 6))


# Who is woken


def readings(waiting, *delivered):
    """What a wait reads, and when, of what is delivered to it a second apart."""

    async def main():
        loop, read = asyncio.get_running_loop(), []

        async def wait():
            while True:
                reading = await waiting.next_reading()
                read.append((loop.time(), reading))

        task = asyncio.create_task(wait())
        for reading in delivered:
            await asyncio.sleep(1)
            waiting.deliver(reading)
        await asyncio.sleep(1)
        task.cancel()
        return read

    return run_virtually(main())


RUNNING, DONE, NEW = run_of("r"), run_of("r", "Succeeded"), run_of("r", "Something New")
ERROR = ServerError("down", status=500)


@pytest.mark.parametrize(
    ("known", "delivered", "read"),
    [
        (None, [RUNNING, RUNNING, DONE], [(1, RUNNING), (3, DONE)]),
        (RUNNING, [RUNNING, RUNNING, DONE], [(3, DONE)]),
        (DONE, [DONE], [(1, DONE)]),
        (RUNNING, [ERROR, RUNNING, ERROR], [(1, ERROR), (3, ERROR)]),
        (NEW, [NEW, NEW], [(1, NEW), (2, NEW)]),
    ],
)
def test_a_wait_is_woken_by_changes(known, delivered, read):
    """A change, an end, an error, and each reading of an unknown status."""
    assert readings(waiter(run=known), *delivered) == read


def test_of_several_readings_the_last_is_read():
    """A wait that comes late sees how things stand."""

    async def main():
        waiting = waiter()
        waiting.deliver(RUNNING)
        waiting.deliver(ERROR)
        waiting.deliver(DONE)
        assert await waiting.next_reading() is DONE
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await waiting.next_reading()
        waiting.deliver(ERROR)  # to nobody who waits
        assert await waiting.next_reading() is ERROR

    run_virtually(main())


def test_every_poll_of_a_wait_counts_and_a_retry_after_is_kept_to():
    """Those made for others, too: they were read."""
    waiting, chance = waiter(), random.Random(1)
    error = RateLimitError("slow", status=429, retry_after=40.0)
    assert waiting.next_due(100.0, chance, error) == 140.0
    assert 100.1 < waiting.next_due(100.1, chance, None) < 101.0
    waiting.next_due(100.2, chance, None)
    assert waiting.watch.readings == 3


async def test_a_poll_that_went_well_clears_the_failure_of_an_earlier_one():
    """Also without a change of status: a timeout long after does not blame it."""
    one = waiter(run=run_of("r", "Running"))
    one.watch.failed(ServerError("boom", status=500), 0.0)
    one.deliver(run_of("r", "Running"))
    error = one.watch.timed_out(3.0)
    assert "last poll failed" not in str(error)
    assert error.__cause__ is None
