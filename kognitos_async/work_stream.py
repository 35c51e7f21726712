"""Async iterators fed by a background task, which ends with the block."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio

from kognitos_async.event_loop import ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from types import TracebackType

T = TypeVar("T")


class _Item(Generic[T]):
    """An emitted value, and the future that is done once it is read."""

    __slots__ = ("taken", "value")

    def __init__(self, value: T, taken: asyncio.Future[None]) -> None:
        self.value = value
        self.taken = taken


async def side_by_side(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines concurrently. The first error cancels the others and is raised without a group."""
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for one in work:
                tasks.start_soon(_done, one)
    except ExceptionGroup as group:
        failure = group.exceptions[0]
    if failure is not None:
        raise failure


async def _done(one: Coroutine[Any, Any, None]) -> None:
    await one


class WorkStream(Generic[T]):
    """An async context manager that runs `work` in a task, and an async iterator over what it emits.

    `work` receives a function that emits an item immediately and returns an awaitable, done once the item is
    read; awaiting it applies backpressure. An exception of `work` is raised by the iterator after the items
    emitted before it. Leaving the block cancels the work and waits for its end; an exception of the block
    itself passes unchanged.

    The work runs in its own task, in the context (contextvars) of the task that enters the block. The block
    may be left in another task, as happens when an async generator that holds it is garbage collected. An
    item leaves the queue only when `__anext__` returns it, so cancelling a read loses nothing. Raises
    `RuntimeError` when entered twice, or iterated outside the block.
    """

    def __init__(self, work: Callable[[Callable[[T], Awaitable[None]]], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._problem: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._left = False
        self._queue: asyncio.Queue[_Item[T] | None] = asyncio.Queue()  # None marks the end

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("this was already entered: create another one")
        self._task = asyncio.create_task(self._work(self._emit), name=f"kognitos_async {type(self).__name__}")
        self._task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        self._left = True
        self._task.cancel()
        try:
            await ended(self._task)
        finally:
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._task is None:
            raise RuntimeError("iterate inside `async with`")
        item = await self._queue.get()
        # No await from here on: a cancelled read leaves the item in the queue.
        if item is not None:
            if not item.taken.done():
                item.taken.set_result(None)
            return item.value
        self._queue.put_nowait(None)  # the next read ends too
        problem, self._problem = self._problem, None
        if problem is not None:
            raise problem
        raise StopAsyncIteration

    def _ended(self, work: asyncio.Task[None]) -> None:
        problem = RuntimeError("the work was cancelled") if work.cancelled() else work.exception()
        if not self._left:  # after the block, no reader is left for an error
            self._problem = problem
            self._queue.put_nowait(None)

    def _emit(self, item: T) -> Awaitable[None]:
        taken = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Item(item, taken))
        return taken
