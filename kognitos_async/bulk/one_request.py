"""The life cycle of one request: planned, starting, started, settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

import anyio
import msgspec

from kognitos_async.bulk.doubts import prepared_look_up, recorded_window
from kognitos_async.bulk.files import RequestFiles
from kognitos_async.bulk.ledger import (
    PLANNED,
    SETTLED,
    STARTED,
    STARTING,
    ChangedRequestError,
    DuplicateNameError,
    Entry,
)
from kognitos_async.bulk.types import Begun, EncodedStart, Q, R, RunOutcome
from kognitos_async.errors import (
    JournalError,
    KognitosError,
    StartUncertainError,
    UploadError,
    WaitTimeoutError,
)
from kognitos_async.event_loop import finished
from kognitos_async.observed_work import JobRequest, LookUp
from kognitos_async.retry import certainly_not_done
from kognitos_async.uncertain_start import MOST_STARTS, Absent, Found, uncertain_error

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from kognitos_async.bulk.job import BulkJob
    from kognitos_async.server_clock import StartWindow


class RequestRun(Generic[Q, R]):
    """One request of a job, from its ledger entry to its outcome.

    `start` is an encoded request of the input, or a left-over entry that the input does not contain. The run
    of a left-over entry is awaited if there is one; none is started.
    """

    def __init__(self, job: BulkJob[Q, R], request: Q, start: EncodedStart | Entry) -> None:
        self._job = job
        self._jobs = job.jobs
        self._ledger = job.ledger
        self._request = request
        self._name = start.name
        self._start_with = start
        self.files: RequestFiles[Q, R] = RequestFiles(job.files, request)
        self._observed = JobRequest(job.observed.observers, request)
        self._state: str | None = None
        self._attempts = 0
        self._resumed = False
        self._run: Begun | None = None
        # The joined window of all starts in doubt: a run that one look-up missed is found by the next.
        self._window: StartWindow | None = None
        # An entry to be recorded together with its first start, or as planned if that has to wait.
        self._unrecorded: Entry | None = None
        self._recording: asyncio.Future[None] | None = None

    async def outcome(self) -> RunOutcome[Q, R] | None:
        """The outcome, None for a left-over entry that has no run.

        Raises `StartsEndedError`, `JournalError`, and errors of a start that end the job.
        """
        with self._observed:
            waiting = False
            try:
                entry = await self._begin()
                if entry.state == SETTLED:
                    self._run = self._load(entry)
                    if not self._needs_recheck(entry):
                        return self._with(run=self._run)
                    begun: Begun | None = entry.run_id or self._run
                elif entry.state == STARTED:
                    begun = entry.run_id
                else:
                    begun = await self._found_earlier(entry) if entry.state == STARTING else None
                    if begun is None and not isinstance(self._start_with, Entry):
                        begun = await self._start(entry)
                if begun is None:
                    # Certainly not started, and no longer in the input.
                    await self.not_sent()
                    return None
                waiting = True
                run = await self._wait(begun)
                await self._ledger.settled(self._name, run)
                self._moved(SETTLED)
            except (DuplicateNameError, ChangedRequestError) as error:
                return self._with(run=None, error=error)
            except JournalError:
                raise
            except KognitosError as error:
                if not waiting and self._job.ends_with(error):
                    raise
                seen = (
                    error.run if isinstance(error, WaitTimeoutError) and error.run is not None else self._run
                )
                return self._with(run=seen, error=error)
            return self._with(run=run)

    def _with(self, *, run: Begun | None, error: KognitosError | None = None) -> RunOutcome[Q, R]:
        work = self._observed
        if run is not None:
            run = self._jobs.run_of(self._request, run)
        work.run, work.error, work.attempts, work.resumed = run, error, self._attempts, self._resumed
        return RunOutcome(
            request=self._request, run=run, error=error, attempts=self._attempts, resumed=self._resumed
        )

    async def _begin(self) -> Entry:
        start = self._start_with
        if isinstance(start, Entry):
            entry = start
        else:
            try:
                entry = await self._begin_with(start)
            finally:
                self._job.begun()
            if entry.state == SETTLED and entry.status in self._job.rerun:
                entry = await self._ledger.again(start.name)
        self._moved(entry.state)
        self._attempts = entry.attempts
        self._resumed = entry.state in (STARTING, STARTED, SETTLED) or entry.attempts > 0
        return entry

    async def _begin_with(self, start: EncodedStart) -> Entry:
        if start.files:
            try:
                start = await self._job.files.named_by_content(start)
            except UploadError:
                # A request that has a run no longer needs its files.
                if await self._ledger.needs_start(start.name):
                    raise
                return await self._ledger.resume(start.name)
            self.files.sources = start.files
        elif self._ledger.is_new:
            self._unrecorded = entry = Entry(0, start.name, start.record, PLANNED, content=start.content)
            return entry
        return await self._ledger.begin(start.name, start.record, start.content)

    async def _record_planned(self) -> None:
        if (entry := self._unrecorded) is not None:
            self._unrecorded = None
            await self._ledger.begin(entry.name, entry.request, entry.content or b"")

    def _load(self, entry: Entry) -> R:
        try:
            return self._jobs.load(entry.run or b"")
        except msgspec.MsgspecError as problem:
            raise JournalError(
                f"the journal is damaged: the run of request {self._name!r} cannot be decoded ({problem}). "
                "Restore the journal from a backup"
            ) from problem

    def _needs_recheck(self, entry: Entry) -> bool:
        """Whether a settled run has to be read again, because its status may have changed."""
        return entry.status in self._jobs.unfinished or (
            self._job.recheck and entry.status in self._jobs.changeable
        )

    async def _start(self, entry: Entry) -> Begun:
        """The run, started as soon as the API admits it; there is no time limit."""
        job, admission = self._job, self._job.admission
        record = await _when_reachable(job, self.files.uploaded, entry.request)
        while True:
            ticket = admission.enter_now()
            if ticket is None:
                await self._record_planned()
                ticket = await admission.enter()
            failure: KognitosError | None = None
            scope = anyio.CancelScope()
            sending = _Sending(self, scope)
            with scope:
                try:
                    return self._adopt(await self._jobs.start(self._request, record, sending.before_send))
                except BaseException as error:  # noqa: BLE001 - raised again unless it allows another attempt
                    failure = await sending.failed(error)
                finally:
                    refusal = failure if failure is not None and certainly_not_done(failure) else None
                    admission.leave(ticket, refusal, cuts=job.cuts, sent=sending.sent)
            if isinstance(failure, StartUncertainError):
                found = await self._found_after(failure, entry)
                if found is not None:
                    return found
                if self._attempts >= MOST_STARTS:
                    await self.not_sent()
                    raise failure
            elif failure is not None:
                if job.ends_with(failure):
                    raise failure
                if certainly_not_done(failure):
                    self._attempts -= sending.sent  # a start refused for now does not count
                else:
                    record = await _when_reachable(job, self.files.uploaded_again, entry.request)

    async def _found_after(self, lost: StartUncertainError, entry: Entry) -> Begun | None:
        """The run made by the start just lost, None if there certainly is none."""
        if not self._ledger.resolves_doubts:
            raise lost
        self._window = (lost.window or self._job.window_at(lost.since)).joined(self._window)
        return await self._look_up(entry, lost, since_opening=False)

    async def _found_earlier(self, entry: Entry) -> Begun | None:
        """The run made by the start of an earlier process, None if there certainly is none."""
        self._window = recorded_window(self._job, self.files, entry)
        lost = StartUncertainError(
            f"an earlier process ended during the start of {self._name!r}; whether it made a run is unknown",
            request=self._request,
            since=self._window.since,
            window=self._window,
        )
        self._observed.in_doubt(lost)
        return await self._look_up(entry, lost, since_opening=True)

    async def about_to_send(self) -> StartWindow:
        """Record the start sent next; return its window. Raises `StartsEndedError` if the job is ending."""
        self._job.admission.check()
        window = self._job.window().joined(self._window)
        content = self.files.written(window)
        if (entry := self._unrecorded) is None:
            await self._ledger.about_to_send(self._name, self._attempts + 1, content)
        else:
            await self._ledger.first_start(entry.name, entry.request, entry.content or b"", content)
            self._unrecorded = None
        self._moved(STARTING)
        return window

    async def not_sent(self) -> None:
        """Record that the start certainly made no run."""
        if self._unrecorded is None:
            await self._ledger.not_sent(self._name)
        else:
            await self._record_planned()
        self._moved(PLANNED)

    def sent(self) -> None:
        """Count the start that is sent now. Raises `StartsEndedError` if the job is ending."""
        self._job.admission.check()
        self._attempts += 1

    def _moved(self, state: str) -> None:
        """Track the state of the request in the ledger, and notify observers of a change."""
        before, self._state = self._state, state
        if before != state:
            self._job.observed.moved(before, state)

    def _adopt(self, run: Begun) -> Begun:
        """Adopt the run; it is recorded in the background while the wait begins."""
        self._run = run
        self._moved(STARTED)
        self._recording = self._ledger.started_soon(self._name, run)
        if self._recording is not None:
            self._recording.add_done_callback(self._job.end_unless_recorded)
        return run

    async def _wait(self, begun: Begun) -> R:
        """The settled run. Its start is on record on return, even if the wait is cancelled."""
        try:
            return await self._job.wait(self._request, begun)
        finally:
            if self._recording is not None and not self._recording.done():
                await finished(self._recording)

    async def _look_up(self, entry: Entry, lost: StartUncertainError, *, since_opening: bool) -> Begun | None:
        """The run that a lost start made, None if there certainly is none.

        Raises `StartUncertainError` if the look-up cannot tell.
        """
        window = self._window or self._job.window_at(lost.since)
        with LookUp(self._observed.observers, self._request) as look_up:
            answer = await self._job.doubts.answer(self._name) if since_opening else None
            if answer is None:
                await self._job.wait_absence_delay(since_opening)
                answer = await (await prepared_look_up(self._job, self.files, entry, window))()
            look_up.answer = answer
        if isinstance(answer, Found):
            return self._adopt(answer.run)
        if isinstance(answer, Absent):
            return None
        raise uncertain_error(answer, repr(self._name), self._request, window) from (answer.cause or lost)


class _Sending:
    """The progress of one attempt at a start."""

    def __init__(self, request: RequestRun[Any, Any], scope: anyio.CancelScope) -> None:
        self._request = request
        self._scope = scope
        self._recorded = False
        self.sent = False

    async def before_send(self) -> StartWindow:
        """Record the start immediately before it is sent; return its window.

        From here on the attempt is shielded from cancellation, so that its outcome is recorded.
        """
        self._scope.shield = True
        self._recorded = True
        window = await self._request.about_to_send()
        self._request.sent()
        self.sent = True
        return window

    async def failed(self, error: BaseException) -> KognitosError:
        """The error, if it allows another attempt; else it is raised.

        It does if the start was refused for now or for a file that the service no longer knows, was not
        sent, or is ambiguous. Records a start that certainly made no run.
        """
        if isinstance(error, StartUncertainError):
            return error
        known = not self.sent or isinstance(error, KognitosError)
        if self._recorded and known and not isinstance(error, JournalError):
            self._scope.shield = True
            await self._request.not_sent()
        if isinstance(error, KognitosError) and (
            certainly_not_done(error) or self._request.files.are_forgotten(error)
        ):
            return error
        raise error


async def _when_reachable(
    job: BulkJob[Any, Any], upload: Callable[[bytes], Awaitable[bytes]], record: bytes
) -> bytes:
    """The record with file ids from `upload`, which is repeated as long as the API cannot be reached.

    Raises other errors of an upload, and `StartsEndedError`.
    """
    tries = 0
    while True:
        try:
            return await upload(record)
        except KognitosError as error:
            if not certainly_not_done(error) or job.ends_with(error):
                raise
            refusal = error
        tries += 1
        await job.admission.pause_uploads(refusal, tries)
