"""Which way due runs are polled, and what a poll that failed means for the next. Under virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from types import SimpleNamespace

import pytest

from kognitos_async import (
    BadRequestError,
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
        self.chosen = []

    def poll_chosen(self, method, pending):
        self.chosen.append((method, pending))


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


class Noting(FakeReader):
    """Notes when each page and each run was asked for."""

    def __init__(self, **options):
        super().__init__(**options)
        self.page_times = []
        self.tokens = []
        self.read_times = {}

    async def read(self, run_id):
        self.read_times.setdefault(run_id, []).append(moment())
        return await super().read(run_id)

    async def read_page(self, group, token, since=None, *, size=None):
        self.page_times.append(moment())
        self.tokens.append(int(token or 0))
        return await super().read_page(group, token, since, size=size)

    def read_counts(self, begin, end):
        """How many runs were read at each moment in between."""
        return Counter(time for times in self.read_times.values() for time in times if begin <= time < end)


def moment():
    return round(asyncio.get_running_loop().time(), 3)


def noting(count, *, settles=1e9, **options):
    reader = Noting(**options)
    for number in range(count):
        reader.add(f"r{number}", settles, born=number / 100)
    return reader


def poll_for(seconds, reader, ids, *, bare=False):
    """Wait for runs that do not settle, in vain; what observers are told."""

    async def main():
        polls, choices = polls_of(reader)
        waits = (wait(polls, reader, run_id, bare=bare, timeout=seconds) for run_id in ids)
        outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {WaitTimeoutError}
        return choices.chosen

    return run_virtually(main())


def refusing(error, pages=None):
    """Refuse the pages with these numbers, from 1; all without."""
    asked = 0

    def refuse(*_):
        nonlocal asked
        asked += 1
        if pages is None or asked in pages:
            raise copy(error)

    return refuse


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
            assert choices.chosen[: len(first)] == first

    run_virtually(main())


@pytest.mark.parametrize(("count", "first"), [(3, [("single", 3)]), (5, [("single", 1), ("list", 4)])])
def test_up_to_three_bare_ids_are_read_one_by_one(count, first):
    """A list read for so few would save nothing; of more one shows where the others may be."""

    async def main():
        reader = reader_of(count)
        polls, choices = polls_of(reader)
        await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(count)))
        assert choices.chosen[: len(first)] == first

    run_virtually(main())


def test_bare_ids_without_a_common_list_are_read_one_by_one_in_the_end():
    """After three whose lists held none of the others."""

    async def main():
        reader = FakeReader()
        for number in range(12):
            reader.add(f"r{number}", 0.0, process=f"p{number}")
        polls, choices = polls_of(reader)
        for times in (1, 2):  # the waits that begin when all have ended as the first ones
            await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(12)))
            singles = [pending for method, pending in choices.chosen if method == "single"]
            assert singles == [1, 1, 1, 9]
            assert reader.reads.total() == 12 * times
            choices.chosen.clear()

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
        choices.chosen.clear()
        async with asyncio.timeout(200):
            settled = await asyncio.gather(*(wait(polls, reader, f"r{n}", bare=True) for n in range(12)))
        assert {run.status for run in settled} == {"Succeeded"}
        assert choices.chosen[:2] == [("single", 1), ("list", 11)]

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


# What polls cost


def test_runs_on_one_page_cost_one_page_a_poll():
    """Nothing is read besides, and nothing between the polls."""
    reader = noting(20)
    chosen = poll_for(4, reader, reader.ends)
    assert reader.page_times == [0, 1.05, 2.1, 3.15]
    assert not reader.reads
    assert chosen == [("list", 20)] * 4


def test_a_run_on_a_page_of_its_own_is_read_by_itself():
    """Once a sweep has shown where it is: the second page would serve it alone."""
    reader = noting(1)
    for number in range(99):
        reader.add(f"settled{number}", 0, born=1 + number)
    for number in range(20):
        reader.add(f"r{number + 1}", 1e9, born=200 + number)
    chosen = poll_for(4, reader, [f"r{n}" for n in range(21)])
    assert reader.tokens == [0, 100, 0, 0, 0]
    assert reader.read_times == {"r0": [1.1, 2.15, 3.2]}
    assert chosen == [("list", 21), *[("list", 21), ("single", 1)] * 3]


def test_a_run_that_its_list_does_not_show_is_read_by_itself_until_it_does():
    """Once a poll."""
    reader = noting(20)
    reader.hidden = {"r3"}

    def show(*_):
        if moment() > 4:
            reader.hidden.clear()

    reader.before_page = show
    chosen = poll_for(5.2, reader, reader.ends)
    assert reader.page_times == [0, 1.05, 2.1, 3.15, 4.2]
    assert reader.read_times == {"r3": [0.05, 1.1, 2.15, 3.2]}
    assert chosen == [("list", 20), ("single", 1)] * 4 + [("list", 20)]


def test_while_no_page_shows_a_run_every_third_one_has_one_read_by_itself():
    """The one that has been due for the longest time; none is left out in a list without end."""
    reader = noting(200)
    for number in range(900):
        reader.add(f"newer{number}", 0, born=100 + number)
    chosen = poll_for(1.4, reader, [f"r{n}" for n in range(200)])
    assert reader.tokens == list(range(0, 1100, 100))
    assert reader.read_times == {"r0": [0.15], "r1": [0.3], "r2": [0.45]}
    assert chosen == [("list", 200)]


def test_bare_ids_that_the_list_of_another_does_not_show_are_read_by_themselves():
    """It is searched for them only once, then polled for the others."""
    reader = noting(6)
    reader.hidden = {"r2", "r3"}
    chosen = poll_for(2.1, reader, reader.ends, bare=True)
    assert chosen == [("single", 1), ("list", 5), ("single", 2), ("list", 6), ("single", 2)]
    assert reader.page_times == [0.05, 1.1]
    assert reader.read_times == {"r0": [0], "r2": [0.1, 1.15], "r3": [0.1, 1.15]}


@pytest.mark.parametrize(
    ("error", "sweeps"),
    [
        (PermissionDeniedError("no lists", status=403), [0, 60.95, 121.9]),  # not again within a minute
        # The first failure is a failed poll; then 4, 8, 16, 32 and at most 60 seconds pass.
        (ServerError("down", status=500), [0, 1.05, 5.3, 13.75, 30.6, 63.2, 124.15]),
    ],
)
def test_when_a_list_that_is_refused_is_asked_for_again(error, sweeps):
    """Each run is read once a poll at every other time."""
    reader = noting(5)
    reader.before_page = refusing(error)
    poll_for(126, reader, reader.ends)
    assert reader.page_times == sweeps
    assert set(reader.read_counts(0, 125).values()) == {5}


@pytest.mark.parametrize(("latency", "second"), [(4.99, 4.99), (5.0, 14.0)])
def test_a_list_that_fails_slowly_is_left_alone_at_once(latency, second):
    """From five seconds on, and for as long as it took."""
    reader = noting(5, latency=latency)
    reader.before_page = refusing(ServerError("down", status=500), {1})
    poll_for(15, reader, reader.ends)
    assert reader.page_times[1] == second


def test_an_answer_of_a_list_ends_the_count_of_its_failures():
    """The next failure is the first one again, and has nothing read by itself."""
    reader = noting(5)
    reader.before_page = refusing(ServerError("down", status=500), {1, 2, 4})
    poll_for(8, reader, reader.ends)
    assert reader.page_times == [0, 1.05, 5.3, 6.35, 7.4]
    assert max(time for times in reader.read_times.values() for time in times) < 5


def test_a_list_whose_first_page_is_refused_is_read_from_its_beginning_at_once():
    """Where the first run was, if it is sorted oldest first. The refusal may mean that the token expired."""
    reader = noting(60, order="oldest")
    reader.add_older(150)
    reader.before_page = refusing(BadRequestError("which token?", status=400), {5})
    poll_for(6, reader, [f"r{n}" for n in range(60)])
    assert reader.tokens[:9] == [0, 100, 200, 100, 200, 0, 100, 100, 200]
    assert reader.page_times[4:6] == [1.15, 1.2]
