"""A file that preserves runs and files of the emulator beyond its process."""

from __future__ import annotations

import errno
import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from os import PathLike

    from kognitos_async.testing.clock import Clock

Record = dict[str, Any]
"""An object as plain values."""

_APPLICATION_ID = 0x4B676E53
"""Marks a SQLite file as one of the emulator's (`KgnS`)."""
_TABLE = (
    "CREATE TABLE record (number INTEGER PRIMARY KEY, kind TEXT, key TEXT, data BLOB, UNIQUE (kind, key))"
)


class State(Protocol):
    """Storage to which worlds report changes and from which they restore."""

    secret: bytes
    """Key that signs page tokens and upload forms."""

    def load(self, kind: str) -> list[Record]:
        """The records of a kind, in order of first storage."""
        ...

    def changed(self, kind: str, key: str, record: Callable[[], Record | None]) -> None:
        """Store `record()` at the next flush; None deletes the stored record."""
        ...

    def flush(self) -> None:
        """Write the changes. Every answer waits for it, so that no client knows more than the file."""
        ...

    def close(self) -> None:
        """Release the storage for another server."""
        ...


class Transient:
    """A state that stores nothing."""

    def __init__(self) -> None:
        self.secret: bytes = secrets.token_bytes(32)

    def load(self, kind: str) -> list[Record]:  # noqa: ARG002 - as the protocol says
        """No records."""
        return []

    def changed(self, kind: str, key: str, record: Callable[[], Record | None]) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class StateFile:
    """A SQLite file, open in one process at a time.

    It survives the end of the process, even kill -9, but not a power failure: it is not synced to disk.
    Raises `OSError` for a file that is in use or not a state file, which is left as it is, and `ValueError`
    for one created with another seed, whose processes and automations have other ids.
    """

    def __init__(self, path: str | PathLike[str], clock: Clock, *, seed: int) -> None:
        self._path = path
        self._clock = clock
        self._seed = seed
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], Callable[[], Record | None]] = {}
        self._file: sqlite3.Connection | None = None
        found = self.load("server")
        settings: Record = found[0] if found else {"seed": seed, "secret": secrets.token_bytes(32)}
        if settings["seed"] != seed:
            self.close()
            message = f"seed must be {settings['seed']}, that of {path}, got {seed}"
            raise ValueError(message)
        self.secret: bytes = settings["secret"]
        if "origin" in settings:
            clock.resume(settings["origin"])

    def _open(self) -> sqlite3.Connection:
        import sqlite3  # noqa: PLC0415 - rarely needed

        if self._file is not None:
            return self._file
        with self._os_errors():
            file = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            try:
                file.execute("PRAGMA locking_mode = EXCLUSIVE")
                file.execute("PRAGMA synchronous = OFF")
                # Nothing is written before the file is known to be ours, and nobody else claims it meanwhile.
                file.execute("BEGIN EXCLUSIVE")
                self._claim(file)
                file.execute("COMMIT")
                file.execute("PRAGMA journal_mode = WAL")
            except BaseException:
                file.close()
                raise
        self._file = file
        return file

    def _claim(self, file: sqlite3.Connection) -> None:
        """Create the table in an empty file. Raises `OSError` for a database of something else."""
        (application,) = file.execute("PRAGMA application_id").fetchone()
        if application == _APPLICATION_ID:
            return
        found = file.execute("SELECT sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'")
        tables = [sql for (sql,) in found]
        # Files of earlier versions have no application id, but this table alone.
        if application or tables not in ([], [_TABLE]):
            raise self._error(errno.EINVAL, "is not one", "a database of another program")
        if not tables:
            file.execute(_TABLE)
        file.execute(f"PRAGMA application_id = {_APPLICATION_ID}")

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        """Turn errors of SQLite into `OSError`."""
        import sqlite3  # noqa: PLC0415 - rarely needed

        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._error(errno.EBUSY, "cannot be used", error) from error
        except sqlite3.DatabaseError as error:
            raise self._error(errno.EINVAL, "is not one", error) from error

    def _error(self, number: int, what: str, why: object) -> OSError:
        return OSError(number, f"state file {what} ({why})", str(self._path))

    def load(self, kind: str) -> list[Record]:
        """The records of a kind, in order of first storage."""
        file = self._open()
        with self._os_errors():
            rows = file.execute("SELECT data FROM record WHERE kind = ? ORDER BY number", (kind,)).fetchall()
        return [msgspec.msgpack.decode(data) for (data,) in rows]

    def changed(self, kind: str, key: str, record: Callable[[], Record | None]) -> None:
        """Store `record()` at the next flush."""
        with self._lock:
            self._pending[kind, key] = record

    def flush(self) -> None:
        """Write the changes in one transaction."""
        with self._lock:
            pending, self._pending = self._pending, {}
        if not pending:
            return
        # Outside the lock: a record is made under its world's lock, whose holder may report changes.
        rows = [(kind, key, record()) for (kind, key), record in pending.items()]
        server = {"seed": self._seed, "secret": self.secret, "origin": self._clock.origin}
        kept = [(kind, key, record) for kind, key, record in [*rows, ("server", "", server)] if record]
        with self._lock:
            file = self._open()
            file.execute("BEGIN")
            file.executemany(
                "DELETE FROM record WHERE kind = ? AND key = ?",
                [(kind, key) for kind, key, record in rows if record is None],
            )
            file.executemany(
                "INSERT INTO record (kind, key, data) VALUES (?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET data = excluded.data",
                [(kind, key, msgspec.msgpack.encode(record)) for kind, key, record in kept],
            )
            file.execute("COMMIT")

    def close(self) -> None:
        """Release the file for another server. The next flush reopens it."""
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()


def fields_of(value: object, *names: str) -> Record:
    """Attributes of an object by name."""
    return {name: getattr(value, name) for name in names}
