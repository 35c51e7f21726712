"""One pass over the history: reads new runs, and runs that had not ended again."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import msgspec

from kognitos_async.errors import APIStatusError, DecodeError, NotFoundError, OutcomeUnknownError
from kognitos_async.event_loop import finished
from kognitos_async.mirror.rows import ListSeen, MirroredRun, Progress, SyncResult
from kognitos_async.mirror.store import store_of
from kognitos_async.paging import PartialPage, TokenTrail
from kognitos_async.server_clock import at
from kognitos_async.waiting.policy import EXPIRED, smaller_page
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Iterable, Sequence

    from kognitos_async.mirror.store import RunStore
    from kognitos_async.paging import Page
    from kognitos_async.server_clock import ServerClock
    from kognitos_async.waiting.reader import RunReader

R = TypeVar("R", bound=Waitable)

logger: logging.Logger = logging.getLogger("kognitos_async")

_LISTING_DELAY = 300.0
"""Seconds after its creation within which a run may first be listed."""
_CONCURRENT_READS = 10
_BATCH = 200
_PROBES = 5
"""Single reads at first to find out whether list items lack outputs; later one a page."""


class StoreThread:
    """A store whose calls run in one thread, so that a slow disk does not block the event loop."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kognitos-mirror")

    @classmethod
    @asynccontextmanager
    async def opened(cls, store: RunStore, api: str) -> AsyncGenerator[StoreThread]:
        """The store, opened for the block and closed at its end."""
        self = cls(store)
        try:
            await self.call(store.open, api)
            yield self
        finally:
            try:
                await finished(asyncio.get_running_loop().run_in_executor(self._thread, store.close))
            finally:
                self._thread.shutdown(wait=False)

    async def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of a call to the store."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def progress(self, scope: str) -> Progress:
        """The progress of mirroring the list."""
        found: Progress = await self.call(self._store.progress, scope)
        return found

    async def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> SyncResult:
        """Store the runs and the progress; return how many runs were new and changed."""
        new, changed = await self.call(self._store.write, scope, runs, progress)
        return SyncResult(new=new, changed=changed)

    async def known(self, keys: Collection[str]) -> set[str]:
        """The keys that are in the mirror."""
        found: set[str] = await self.call(self._store.known, keys)
        return found

    async def open_unread(self, scope: str, number: int) -> list[str]:
        """The keys of at most 200 runs still to be read in this pass."""
        found: list[str] = await self.call(self._store.open_unread, scope, number, _BATCH)
        return found

    async def mark_missing(self, keys: Collection[str], number: int) -> None:
        """Mark runs that the API no longer has, or that cannot be decoded, as read in this pass."""
        await self.call(self._store.mark_missing, keys, number)

    async def publish(self) -> None:
        """Make the pass visible to readers."""
        await self.call(self._store.publish)


class HistorySync(Generic[R]):
    """Mirrors one list of runs.

    A pass reads list pages until all their runs are known and older than the last pass, then singly the runs
    that had not ended and were not listed. This needs a list sorted newest first (small inversions are
    tolerated) or a filter by time. A list sorted oldest first is read from its last page on, an unsorted one
    completely. Each page is stored with the token of the next before that is requested, so that an
    interrupted pass can resume.

    List items may lack outputs. Once a single read has shown that, each succeeded run is read singly, and the
    list is read again completely, as runs may have been stored without their outputs.

    A run stamped in the future, or a clock of the service that is set back, must not hide later runs: a pass
    counts as up to date at most until it began, by the earliest of the clocks.
    """

    def __init__(
        self,
        reader: RunReader[R],
        store: StoreThread,
        row_of: Callable[[R], MirroredRun],
        group: Any,
        *,
        clock: ServerClock,
        filters_by_time: bool,
        on_progress: Callable[[SyncResult], object] | None = None,
    ) -> None:
        self._reader = reader
        self._store = store
        self._row_of = row_of
        self._group = group
        self._scope = group if isinstance(group, str) else "/".join(group)
        self._clock = clock
        self._filters_by_time = filters_by_time
        self._on_progress = on_progress
        self._result = SyncResult()
        self._lists_outputs: bool | None = None
        self._size: int | None = None  # runs on a page, after one that was too large
        self._refused = False  # a token was; the list was read from its first page
        self._probes = 0
        self._unproven = False  # runs were stored without outputs that they may have
        self._without_outputs: set[str] = set()  # runs whose outputs could not be read
        self._gone: set[str] = set()

    async def run(self) -> SyncResult:
        """Run or resume a pass; return its counts. Raises the errors of the requests, and `MirrorError`."""
        progress = await self._store.progress(self._scope)
        if progress.complete:
            now = datetime.now(UTC)
            horizon = progress.horizon
            if horizon is not None and horizon > now + timedelta(seconds=_LISTING_DELAY):
                horizon = None  # a clock was set back since: runs may be missing, at unknown times
            progress = msgspec.structs.replace(
                progress, number=progress.number + 1, began=now, horizon=horizon, complete=False, resume=None
            )
        self._unproven = progress.horizon is not None or progress.resume is not None
        if progress.omits_outputs:
            self._lists_outputs = False
        progress = await self._read_list(progress)
        await self._read_open(progress.number)
        await self._store.write(
            self._scope,
            [],
            msgspec.structs.replace(
                progress, complete=True, resume=None, omits_outputs=self._lists_outputs is False
            ),
        )
        return self._result

    async def _read_list(self, progress: Progress) -> Progress:
        """Read the pages that may hold new runs; return the progress to store once the pass is complete."""
        stop_at = None
        if progress.horizon is not None and (progress.slack is not None or self._filters_by_time):
            stop_at = at(progress.horizon.timestamp() - _LISTING_DELAY - 2 * (progress.slack or 0.0))
        since = stop_at if self._filters_by_time else None
        token = progress.resume or progress.tail
        seen = progress.seen if progress.resume else ListSeen(from_start=token is None)
        trail = TokenTrail()
        while True:
            trail.follow(token)
            page = await self._read_page(token, since)
            if page is None:
                token, seen, trail = None, ListSeen(from_start=True), TokenTrail()
                continue
            self._result += SyncResult(pages=1)
            if isinstance(page, PartialPage):
                self._leave_out(page.error, len(page.error.undecoded))
            times = [self._reader.created(run) for run in page.items]
            if stop_at is not None and not seen.count and times and max(times) < stop_at and since is None:
                stop_at = None  # the newest run is not on the first page: the order of the list has changed
            seen = seen.after(times)
            keys = {self._reader.key(run) for run in page.items}
            known = stop_at is not None and len(await self._store.known(keys)) == len(keys)
            nothing_new = known and not isinstance(page, PartialPage)
            last_token, token = token, page.continuation_token
            progress = msgspec.structs.replace(progress, resume=token, seen=seen)
            known_to_omit = self._lists_outputs is False
            runs = await self._completed(page.items)
            if self._lists_outputs is False and not known_to_omit and self._unproven:
                progress = msgspec.structs.replace(
                    progress, horizon=None, tail=None, resume=None, seen=ListSeen()
                )
                await self._write(runs, progress)
                token, seen, since, stop_at = None, ListSeen(from_start=True), None, None
                trail = TokenTrail()
                continue
            await self._write(runs, progress)
            old = stop_at is not None and bool(times) and min(times) < stop_at
            if token is None or (nothing_new and old and since is None):
                break
        whole = seen.from_start and token is None and since is None
        horizons = [time for time in (progress.horizon, seen.newest) if time is not None]
        known_until = self._clock.earliest(progress.began or datetime.now(UTC))
        return msgspec.structs.replace(
            progress,
            horizon=min(max(horizons), known_until) if horizons else None,
            slack=seen.slack if whole else progress.slack,
            tail=last_token if token is None and since is None and seen.oldest_first else None,
            seen=ListSeen(),
        )

    async def _read_page(self, token: str | None, since: datetime | None) -> Page[R] | None:
        """The page; None if the list must be read from its first page, as the token is not valid any more."""
        while True:
            try:
                return await self._reader.read_page(self._group, token, since, size=self._size)
            except OutcomeUnknownError as error:
                self._size = smaller_page(error, self._size or self._reader.largest_page)
                if token is not None:  # a token is valid for one page size
                    return None
            except APIStatusError as error:
                if token is None or self._refused or error.status not in EXPIRED:
                    raise
                self._refused = True
                return None

    async def _completed(self, listed: Iterable[R]) -> list[R]:
        """The runs of a page, those that may lack outputs as read singly, as far as that is needed."""
        runs = list(listed)
        if self._lists_outputs is None and any(self._row_of(run).outputs for run in runs):
            self._lists_outputs = True
        short = [index for index, run in enumerate(runs) if self._reader.incomplete(run)]
        probes = max(1, _PROBES - self._probes)
        while short and self._lists_outputs is None and probes:
            index = short.pop(0)
            self._probes += 1
            probes -= 1
            [whole] = await self._read_each([self._reader.key(runs[index])])
            if whole is not None and not self._reader.incomplete(whole):
                self._lists_outputs = False
            self._complete(runs, index, whole)
        if self._lists_outputs is False:
            wholes = await self._read_each([self._reader.key(runs[index]) for index in short])
            for index, whole in zip(short, wholes, strict=True):
                self._complete(runs, index, whole)
        elif short and self._lists_outputs is None:
            self._unproven = True
        return runs

    def _complete(self, runs: list[R], index: int, whole: R | None) -> None:
        """Replace a listed run by the run as read singly; if that failed, a later pass reads it again."""
        if whole is not None:
            runs[index] = whole
        else:
            self._without_outputs.add(self._reader.key(runs[index]))

    async def _read_open(self, number: int) -> None:
        while keys := await self._store.open_unread(self._scope, number):
            found = await self._read_each(keys)
            # Another process may have begun or ended a pass of its own meanwhile.
            progress = msgspec.structs.replace(await self._store.progress(self._scope), number=number)
            await self._write([run for run in found if run is not None], progress)
            unread = [key for key, run in zip(keys, found, strict=True) if run is None]
            if unread:
                await self._store.mark_missing(unread, number)
                self._result += SyncResult(missing=len(self._gone.intersection(unread)))

    def _leave_out(self, error: DecodeError, count: int) -> None:
        logger.warning("Runs that cannot be decoded are not mirrored: %s", error)
        self._result += SyncResult(undecoded=count)

    async def _write(self, runs: list[R], progress: Progress) -> None:
        progress = msgspec.structs.replace(progress, omits_outputs=self._lists_outputs is False)
        self._result += await self._store.write(self._scope, [self._row(run) for run in runs], progress)
        if self._on_progress is not None:
            self._on_progress(self._result)

    def _row(self, run: R) -> MirroredRun:
        row = self._row_of(run)
        if row.key not in self._without_outputs or not self._reader.incomplete(run):
            return row
        return msgspec.structs.replace(row, ended=False)  # to be read again

    async def _read_each(self, keys: list[str]) -> list[R | None]:
        """The runs, read singly; None for each that the API no longer has or that cannot be decoded."""
        found: list[R | None] = [None] * len(keys)
        slots = anyio.Semaphore(_CONCURRENT_READS)

        async def read(index: int) -> None:
            async with slots:
                try:
                    found[index] = await self._reader.read(keys[index])
                except NotFoundError:
                    self._gone.add(keys[index])
                except DecodeError as error:
                    self._leave_out(error, 1)

        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                for index in range(len(keys)):
                    tasks.start_soon(read, index)
        except ExceptionGroup as group:
            failure = group.exceptions[0]
        if failure is not None:
            raise failure
        self._result += SyncResult(reads=len(keys))
        return found


async def sync_lists(
    store: RunStore | str | os.PathLike[str],
    api: str,
    reader: RunReader[R],
    row_of: Callable[[R], MirroredRun],
    groups: AsyncIterable[Any],
    *,
    clock: ServerClock,
    filters_by_time: bool,
    on_progress: Callable[[SyncResult], object] | None,
) -> SyncResult:
    """Mirror each list of `groups` into the store, in one pass; return the total counts.

    Raises the errors of the requests, and `MirrorError`.
    """
    total = SyncResult()

    def so_far(result: SyncResult) -> None:
        if on_progress is not None:
            on_progress(total + result)

    opened = store_of(store) if isinstance(store, str | os.PathLike) else store
    async with StoreThread.opened(opened, api) as kept:
        async for group in groups:
            sync = HistorySync(
                reader,
                kept,
                row_of,
                group,
                clock=clock,
                filters_by_time=filters_by_time,
                on_progress=so_far,
            )
            total += await sync.run()
        await kept.publish()
    return total
