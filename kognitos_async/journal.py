"""The durable record of a bulk job: what was planned, is being started, has started, has settled.

One SQLite file, written by one thread, off the event loop. Steps asked for at the same time share a commit,
so that a disk that syncs slowly costs a job little. A step is on disk when its call returns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anyio

from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

PLANNED, STARTING, STARTED, SETTLED = "planned", "starting", "started", "settled"

_APPLICATION_ID = 0x4B474E4A  # "KGNJ"
_VERSION = 1
_HEADER = struct.Struct(">16s44xI4xI")  # magic, user_version at 60, application_id at 68
_MAGIC = b"SQLite format 3\0"
_SCHEMA = """
CREATE TABLE job (generation INTEGER NOT NULL);
INSERT INTO job VALUES (0);
CREATE TABLE runs (
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    request BLOB NOT NULL,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    since REAL,
    run_id TEXT,
    run BLOB
);
CREATE INDEX unfinished ON runs (position) WHERE state IN ('starting', 'started');
"""


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
            with anyio.CancelScope(shield=True):
                await self._in_thread(self._close)
            self._thread.shutdown()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):  # a cancelled job does not leave its file open
            if self._flusher is not None:
                await asyncio.wait([self._flusher])
            await self._in_thread(self._close)
        self._thread.shutdown()

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

    # In the thread

    def _open(self) -> None:
        self._database = _connect(self.path)
        with _explained(self.path):
            damage = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise _damaged(self.path, damage)
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
        with _explained(self.path), self._database:
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
    file = Path(os.fspath(path))
    if not file.exists():
        raise JournalError(f"there is no journal {file}")
    database = _connect(file)
    try:
        with _explained(file):
            counts = dict(database.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    finally:
        database.close()
    return {state: counts.get(state, 0) for state in (PLANNED, STARTING, STARTED, SETTLED)}


def settled_runs(path: str | os.PathLike[str], after: int, limit: int) -> list[tuple[int, bytes]]:
    """Positions and runs (JSON) of settled entries behind position `after`, at most `limit`."""
    file = Path(os.fspath(path))
    database = _connect(file)
    try:
        with _explained(file):
            return database.execute(
                "SELECT position, run FROM runs WHERE state = 'settled' AND position > ? "
                "ORDER BY position LIMIT ?",
                (after, limit),
            ).fetchall()
    finally:
        database.close()


# Closing any descriptor of a file drops all locks that the process has on it: a journal that is open here
# must not even be looked at, or other processes would get in.
_opening = threading.Lock()
_open_here: set[tuple[int, int]] = set()


class _Connection(sqlite3.Connection):
    """A connection to a journal, which is free again for this process once it is closed."""

    identity: tuple[int, int] | None = None

    def close(self) -> None:
        super().close()
        if self.identity is not None:
            _open_here.discard(self.identity)


def _connect(file: Path) -> sqlite3.Connection:
    """A connection that keeps every other process out, to a file that is a journal for certain."""
    if not file.exists():
        _create(file)
    state = file.stat()
    identity = state.st_dev, state.st_ino
    with _opening:
        if identity in _open_here:
            raise JournalError(f"journal {file} is in use by this process: wait for that job, or end it")
        _open_here.add(identity)
    try:
        database = _connect_alone(file)
    except BaseException:
        _open_here.discard(identity)
        raise
    database.identity = identity
    return database


def _connect_alone(file: Path) -> _Connection:
    _check_header(file)
    with _explained(file):
        database = sqlite3.connect(
            file, timeout=0.2, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            # FULL syncs at each commit: what was recorded also outlives a power cut.
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN EXCLUSIVE")
            database.execute("COMMIT")
        except sqlite3.Error:
            database.close()
            raise
    return database


def _create(file: Path) -> None:
    """Make an empty journal beside its place and move it there whole."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with _explained(file):
            database = sqlite3.connect(draft, isolation_level=None)
            try:
                database.executescript(_SCHEMA)
                database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {_VERSION}")
            finally:
                database.close()
        try:
            os.link(draft, file)  # unlike a rename it never replaces what another process made meanwhile
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            draft.rename(file)
    except OSError as problem:
        raise JournalError(f"journal {file} cannot be made: {problem.strerror}") from problem
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _check_header(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            header = opened.read(_HEADER.size)
    except OSError as problem:
        raise JournalError(f"journal {file} cannot be read: {problem.strerror}") from problem
    if len(header) < _HEADER.size:
        raise _damaged(file, f"it has only {len(header)} bytes")
    magic, version, application = _HEADER.unpack(header)
    if magic != _MAGIC or application != _APPLICATION_ID:
        raise JournalError(f"{file} is not a journal of kognitos-async; it was left as it is")
    if version != _VERSION:
        raise JournalError(
            f"journal {file} is of version {version}; this version of kognitos-async reads {_VERSION}"
        )


class _explained:  # noqa: N801 - used as a statement
    """Turns SQLite's errors into `JournalError`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        words = str(error)
        if "locked" in words or "busy" in words:
            raise JournalError(
                f"journal {self._file} is in use by another process: wait for it, or end it"
            ) from error
        if isinstance(error, sqlite3.OperationalError):
            raise JournalError(
                f"journal {self._file} cannot be written: {words}. Nothing was started that is not recorded; "
                "free the disk or mend the folder's permissions, then resume with the same call"
            ) from error
        raise _damaged(self._file, words) from error


def _damaged(file: Path, how: str) -> JournalError:
    return JournalError(
        f"journal {file} is damaged ({how}) and was left as it is: restore it from a copy. Starting anew "
        "without it may start runs twice; their names tell which exist"
    )


def _copy(error: JournalError) -> JournalError:
    """An error of its own for each caller: a shared one would collect everybody's tracebacks."""
    twin = type(error)(*error.args)
    twin.__cause__ = error.__cause__
    return twin
