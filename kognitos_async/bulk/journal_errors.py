"""What is wrong with a journal's file, as `JournalError`."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from kognitos_async.bulk.file_lock import NO_LOCKS
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


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
        text = str(error)
        if "locked" in text or "busy" in text:
            raise in_use(self._file) from error
        if isinstance(error, sqlite3.OperationalError):
            raise JournalError(
                f"journal {self._file} cannot be written: {text}. Nothing was started that is not recorded; "
                "free the disk or correct the folder's permissions, then resume with the same call"
            ) from error
        raise damaged(self._file, text) from error


def damaged(file: Path, how: str) -> JournalError:
    """The error for a file that cannot be what was written."""
    return JournalError(
        f"journal {file} is damaged ({how}) and was left as it is: bring {file.name}-journal back beside it "
        "if there was one, or restore it from a copy. Starting anew without it may start runs twice; their "
        "names tell which exist"
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
    """The error for a journal that another process writes."""
    return JournalError(f"journal {file} is in use by another process: wait for it, or end it")
