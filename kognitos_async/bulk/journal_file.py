"""The file of a journal: identified, locked against a second writer, checked for a companion.

A journal is one SQLite file with a rollback journal, not a write-ahead log: between commits all data is in
that file, so it may be moved, copied or deleted on its own after a crash. Only a process killed within a
commit leaves a companion (`NAME-journal`) that is needed. It is replayed if it belongs to this file; if not,
the journal is refused. If it is missing, the integrity check detects the half-written commit.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from pathlib import Path

from kognitos_async.bulk.journal_errors import damaged, mapping_sqlite_errors
from kognitos_async.bulk.journal_hold import acquire, release, without_writers
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

_HEADER = struct.Struct(">16s44xI4xI")  # magic, user_version at 60, application_id at 68
_MAGIC = b"SQLite format 3\0"
_WRITE_TIMEOUT, _READ_TIMEOUT = 30.0, 10.0
"""Seconds to wait for readers, whose queries are short, or for a commit."""
_FLAWED = """
    typeof(name) != 'text' OR name = '' OR typeof(generation) != 'integer' OR typeof(attempts) != 'integer'
    OR coalesce(state, '') NOT IN ('planned', 'starting', 'started', 'settled')
    OR (state = 'started' AND (typeof(run_id) != 'text' OR run_id = ''))
    OR (state = 'settled' AND run IS NULL)
    OR (since IS NOT NULL AND (typeof(since) != 'real' OR since NOT BETWEEN 0 AND 253402300799))
"""
"""Rows that no job can have written; times are before the year 10000."""


class JournalFile:
    """A journal's file, held open; when `writing`, locked against other writers and created if missing.

    Raises `JournalError` when the file is missing (reading), in use (writing), not a journal, of another
    version, or separated from its companion. A refused file is not changed.
    """

    def __init__(self, path: Path, *, writing: bool) -> None:
        self.path = path
        # SQLite follows links too, and keeps the companion beside the file that they lead to.
        self._real_path = Path(os.path.realpath(path))
        self._is_link = self._real_path != path
        self._writing = writing
        try:
            missing = not path.exists()
        except OSError as problem:
            raise JournalError(f"journal {path} cannot be read: {problem.strerror}") from problem
        if missing and writing:
            create(self._real_path)
        self._hold = acquire(self._real_path, path, writing=writing)
        self.in_use: bool = False
        """Whether a job was writing when the file was opened for reading."""
        try:
            self._size = os.fstat(self._hold.descriptor).st_size
            self.version: int = self._recognize()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file and its lock. Close SQLite's connections to it first."""
        release(self._hold, writing=self._writing)

    @property
    def inherited(self) -> bool:
        """Whether this process was forked since the file was opened: open it again to use it here."""
        return self._hold.inherited

    def check_in_place(self) -> None:
        """Raise `JournalError` if the file was deleted, moved, replaced or truncated since it was opened.

        Also if links now lead to another file, or this one is no longer where SQLite looks for its companion.
        """
        state = self._state_at(self._real_path)
        if state is None or (self._is_link and self._state_at(self.path) is None):
            raise JournalError(
                f"journal {self.path} was deleted, moved or replaced while the job was running. It records "
                "every run that was started: restore it and resume with the same call, or look up those runs"
            )
        if self._writing and state.st_size < self._size:
            # Only a rollback shortens it, and SQLite's cache would not notice.
            raise damaged(self.path, f"it was truncated from {self._size} to {state.st_size} bytes")
        self._size = state.st_size

    def _state_at(self, path: Path) -> os.stat_result | None:
        """The state of the file; None if it is not the one at this path."""
        try:
            state = path.stat()
        except OSError:
            return None
        return state if (state.st_dev, state.st_ino) == self._hold.identity else None

    def _recognize(self) -> int:
        """The version of the file. Checks the companion unless a writer, which owns it, is active."""
        header = self._hold.read(_HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise damaged(self.path, f"it has only {len(header)} bytes")
        version: int
        magic, version, application = _HEADER.unpack(header)
        if magic != _MAGIC or application != APPLICATION_ID:
            raise JournalError(f"{self.path} is not a journal of kognitos-async; it was not changed")
        if version not in (1, VERSION):
            raise JournalError(
                f"journal {self.path} has format version {version}, but this version of kognitos-async reads "
                f"{VERSION}"
            )
        if self._writing:
            self._check_companions(version)
        else:
            with without_writers(self._hold) as unused:
                self.in_use = not unused
                if unused:  # else the companion belongs to the running job
                    self._check_companions(version)
        return version

    def _check_companions(self, version: int) -> None:
        """Raise `JournalError` for a companion of another file, which SQLite would replay."""
        mark = mark_of(self._hold.read(4096, 0))
        companion, log = companion_of(self._real_path), write_ahead_log_of(self._real_path)
        foreign = [
            companion
            for page in old_pages(companion)
            # A version 1 file has no mark: its first rollback journal is that of the migration.
            if mark_of(page) != mark and not (mark_of(page) is None and page[60:64] == b"\0\0\0\1")
        ]
        if version == VERSION and log.exists():
            foreign.append(log)
        if foreign:
            raise JournalError(
                f"{foreign[0]} belongs to another file than journal {self.path}: restore the journal that it "
                "was left beside when its process was killed, or delete the companion"
            )

    # Connections

    def connect(self) -> sqlite3.Connection:
        """A connection for writing or reading, as the file was opened. End it with `disconnect`."""
        with mapping_sqlite_errors(self.path):
            database = sqlite3.connect(
                self._real_path,
                timeout=_WRITE_TIMEOUT if self._writing else _READ_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if self._writing:
                    # Read again: an interrupted migration has just been rolled back.
                    self.version = database.execute("PRAGMA user_version").fetchone()[0]
                    if self.version == 1:
                        migrate(self.path, database)
                        self.version = VERSION
                    # PERSIST saves a directory update at each commit; FULL survives a power cut.
                    database.execute("PRAGMA journal_mode = PERSIST")
                    database.execute("PRAGMA synchronous = FULL")
                else:
                    database.execute("PRAGMA query_only = ON")
                database.execute("SELECT generation FROM job").fetchone()
                # An interrupted commit has been rolled back by now, which may shorten the file.
                self._size = os.fstat(self._hold.descriptor).st_size
            except BaseException:
                database.close()
                raise
        self._hold.connections.append(database)
        return database

    def check(self, database: sqlite3.Connection) -> None:
        """Raise `JournalError` unless the file is intact and its rows are consistent."""
        with mapping_sqlite_errors(self.path):
            flaw = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if flaw != "ok":
                raise damaged(self.path, flaw)
            job = database.execute("SELECT typeof(generation) = 'integer' FROM job").fetchall()
            if job != [(1,)]:
                raise damaged(self.path, "its job row is missing or invalid")
            row = database.execute(f"SELECT name, state FROM runs WHERE {_FLAWED} LIMIT 1").fetchone()  # noqa: S608
        if row is not None:
            raise damaged(self.path, f"request {row[0]!r} in state {row[1]!r} has invalid fields")

    def disconnect(self, database: sqlite3.Connection) -> None:
        """Close a connection. A writer's removes the companion.

        Does nothing in a process forked since, where it would roll back what the parent is writing.
        """
        if self.inherited:
            return
        self._hold.connections.remove(database)
        try:
            if self._writing:
                with contextlib.suppress(sqlite3.Error):
                    if database.in_transaction:
                        database.rollback()
                    database.execute("PRAGMA journal_mode = DELETE")
        finally:
            database.close()
