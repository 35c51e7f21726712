"""The durable record of a bulk job: what was planned, is being started, has started, has settled.

One SQLite file, written by one thread, off the event loop. Steps asked for at the same time share a commit,
so that a disk that syncs slowly costs a job little. A step is on disk when its call returns.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio

from kognitos_async.bulk.journal_file import connect, damaged, explained
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from types import TracebackType

PLANNED, STARTING, STARTED, SETTLED = "planned", "starting", "started", "settled"


class Entry(NamedTuple):
    """What the journal knows of one request; `since` is a POSIX time, `run` and `request` are JSON."""

    position: int
    name: str
    request: bytes
    state: str
    attempts: int
    since: float | None
    run_id: str | None
    run: bytes | None


_COLUMNS = ", ".join(Entry._fields)


class Others(NamedTuple):
    """The runs of other entries, and whether an equal entry's start is in doubt too."""

    runs: set[str]
    in_doubt: bool


class Journal:
    """An open journal, for one bulk job in one process at a time: an async context manager.

    Raises `JournalError` when the file is of another kind, version or job, damaged, in use, or cannot be
    written; nothing is changed in a file that is refused.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.fspath(path))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kognitos-journal")
        self._database: sqlite3.Connection | None = None
        self._generation = 0
        self._recorded = 0
        self._position = 0
        self._queue: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._in_thread(self._open)
        except BaseException:
            # The thread goes on opening what a cancelled job no longer waits for.
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        """Close the file, however often the job is cancelled."""
        with anyio.CancelScope(shield=True):
            try:
                if self._flusher is not None:
                    await asyncio.wait([self._flusher])
            finally:
                try:
                    await self._in_thread(self._close)
                finally:
                    self._thread.shutdown(wait=False)

    @property
    def resumed(self) -> bool:
        """Whether the journal held requests when it was opened."""
        return self._recorded > 0

    async def plan(self, name: str, request: bytes) -> Entry:
        """The entry of the next request of the job's input, new or as an earlier process left it.

        Raises `JournalError` if the journal belongs to other requests, or the input names one twice.
        """
        position, self._position = self._position, self._position + 1
        entry: Entry = await self._do(lambda database: self._plan(database, position, name, request))
        return entry

    async def starting(self, entry: Entry, since: float) -> None:
        """Note, before the start is sent, that it will be."""
        await self._set(
            entry, "state = 'starting', since = ?, attempts = attempts + 1, run_id = NULL", (since,)
        )

    async def not_started(self, entry: Entry) -> None:
        """Note that the start certainly did nothing: the next time it is planned again."""
        await self._set(entry, "state = 'planned', since = NULL", ())

    async def started(self, entry: Entry, run_id: str) -> None:
        """Note the run that the request became."""
        await self._set(entry, "state = 'started', run_id = ?", (run_id,))

    async def settled(self, entry: Entry, run: bytes) -> None:
        """Note the run's outcome, outputs and all."""
        await self._set(entry, "state = 'settled', run = ?", (run,))

    async def left_over(self, after: int) -> Entry | None:
        """The next unfinished entry behind position `after` that this process's input did not contain."""
        generation = self._generation

        def find(database: sqlite3.Connection) -> Entry | None:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM runs WHERE state IN ('starting', 'started') AND generation < ? "  # noqa: S608
                "AND position > ? ORDER BY position LIMIT 1",
                (generation, after),
            ).fetchone()
            return Entry(*row) if row else None

        entry: Entry | None = await self._do(find)
        return entry

    async def others(self, entry: Entry) -> Others:
        """What is recorded for other entries that a look-up for this one must not mistake for its own."""

        def find(database: sqlite3.Connection) -> Others:
            taken = database.execute(
                "SELECT run_id FROM runs WHERE position != ? AND run_id IS NOT NULL", (entry.position,)
            )
            doubt = database.execute(
                "SELECT 1 FROM runs WHERE position != ? AND request = ? AND state = 'starting' LIMIT 1",
                (entry.position, entry.request),
            ).fetchone()
            return Others({run_id for (run_id,) in taken}, doubt is not None)

        found: Others = await self._do(find)
        return found

    # In the thread

    def _open(self) -> None:
        self._database = connect(self.path)
        with explained(self.path):
            flaw = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if flaw != "ok":
                raise damaged(self.path, flaw)
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute("UPDATE job SET generation = generation + 1")
                self._generation = self._database.execute("SELECT generation FROM job").fetchone()[0]
                # Positions are dense, so that the largest counts them.
                last = self._database.execute("SELECT max(position) FROM runs").fetchone()[0]
                self._recorded = 0 if last is None else last + 1

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _plan(self, database: sqlite3.Connection, position: int, name: str, request: bytes) -> Entry:
        row = database.execute(
            f"SELECT {_COLUMNS}, generation FROM runs WHERE name = ?",  # noqa: S608
            (name,),
        ).fetchone()
        if row is None:
            if position < self._recorded:
                raise JournalError(
                    f"journal {self.path} was written for other requests: it holds {self._recorded}, but not "
                    f"request {position}, {name!r}. Resume with the same requests, or use another journal"
                )
            at = database.execute("SELECT coalesce(max(position), -1) + 1 FROM runs").fetchone()[0]
            database.execute(
                "INSERT INTO runs (position, name, request, state, generation) VALUES (?, ?, ?, ?, ?)",
                (at, name, request, PLANNED, self._generation),
            )
            return Entry(at, name, request, PLANNED, 0, None, None, None)
        entry = Entry(*row[:-1])
        if row[-1] == self._generation:
            raise DuplicateNameError(f"request {position} repeats the name {name!r}: names must be unique")
        if entry.request != request:
            raise JournalError(
                f"journal {self.path} holds another request of the name {name!r}: names must be unique, and "
                "a job is resumed with the same requests"
            )
        database.execute(
            "UPDATE runs SET generation = ? WHERE position = ?", (self._generation, entry.position)
        )
        return entry

    # Between the loop and the thread

    async def _set(self, entry: Entry, assignments: str, values: tuple[Any, ...]) -> None:
        statement = f"UPDATE runs SET {assignments} WHERE position = ?"  # noqa: S608 - our own words
        await self._do(lambda database: database.execute(statement, (*values, entry.position)).rowcount)

    async def _do(self, step: Callable[[sqlite3.Connection], Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append((step, future))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="kognitos_async journal")
        return await future

    async def _flush(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            try:
                results = await self._in_thread(self._commit, [step for step, _ in batch])
            except JournalError as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():  # its caller was cancelled; the step is taken all the same
                    continue
                if isinstance(result, JournalError):
                    future.set_exception(_copy(result))
                else:
                    future.set_result(result)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _commit(self, steps: list[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        """All steps in one transaction; a step that is refused does not undo its neighbours."""
        if self._database is None:
            raise JournalError(f"journal {self.path} is closed")
        results: list[Any] = []
        with explained(self.path), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            for step in steps:
                try:
                    results.append(step(self._database))
                except JournalError as refusal:  # raised before the step has written anything
                    results.append(refusal)
        return results


class DuplicateNameError(JournalError):
    """The input of a job with a journal names a request twice; the second is not run."""


def summary(path: str | os.PathLike[str]) -> dict[str, int]:
    """How many entries of a journal are in each state. Raises `JournalError` as opening it does."""
    file = _existing(path)
    with closing(connect(file)) as database, explained(file):
        counts = dict(database.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    return {state: counts.get(state, 0) for state in (PLANNED, STARTING, STARTED, SETTLED)}


def settled_runs(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The runs (JSON) of the settled entries, in the order of the input, read as they are asked for.

    Raises `JournalError` as opening does.
    """
    file = _existing(path)
    with closing(connect(file)) as database, explained(file):
        rows = database.execute("SELECT run FROM runs WHERE state = 'settled' ORDER BY position")
        for (run,) in rows:
            yield run


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(os.fspath(path))
    if not file.exists():
        raise JournalError(f"there is no journal {file}")
    return file


def _copy(error: JournalError) -> JournalError:
    """An error of its own for each caller: a shared one would collect everybody's tracebacks."""
    twin = type(error)(*error.args)
    twin.__cause__ = error.__cause__
    return twin
