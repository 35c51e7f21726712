"""Work in tasks behind an async iterator: leaving the block ends all of it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from anyio.abc import TaskGroup
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

T = TypeVar("T")


class WorkStream(Generic[T]):
    """An async context manager that runs `work` and iterates over what it emits.

    `work` is given a function to emit with, which waits until the reader takes the item, unless `buffered`.
    What `work` raises is raised by the iterator once all that was emitted has been read. Leaving the block
    cancels the work; an error of the block itself passes as it is.
    """

    def __init__(
        self, work: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]], *, buffered: bool = False
    ) -> None:
        self._work = work
        self._buffered = buffered
        self._problem: Exception | None = None
        self._tasks: TaskGroup | None = None
        self._emitter: MemoryObjectSendStream[T] | None = None
        self._results: MemoryObjectReceiveStream[T] | None = None

    async def __aenter__(self) -> Self:
        if self._tasks is not None:
            raise RuntimeError("this was entered before: make another one")
        streams: Any = anyio.create_memory_object_stream(math.inf if self._buffered else 0)
        self._emitter, self._results = streams
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks is None or self._results is None:
            return
        self._tasks.cancel_scope.cancel()
        host = asyncio.current_task()
        cancellations = 0 if host is None else host.cancelling()
        try:
            # Without the block's own error, which the group would wrap in another.
            await self._tasks.__aexit__(None, None, None)
        finally:
            self._results.close()
        if host is not None and host.cancelling() > cancellations:
            # The group took a cancellation that came meanwhile for its own.
            raise asyncio.CancelledError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._results is None:
            raise RuntimeError("iterate inside `async with`")
        try:
            return await self._results.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            problem, self._problem = self._problem, None
            if problem is not None:
                raise problem from None
            raise StopAsyncIteration from None

    async def _run(self) -> None:
        if self._emitter is None:
            return
        with self._emitter:
            try:
                await self._work(self._emit)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the iterator raises it
                self._problem = problem

    async def _emit(self, item: T) -> None:
        if self._emitter is not None:
            await self._emitter.send(item)
