"""The file of a journal: made whole, known for what it is, and open in one place at a time."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import threading
from typing import TYPE_CHECKING

from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

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


def connect(file: Path) -> sqlite3.Connection:
    """A connection that keeps every other process out, to a file that is a journal for certain."""
    try:
        if not file.exists():
            _create(file)
        state = file.stat()
    except OSError as problem:
        raise JournalError(f"journal {file} cannot be read: {problem.strerror}") from problem
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
    with explained(file):
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
        with explained(file):
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
        raise damaged(file, f"it has only {len(header)} bytes")
    magic, version, application = _HEADER.unpack(header)
    if magic != _MAGIC or application != _APPLICATION_ID:
        raise JournalError(f"{file} is not a journal of kognitos-async; it was left as it is")
    if version != _VERSION:
        raise JournalError(
            f"journal {file} is of version {version}; this version of kognitos-async reads {_VERSION}"
        )


class explained:  # noqa: N801 - used as a statement
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
        raise damaged(self._file, words) from error


def damaged(file: Path, how: str) -> JournalError:
    """The error for a file that cannot be what was written."""
    return JournalError(
        f"journal {file} is damaged ({how}) and was left as it is: restore it from a copy. Starting anew "
        "without it may start runs twice; their names tell which exist"
    )
