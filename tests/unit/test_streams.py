"""Async iterators fed by background work: values, errors, and leaving the block."""

from __future__ import annotations

import asyncio
import contextvars
import gc

import anyio
import pytest

from kognitos_async.work_stream import WorkStream, side_by_side
from tests.virtual_time import run_virtually


def counting(log, *, to=1000, error=None, keeps_pace=True):
    """Work that emits numbers and records which were taken, and how it ended."""

    async def work(emit):
        try:
            for n in range(to):
                taken = emit(n)
                if keeps_pace:
                    await taken
                log.append(n)
            if error is not None:
                raise error
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    return work


def test_values_arrive_in_order_and_the_loop_ends():
    """Further reads end at once."""

    async def main():
        async with WorkStream(counting([], to=5)) as stream:
            assert [n async for n in stream] == [0, 1, 2, 3, 4]
            assert [n async for n in stream] == []

    run_virtually(main())


def test_work_may_wait_for_its_reader():
    """Then nothing is computed ahead; otherwise it runs on."""

    async def main():
        log = []
        async with WorkStream(counting(log)) as stream:
            assert await anext(stream) == 0
            await asyncio.sleep(10)
            assert log == [0]
        log = []
        async with WorkStream(counting(log, to=50, keeps_pace=False)) as stream:
            await asyncio.sleep(10)
            assert len(log) == 50
            assert [n async for n in stream] == list(range(50))

    run_virtually(main())


@pytest.mark.parametrize("keeps_pace", [True, False])
def test_an_error_of_the_work_comes_after_its_values(keeps_pace):
    """Once, as raised, not wrapped in a group."""

    async def main():
        seen, error = [], ZeroDivisionError("work")
        async with WorkStream(counting([], to=3, error=error, keeps_pace=keeps_pace)) as stream:
            with pytest.raises(ZeroDivisionError) as caught:
                async for n in stream:
                    seen.append(n)  # noqa: PERF401
            assert caught.value is error
            assert seen == [0, 1, 2]
            assert [n async for n in stream] == []

    run_virtually(main())


@pytest.mark.parametrize("how", ["leave", "raise", "cancel"])
def test_leaving_the_block_ends_the_work(how):
    """However it is left; an error of the block is raised unchanged, and no task remains."""

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
    """An error of the work is then dropped."""

    async def main():
        async with WorkStream(counting([], to=0, error=ZeroDivisionError())):
            await asyncio.sleep(1)

    run_virtually(main())


def test_a_stream_is_used_inside_its_block_and_once():
    """RuntimeError otherwise."""

    async def main():
        stream = WorkStream(counting([], to=1))
        with pytest.raises(RuntimeError, match=r"^iterate inside `async with`$"):
            await anext(stream)
        async with stream:
            pass
        with pytest.raises(RuntimeError, match=r"^this was already entered: create another one$"):
            await stream.__aenter__()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    run_virtually(main())


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_while_leaving_is_not_lost(turns):
    """At any moment: the task that leaves the block ends as cancelled."""

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


async def lazily(emit):
    """Work that emits a number each second and waits until it is read."""
    for n in range(5):
        await asyncio.sleep(1)
        await emit(n)


async def ahead(emit):
    """Work that emits a number each second, read or not."""
    for n in range(5):
        await asyncio.sleep(1)
        emit(n)


@pytest.mark.parametrize("work", [lazily, ahead])
@pytest.mark.parametrize("limit", [0.1, 0.25, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("way", ["timeout", "wait_for", "anyio"])
def test_a_time_limit_around_a_step_loses_nothing(work, limit, way):
    """Also if the limit expires in the iteration of the loop in which the value arrives."""

    async def step(stream):
        if way == "wait_for":
            return await asyncio.wait_for(anext(stream), limit)
        if way == "anyio":
            with anyio.fail_after(limit):
                return await anext(stream)
        async with asyncio.timeout(limit):
            return await anext(stream)

    async def main():
        seen = []
        async with WorkStream(work) as stream:
            while True:
                try:
                    seen.append(await step(stream))
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    break
        assert seen == [0, 1, 2, 3, 4]

    run_virtually(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_read_cancelled_at_any_moment_loses_nothing(turns):
    """The next read returns the value."""

    async def main():
        go = asyncio.Event()

        async def work(emit):
            await go.wait()
            for n in range(3):
                await emit(n)

        async with WorkStream(work) as stream:
            seen = []

            async def read():
                seen.append(await anext(stream))

            reader = asyncio.create_task(read())
            await asyncio.sleep(1)
            go.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            reader.cancel()
            await asyncio.wait([reader])
            assert reader.cancelled() == (not seen)
            seen += [n async for n in stream]
            assert seen == [0, 1, 2]

    run_virtually(main())


def test_two_readers_share_the_items():
    """Each value goes to one of them, and both reach the end."""

    async def main():
        async with WorkStream(lazily) as stream:

            async def read():
                return [n async for n in stream]

            first, second = await asyncio.gather(read(), read())
            assert sorted(first + second) == [0, 1, 2, 3, 4]

    run_virtually(main())


@pytest.mark.parametrize("how", ["break", "drop", "collect", "close elsewhere"])
def test_leaving_a_generator_that_holds_the_block_ends_the_work_only(how):
    """The task that used the generator continues, whoever closes it, and nothing is reported."""

    async def main():
        log, reports = [], []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))

        async def mine():
            async with WorkStream(counting(log)) as stream:
                async for n in stream:
                    yield n

        async def use():
            if how == "break":
                async for n in mine():
                    assert n == 0
                    break
            else:
                generator = mine()
                assert await anext(generator) == 0
                if how == "close elsewhere":
                    await asyncio.create_task(generator.aclose())
                elif how == "collect":
                    loop = [generator]
                    loop.append(loop)
                    del loop
                del generator
            gc.collect()
            await asyncio.sleep(1)
            return asyncio.current_task().cancelling()

        assert await asyncio.create_task(use()) == 0
        assert log[-1] == "cancelled"
        assert reports == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


def test_a_block_may_be_entered_in_one_task_and_left_in_another():
    """With values read in a third."""

    async def main():
        stream = WorkStream(lazily)
        await asyncio.create_task(stream.__aenter__())
        assert await asyncio.create_task(read_one(stream)) == 0
        await asyncio.create_task(stream.__aexit__(None, None, None))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())


async def read_one(stream):
    return await anext(stream)


def test_the_work_runs_in_the_context_of_its_caller():
    """It sees the caller's contextvars; what it sets stays there."""
    who = contextvars.ContextVar("who", default="nobody")

    async def main():
        async def work(emit):
            await emit(who.get())
            who.set("work")
            await emit(who.get())

        who.set("caller")
        async with WorkStream(work) as stream:
            assert [name async for name in stream] == ["caller", "work"]
        assert who.get() == "caller"

    run_virtually(main())


def test_a_cancelled_scope_around_the_block_waits_for_the_end_of_the_work():
    """Although a scope of anyio cancels every await, the work can clean up."""

    async def main():
        log = []

        async def slow_to_end(emit):
            try:
                await emit(1)
            finally:
                await asyncio.sleep(5)
                log.append("ended")

        with anyio.move_on_after(1):
            async with WorkStream(slow_to_end):
                await asyncio.sleep(3600)
        assert log == ["ended"]
        assert asyncio.get_running_loop().time() == 6

    run_virtually(main())


def test_cancelled_work_raises_instead_of_ending_the_iteration():
    """The values are not complete."""

    async def main():
        async with WorkStream(lazily) as stream:
            assert await anext(stream) == 0
            [work] = asyncio.all_tasks() - {asyncio.current_task()}
            work.cancel()
            assert work.get_name() == "kognitos_async WorkStream"  # as asyncio's debug output shows it
            with pytest.raises(RuntimeError, match=r"^the work was cancelled$"):
                await anext(stream)

    run_virtually(main())


def test_concurrent_work_takes_as_long_as_the_longest():
    """And ends when all of it is done."""

    async def main():
        loop, done = asyncio.get_running_loop(), []

        async def one(seconds):
            await asyncio.sleep(seconds)
            done.append(seconds)

        await side_by_side(one(seconds) for seconds in (3, 1, 2))
        assert done == [1, 2, 3]
        assert loop.time() == 3
        await side_by_side([])

    run_virtually(main())


def test_the_first_error_of_concurrent_work_cancels_the_rest():
    """It is raised as it is, not in a group."""

    async def main():
        loop, ended = asyncio.get_running_loop(), []

        async def fail(error, after):
            await asyncio.sleep(after)
            raise error

        async def last():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(loop.time())

        error = ZeroDivisionError("one")
        with pytest.raises(ZeroDivisionError) as caught:
            await side_by_side([last(), fail(error, 1), fail(KeyError("two"), 2)])
        assert caught.value is error
        assert ended == [1]

    run_virtually(main())
