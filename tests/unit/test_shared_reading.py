"""One reading of a list for many look-ups: who shares it, how far it goes. Under virtual time."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import DecodeError, PaginationError, ServerError
from kognitos_async.paging import Page, PartialPage
from kognitos_async.shared_reading import Readings, gathered, twin
from tests.virtual_time import run_virtually
from tests.waiting.fakes import run_of

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LATER = EPOCH + timedelta(days=365)


def at(second):
    return EPOCH + timedelta(seconds=second)


class Reader:
    """A list of pages; each takes a second. The runs are created at the second of their number."""

    def __init__(self, *pages):
        self.pages = pages
        self.asked = []
        self.errors = {}
        self.bad = {}
        self.tokens = [str(number) for number in range(1, len(pages))]
        self.context = None

    async def read_page(self, group, token, since=None):
        self.asked.append((group, token, since))
        self.context = contextvars.copy_context()
        await asyncio.sleep(1)
        index = int(token or 0)
        if index in self.errors:
            raise self.errors[index]
        items = tuple(run_of(f"r{number}", created=at(number)) for number in self.pages[index])
        following = self.tokens[index] if index < len(self.tokens) else None
        if index in self.bad:
            error = DecodeError("not as documented", path="$", body=b"", undecoded=(self.bad[index],))
            return PartialPage(items, following, error=error)
        return Page(items, following)

    def key(self, run):
        return run.id

    def created(self, run):
        return run.created_at


def readings_of(reader, *, ours=()):
    return Readings(
        reader,
        key_of=lambda run: "even" if int(run.id[1:]) % 2 == 0 else "odd",
        observe=lambda run: run.id in ours,
        monotonic=lambda: asyncio.get_running_loop().time() + 100,
    )


def ids(runs):
    return [run.id for run in runs]


def test_a_reading_holds_the_runs_of_a_key_in_the_order_of_the_list():
    """Each once, with the times between which the list was read and what it showed besides."""
    reader = Reader([5, 2], [4, 2, 9], [7])

    async def main():
        readings = readings_of(reader, ours={"r9", "r4"})
        reading = await readings.through("list", "even", LATER)
        assert ids(reading.found("even")) == ["r2", "r4"]
        assert reading.met == {"r9", "r4"}
        assert reading.newest == at(9)
        assert (reading.began, reading.ended) == (100, 103)
        assert reading.undecoded is None
        assert reader.asked == [("list", None, LATER), ("list", "1", LATER), ("list", "2", LATER)]

    run_virtually(main())


def test_look_ups_that_come_together_share_a_reading():
    """It goes back to the earliest time that any of them needs."""
    reader = Reader([5, 2], [4])

    async def main():
        readings = readings_of(reader)
        shared = await asyncio.gather(
            readings.through("list", "even", at(50)),
            readings.through("list", "odd", at(10)),
            readings.through("list", "odd", at(90)),
            readings.through("other", "odd", at(70)),
        )
        assert shared[0] is shared[1] is shared[2] is not shared[3]
        assert ids(shared[0].found("odd")) == ["r5"]
        assert {asked for asked in reader.asked if asked[0] == "list"} == {
            ("list", None, at(10)),
            ("list", "1", at(10)),
        }
        assert len(reader.asked) == 4

    run_virtually(main())


def test_a_look_up_that_comes_during_a_reading_waits_for_the_next():
    """The pages read so far may be older than what it looks for; all who come meanwhile share that one."""
    reader = Reader([5, 2], [4])

    async def main():
        loop, readings = asyncio.get_running_loop(), readings_of(reader)
        first = asyncio.create_task(readings.through("list", "even", LATER))
        await asyncio.sleep(0.5)
        late = [asyncio.create_task(readings.through("list", key, LATER)) for key in ("even", "odd")]
        await asyncio.sleep(1)
        late.append(asyncio.create_task(readings.through("list", "even", LATER)))
        earlier, *later = await asyncio.gather(first, *late)
        assert later[0] is later[1] is later[2] is not earlier
        assert (later[0].began, later[0].ended, loop.time()) == (102, 104, 4)
        assert len(reader.asked) == 4
        assert await readings.through("list", "even", LATER) is not later[0]

    run_virtually(main())


def test_a_reading_goes_on_for_those_who_are_left():
    """It ends when the last of its look-ups is cancelled, and leaves nothing."""
    reader = Reader([5, 2], [4])

    async def main():
        readings = readings_of(reader)
        tasks = [asyncio.create_task(readings.through("list", "even", LATER)) for _ in range(2)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        await asyncio.wait([tasks[0]])
        assert ids((await tasks[1]).found("even")) == ["r2", "r4"]
        for moment in (0, 0.5):
            reader.asked.clear()
            task = asyncio.create_task(readings.through("list", "even", LATER))
            await asyncio.sleep(moment)
            task.cancel()
            await asyncio.wait([task])
            assert asyncio.all_tasks() == {asyncio.current_task()}
        await readings.through("list", "even", LATER)
        assert len(reader.asked) == 3

    run_virtually(main())


def test_the_next_reading_waits_though_the_current_one_is_abandoned():
    """One after the other, and the abandoned one takes nothing along."""
    reader = Reader([5, 2], [4])

    async def main():
        readings = readings_of(reader)
        first = asyncio.create_task(readings.through("list", "even", LATER))
        await asyncio.sleep(0.5)
        second = asyncio.create_task(readings.through("list", "even", LATER))
        await asyncio.sleep(0.1)
        first.cancel()
        assert ids((await second).found("even")) == ["r2", "r4"]
        assert asyncio.get_running_loop().time() == pytest.approx(2.6)

    run_virtually(main())


def test_an_error_is_raised_to_each_look_up_and_the_next_reading_begins_anew():
    """An error of its own, so that tracebacks do not add up."""
    reader = Reader([5, 2], [4])
    reader.errors[1] = ServerError("down", status=500)
    reader.errors[1].__cause__ = cause = OSError("cause")

    async def main():
        readings = readings_of(reader)
        errors = await asyncio.gather(
            *(readings.through("list", "even", LATER) for _ in range(2)), return_exceptions=True
        )
        assert [type(error) for error in errors] == [ServerError] * 2
        assert len({id(error) for error in (*errors, reader.errors[1])}) == 3
        assert all(error.__cause__ is cause and error.status == 500 for error in errors)
        reader.errors.clear()
        await readings.through("list", "even", LATER)

    run_virtually(main())


def test_items_that_cannot_be_decoded_are_kept():
    """Of all pages, in their order; any of them may be the run sought."""
    reader = Reader([5, 2], [4], [6])
    reader.bad = {0: b"{}", 2: b"[]"}

    async def main():
        reading = await readings_of(reader).through("list", "even", LATER)
        assert reading.undecoded.undecoded == (b"{}", b"[]")
        assert ids(reading.found("even")) == ["r2", "r4", "r6"]

    run_virtually(main())


def test_a_token_that_comes_again_ends_the_reading():
    """Instead of going round for ever."""
    reader = Reader([5], [4], [6])
    reader.tokens = ["1", "2", "1"]

    async def main():
        with pytest.raises(PaginationError, match="repeated a continuation token after 3 pages"):
            await readings_of(reader).through("list", "even", LATER)
        assert len(reader.asked) == 3

    run_virtually(main())


@pytest.mark.parametrize(
    ("order", "earliest", "pages"),
    [
        ("newest", 500, 6),  # the first that is older than that, 100 of each: 999…900, 899… 499…
        ("newest", 499, 6),
        ("newest", 950, 1),
        ("newest", -1, 10),
        ("oldest", 500, 10),
        ("any", 500, 10),
    ],
)
def test_a_list_sorted_newest_first_is_read_until_it_is_old_enough(order, earliest, pages):
    """Once a hundred items have shown that it is; any other is read to its end."""
    numbers = list(range(1000))
    if order == "newest":
        numbers.reverse()
    elif order == "any":
        numbers = numbers[500:] + numbers[:500]
    reader = Reader(*(numbers[begin : begin + 100] for begin in range(0, 1000, 100)))

    async def main():
        await readings_of(reader).through("list", "even", at(earliest))
        assert len(reader.asked) == pages

    run_virtually(main())


def test_what_is_lacking_is_found_out_once():
    """For all who share the reading."""
    reader, calls = Reader([5, 2]), []

    def expected(group, began):
        calls.append((group, began))
        return {"r5", "r77"}

    async def main():
        reading = await readings_of(reader, ours={"r5"}).through("list", "even", LATER)
        assert reading.lacking(expected, "list") == {"r77"}
        assert reading.lacking(expected, "list") == {"r77"}
        assert calls == [("list", 100)]

    run_virtually(main())


def test_a_reading_runs_in_nobodys_context():
    """It serves many callers: what one of them has set does not follow it."""
    variable = contextvars.ContextVar("caller")
    reader = Reader([5])

    async def main():
        variable.set("first")
        await readings_of(reader).through("list", "even", LATER)
        assert variable not in reader.context

    run_virtually(main())


def test_look_ups_gathered_come_in_order_or_end_together():
    """The first error ends the others before it is raised."""

    async def main():
        ended = []

        async def one(number, seconds):
            try:
                await asyncio.sleep(seconds)
            finally:
                ended.append(number)
            if number < 0:
                raise ServerError("down", status=500)
            return number

        assert await gathered([one(1, 2), one(2, 1)]) == [1, 2]
        assert await gathered([]) == []
        ended.clear()
        with pytest.raises(ServerError):
            await gathered([one(1, 60), one(-1, 1), one(2, 60)])
        assert sorted(ended) == [-1, 1, 2]

    run_virtually(main())


def test_a_twin_has_the_cause_of_its_error_and_no_context():
    """So that each caller gets a traceback of its own."""
    error = ServerError("down", status=500)
    error.__cause__ = OSError("cause")
    copied = twin(error)
    assert copied is not error
    assert (copied.status, copied.__cause__) == (500, error.__cause__)
    assert copied.__suppress_context__
