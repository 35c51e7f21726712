"""`run_many`: reads requests lazily, bounds the runs in flight, resumes from a journal."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic

import anyio
import msgspec

from kognitos_async import checks
from kognitos_async.bulk.admission import Admission, StartsEndedError
from kognitos_async.bulk.doubts import EarlierDoubts
from kognitos_async.bulk.files import JobFiles
from kognitos_async.bulk.input import check_requests, prefetched
from kognitos_async.bulk.journal_writer import JournalWriter
from kognitos_async.bulk.ledger import Entry, NullLedger
from kognitos_async.bulk.one_request import RequestRun
from kognitos_async.bulk.slots import Slots
from kognitos_async.bulk.types import Begun, EncodedStart, Jobs, Ledger, Q, R, RunOutcome
from kognitos_async.errors import (
    APIStatusError,
    AuthenticationError,
    CapacityError,
    ClientClosedError,
    JournalError,
    KognitosError,
    NotSentError,
    PermissionDeniedError,
)
from kognitos_async.observed_work import Job
from kognitos_async.observers import Observers
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Coroutine,
        Iterable,
    )
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from anyio.abc import TaskGroup

    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow

_FIRST_CONTACT = 60.0
"""Seconds to keep trying when the API was never reached: then the address is wrong."""


class BulkJob(Generic[Q, R]):
    """One call of `run_many`."""

    def __init__(
        self,
        jobs: Jobs[Q, R],
        sender: Sender,
        requests: Iterable[Q] | AsyncIterable[Q],
        *,
        max_in_flight: int,
        journal: str | os.PathLike[str] | None,
        absence_delay: float,
        rerun: Collection[str] = (),
        recheck: bool = False,
        max_uploads: int = 8,
        observers: Observers | None = None,
    ) -> None:
        self.observed: Job = Job(observers or Observers(), journaled=journal is not None)
        self.jobs = jobs
        self.files: JobFiles[Q, R] = JobFiles(jobs, max_uploads=max_uploads)
        self._max_uploads = max_uploads
        self.rerun: Collection[str] = rerun
        self.recheck: bool = recheck
        self.admission: Admission = Admission(sender.chance)
        self.ledger: Ledger = NullLedger()
        self.doubts: EarlierDoubts[Q, R] = EarlierDoubts(self)
        self._sender = sender
        self._requests = requests
        self._journal = journal
        self._absence_delay = absence_delay
        self.slots: Slots = Slots(max_in_flight)
        self.running: int = 0
        """Runs in flight, including those started by earlier processes."""
        self._idle = asyncio.Event()
        self._under_way = self._beginning = 0
        self._all_begun = asyncio.Event()
        self._all_begun.set()
        self._reading = anyio.CancelScope()
        self._all_read = False
        self._fatal: KognitosError | None = None
        self._children: TaskGroup | None = None
        self._opened = 0.0

    async def work(self, emit: Callable[[RunOutcome[Q, R]], Awaitable[None]]) -> None:
        """Emit each outcome. Raises the error that ends the job, and what iterating the requests raises."""
        opening = (
            NullLedger()
            if self._journal is None
            else JournalWriter(self._journal, api=self.jobs.api, fingerprint=self.jobs.fingerprint)
        )
        async with opening as self.ledger:
            self._opened = asyncio.get_running_loop().time()
            self.files.ledger = self.ledger
            self.jobs.recall(await self.ledger.recent())
            await self._work(emit)

    async def _work(self, emit: Callable[[RunOutcome[Q, R]], Awaitable[None]]) -> None:
        failed: Exception | None = None
        async with anyio.create_task_group() as children:
            self._children = children

            async def one(request: Q, start: EncodedStart | Entry | KognitosError) -> None:
                try:
                    if isinstance(start, KognitosError):
                        self.begun()
                        outcome: RunOutcome[Q, R] | None = RunOutcome(request=request, error=start)
                    else:
                        outcome = await RequestRun(self, request, start).outcome()
                    if outcome is not None:
                        await emit(outcome)
                except StartsEndedError:
                    pass
                except KognitosError as error:
                    self._end_with(error, children)
                finally:
                    self.slots.release()
                    self._under_way -= 1
                    if not self._under_way:
                        self._idle.set()

            async def end_when_closed() -> None:
                with watching:
                    await self._sender.lifetime.wait_closed()
                    # It is the outcome of requests that wait to start; unread requests have none.
                    closed = ClientClosedError("the client was closed while the job was running")
                    self.admission.end(closed)
                    if not self._all_read:
                        self._fatal = self._fatal or closed
                        self._reading.cancel()

            watching = anyio.CancelScope()
            children.start_soon(end_when_closed)
            try:
                with self._reading:
                    failed = await self._read(children, one)
                    self._all_read = True
                while self._under_way:
                    self._idle.clear()
                    await self._idle.wait()
                watching.cancel()
            finally:
                # Before the children are cancelled, so that nothing more is sent.
                self.admission.end()
        if self._fatal is not None:
            raise self._fatal
        if failed is not None:
            raise failed

    async def _read(
        self, children: TaskGroup, one: Callable[..., Coroutine[Any, Any, None]]
    ) -> Exception | None:
        """Begin each request of the input, then the left-over entries; return what iterating raised."""
        async with aclosing(self._input(children)) as source:
            while True:
                await self.slots.acquire()
                try:
                    request, start = await anext(source)
                except StopAsyncIteration:
                    break
                except Exception as error:  # noqa: BLE001 - the input's own; raised after requests begun
                    return error
                self._under_way += 1
                self._beginning += 1
                self._all_begun.clear()
                children.start_soon(one, request, start)
        # An entry counts as left over until `begin` has marked it as part of this input.
        await self._all_begun.wait()
        position = -1
        while True:
            # Runs of an earlier process are awaited even if their requests are not in this input.
            try:
                entry = await self.ledger.left_over(position)
                if entry is None:
                    return None
                request = self.decoded(entry)
            except JournalError as error:
                self._end_with(error, children)
                return None
            position = entry.position
            self._under_way += 1
            children.start_soon(one, request, entry)
            await self.slots.acquire()

    def _input(self, children: TaskGroup) -> AsyncGenerator[tuple[Q, EncodedStart | KognitosError]]:
        return prefetched(
            self._requests, self.jobs.encode, self.files.prepare, children, max_uploads=self._max_uploads
        )

    def begun(self) -> None:
        """Record that the journal has marked one more request as part of the input."""
        self._beginning -= 1
        if not self._beginning:
            self._all_begun.set()

    def decoded(self, entry: Entry) -> Q:
        """The request of an entry. Raises `JournalError` for one that cannot be decoded."""
        try:
            return self.jobs.decode(entry.name, entry.request)
        except (msgspec.MsgspecError, ValueError) as problem:
            raise JournalError(
                f"the journal is damaged: request {entry.name!r} cannot be decoded ({problem}). Restore the "
                "journal from a backup"
            ) from problem

    def _end_with(self, error: KognitosError, children: TaskGroup) -> None:
        """Admit no more starts. A `JournalError` cancels the job; after other errors, runs are awaited."""
        self.admission.end()
        self._reading.cancel()
        if isinstance(error, JournalError):
            if not isinstance(self._fatal, JournalError):
                self._fatal = error
            children.cancel_scope.cancel()
        self._fatal = self._fatal or error

    def end_unless_recorded(self, recording: asyncio.Future[None]) -> None:
        """End the job if a background step could not be recorded."""
        error = None if recording.cancelled() else recording.exception()
        if isinstance(error, JournalError) and self._children is not None:
            self._end_with(error, self._children)

    def in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` in a task of the job."""
        if self._children is not None:
            self._children.start_soon(work)

    def ends_with(self, error: KognitosError) -> bool:
        """Whether an error of starting ends the job: a refused key, a wrong address, a long Retry-After."""
        if isinstance(error, AuthenticationError):
            return True
        if isinstance(error, PermissionDeniedError):
            return not isinstance(error, CapacityError)
        if isinstance(error, APIStatusError) and error.retry_after is not None:
            return error.retry_after > self._sender.policy.retry_after_limit
        return (
            isinstance(error, NotSentError)
            and not (self.admission.reached or self.files.reached)
            and (asyncio.get_running_loop().time() - self._opened > _FIRST_CONTACT)
        )

    @property
    def cuts(self) -> int:
        """Number of 429s that have slowed down the client."""
        return self._sender.gate.cuts

    def window(self) -> StartWindow:
        """The window of a start that is sent next."""
        return self._sender.clock.window()

    def window_at(self, since: datetime) -> StartWindow:
        """The window of a start known only by the time it was sent."""
        return self._sender.clock.window_at(since)

    async def wait(self, request: Q, run: Begun) -> R:
        """The settled run; its slot at the API is then free."""
        self.running += 1
        try:
            settled = await self.jobs.wait(request, run)
        finally:
            self.running -= 1
        self.admission.run_settled()
        return settled

    async def wait_absence_delay(self, since_opening: bool) -> None:
        """Sleep until the list would show the run of a lost start."""
        now = asyncio.get_running_loop().time()
        passed = now - self._opened if since_opening else 0.0
        await self._sender.sleep(max(0.0, self._absence_delay - passed))


class BulkStream(WorkStream[RunOutcome[Q, R]], Generic[Q, R]):
    """The outcomes of a job as they complete, and its state."""

    def __init__(
        self,
        work: Callable[[Callable[[RunOutcome[Q, R]], Awaitable[None]]], Coroutine[Any, Any, None]],
        job: BulkJob[Q, R],
    ) -> None:
        super().__init__(work)
        self._job = job

    @property
    def running(self) -> int:
        """Number of runs in flight: started and not settled."""
        return self._job.running

    @property
    def max_in_flight(self) -> int:
        """Maximum number of unsettled requests, at least 1. Lowering it cancels none in flight.

        Setting it raises `TypeError` unless given an int, `ValueError` below 1.
        """
        return self._job.slots.limit

    @max_in_flight.setter
    def max_in_flight(self, limit: int) -> None:
        checks.at_least_one("max_in_flight", limit)
        self._job.slots.limit = limit


def run_many(
    jobs: Jobs[Q, R],
    sender: Sender,
    requests: Iterable[Q] | AsyncIterable[Q],
    *,
    max_in_flight: int,
    journal: str | os.PathLike[str] | None,
    absence_delay: float,
    rerun: Collection[str],
    recheck: bool,
    max_uploads: int,
) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[Q, R]]]:
    """An async context manager over an async iterator of outcomes, in order of completion."""
    check_requests(requests, max_in_flight, rerun, recheck)
    checks.at_least_one("max_uploads", max_uploads)
    delay = checks.seconds_or_none("absence_delay", absence_delay)
    if delay is None:
        raise ValueError("absence_delay must be a finite number of seconds, got None")
    job = BulkJob(
        jobs,
        sender,
        requests,
        max_in_flight=max_in_flight,
        journal=journal,
        absence_delay=delay,
        rerun=frozenset(str(word) for word in rerun),
        recheck=recheck,
        max_uploads=max_uploads,
        observers=sender.observers,
    )

    async def work(emit: Callable[[RunOutcome[Q, R]], Awaitable[None]]) -> None:
        sender.lifetime.check()
        with job.observed:
            await job.work(emit)

    return BulkStream(work, job)
