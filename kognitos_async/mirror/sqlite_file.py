"""The file of a mirror in SQLite: what marks it, how it is only read, and its errors."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kognitos_async.mirror.rows import MirrorBusyError, MirrorChangedError, MirrorError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATION_ID = 0x4B474E48  # "KGNH"
VERSION = 1
_TIMEOUT = 30.0
"""Seconds to wait for another process that writes."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY_CODE = 0xFF


@contextmanager
def mapped_errors(file: Path, what: str) -> Iterator[None]:
    """Raises errors of SQLite in the block as `MirrorError`; `what` could not be done with the file."""
    try:
        yield
    except sqlite3.Error as problem:
        # The module's own errors, such as for a wrong call, have no code.
        code = getattr(problem, "sqlite_errorcode", 0) & _PRIMARY_CODE
        kind = MirrorBusyError if code in _BUSY else MirrorError
        raise kind(f"mirror {file} cannot be {what}: {problem}") from problem


def connect(file: Path) -> sqlite3.Connection:
    """A connection that writes to the file, which is created if missing. Raises `MirrorError`.

    A database of another program is not changed.
    """
    if _size(file):
        with closing(ReadConnection(file)) as found:
            if not found.is_ours and not found.is_empty:
                raise not_a_mirror(file)
    with mapped_errors(file, "opened"):
        database = sqlite3.connect(file, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except BaseException:
            database.close()
            raise
    return database


def check_version(database: sqlite3.Connection, file: Path) -> None:
    """Raise `MirrorError` if the mirror has another format."""
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise MirrorError(
            f"mirror {file} has format version {version}, but this version of kognitos-async reads {VERSION}"
        )


def not_a_mirror(file: Path) -> MirrorError:
    """The error for a file of another program."""
    return MirrorError(f"{file} is not a mirror of kognitos-async; it was not changed")


class ReadConnection:
    """A connection that changes nothing: neither the file nor what lies beside it.

    For a database with a write-ahead log, SQLite's read-only mode creates a missing log and leaves it behind,
    and fails where it may not. While there is none, nobody writes, so the file is read as immutable: without
    locks, `check_unchanged` tells whether a pass has begun since. Raises `MirrorError`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        log = Path(f"{os.path.realpath(file)}-wal")
        self._stamp: _Stamp | None = None if log.exists() else _stamp_of(file)
        mode = "mode=ro" if self._stamp is None else "mode=ro&immutable=1"
        with mapped_errors(file, "opened"):
            self.database: sqlite3.Connection = sqlite3.connect(
                f"{file.absolute().as_uri()}?{mode}",
                uri=True,
                timeout=_TIMEOUT,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self.is_ours: bool = (
                    self.database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
                )
                """Whether the file is marked as a mirror."""
                self.is_empty: bool = self.database.execute("SELECT 1 FROM sqlite_master").fetchone() is None
                """Whether it has no tables."""
            except BaseException:
                self.database.close()
                raise

    def check_unchanged(self) -> None:
        """Raise `MirrorChangedError` if what was read may be of different times."""
        if self._stamp is not None and _stamp_of(self._file) != self._stamp:
            raise MirrorChangedError(f"mirror {self._file} was changed while it was read: read it again")

    def close(self) -> None:
        """Close the connection."""
        self.database.close()


class _Stamp(NamedTuple):
    """What differs once a file has been written to or replaced."""

    device: int
    inode: int
    size: int
    changed_at: int


def _stamp_of(file: Path) -> _Stamp:
    try:
        found = file.stat()
    except OSError as problem:
        raise MirrorError(f"mirror {file} cannot be read: {problem.strerror}") from problem
    return _Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _size(file: Path) -> int:
    """Bytes in the file, 0 if there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as problem:
        raise MirrorError(f"mirror {file} cannot be opened: {problem.strerror}") from problem
