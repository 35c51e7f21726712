"""Uploads that earlier versions of the command recorded beside a journal, in a file of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kognitos_async.errors import JournalError
from kognitos_async.uploads.placeholders import content_mark, replaced

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


def early_uploads_of(journal: Path) -> Path:
    """Where they are."""
    return journal.with_name(f"{journal.name}.files")


def adopt_early_uploads(journal: Path, database: sqlite3.Connection) -> None:
    """Take them into the journal, whose requests name their files by content from then on.

    Part of a transaction; delete the file once that is committed. Raises `JournalError` for a file that
    cannot be read.
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
    # Without a fingerprint, it is taken anew from the request.
    database.executemany("UPDATE runs SET request = ?, content = NULL WHERE position = ?", changed)


def _marks(record: Path) -> dict[str, str]:
    """What names each file by content, by the id it got.

    A last line without its end was not on disk when the process ended, so nobody used it.
    """
    try:
        lines = record.read_bytes().splitlines(keepends=True)
        return dict(_pair(line) for line in lines if line.endswith(b"\n"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise JournalError(f"{record} is damaged: restore it from a copy") from None


def _pair(line: bytes) -> tuple[str, str]:
    match json.loads(line):
        case [str(key), str(file_id)]:
            name, bar, content_hash = key.rpartition("|")
            if bar:
                return file_id, content_mark(content_hash, name)
    raise ValueError(line)
