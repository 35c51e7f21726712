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

if TYPE_CHECKING:
    from kognitos_async.bulk.job import BulkJob
    from kognitos_async.bulk.journal import Entry


_MOST_STARTS = 5
"""So often a request whose start was lost is started, each time after it was certainly absent."""


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
        # Since the first start whose outcome was in doubt: a look-up that covers them all misses none.
        since: datetime | None = None
        if entry.state == STARTING and entry.since is not None:
            since = datetime.fromtimestamp(entry.since, UTC)
            lost = StartUncertainError(
                f"an earlier process was ended while it started {entry.name!r}; whether it runs is not known",
                request=self._request,
                since=since,
            )
            if (found := await self._look_up(lost, since, since_opening=True)) is not None:
                return await self._adopt(found)
        while True:
            since = since or datetime.now(UTC)
            self._attempts += 1
            await journal.starting(entry, since.timestamp())
            try:
                self._begun = await self._job.start_when_room(self._request)
            except StartUncertainError as lost:
                found = await self._look_up(lost, since, since_opening=False)
                if found is not None:
                    return await self._adopt(found)
                if self._attempts >= _MOST_STARTS:
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

    async def _look_up(self, lost: StartUncertainError, since: datetime, *, since_opening: bool) -> R | None:
        """The run that a lost start made, None if certainly none; `lost` where that cannot be told."""
        await self._job.until_absence_shows(since_opening)
        try:
            found = await self._jobs.find(self._request, since)
        except KognitosError as problem:
            raise lost from problem
        if self._journal is not None and self._entry is not None:
            ids = [self._jobs.id_of(run) for run in found]
            others = await self._journal.others(self._entry, ids)
            found = [run for run in found if self._jobs.id_of(run) not in others.runs]
            if others.in_doubt:
                raise lost
        if len(found) > 1 or not (found or self._jobs.absence_proves):
            raise lost
        return found[0] if found else None
