"""The errors of a journal's file, as `JournalError`."""

from __future__ import annotations

import os
import sqlite3
from pathlib import PurePath
from typing import TYPE_CHECKING

from kognitos_async.bulk.file_lock import NO_LOCKS
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class mapping_sqlite_errors:  # noqa: N801 - used as a statement
    """Raises errors of SQLite in the block as `JournalError`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        text = str(error)
        if "locked" in text or "busy" in text:
            raise in_use(self._file) from error
        if isinstance(error, sqlite3.OperationalError):
            raise JournalError(
                f"journal {self._file} cannot be written: {text}. Every run that was started is recorded; "
                "free disk space or correct the folder's permissions, then resume with the same call"
            ) from error
        raise damaged(self._file, text) from error


def damaged(file: Path, how: str) -> JournalError:
    """The error for a damaged file."""
    name = PurePath(os.path.realpath(file)).name  # the companion is beside the file that links lead to
    return JournalError(
        f"journal {file} is damaged ({how}) and was not changed: restore {name}-journal beside it if "
        "there was one, or restore the journal from a backup. A new journal may start runs twice; look up "
        "existing runs by name first"
    )


def not_locked(file: Path, problem: OSError) -> JournalError:
    """The error for a file that could not be locked."""
    if problem.errno in NO_LOCKS:
        return JournalError(
            f"journal {file} cannot be locked: the file system of {file.parent} supports no locks (a network "
            "file system without its lock service?). Put it on a local disk"
        )
    return in_use(file)


def in_use(file: Path) -> JournalError:
    """The error for a journal in use by another process."""
    return JournalError(f"journal {file} is in use by another process: wait for it, or end it")
