"""Migration of upload records that earlier versions of the command kept in a file beside the journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kognitos_async.errors import JournalError
from kognitos_async.uploads.placeholders import content_mark, replaced

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


def early_uploads_of(journal: Path) -> Path:
    """The path of the old record of uploads."""
    return journal.with_name(f"{journal.name}.files")


def adopt_early_uploads(journal: Path, database: sqlite3.Connection) -> None:
    """Move the records into the journal, and identify files in its requests by content.

    Runs within the caller's transaction; delete the old file after the commit. Raises `JournalError` for a
    file that cannot be read.
    """
    marks = _marks(early_uploads_of(journal))
    if not marks:
        return
    database.executemany("INSERT OR IGNORE INTO files VALUES (?, ?)", ((m, i) for i, m in marks.items()))
    changed = []
    for position, request in database.execute("SELECT position, request FROM runs"):
        named = replaced(request, marks)
        if named != request:
            changed.append((named, position))
    # A missing fingerprint is computed from the request when needed.
    database.executemany("UPDATE runs SET request = ?, content = NULL WHERE position = ?", changed)


def _marks(record: Path) -> dict[str, str]:
    """The content marks of the uploaded files by file id.

    A last line without a newline was cut off by a crash before the upload was used; it is ignored.
    """
    try:
        lines = record.read_bytes().splitlines(keepends=True)
        return dict(_pair(line) for line in lines if line.endswith(b"\n"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise JournalError(f"{record} is damaged: restore it from a backup") from None


def _pair(line: bytes) -> tuple[str, str]:
    match json.loads(line):
        case [str(key), str(file_id)]:
            name, bar, content_hash = key.rpartition("|")
            if bar:
                return file_id, content_mark(content_hash, name)
    raise ValueError(line)
