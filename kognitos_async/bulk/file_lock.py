"""A lock on one byte of a file, held until it is released or the process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""The errors of a file system that does not support locks."""
_LOCK_BYTE = 0x4001_0000
"""Beyond the bytes that SQLite locks."""

if sys.platform == "win32":

    def lock(descriptor: int) -> None:
        """Lock the byte. Raises `OSError` if it is locked, or if the file system does not support locks."""
        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    lock_shared = lock  # there are no other locks, but these need no permission to write

    def unlock(descriptor: int) -> None:
        """Release the lock."""
        os.lseek(descriptor, _LOCK_BYTE, os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    _OPEN_FILE_LOCK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
    """Linux: a lock of the open file, which closing another descriptor, such as SQLite's, does not drop."""

    def lock(descriptor: int) -> None:
        """Lock the byte. Raises `OSError` if it is locked, or if the file system does not support locks.

        Also tries the kind of lock that SQLite needs.
        """
        _try_posix_lock(descriptor)
        if not _set_open_file_lock(descriptor, fcntl.F_WRLCK):
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCK_BYTE)

    def lock_shared(descriptor: int) -> None:
        """Lock the byte against `lock`, but not against others who share it. The descriptor may be read-only.

        Raises `OSError` if it is locked, or if the file system does not support locks.
        """
        _try_posix_lock(descriptor)
        if not _set_open_file_lock(descriptor, fcntl.F_RDLCK):
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _LOCK_BYTE)

    def unlock(descriptor: int) -> None:
        """Release the lock."""
        with contextlib.suppress(OSError):
            if not _set_open_file_lock(descriptor, fcntl.F_UNLCK):
                fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, _LOCK_BYTE)

    def _try_posix_lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _LOCK_BYTE + 1)

    def _set_open_file_lock(descriptor: int, kind: int) -> bool:
        """Lock or unlock as an open file; return whether the system supports such locks."""
        if _OPEN_FILE_LOCK is None:
            return False
        try:
            fcntl.fcntl(
                descriptor, _OPEN_FILE_LOCK, struct.pack("hhqqi0q", kind, os.SEEK_SET, _LOCK_BYTE, 1, 0)
            )
        except OSError as problem:
            if problem.errno == errno.EINVAL:
                return False
            raise
        return True
