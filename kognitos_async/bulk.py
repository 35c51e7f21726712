"""Many runs from one stream of requests: bounded, lazy, and with a journal exactly once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Iterable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio
import msgspec

from kognitos_async.errors import (
    CapacityError,
    ConfigurationError,
    JournalError,
    KognitosError,
    RateLimitError,
    StartUncertainError,
    WaitTimeoutError,
)
from kognitos_async.journal import SETTLED, STARTED, STARTING, DuplicateNameError, Journal

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from kognitos_async.journal import Entry
    from kognitos_async.sender import Sender

Q = TypeVar("Q")
R = TypeVar("R")

_MOST_STARTS = 5
"""So often a request whose start was lost is started, each time after it was certainly absent."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
"""Seconds between tries of a start while the organization is full, unless a run of ours settles first."""


class RunOutcome(msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """What became of one request.

    `run` is the run as last seen, None if it never started; `error` is None once the run has settled, in
    whatever status: ask it with `run.raise_for_status()`. `attempts` counts the starts tried, those of
    earlier processes included; `resumed` says that a journal already knew the request.
    """

    request: Q
    run: R | None = None
    error: KognitosError | None = None
    attempts: int = 0
    resumed: bool = False


class Jobs(Protocol[Q, R]):
    """What a bulk job needs of a client."""

    @property
    def absence_proves(self) -> bool:
        """Whether a lost start that cannot be found certainly started nothing, and may be sent again."""
        ...

    def encode(self, request: Q) -> tuple[str, bytes]:
        """The request's name and its whole content; `TypeError` or `ValueError` if it cannot be sent."""
        ...

    def decode(self, name: str, content: bytes) -> Q:
        """The request again."""
        ...

    async def start(self, request: Q) -> R:
        """One start; `CapacityError` at once when there is no room."""
        ...

    async def wait(self, request: Q, run: R | str) -> R:
        """The settled run of a request."""
        ...

    async def find(self, request: Q, since: datetime) -> Sequence[R]:
        """The runs a lost start may have made."""
        ...

    def id_of(self, run: R) -> str:
        """The run's id."""
        ...

    def dump(self, run: R) -> bytes:
        """The run as JSON."""
        ...

    def load(self, content: bytes) -> R:
        """The run again."""
        ...


class _Ramp:
    """How many starts may be under way: few at first, one more for every eight sent, half after a 429.

    A burst would have most of itself refused by a rate limit that nothing is known of yet.
    """

    def __init__(self) -> None:
        self._limit = 2.0
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        if self._active < int(self._limit) and not self._waiting:
            self._active += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._active -= 1
                self._admit()
            raise

    def leave(self, *, slower: bool) -> None:
        self._active -= 1
        self._limit = max(1.0, self._limit / 2) if slower else self._limit + 0.125
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._active < int(self._limit):
            place = self._waiting.popleft()
            if not place.done():
                self._active += 1
                place.set_result(None)


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
        self._ramp = _Ramp()
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
            return await _Attempt(self, request, None, None).run()
        if entry is None:
            try:
                entry = await journal.plan(name, content)
            except DuplicateNameError as error:
                return RunOutcome(request=request, error=error)
        if entry.state == SETTLED and entry.run is not None:
            return RunOutcome(
                request=request, run=self._jobs.load(entry.run), attempts=entry.attempts, resumed=True
            )
        return await _Attempt(self, request, journal, entry).run()

    async def start_when_room(self, request: Q) -> R:
        """The run started, however long it takes until the API has room and lets it in."""
        jobs = self._jobs
        pause = _SHORTEST_PAUSE
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
            pause = min(2 * pause, _LONGEST_PAUSE)

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

    @property
    def jobs(self) -> Jobs[Q, R]:
        """The client's side."""
        return self._jobs


class _Attempt(Generic[Q, R]):
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
        raise TypeError(f"requests is an iterable or async iterable, not {type(requests).__name__}")
    if isinstance(max_in_flight, bool) or not isinstance(max_in_flight, int):
        raise TypeError(f"max_in_flight is an int, not {type(max_in_flight).__name__}")
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight is at least 1, not {max_in_flight}")
