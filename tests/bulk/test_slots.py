"""How many requests of a job are under way at a time, while the number changes. Under virtual time."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async.bulk.slots import Slots
from tests.virtual_time import run_virtually


async def acquired(slots):
    """Whether a slot is to be had at once."""
    try:
        async with asyncio.timeout(1):
            await slots.acquire()
    except TimeoutError:
        return False
    return True


def test_as_many_slots_as_the_limit_are_given():
    """And each that is released is given once more."""

    async def main():
        slots = Slots(2)
        assert slots.limit == 2
        assert [await acquired(slots) for _ in range(3)] == [True, True, False]
        slots.release()
        assert [await acquired(slots) for _ in range(2)] == [True, False]

    run_virtually(main())


@pytest.mark.parametrize("how", ["release", "raise the limit"])
def test_who_waits_for_a_slot_gets_it_when_there_is_one(how):
    """At that moment, not at the next check."""

    async def main():
        loop, slots = asyncio.get_running_loop(), Slots(1)
        await slots.acquire()
        if how == "release":
            loop.call_later(5, slots.release)
        else:
            loop.call_later(5, setattr, slots, "limit", 2)
        await slots.acquire()
        assert loop.time() == 5

    run_virtually(main())


def test_a_lower_limit_takes_no_slot_away():
    """New ones are given once enough are free."""

    async def main():
        slots = Slots(3)
        for _ in range(3):
            await slots.acquire()
        slots.limit = 1
        for free in (False, False, True):
            slots.release()
            assert await acquired(slots) == free

    run_virtually(main())
