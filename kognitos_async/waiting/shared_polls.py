"""The waits of one client: each ends on its own, all share polls."""

from __future__ import annotations

import asyncio
import contextvars
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from kognitos_async.errors import ClientClosedError, KognitosError
from kognitos_async.observers import Observers
from kognitos_async.waiting.pending import PendingRuns, Waiter
from kognitos_async.waiting.poller import Poller
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime
    from random import Random

    from kognitos_async.waiting.pending import Pending
    from kognitos_async.waiting.reader import RunReader
    from kognitos_async.waiting.watch import Watch

R = TypeVar("R", bound=Waitable)


class SharedPolls(Generic[R]):
    """The polls of one client, in one task that begins with the first wait and ends with the last.

    The task runs in an empty context (contextvars), because its readings serve many callers.
    """

    def __init__(self, reader: RunReader[R], random: Random, observers: Observers | None = None) -> None:
        self._runs = PendingRuns()
        self._wake = asyncio.Event()
        self._poller: Poller[R] = Poller(reader, random, self._runs, self._wake, observers or Observers())
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    async def wait(
        self,
        watch: Watch,
        group: Hashable | None,
        *,
        delay: float,
        timeout: float | None,
        created_at: datetime | None = None,
    ) -> R:
        """The run once `watch` is over; it is first read after `delay` seconds.

        `created_at` limits how much of the list is read. Raises `WaitTimeoutError` after `timeout` seconds,
        `ClientClosedError` when the client is closed, and what the watch raises.
        """
        if self._closed:
            raise ClientClosedError("the client is closed")
        loop = asyncio.get_running_loop()
        waiter = Waiter(watch, float("inf") if timeout is None else loop.time() + timeout)
        pending = self._add(waiter, group, delay, created_at)
        settled: R | None = None
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                while settled is None:
                    reading = await waiter.next_reading()
                    if isinstance(reading, KognitosError):
                        watch.failed(reading, loop.time())
                    elif isinstance(reading, BaseException):
                        raise RuntimeError(f"polling run {watch.run_id} failed") from reading  # noqa: TRY004 - a bug, not a wrong type
                    elif watch.found(reading):
                        settled = reading
                        if watch.observed is not None:
                            watch.observed.first = not pending.found_settled
                            pending.found_settled = True
        except TimeoutError:
            if not deadline.expired():
                raise
        finally:
            self._remove(pending, waiter)
        await self._ended()
        if settled is None:
            raise watch.timed_out(timeout or 0.0)
        return settled

    async def close(self) -> None:
        """End all waits with `ClientClosedError`."""
        self._closed = True
        self._deliver_to_all(ClientClosedError("the client was closed while a run was waited for"))
        self._end()
        await self._ended()

    def _add(
        self, waiter: Waiter, key: Hashable | None, delay: float, created_at: datetime | None
    ) -> Pending:
        pending = self._runs.add(waiter.watch.run_id, key)
        pending.created_at = pending.created_at or created_at
        pending.waiters.append(waiter)
        when = asyncio.get_running_loop().time() + delay
        if when < pending.due:
            self._poller.schedule(pending, when)
        if self._task is None:
            self._task = asyncio.create_task(
                self._run(), name="kognitos_async shared polls", context=contextvars.Context()
            )
            self._task.add_done_callback(self._report_failure)
        return pending

    def _remove(self, pending: Pending, waiter: Waiter) -> None:
        pending.waiters.remove(waiter)
        if not pending.waiters:
            self._runs.remove(pending)
        if not self._runs.by_id:
            self._end()

    # The task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            self._poller.tasks = tasks
            while True:
                self._wake.clear()
                self._poller.serve_due(loop.time())
                with suppress(TimeoutError):
                    # Not an anyio scope: one that expires while the task is cancelled loses the cancellation.
                    async with asyncio.timeout_at(self._runs.next_time()):
                        await self._wake.wait()

    def _end(self) -> None:
        """Cancel the task; the next wait starts another."""
        if self._task is not None:
            self._ending, self._task = self._task, None
            self._ending.cancel()
        self._runs.clear()
        self._poller.reset()

    async def _ended(self) -> None:
        """Wait until the cancelled task has ended."""
        if self._ending is not None and not self._ending.done():
            await asyncio.wait([self._ending])

    def _report_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            if self._task is task:
                self._task = None
            self._deliver_to_all(problem)

    def _deliver_to_all(self, problem: BaseException) -> None:
        for pending in self._runs.by_id.values():
            for waiter in pending.waiters:
                waiter.deliver(problem)
