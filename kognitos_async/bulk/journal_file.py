"""The file of a journal: created whole, recognized, locked against a second writer, whole without companions.

A journal is one SQLite file with a rollback journal, not a write-ahead log: between commits nothing is
anywhere else, so that the file may be moved, copied or deleted alone after a crash. Only a process killed
within a commit leaves a companion (`NAME-journal`) that is needed: it is replayed if it belongs to this very
file, which is refused otherwise; without it, the integrity check recognizes a half-written commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import threading
import time
from typing import TYPE_CHECKING

from kognitos_async.bulk.file_lock import NO_LOCKS, lock, unlock
from kognitos_async.bulk.journal_errors import damaged, explained, not_locked
from kognitos_async.bulk.journal_schema import (
    APPLICATION_ID,
    VERSION,
    companion_of,
    create,
    mark_of,
    migrate,
    old_pages,
    write_ahead_log_of,
)
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct(">16s44xI4xI")  # magic, user_version at 60, application_id at 68
_MAGIC = b"SQLite format 3\0"
_WRITE_TIMEOUT, _READ_TIMEOUT = 30.0, 10.0
"""Seconds to wait for readers, who read in short steps, or for a commit."""
_LOCK_TIMEOUT = 0.5
"""Readers hold the lock for an instant as they open."""
_FLAWED = """
    typeof(name) != 'text' OR name = '' OR typeof(generation) != 'integer' OR typeof(attempts) != 'integer'
    OR coalesce(state, '') NOT IN ('planned', 'starting', 'started', 'settled')
    OR (state = 'started' AND (typeof(run_id) != 'text' OR run_id = ''))
    OR (state = 'settled' AND run IS NULL)
    OR (since IS NOT NULL AND (typeof(since) != 'real' OR since NOT BETWEEN 0 AND 253402300799))
"""
"""Rows that cannot have been written; times lie before the year 10000."""


class _Held:
    """A journal's file as this process holds it open: one descriptor, however many use the journal.

    Closing any descriptor of a file drops the POSIX locks, SQLite's included, that the process has on it.
    """

    def __init__(self, descriptor: int, writable: bool) -> None:
        self.descriptor = descriptor
        self.writable = writable
        self.users = 0
        self.written = False


_opening = threading.Lock()
_held: dict[tuple[int, int], _Held] = {}


class JournalFile:
    """A journal's file, held open; for writing it is locked against every other writer.

    Raises `JournalError` when the file is missing (for reading), of another kind or version, in use (for
    writing) or separated from its companion; nothing is changed in a file that is refused.
    """

    def __init__(self, path: Path, *, writing: bool) -> None:
        self.path = path
        self._writing = writing
        try:
            if writing and not path.exists():
                create(path)
            state = path.stat()
        except FileNotFoundError:
            raise JournalError(f"there is no journal {path}") from None
        except OSError as problem:
            raise JournalError(f"journal {path} cannot be read: {problem.strerror}") from problem
        self._identity = state.st_dev, state.st_ino
        self._size = state.st_size
        self.in_use: bool = False
        """Whether a job was writing when the file was opened for reading."""
        with _opening:
            self._hold = self._acquire()
        try:
            self.version: int = self._recognize()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the file back, locks and all. SQLite's connections to it are closed first."""
        with _opening:
            hold = self._hold
            hold.users -= 1
            if self._writing:
                hold.written = False
                unlock(hold.descriptor)
            if not hold.users:
                del _held[self._identity]
                os.close(hold.descriptor)

    def check_in_place(self) -> None:
        """Raise `JournalError` when the file was deleted, moved, replaced or cut since it was opened."""
        try:
            state = self.path.stat()
        except OSError:
            state = None
        if state is None or (state.st_dev, state.st_ino) != self._identity:
            raise JournalError(
                f"journal {self.path} was deleted, moved or replaced while the job was running. Nothing was "
                "started that it does not record; put it back and call again, or look up what was started"
            )
        if self._writing and state.st_size < self._size:
            # Only rolling back shortens it; SQLite's cache would go on as if nothing had happened.
            raise damaged(self.path, f"it was cut from {self._size} to {state.st_size} bytes")
        self._size = state.st_size

    def _acquire(self) -> _Held:
        hold = _held.get(self._identity)
        if hold is None:
            hold = _Held(*_open(self.path))
        try:
            if self._writing:
                if hold.written:
                    raise JournalError(f"journal {self.path} is in use by this process: end that job first")
                if not hold.writable:
                    raise JournalError(f"journal {self.path} cannot be written: Permission denied")
                self._lock(hold.descriptor)
                hold.written = True
        except BaseException:
            if not hold.users:
                os.close(hold.descriptor)
            raise
        _held[self._identity] = hold
        hold.users += 1
        return hold

    def _lock(self, descriptor: int) -> None:
        until = time.monotonic() + _LOCK_TIMEOUT
        while True:
            try:
                lock(descriptor)
            except OSError as problem:
                if problem.errno in NO_LOCKS or time.monotonic() > until:
                    raise not_locked(self.path, problem) from problem
                time.sleep(0.02)
            else:
                return

    def _recognize(self) -> int:
        """The version of the file. Checks the companion unless a writer, who owns it, is at work."""
        header = _read(self._hold.descriptor, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise damaged(self.path, f"it has only {len(header)} bytes")
        version: int
        magic, version, application = _HEADER.unpack(header)
        if magic != _MAGIC or application != APPLICATION_ID:
            raise JournalError(f"{self.path} is not a journal of kognitos-async; it was left as it is")
        if version not in (1, VERSION):
            raise JournalError(
                f"journal {self.path} is of version {version}; this version of kognitos-async reads {VERSION}"
            )
        if self._writing:
            self._check_companions(version)
        elif self._hold.written:
            self.in_use = True
        elif self._hold.writable:
            try:
                lock(self._hold.descriptor)
            except OSError as problem:
                self.in_use = problem.errno not in NO_LOCKS
                return version  # the companion is that of the job
            try:
                self._check_companions(version)
            finally:
                unlock(self._hold.descriptor)
        return version

    def _check_companions(self, version: int) -> None:
        """Raise `JournalError` for a companion that SQLite would replay but that is of another file."""
        mark = mark_of(_read(self._hold.descriptor, 4096, 0))
        foreign = [
            companion_of(self.path)
            for page in old_pages(companion_of(self.path))
            # One of version 1 has no mark: its first rollback journal is that of the migration.
            if mark_of(page) != mark and not (mark_of(page) is None and page[60:64] == b"\0\0\0\1")
        ]
        if version == VERSION and write_ahead_log_of(self.path).exists():
            foreign.append(write_ahead_log_of(self.path))
        if foreign:
            raise JournalError(
                f"{foreign[0]} belongs to another file than journal {self.path}: bring back the journal that "
                "was there when its process was killed, or delete the companion"
            )

    # Connections

    def connect(self) -> sqlite3.Connection:
        """A connection that writes or reads, as the file was opened. Call `close` of both."""
        with explained(self.path):
            database = sqlite3.connect(
                self.path,
                timeout=_WRITE_TIMEOUT if self._writing else _READ_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if self._writing:
                    # Read anew: a migration that was cut short has just been rolled back.
                    self.version = database.execute("PRAGMA user_version").fetchone()[0]
                    if self.version == 1:
                        migrate(self.path, database)
                        self.version = VERSION
                    # PERSIST spares the folder's entry at each commit; FULL outlives a power cut.
                    database.execute("PRAGMA journal_mode = PERSIST")
                    database.execute("PRAGMA synchronous = FULL")
                else:
                    database.execute("PRAGMA query_only = ON")
                database.execute("SELECT generation FROM job").fetchone()
                # A commit that was cut short has been rolled back by now, which may shorten the file.
                self._size = os.fstat(self._hold.descriptor).st_size
            except BaseException:
                database.close()
                raise
        return database

    def check(self, database: sqlite3.Connection) -> None:
        """Raise `JournalError` unless the file is whole and its rows make sense."""
        with explained(self.path):
            flaw = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if flaw != "ok":
                raise damaged(self.path, flaw)
            job = database.execute("SELECT typeof(generation) = 'integer' FROM job").fetchall()
            if job != [(1,)]:
                raise damaged(self.path, "it does not say which job it is of")
            row = database.execute(f"SELECT name, state FROM runs WHERE {_FLAWED} LIMIT 1").fetchone()  # noqa: S608
        if row is not None:
            raise damaged(self.path, f"request {row[0]!r} is {row[1]!r}, without what belongs to that")

    def disconnect(self, database: sqlite3.Connection) -> None:
        """Close a connection; a writer's leaves no companion behind."""
        try:
            if self._writing:
                with contextlib.suppress(sqlite3.Error):
                    if database.in_transaction:
                        database.rollback()
                    database.execute("PRAGMA journal_mode = DELETE")
        finally:
            database.close()


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor, and whether it may be written to."""
    binary = getattr(os, "O_BINARY", 0)
    try:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | binary), True
        except PermissionError:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC | binary), False
    except OSError as problem:
        raise JournalError(f"journal {path} cannot be read: {problem.strerror}") from problem


def _read(descriptor: int, size: int, offset: int) -> bytes:
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)
