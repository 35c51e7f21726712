"""One walk over the pages of a list: what it asks for, how far it goes, what it remembers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import ServerError
from kognitos_async.paging import Page
from kognitos_async.waiting.pending import Group, Pending
from kognitos_async.waiting.poll_plan import Plan
from kognitos_async.waiting.sweep import Sweep
from tests.virtual_time import run_virtually
from tests.waiting.fakes import run_of

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Pages:
    """A list of pages of ids, created in the order of their numbers; notes what it is asked for."""

    def __init__(self, *pages):
        self.pages = pages
        self.asked = []
        self.broken = False

    async def read_page(self, group, token, since=None):
        self.asked.append((group, token, since))
        await asyncio.sleep(1)
        if self.broken:
            raise ServerError("down", status=500)
        index = int(token or 0)
        items = tuple(
            run_of(f"r{number}", created=EPOCH + timedelta(seconds=number)) for number in self.pages[index]
        )
        return Page(items, str(index + 1) if index + 1 < len(self.pages) else None)

    def created(self, run):
        return run.created_at


def group_of(*numbers, key="list"):
    group = Group(key)
    for number in numbers:
        group.members[f"r{number}"] = Pending(f"r{number}", group)
    return group


async def walk(sweep):
    """Read all pages worth reading, as the poller does; the number of the pages read."""
    ids = {pending.run_id: pending for pending in (*sweep.group.members.values(), *sweep.others)}
    pages = 0
    while (page := await sweep.next_page()) is not None:
        assert sweep.index == pages
        pages += 1
        sweep.record_page(page, [ids[run.id] for run in page.items if run.id in ids])
    return pages


def pages_read(sweep):
    return run_virtually(walk(sweep))


def test_a_sweep_ends_when_all_are_met():
    """Not before, and without another page."""
    group = group_of(1, 3)
    reader = Pages([0, 1], [2, 3], [4, 5])
    sweep = Sweep(reader, group, Plan(1, 9))
    assert sweep.index == -1
    assert pages_read(sweep) == 2
    assert sweep.sought == sweep.met == set(group.members.values())
    assert not sweep.missed
    assert reader.asked == [("list", None, None), ("list", "1", None)]


def test_a_sweep_ends_with_the_list():
    """What was not on it is missed."""
    group = group_of(1, 99)
    sweep = Sweep(Pages([0, 1], [2, 3]), group, Plan(1, 9))
    assert pages_read(sweep) == 2
    assert sweep.missed == {group.members["r99"]}
    assert sweep.met == {group.members["r1"]}


@pytest.mark.parametrize(("explore", "pages"), [(1, 3), (2, 4), (3, 5), (9, 9)])
def test_a_sweep_gives_up_after_so_many_pages_without_a_run_sought(explore, pages):
    """Counted anew from each page that brought one."""
    group = group_of(0, 1, 99)
    sweep = Sweep(Pages([0], [1], *([n] for n in range(2, 9))), group, Plan(0, explore))
    assert pages_read(sweep) == pages
    assert sweep.fruitless == pages - 2


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_sweep_reads_the_planned_pages_in_any_case(depth):
    """Although all were met, or nothing was: the runs were last found there."""
    for numbers in ((0,), (99,)):
        sweep = Sweep(Pages(*([n] for n in range(9))), group_of(*numbers), Plan(depth, 0))
        assert pages_read(sweep) == depth


def test_a_run_met_twice_is_met_once():
    """A list that moves while it is read shows some runs again; the second time brings nothing new."""
    group = group_of(0, 1)
    sweep = Sweep(Pages([0], [0], [0], [1]), group, Plan(0, 2))
    assert pages_read(sweep) == 3
    assert sweep.fruitless == 2
    assert sweep.missed == {group.members["r1"]}


def test_runs_that_are_being_read_are_not_sought():
    """Nor do they count when a page shows them."""
    group = group_of(0, 1, 2)
    group.members["r0"].reading = True
    sweep = Sweep(Pages([0], [1], [2], [3]), group, Plan(0, 9))
    assert sweep.sought == {group.members["r1"], group.members["r2"]}
    assert pages_read(sweep) == 3


def test_runs_whose_list_is_unknown_are_sought_too():
    """Without a filter by time, since their creation times are unknown."""
    group, bare = group_of(0), Pending("r5", None)
    group.members["r0"].created_at = EPOCH
    reader = Pages([0], [5], [6])
    sweep = Sweep(reader, group, Plan(0, 3), [bare])
    assert bare in sweep.sought
    assert pages_read(sweep) == 2
    assert bare in sweep.met
    assert {since for _, _, since in reader.asked} == {None}


def test_pages_are_filtered_by_the_time_of_the_oldest_run_sought():
    """Where that of each is known."""
    group = group_of(3, 4)
    group.members["r3"].created_at = EPOCH + timedelta(seconds=3)
    group.members["r4"].created_at = EPOCH + timedelta(seconds=4)
    reader = Pages([3], [4])
    assert pages_read(Sweep(reader, group, Plan(2, 0))) == 2
    assert {since for _, _, since in reader.asked} == {EPOCH + timedelta(seconds=3)}
    group.members["r4"].created_at = None
    reader = Pages([3], [4])
    pages_read(Sweep(reader, group, Plan(2, 0)))
    assert {since for _, _, since in reader.asked} == {None}


@pytest.mark.parametrize("broken", [False, True])
def test_it_shows_since_when_a_page_has_been_awaited(broken):
    """While it is, and no longer: also when it cannot be read."""

    async def main():
        loop, reader, group = asyncio.get_running_loop(), Pages([0], [1]), group_of(99)
        reader.broken = broken
        await asyncio.sleep(7)
        reading = asyncio.create_task(Sweep(reader, group, Plan(0, 1)).next_page())
        await asyncio.sleep(0.5)
        assert group.asked_at == 7
        [result] = await asyncio.gather(reading, return_exceptions=True)
        assert isinstance(result, ServerError if broken else Page)
        assert (group.asked_at, loop.time()) == (float("inf"), 8)

    run_virtually(main())


def test_the_pages_before_the_first_run_sought_are_skipped_the_next_time():
    """In a list sorted oldest first they hold nothing but older runs."""
    group = group_of(4, 6)
    group.members["r4"].page = 2
    reader = Pages([0, 1], [2, 3], [4, 5], [6, 7])
    sweep = Sweep(reader, group, Plan(3, 9))
    pages_read(sweep)
    sweep.remember_start()
    assert group.start == ("2", None)
    assert (group.members["r4"].page, group.members["r6"].page) == (0, None)
    reader.asked.clear()
    again = Sweep(reader, group, Plan(1, 9))
    run_virtually(again.next_page())
    assert reader.asked == [("list", "2", None)]
    assert again.index == 0


def test_a_run_found_before_the_first_that_is_left_stays_at_the_start():
    """Page numbers do not become negative."""
    group = group_of(4)
    group.members["r0"] = Pending("r0", group)
    group.members["r0"].page = 0
    sweep = Sweep(Pages([1, 2], [4, 5]), group, Plan(2, 0))
    pages_read(sweep)
    sweep.remember_start()
    assert group.start == ("1", None)
    assert group.members["r0"].page == 0


@pytest.mark.parametrize(
    "pages",
    [
        ([5, 4], [3, 2], [1, 0]),  # newest first
        ([2, 0], [5, 1], [4, 3]),  # no order
        ([1, 2], [3, 4], [5, 6]),  # met on the first page
        ([7, 8], [8, 9], [10, 11]),  # met on none
    ],
)
def test_where_a_list_begins_to_matter_is_not_guessed(pages):
    """Without an order, or where it matters from its first page on, it is read from there."""
    group = group_of(1)
    sweep = Sweep(Pages(*pages), group, Plan(3, 0))
    pages_read(sweep)
    sweep.remember_start()
    assert group.start is None
