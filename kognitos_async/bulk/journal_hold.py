"""The descriptor of a journal's file, with its lock, shared by all who use the file in this process.

Closing any descriptor of a file drops the process's POSIX locks on it, including SQLite's. Hence a file is
opened once, and users that share it take turns: a lock of an open file does not tell them apart.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from typing import TYPE_CHECKING

from kognitos_async.bulk.file_lock import NO_LOCKS, lock, lock_shared, unlock
from kognitos_async.bulk.journal_errors import not_locked
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_TIMEOUT = 0.5
"""Seconds to wait for the lock, which readers hold briefly while they open the file."""
_READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""The errors of a file that may be read but not written."""


class Hold:
    """A journal's file, open in this process."""

    def __init__(self, descriptor: int, *, writable: bool) -> None:
        state = os.fstat(descriptor)
        self.identity: tuple[int, int] = state.st_dev, state.st_ino
        self.descriptor = descriptor
        self.writable = writable
        self.users = 0
        self.written = False
        """Whether one of the users writes, and so has the lock."""
        self.connections: list[sqlite3.Connection] = []
        """SQLite's connections to it."""
        self.inherited = False
        """Whether the file was opened by the process that this one was forked from, and was closed here."""
        self._others: list[int] = []

    def read(self, size: int, offset: int) -> bytes:
        """At most `size` bytes of the file."""
        if hasattr(os, "pread"):
            content: bytes = os.pread(self.descriptor, size, offset)
            return content
        with _holds.guard:  # Windows: all users, and the lock, share the position in the file
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, size)

    def keep(self, descriptor: int) -> None:
        """Keep another descriptor of the file open as long as this one."""
        self._others.append(descriptor)

    def close(self) -> None:
        """Close the file."""
        for descriptor in (self.descriptor, *self._others):
            os.close(descriptor)


class _Holds:
    """The files that are open in this process. The guard is held while one is opened, locked or closed."""

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.by_identity: dict[tuple[int, int], Hold] = {}
        self.written_by_parent: set[tuple[int, int]] = set()
        self.kept: list[sqlite3.Connection] = []

    def before_fork(self) -> None:
        """Wait until no file is being opened, so that the child knows of all that are open."""
        self.guard.acquire()

    def in_parent(self) -> None:
        """Go on after a fork."""
        self.guard.release()

    def in_child(self) -> None:
        """Close the files, without unlocking them: the locks are those of the parent's open files.

        Left open, they would be the locks of the child and of all other children too, and outlive the parent.
        Connections are kept: closing one, as collecting it does, would roll back what the parent is writing.
        """
        self.guard = threading.RLock()
        for hold in self.by_identity.values():
            hold.inherited = True
            self.kept += hold.connections
            if hold.written:
                self.written_by_parent.add(hold.identity)
            with contextlib.suppress(OSError):  # the process may close what it has not opened
                hold.close()
        self.by_identity.clear()


_holds = _Holds()
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(
        before=_holds.before_fork,
        after_in_parent=_holds.in_parent,
        after_in_child=_holds.in_child,
    )


def acquire(real_path: Path, path: Path, *, writing: bool) -> Hold:
    """The file, to be given back with `release`; when `writing`, locked against all other writers.

    Raises `JournalError`, naming `path`, if it is missing, in use or no regular file, or cannot be read,
    written or locked.
    """
    until = time.monotonic() + _LOCK_TIMEOUT
    while True:
        with _holds.guard:
            hold = _opened(real_path, path)
            try:
                if writing:
                    _lock(path, hold)
            except OSError as problem:
                if problem.errno in NO_LOCKS or time.monotonic() > until:
                    raise not_locked(path, problem) from problem
            else:
                hold.users += 1
                return hold
            finally:
                if not hold.users:
                    _close(hold)
        time.sleep(0.02)


def release(hold: Hold, *, writing: bool) -> None:
    """Give the file back. Close SQLite's connections to it first.

    Does nothing in a process forked since the file was opened.
    """
    with _holds.guard:
        if hold.inherited:
            return
        hold.users -= 1
        if writing:
            hold.written = False
            unlock(hold.descriptor)
        if not hold.users:
            _close(hold)


@contextlib.contextmanager
def without_writers(hold: Hold) -> Iterator[bool]:
    """Keep writers out for the block; False if a job, of any process, is writing already.

    A writer of this process, whose lock is the same, waits for the end of the block.
    """
    with _holds.guard:
        if hold.written:
            yield False
            return
        try:
            lock_shared(hold.descriptor)
        except OSError as problem:
            # No job can be writing in a file system without locks.
            yield problem.errno in NO_LOCKS
            return
        try:
            yield True
        finally:
            if not hold.written:  # by the same thread, within the block
                unlock(hold.descriptor)


def _opened(real_path: Path, path: Path) -> Hold:
    try:
        state = real_path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise JournalError(f"journal {path} must be a regular file; it was not changed")
        known = _holds.by_identity.get((state.st_dev, state.st_ino))
        if known is not None:
            return known
        if (state.st_dev, state.st_ino) in _holds.written_by_parent:
            # SQLite believes for as long as this process lives in the locks it held when it was forked.
            raise JournalError(
                f"journal {path} was in use by a job of the process that this one was forked from and cannot "
                "be opened here: start processes before the job, or with the method spawn or forkserver"
            )
        descriptor, writable = _open(real_path)
    except FileNotFoundError:
        raise JournalError(f"there is no journal {path}") from None
    except OSError as problem:
        raise JournalError(f"journal {path} cannot be read: {problem.strerror}") from problem
    hold = Hold(descriptor, writable=writable)
    known = _holds.by_identity.setdefault(hold.identity, hold)
    if known is not hold:  # a file that is in use was moved here since
        known.keep(descriptor)
    return known


def _open(path: Path) -> tuple[int, bool]:
    """A descriptor, and whether it is writable."""
    binary = getattr(os, "O_BINARY", 0)
    try:
        return os.open(path, os.O_RDWR | binary), True
    except OSError as problem:
        if problem.errno not in _READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY | binary), False


def _lock(path: Path, hold: Hold) -> None:
    if hold.written:
        raise JournalError(f"journal {path} is in use by this process: end that job first")
    if not hold.writable:
        raise JournalError(f"journal {path} cannot be written: Permission denied")
    lock(hold.descriptor)
    hold.written = True


def _close(hold: Hold) -> None:
    del _holds.by_identity[hold.identity]
    hold.close()
