"""One request's way: planned, starting, started, settled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic

import anyio
import msgspec

from kognitos_async.bulk.ledger import (
    PLANNED,
    SETTLED,
    STARTED,
    STARTING,
    ChangedRequestError,
    DuplicateNameError,
    Entry,
)
from kognitos_async.bulk.types import EncodedStart, Q, R, RunOutcome
from kognitos_async.errors import (
    JournalError,
    KognitosError,
    StartUncertainError,
    UploadError,
    WaitTimeoutError,
)
from kognitos_async.observed_work import JobRequest, LookUp
from kognitos_async.retry import certainly_not_done
from kognitos_async.server_clock import StartWindow
from kognitos_async.uncertain_start import MOST_STARTS, Absent, Found, uncertain_error

if TYPE_CHECKING:
    import asyncio

    from kognitos_async.bulk.job import BulkJob

_WINDOW = msgspec.json.Decoder(StartWindow)


class RequestRun(Generic[Q, R]):
    """One request on its way, from its entry in the ledger to its outcome.

    `start` is a request of the input, encoded, or an entry that the input did not contain: of the latter a
    run that exists is awaited, but none is started.
    """

    def __init__(self, job: BulkJob[Q, R], request: Q, start: EncodedStart | Entry) -> None:
        self._job = job
        self._jobs = job.jobs
        self._ledger = job.ledger
        self._request = request
        self._name = start.name
        self._start_with = start
        self._files = {} if isinstance(start, Entry) else start.files
        self._observed = JobRequest(job.observed.observers, request)
        self._state: str | None = None
        self._attempts = 0
        self._resumed = False
        self._run: R | None = None
        # All starts in doubt at once: what the look-up for one came too early for is found by the next.
        self._window: StartWindow | None = None
        # An entry that is recorded with its first start, or as planned when it has to wait for that.
        self._unrecorded: Entry | None = None
        self._recording: asyncio.Future[None] | None = None

    async def outcome(self) -> RunOutcome[Q, R] | None:
        """The outcome, None for a request that is not started after all.

        Raises `StartsEndedError` and `JournalError`, and those errors of a start that end the job.
        """
        with self._observed:
            waiting = False
            try:
                entry = await self._begin()
                if entry.state == SETTLED:
                    self._run = self._load(entry)
                    if not self._reads_again(entry):
                        return self._with(run=self._run)
                    begun: R | str | None = entry.run_id or self._run
                elif entry.state == STARTED:
                    begun = entry.run_id
                else:
                    begun = await self._found_earlier(entry) if entry.state == STARTING else None
                    if begun is None and not isinstance(self._start_with, Entry):
                        begun = await self._start(entry)
                if begun is None:
                    # Certainly never started, and the input does not hold it any more.
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

    def _with(self, *, run: R | None, error: KognitosError | None = None) -> RunOutcome[Q, R]:
        told = self._observed
        told.run, told.error, told.attempts, told.resumed = run, error, self._attempts, self._resumed
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
                # A request that has its run does not need its files any more.
                if await self._ledger.needs_start(start.name):
                    raise
                return await self._ledger.resume(start.name)
            self._files = start.files
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
                f"the journal is damaged: the run of request {self._name!r} cannot be read ({problem}). "
                "Restore it from a copy"
            ) from problem

    def _reads_again(self, entry: Entry) -> bool:
        """Whether a settled run may have gone on since."""
        return entry.status in self._jobs.unfinished or (
            self._job.recheck and entry.status in self._jobs.changeable
        )

    async def _start(self, entry: Entry) -> R:
        """The run started, however long it takes until the API lets it in."""
        job, admission = self._job, self._job.admission
        record = await job.files.uploaded(self._request, entry.request, self._files)
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
                    refusal = None if isinstance(failure, StartUncertainError) else failure
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
                self._attempts -= sending.sent  # only those count that the API did not put off

    async def _found_after(self, lost: StartUncertainError, entry: Entry) -> R | None:
        """The run that the start just lost has made, None if certainly none."""
        if not self._ledger.resolves_doubts:
            raise lost
        self._window = (lost.window or self._job.window_at(lost.since)).joined(self._window)
        return await self._look_up(entry, lost, since_opening=False)

    async def _found_earlier(self, entry: Entry) -> R | None:
        """The run that the start of an earlier process has made, None if certainly none."""
        since = datetime.now(UTC) if entry.since is None else datetime.fromtimestamp(entry.since, UTC)
        try:
            recorded = None if entry.window is None else _WINDOW.decode(entry.window)
        except msgspec.MsgspecError:  # by a later version: the time alone bounds less, and proves less
            recorded = None
        self._window = recorded or self._job.window_at(since)
        lost = StartUncertainError(
            f"an earlier process ended while it started {self._name!r}; whether it runs is not known",
            request=self._request,
            since=self._window.since,
            window=self._window,
        )
        self._observed.in_doubt(lost)
        return await self._look_up(entry, lost, since_opening=True)

    async def about_to_send(self) -> StartWindow:
        """The window recorded for the start, sent next unless the job is ending: then `StartsEndedError`."""
        self._job.admission.check()
        window = self._job.window().joined(self._window)
        content = msgspec.json.encode(window)
        if (entry := self._unrecorded) is None:
            await self._ledger.about_to_send(self._name, self._attempts + 1, content)
        else:
            await self._ledger.first_start(entry.name, entry.request, entry.content or b"", content)
            self._unrecorded = None
        self._moved(STARTING)
        return window

    async def not_sent(self) -> None:
        """Record that the start certainly did nothing."""
        if self._unrecorded is None:
            await self._ledger.not_sent(self._name)
        else:
            await self._record_planned()
        self._moved(PLANNED)

    def sent(self) -> None:
        """Note that the start goes out now, unless the job is ending: then `StartsEndedError`."""
        self._job.admission.check()
        self._attempts += 1

    def _moved(self, state: str) -> None:
        """Note the state that the ledger has the request in."""
        before, self._state = self._state, state
        if before != state:
            self._job.observed.moved(before, state)

    def _adopt(self, run: R) -> R:
        """The run, which is recorded while it is first waited for."""
        self._run = run
        self._moved(STARTED)
        self._recording = self._ledger.started_soon(self._name, run)
        if self._recording is not None:
            self._recording.add_done_callback(self._job.end_unless_recorded)
        return run

    async def _wait(self, begun: R | str) -> R:
        """The settled run, its start on record, even if leaving the job cuts the wait short."""
        try:
            return await self._job.wait(self._request, begun)
        finally:
            if self._recording is not None and not self._recording.done():
                with anyio.CancelScope(shield=True):
                    await self._recording

    async def _look_up(self, entry: Entry, lost: StartUncertainError, *, since_opening: bool) -> R | None:
        """The run that a lost start made, None if certainly none; `StartUncertainError` otherwise."""
        with LookUp(self._observed.observers, self._request) as told:
            await self._job.until_absence_shows(since_opening)
            run_ids, in_doubt = await self._ledger.others(entry)
            request = self._jobs.decode(self._name, await self._job.files.known(entry.request))
            window = self._window or self._job.window_at(lost.since)
            answer = await self._jobs.look_up(request, window, known_ids=run_ids, in_doubt_too=in_doubt)
            told.answer = answer
        if isinstance(answer, Found):
            run: R = answer.run
            return self._adopt(run)
        if isinstance(answer, Absent):
            return None
        raise uncertain_error(answer, repr(self._name), self._request, window) from (answer.cause or lost)


class _Sending:
    """How far one attempt at a start has come."""

    def __init__(self, way: RequestRun[Any, Any], scope: anyio.CancelScope) -> None:
        self._way = way
        self._scope = scope
        self._recorded = False
        self.sent = False

    async def before_send(self) -> StartWindow:
        """The window of the start, recorded as the last thing before it is sent.

        From here on leaving the job waits: the start is sent and its outcome recorded, or neither.
        """
        self._scope.shield = True
        self._recorded = True
        window = await self._way.about_to_send()
        self._way.sent()
        self.sent = True
        return window

    async def failed(self, error: BaseException) -> KognitosError:
        """Record a start that certainly did nothing. Raises the error unless it allows another attempt.

        It does when the API refused for now (429, capacity, never reached), and when a look-up must tell.
        """
        if isinstance(error, StartUncertainError):
            return error
        known = not self.sent or isinstance(error, KognitosError)
        if self._recorded and known and not isinstance(error, JournalError):
            self._scope.shield = True
            await self._way.not_sent()
        if isinstance(error, KognitosError) and certainly_not_done(error):
            return error
        raise error
