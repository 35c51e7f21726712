"""Many runs from one stream of requests: bounded, lazy, and with a journal exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Generic

import anyio

from kognitos_async import checks
from kognitos_async.bulk.admission import LONGEST_PAUSE, SHORTEST_PAUSE, Ramp
from kognitos_async.bulk.journal import SETTLED, DuplicateNameError, Journal
from kognitos_async.bulk.one_request import RequestRun
from kognitos_async.bulk.types import Jobs, Q, R, RunOutcome
from kognitos_async.errors import (
    CapacityError,
    ConfigurationError,
    JournalError,
    KognitosError,
    RateLimitError,
)
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from kognitos_async.bulk.journal import Entry
    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow


class BulkJob(Generic[Q, R]):
    """One pass over the requests."""

    def __init__(
        self,
        jobs: Jobs[Q, R],
        sender: Sender,
        requests: Iterable[Q] | AsyncIterable[Q],
        *,
        max_in_flight: int,
        journal: str | os.PathLike[str] | None,
        absence_delay: float,
    ) -> None:
        self._jobs = jobs
        self._sender = sender
        self._requests = requests
        self._journal_path = journal
        self._absence_delay = absence_delay
        self._slots = anyio.Semaphore(max_in_flight)
        self._ramp = Ramp()
        self._room = asyncio.Semaphore(0)
        self._without_room = 0
        self._fatal: JournalError | None = None
        self._opened = 0.0

    async def work(self, emit: Callable[[RunOutcome[Q, R]], Awaitable[None]]) -> None:
        """Emit every request's outcome. Raises `JournalError`, and what iterating the requests raises."""
        if self._journal_path is None:
            await self._work(emit, None)
            return
        async with Journal(self._journal_path) as journal:
            self._opened = asyncio.get_running_loop().time()
            await self._work(emit, journal)

    async def _work(
        self, emit: Callable[[RunOutcome[Q, R]], Awaitable[None]], journal: Journal | None
    ) -> None:
        failed: Exception | None = None
        async with anyio.create_task_group() as children:

            async def one(request: Q, entry: Entry | None) -> None:
                try:
                    await emit(await self._outcome(request, journal, entry))
                except JournalError as error:
                    # What cannot be recorded must not be started: the job ends here.
                    self._fatal = self._fatal or error
                    children.cancel_scope.cancel()
                finally:
                    self._slots.release()

            async with aclosing(_iterate(self._requests)) as source:
                while True:
                    await self._slots.acquire()
                    try:
                        request = await anext(source)
                    except StopAsyncIteration:
                        break
                    except Exception as error:  # noqa: BLE001 - the input's own; what was begun ends first
                        failed = error
                        break
                    children.start_soon(one, request, None)
            position = -1
            while journal is not None and failed is None:
                # Runs begun by an earlier process whose requests this input does not hold are not forgotten.
                try:
                    entry = await journal.left_over(position)
                except JournalError as error:
                    self._fatal = error
                    children.cancel_scope.cancel()
                    break
                if entry is None:
                    break
                position = entry.position
                children.start_soon(one, self._jobs.decode(entry.name, entry.request), entry)
                await self._slots.acquire()
            self._slots.release()
        if self._fatal is not None:
            raise self._fatal
        if failed is not None:
            raise failed

    async def _outcome(self, request: Q, journal: Journal | None, entry: Entry | None) -> RunOutcome[Q, R]:
        try:
            name, content = self._jobs.encode(request)
        except (TypeError, ValueError) as problem:
            error = problem if isinstance(problem, KognitosError) else ConfigurationError(str(problem))
            return RunOutcome(request=request, error=error)
        if journal is None:
            return await RequestRun(self, request, None, None).run()
        if entry is None:
            try:
                entry = await journal.plan(name, content)
            except DuplicateNameError as error:
                return RunOutcome(request=request, error=error)
        if entry.state == SETTLED and entry.run is not None:
            return RunOutcome(
                request=request, run=self._jobs.load(entry.run), attempts=entry.attempts, resumed=True
            )
        return await RequestRun(self, request, journal, entry).run()

    async def start_when_room(self, request: Q) -> R:
        """The run started, however long it takes until the API has room and lets it in."""
        jobs = self._jobs
        pause = SHORTEST_PAUSE
        while True:
            await self._ramp.enter()
            cuts = self._sender.cuts
            try:
                return await jobs.start(request)
            except CapacityError:
                pass
            except RateLimitError as error:
                if self._sender.asks_too_long(error):
                    raise
                continue  # the client pauses by itself
            finally:
                self._ramp.leave(slower=self._sender.cuts > cuts)
            # Each run of ours that settles lets one start try again; so does time, for runs of others.
            self._without_room += 1
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause * self._sender.chance.uniform(0.5, 1.5)):
                        await self._room.acquire()
            finally:
                self._without_room -= 1
            pause = min(2 * pause, LONGEST_PAUSE)

    async def wait(self, request: Q, run: R | str) -> R:
        """The settled run; its room is free from then on."""
        settled = await self._jobs.wait(request, run)
        if self._without_room:
            self._room.release()
        return settled

    async def until_absence_shows(self, since_opening: bool) -> None:
        """Sleep until a run that was started would be in the list."""
        now = asyncio.get_running_loop().time()
        passed = now - self._opened if since_opening else 0.0
        await self._sender.sleep(max(0.0, self._absence_delay - passed))

    def window_at(self, since: datetime) -> StartWindow:
        """The window of a start of which only the time of sending is known."""
        return self._sender.clock.window_at(since)

    @property
    def jobs(self) -> Jobs[Q, R]:
        """The client's side."""
        return self._jobs


async def _iterate(requests: Iterable[Q] | AsyncIterable[Q]) -> AsyncGenerator[Q]:
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
    else:
        for request in requests:
            yield request


def check_requests(requests: Any, max_in_flight: Any) -> None:
    """Raise `TypeError` or `ValueError` for what `run_many` cannot work with."""
    if not isinstance(requests, Iterable | AsyncIterable) or isinstance(requests, str | bytes):
        raise TypeError(f"requests must be an iterable or async iterable, got {type(requests).__name__}")
    if isinstance(max_in_flight, bool) or not isinstance(max_in_flight, int):
        raise TypeError(f"max_in_flight must be an int, got {type(max_in_flight).__name__}")
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight must be at least 1, got {max_in_flight}")


def run_many(
    jobs: Jobs[Q, R],
    sender: Sender,
    requests: Iterable[Q] | AsyncIterable[Q],
    *,
    max_in_flight: int,
    journal: str | os.PathLike[str] | None,
    absence_delay: float,
) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[Q, R]]]:
    """An async context manager over an async iterator of outcomes, in the order of completion."""
    check_requests(requests, max_in_flight)
    delay = checks.seconds_or_none("absence_delay", absence_delay)
    if delay is None:
        raise ValueError(f"absence_delay must be a finite number of seconds, got {absence_delay}")
    job = BulkJob(jobs, sender, requests, max_in_flight=max_in_flight, journal=journal, absence_delay=delay)

    async def work(emit: Callable[[RunOutcome[Q, R]], Awaitable[None]]) -> None:
        sender.check_open()
        await job.work(emit)

    return WorkStream(work)
