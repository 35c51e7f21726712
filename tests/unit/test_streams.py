"""Work behind an async iterator: what is emitted, what is raised, and that leaving ends it."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async.work_stream import WorkStream
from tests.virtual_time import run_virtually


def counting(log, *, to=1000, error=None):
    """Work that emits numbers, notes each one that was taken, and how it ended."""

    async def work(emit):
        try:
            for n in range(to):
                await emit(n)
                log.append(n)
            if error is not None:
                raise error
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    return work


def test_what_is_emitted_arrives_in_order_and_ends_the_loop():
    """And asking again after the end ends again."""

    async def main():
        async with WorkStream(counting([], to=5)) as stream:
            assert [n async for n in stream] == [0, 1, 2, 3, 4]
            assert [n async for n in stream] == []

    run_virtually(main())


def test_work_waits_for_its_reader_unless_it_is_buffered():
    """Nothing is done ahead of need; buffered work runs on by itself."""

    async def main():
        log = []
        async with WorkStream(counting(log)) as stream:
            assert await anext(stream) == 0
            await asyncio.sleep(10)
            assert log == [0]
        log = []
        async with WorkStream(counting(log, to=50), buffered=True) as stream:
            await asyncio.sleep(10)
            assert len(log) == 50
            assert [n async for n in stream] == list(range(50))

    run_virtually(main())


@pytest.mark.parametrize("buffered", [True, False])
def test_an_error_of_the_work_comes_after_what_was_emitted(buffered):
    """Once, as it was raised, not wrapped in a group."""

    async def main():
        seen, error = [], ZeroDivisionError("work")
        async with WorkStream(counting([], to=3, error=error), buffered=buffered) as stream:
            with pytest.raises(ZeroDivisionError) as caught:
                async for n in stream:
                    seen.append(n)  # noqa: PERF401
            assert caught.value is error
            assert seen == [0, 1, 2]
            assert [n async for n in stream] == []

    run_virtually(main())


@pytest.mark.parametrize("how", ["leave", "raise", "cancel"])
def test_leaving_the_block_ends_the_work(how):
    """However it is left; the block's own error passes as it is, and no task stays."""

    async def main():
        log = []

        async def read():
            async with WorkStream(counting(log)) as stream:
                assert await anext(stream) == 0
                if how == "raise":
                    raise KeyError("mine")
                if how == "cancel":
                    await asyncio.sleep(3600)

        reader = asyncio.create_task(read())
        await asyncio.sleep(1)
        reader.cancel()
        await asyncio.wait([reader])
        if how == "raise":
            assert isinstance(reader.exception(), KeyError)
        assert reader.cancelled() == (how == "cancel")
        assert log[-1] == "cancelled"
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


def test_a_block_that_is_never_read_can_be_left():
    """An error nobody asked for is nobody's error."""

    async def main():
        async with WorkStream(counting([], to=0, error=ZeroDivisionError())):
            await asyncio.sleep(1)

    run_virtually(main())


def test_a_stream_is_used_inside_its_block_and_once():
    """RuntimeError says so."""

    async def main():
        stream = WorkStream(counting([], to=1))
        with pytest.raises(RuntimeError, match="async with"):
            await anext(stream)
        async with stream:
            pass
        with pytest.raises(RuntimeError, match="before"):
            await stream.__aenter__()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run_virtually(main())


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_while_leaving_is_not_lost(turns):
    """Whenever it comes: the task that left the block ends as cancelled."""

    async def main():
        leaving = asyncio.Event()

        async def leave():
            async with WorkStream(slow_to_end):
                await asyncio.sleep(1)
                leaving.set()
            await asyncio.sleep(10)

        async def slow_to_end(emit):
            try:
                await emit(1)
            finally:
                for _ in range(2):
                    await asyncio.sleep(0)

        task = asyncio.create_task(leave())
        await leaving.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 1

    run_virtually(main())
