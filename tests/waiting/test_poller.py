"""Which way due runs are polled, and what a poll that failed means for the next. Under virtual time."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from kognitos_async import (
    ClientClosedError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    ServerError,
    WaitTimeoutError,
)
from kognitos_async.observers import Observer, Observers
from kognitos_async.waiting.shared_polls import SharedPolls
from tests.virtual_time import run_virtually
from tests.waiting.fakes import FakeReader
from tests.waiting.test_shared_polls import copy, watch_of

STEADY = PollPolicy(initial=1, factor=1, maximum=1, jitter=0)


class Choices(Observer):
    def __init__(self):
        self.told = []

    def poll_chosen(self, method, pending):
        self.told.append((method, pending))


def polls_of(reader):
    observers, choices = Observers(), Choices()
    observers.add(choices)
    return SharedPolls(reader, random.Random(1), observers), choices


def wait(polls, reader, run_id, *, bare=False, delay=0.0, policy=STEADY, timeout=None):
    watch = watch_of(run_id, policy=policy)
    group = None if bare else reader.group[run_id]
    return polls.wait(watch, group, delay=delay, timeout=timeout)


def reader_of(count, *, settles=2.5, **options):
    reader = FakeReader(**options)
    for number in range(count):
        reader.add(f"r{number}", settles, born=number / 100)
    return reader


@pytest.mark.parametrize("bare", [False, True])
def test_one_run_is_read_by_itself_and_many_by_their_list(bare):
    """Observers are told which it is, and for how many."""

    async def main():
        for count, first in (
            (1, [("single", 1)]),
            (20, [("single", 1), ("list", 19)] if bare else [("list", 20)]),
        ):
            reader = reader_of(count)
            polls, choices = polls_of(reader)
            await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=bare) for n in range(count)))
            assert choices.told[: len(first)] == first

    run_virtually(main())


@pytest.mark.parametrize(("count", "first"), [(3, [("single", 3)]), (5, [("single", 1), ("list", 4)])])
def test_up_to_three_bare_ids_are_read_one_by_one(count, first):
    """A list read for so few would save nothing; of more one shows where the others may be."""

    async def main():
        reader = reader_of(count)
        polls, choices = polls_of(reader)
        await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(count)))
        assert choices.told[: len(first)] == first

    run_virtually(main())


def test_bare_ids_without_a_common_list_are_read_one_by_one_in_the_end():
    """After three whose lists held none of the others."""

    async def main():
        reader = FakeReader()
        for number in range(12):
            reader.add(f"r{number}", 0.0, process=f"p{number}")
        polls, choices = polls_of(reader)
        await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(12)))
        singles = [pending for method, pending in choices.told if method == "single"]
        assert singles == [1, 1, 1, 9]
        assert reader.reads.total() == 12

    run_virtually(main())


@pytest.mark.parametrize("turns", range(5))
def test_waits_that_begin_after_the_last_one_ended_are_polled_as_the_first_were(turns):
    """Whatever was being looked for when it ended, or about to be."""

    async def main():
        reader = reader_of(12, settles=100.0)
        polls, choices = polls_of(reader)
        first = [asyncio.create_task(wait(polls, reader, f"r{n}", bare=True)) for n in range(12)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in first:
            task.cancel()
        await asyncio.wait(first)
        choices.told.clear()
        async with asyncio.timeout(200):
            settled = await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(12)))
        assert {run.status for run in settled} == {"Succeeded"}
        assert choices.told[:2] == [("single", 1), ("list", 11)]

    run_virtually(main())


@pytest.mark.parametrize("count", [1, 20])
def test_a_retry_after_puts_off_the_next_poll_of_all_it_was_for(count):
    """Of a single read and of a list alike."""
    error = RateLimitError("slow down", status=429, retry_after=30.0)

    async def main():
        reader = reader_of(count)
        polls, _ = polls_of(reader)
        times = []

        def refuse(*_):
            times.append(asyncio.get_running_loop().time())
            if len(times) == 1:
                raise copy(error)

        reader.before_read = reader.before_page = refuse
        await asyncio.gather(*(wait(polls, reader, f"r{n}") for n in range(count)))
        assert times[1] - times[0] >= 30.0

    run_virtually(main())


@pytest.mark.parametrize(
    ("error", "sweeps"),
    [
        (PermissionDeniedError("no lists", status=403), 1),  # not again within a minute
        (ServerError("down", status=500), 4),  # at once, then after 4, 8 and 16 s
    ],
)
def test_a_list_that_is_refused_is_left_alone_for_a_while(error, sweeps):
    """Meanwhile each run is read by itself."""

    async def main():
        reader = reader_of(20, settles=35.0)
        polls, _ = polls_of(reader)

        def refuse(*_):
            raise copy(error)

        reader.before_page = refuse
        await asyncio.gather(*(wait(polls, reader, f"r{n}") for n in range(20)))
        assert abs(reader.pages - sweeps) <= 2
        assert reader.reads.total() >= 20 * 20

    run_virtually(main())


def test_of_several_waits_for_a_run_one_is_the_first_to_see_it_settled():
    """So that observers count the run once."""

    async def main():
        reader = reader_of(1)
        polls, _ = polls_of(reader)
        watches = [watch_of("r0", policy=STEADY) for _ in range(3)]
        for watch in watches:
            watch.observed = SimpleNamespace(first=None)
        group = reader.group["r0"]
        await asyncio.gather(*(polls.wait(watch, group, delay=0.0, timeout=None) for watch in watches))
        assert sorted(watch.observed.first for watch in watches) == [False, False, True]

    run_virtually(main())


def test_a_wait_that_is_closed_or_out_of_time_says_so():
    """With its time, also where it was none."""

    async def main():
        reader = reader_of(1, settles=1e9)
        polls, _ = polls_of(reader)
        for timeout in (0.0, 3.0):
            with pytest.raises(WaitTimeoutError, match=f"r0 .*within {timeout:g} s"):
                await wait(polls, reader, "r0", timeout=timeout)
        waiting = asyncio.create_task(wait(polls, reader, "r0"))
        await asyncio.sleep(1)
        assert "kognitos_async shared polls" in {task.get_name() for task in asyncio.all_tasks()}
        await polls.close()
        with pytest.raises(ClientClosedError, match=r"^the client was closed while a run was waited for$"):
            await waiting
        with pytest.raises(ClientClosedError, match=r"^the client is closed$"):
            await wait(polls, reader, "r0")

    run_virtually(main())
