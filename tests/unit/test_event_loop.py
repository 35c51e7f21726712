"""Work that must have ended before its caller goes on, cancelled or not."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from kognitos_async.event_loop import ended, finished


async def works(count):
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


async def cancelled_twice(task):
    """Cancel as asyncio does: each reaches the task, whatever shields it has."""
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()


async def test_a_cancellation_is_raised_after_all_work_has_ended():
    first, second = work = await works(2)
    task = asyncio.create_task(ended(*work))
    await cancelled_twice(task)
    first.set_result(1)
    await asyncio.sleep(0)
    assert not task.done()
    second.set_exception(ValueError("its own affair"))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(second.exception(), ValueError)


async def test_a_cancelled_scope_does_not_cut_the_wait_short():
    [work] = await works(1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        asyncio.get_running_loop().call_later(0.01, work.set_result, "done")
        assert await finished(work) == "done"


async def test_no_work_is_no_wait():
    await ended()


@pytest.mark.parametrize("problem", [None, ValueError("no")])
async def test_the_cancellation_takes_the_place_of_the_outcome(problem):
    [work] = await works(1)
    task = asyncio.create_task(finished(work))
    await cancelled_twice(task)
    work.set_result(1) if problem is None else work.set_exception(problem)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_outcome_is_that_of_the_work():
    [work] = await works(1)
    work.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await finished(work)
