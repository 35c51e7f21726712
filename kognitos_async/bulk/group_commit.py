"""Group commit: one thread applies the steps of many tasks and commits them together."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kognitos_async.bulk.journal_errors import mapping_sqlite_errors
from kognitos_async.bulk.journal_steps import apply_steps
from kognitos_async.errors import JournalError
from kognitos_async.event_loop import finished

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    from kognitos_async.bulk.journal_file import JournalFile
    from kognitos_async.bulk.journal_steps import ChangedRow, NewRow

T = TypeVar("T")

_HOLD = 0.05
"""Seconds that steps which need not be durable yet wait to share the commit of one that must be."""


class _Step(NamedTuple):
    work: NewRow | ChangedRow | Callable[[sqlite3.Connection], Any]
    result: asyncio.Future[Any]
    durable: bool


class GroupCommit:
    """Applies steps in one thread; those queued during a commit share the next commit.

    After a failed step or commit every later one fails with the same `JournalError`, so that the record has
    no gap.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kognitos-journal")
        self._loop = asyncio.get_running_loop()
        self._file: JournalFile | None = None
        self._database: sqlite3.Connection | None = None
        self._failure: JournalError | None = None
        self._queue: list[_Step] = []
        self._guard = threading.Lock()
        self._arrived = threading.Event()
        self._draining = False

    async def open(self, prepare: Callable[[], tuple[JournalFile, sqlite3.Connection]]) -> None:
        """Open the database in the thread. Call `close` even if this fails."""

        def work() -> None:
            self._file, self._database = prepare()

        await self._loop.run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Commit the open transaction and close the database; not interrupted by cancellation."""
        try:
            await finished(self._loop.run_in_executor(self._thread, self._close))
        finally:
            self._thread.shutdown(wait=False)

    def do(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> asyncio.Future[T]:
        """The result of `work`: after the commit if `durable`, else before it.

        Steps are applied in the order of the calls, even if the future is cancelled. If `work` raises
        `JournalError`, what it has written is kept.
        """
        return self._queued(work, durable)

    def write(self, row: NewRow | ChangedRow) -> asyncio.Future[None]:
        """Write a row; the future is done once it is on disk."""
        return self._queued(row, durable=True)

    def _queued(
        self, work: NewRow | ChangedRow | Callable[[sqlite3.Connection], Any], durable: bool
    ) -> asyncio.Future[Any]:
        result: asyncio.Future[Any] = self._loop.create_future()
        with self._guard:
            self._queue.append(_Step(work, result, durable))
            idle, self._draining = not self._draining, True
        if idle:
            self._thread.submit(self._drain)
        else:
            self._arrived.set()
        return result

    # In the thread

    def _close(self) -> None:
        if self._file is None or self._database is None:
            return
        try:
            if self._database.in_transaction and self._failure is None:
                with mapping_sqlite_errors(self._path):
                    self._database.commit()
        finally:
            try:
                self._file.disconnect(self._database)
            finally:
                self._file.close()

    def _drain(self) -> None:
        """Apply the queued steps, batch by batch, until the queue is empty and all is committed."""
        open_since: float | None = None
        while True:
            with self._guard:
                batch, self._queue = self._queue, []
                if not batch and open_since is None:
                    self._draining = False
                    return
                self._arrived.clear()
            try:
                open_since = self._apply(batch, open_since)
            except JournalError as failure:
                self._failure, open_since = failure, None
            except BaseException as bug:  # noqa: BLE001 - even a bug must not leave callers waiting
                self._failure, open_since = JournalError(f"journal {self._path} failed: {bug!r}"), None
                self._failure.__cause__ = bug
            if self._failure is not None:
                self._deliver([(step, self._failure) for step in batch])
            elif open_since is not None:
                self._arrived.wait(max(0.0, open_since + _HOLD - time.monotonic()))

    def _apply(self, batch: list[_Step], open_since: float | None) -> float | None:
        """Apply the steps, and commit if one must be durable or the hold time is over.

        Returns the time since which the transaction is open, None if it was committed. A refused step does
        not undo the others.
        """
        if self._failure is not None:
            return None
        if self._database is None or self._file is None:
            raise JournalError(f"journal {self._path} is closed")
        self._file.check_in_place()
        try:
            with mapping_sqlite_errors(self._path):
                return self._apply_and_commit(batch, open_since, self._database, self._file)
        except JournalError:
            self._file.check_in_place()  # a clearer error than SQLite's if the file was removed
            raise

    def _apply_and_commit(
        self, batch: list[_Step], open_since: float | None, database: sqlite3.Connection, file: JournalFile
    ) -> float | None:
        early: list[tuple[_Step, Any]] = []
        late: list[tuple[_Step, Any]] = []
        if not database.in_transaction:
            database.execute("BEGIN IMMEDIATE")
        outcomes = apply_steps(database, self._path, [step.work for step in batch])
        for step, outcome in zip(batch, outcomes, strict=True):
            (late if step.durable else early).append((step, outcome))
        self._deliver(early)
        now = time.monotonic()
        open_since = now if open_since is None else open_since
        if not late and now < open_since + _HOLD:
            return open_since
        file.check_in_place()
        database.commit()
        self._deliver(late)
        return None

    def _deliver(self, results: list[tuple[_Step, Any]]) -> None:
        if results and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_set_results, results)


def _set_results(results: list[tuple[_Step, Any]]) -> None:
    for step, result in results:
        if step.result.done():  # cancelled, or already delivered
            continue
        if isinstance(result, JournalError):
            step.result.set_exception(_copy(result))
        else:
            step.result.set_result(result)


def _copy(error: JournalError) -> JournalError:
    """A copy for each caller: a shared error would accumulate tracebacks."""
    twin = type(error)(*error.args)
    twin.__cause__ = error.__cause__
    return twin
