"""One request's way: planned, starting, started, settled."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Generic

from kognitos_async.bulk.journal import STARTED, STARTING, Journal
from kognitos_async.bulk.types import Q, R, RunOutcome
from kognitos_async.errors import (
    JournalError,
    KognitosError,
    StartUncertainError,
    WaitTimeoutError,
)
from kognitos_async.uncertain_start import MOST_STARTS, Absent, Found, undecided

if TYPE_CHECKING:
    from collections.abc import Collection

    from kognitos_async.bulk.job import BulkJob
    from kognitos_async.bulk.journal import Entry
    from kognitos_async.server_clock import StartWindow


class RequestRun(Generic[Q, R]):
    """One request on its way: planned, starting, started, settled."""

    def __init__(self, job: BulkJob[Q, R], request: Q, journal: Journal | None, entry: Entry | None) -> None:
        self._job = job
        self._jobs = job.jobs
        self._request = request
        self._journal = journal
        self._entry = entry
        self._attempts = entry.attempts if entry is not None else 0
        self._begun: R | None = None
        self._resumed = entry is not None and (entry.state in (STARTING, STARTED) or entry.attempts > 0)

    async def run(self) -> RunOutcome[Q, R]:
        """The outcome. Raises `JournalError` only."""
        try:
            run = await self._job.wait(self._request, await self._started())
            if self._journal is not None and self._entry is not None:
                await self._journal.settled(self._entry, self._jobs.dump(run))
        except JournalError:
            raise
        except KognitosError as error:
            seen = error.run if isinstance(error, WaitTimeoutError) and error.run is not None else self._begun
            return self._with(run=seen, error=error)
        return self._with(run=run)

    def _with(self, *, run: R | None, error: KognitosError | None = None) -> RunOutcome[Q, R]:
        return RunOutcome(
            request=self._request, run=run, error=error, attempts=self._attempts, resumed=self._resumed
        )

    async def _started(self) -> R | str:
        """The run of the request, or its id: started now, or by an earlier process."""
        entry, journal = self._entry, self._journal
        if journal is None or entry is None:
            self._attempts += 1
            self._begun = await self._job.start_when_room(self._request)
            return self._begun
        if entry.state == STARTED and entry.run_id is not None:
            return entry.run_id
        # All starts in doubt at once: what the look-up for one came too early for is found by the next.
        window: StartWindow | None = None
        if entry.state == STARTING and entry.since is not None:
            window = self._job.window_at(datetime.fromtimestamp(entry.since, UTC))
            lost = StartUncertainError(
                f"an earlier process was ended while it started {entry.name!r}; whether it runs is not known",
                request=self._request,
                since=window.since,
            )
            if (found := await self._look_up(lost, window, since_opening=True)) is not None:
                return await self._adopt(found)
        while True:
            since = datetime.now(UTC) if window is None else window.since
            self._attempts += 1
            await journal.starting(entry, since.timestamp())
            try:
                self._begun = await self._job.start_when_room(self._request)
            except StartUncertainError as lost:
                window = (lost.window or self._job.window_at(since)).joined(window)
                found = await self._look_up(lost, window, since_opening=False)
                if found is not None:
                    return await self._adopt(found)
                if self._attempts >= MOST_STARTS:
                    await journal.not_started(entry)
                    raise
            except JournalError:
                raise
            except KognitosError:
                await journal.not_started(entry)
                raise
            else:
                return await self._adopt(self._begun)

    async def _adopt(self, run: R) -> R:
        self._begun = run
        if self._journal is not None and self._entry is not None:
            await self._journal.started(self._entry, self._jobs.id_of(run))
        return run

    async def _look_up(
        self, lost: StartUncertainError, window: StartWindow, *, since_opening: bool
    ) -> R | None:
        """The run that a lost start made, None if certainly none; `StartUncertainError` otherwise."""
        await self._job.until_absence_shows(since_opening)
        known: Collection[str] = ()
        in_doubt = False
        if self._journal is not None and self._entry is not None:
            known, in_doubt = await self._journal.others(self._entry)
        answer = await self._jobs.look_up(self._request, window, known_ids=known, in_doubt_too=in_doubt)
        if isinstance(answer, Found):
            run: R = answer.run
            return run
        if isinstance(answer, Absent):
            return None
        name = "the request" if self._entry is None else repr(self._entry.name)
        raise undecided(answer, name, self._request, window) from (answer.cause or lost)
