"""The schema of a journal, and how a file is created and migrated."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.bulk.file_lock import lock
from kognitos_async.bulk.journal_errors import damaged, mapping_sqlite_errors, not_locked
from kognitos_async.bulk.ledger import PLATFORM_V1, REST_V2
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID = 0x4B474E4A  # "KGNJ"
VERSION = 2
_ROLLBACK = struct.Struct(">8sIIIII")  # magic, records, nonce, pages, sector size, page size
_ROLLBACK_MAGIC = bytes.fromhex("d9d505f920a163d7")
_DRAFT = re.compile(r"\.kognitos-[0-9a-f]{16}\.new(-journal)?")
_ABANDONED = 3600.0
"""Seconds after which a draft, which is needed for a moment, is that of a killed process."""

# The id is part of the schema, hence on the first page: a rollback journal holds an image of that page.
_SCHEMA = """
CREATE TABLE job (
    -- id {id}
    generation INTEGER NOT NULL,
    api TEXT
);
INSERT INTO job VALUES (0, NULL);
CREATE TABLE runs (
    position INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    request BLOB NOT NULL,
    state TEXT NOT NULL,
    generation INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    since REAL,
    run_id TEXT,
    run BLOB,
    status TEXT,
    content BLOB,
    start_window BLOB
);
"""
_ADDED = """
CREATE TABLE earlier_runs (
    position INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    status TEXT,
    run BLOB
);
CREATE INDEX earlier_runs_of ON earlier_runs (position);
CREATE INDEX earlier_run_ids ON earlier_runs (run_id);
CREATE INDEX by_state ON runs (state, status);
CREATE INDEX run_ids ON runs (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX in_doubt ON runs (content) WHERE state = 'starting';
"""
FILES = "CREATE TABLE IF NOT EXISTS files (mark TEXT PRIMARY KEY, file_id TEXT NOT NULL) WITHOUT ROWID"
"""Uploaded files by content mark; created when a journal is opened, since early journals lack the table."""
_FROM_1 = """
CREATE TABLE job_2 (
    -- id {id}
    generation INTEGER NOT NULL,
    api TEXT
);
INSERT INTO job_2 SELECT generation, NULL FROM job;
DROP TABLE job;
ALTER TABLE job_2 RENAME TO job;
DROP INDEX unfinished;
ALTER TABLE runs ADD COLUMN status TEXT;
ALTER TABLE runs ADD COLUMN content BLOB;
ALTER TABLE runs ADD COLUMN start_window BLOB;
UPDATE runs SET status = status_of(run) WHERE run IS NOT NULL;
UPDATE job SET api = api_of((SELECT request FROM runs LIMIT 1));
"""


def create(path: Path) -> None:
    """Create an empty journal atomically: under a temporary name, then linked into place.

    Raises `JournalError` if there is a companion of another file, which SQLite would replay into this one.
    """
    for companion in (companion_of(path), write_ahead_log_of(path)):
        if old_pages(companion) or (companion == write_ahead_log_of(path) and companion.exists()):
            raise JournalError(
                f"there is no journal {path}, but {companion} is left from a killed process: restore the "
                "journal beside it, or delete it to start a new journal"
            )
    # Random: the process ids of two containers that share the folder may be equal.
    draft = path.with_name(f".kognitos-{secrets.token_hex(8)}.new")
    try:
        _check_locks(path, draft)
        with mapping_sqlite_errors(path):
            database = sqlite3.connect(draft, isolation_level=None)
            try:
                database.executescript(_SCHEMA.format(id=secrets.token_hex(16)) + _ADDED)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
            finally:
                database.close()
        _delete_abandoned(draft)
        try:
            os.link(draft, path)  # unlike a rename, never replaces a file made by another process
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            _rename(draft, path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise JournalError(f"journal {path} cannot be created: {problem.strerror}") from problem
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _delete_abandoned(draft: Path) -> None:
    """Delete the drafts of killed processes beside this one, where that is allowed.

    Those of the last hour, by the clock of the file system, may still be in use.
    """
    with contextlib.suppress(OSError):
        made = draft.stat().st_mtime
        for file in draft.parent.iterdir():
            if _DRAFT.fullmatch(file.name):
                with contextlib.suppress(OSError):  # another process deletes it too
                    if made - file.stat().st_mtime > _ABANDONED:
                        file.unlink()


def _rename(draft: Path, path: Path) -> None:
    """Rename the draft, unless another process has made the file; raises `JournalError` while one makes it.

    A lock, on a file of its own, makes the check and the renaming one step.
    """
    claim = path.with_name(f".{path.name}.new")
    descriptor = os.open(claim, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            lock(descriptor)
        except OSError as problem:
            raise not_locked(path, problem) from problem
        if not path.exists():
            draft.rename(path)
    finally:
        os.close(descriptor)
    with contextlib.suppress(OSError):  # Windows: another process has it open
        claim.unlink()  # whoever has opened it, or makes a new one, finds the journal


def _check_locks(path: Path, draft: Path) -> None:
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        lock(descriptor)
    except OSError as problem:
        raise not_locked(path, problem) from problem
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Sync a new directory entry, so that it survives a power cut; no-op where folders cannot be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def migrate(path: Path, database: sqlite3.Connection) -> None:
    """Migrate a file of version 1, including its write-ahead log."""
    database.execute("PRAGMA journal_mode = DELETE")
    flaw = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if flaw != "ok":
        raise damaged(path, flaw)
    database.create_function("status_of", 1, _status_of, deterministic=True)
    database.create_function("api_of", 1, _api_of, deterministic=True)
    statements = _FROM_1.format(id=secrets.token_hex(16)) + _ADDED
    database.executescript(f"BEGIN IMMEDIATE; {statements} PRAGMA user_version = {VERSION}; COMMIT;")


def _status_of(run: bytes) -> str | None:
    """The status of a run of either API recorded by version 1."""
    known: dict[str, Any] = msgspec.json.decode(run)
    state = known.get("status", known.get("state"))
    if isinstance(state, dict):
        state = next((member for member in state if member != "update_time"), None)
    return state


def _api_of(request: bytes | None) -> str | None:
    """The API of a request recorded by version 1."""
    if request is None:
        return None
    return PLATFORM_V1 if "automation" in msgspec.json.decode(request) else REST_V2


def mark_of(first_page: bytes) -> bytes | None:
    """The journal's id in its first page, None if there is none."""
    at = first_page.find(b"-- id ")
    return first_page[at : at + 38] if at >= 0 else None


def companion_of(path: Path) -> Path:
    """The path of the file's rollback journal, as named by SQLite."""
    return path.with_name(f"{path.name}-journal")


def write_ahead_log_of(path: Path) -> Path:
    """The path of the write-ahead log of a version 1 file, as named by SQLite."""
    return path.with_name(f"{path.name}-wal")


def old_pages(companion: Path) -> list[bytes]:
    """The images of the first page in a rollback journal; one empty page if it only holds others.

    Empty if SQLite would replay nothing.
    """
    try:
        content = companion.read_bytes()
    except OSError:
        return []
    if len(content) < _ROLLBACK.size:
        return []
    magic, records, _, _, sector, page = _ROLLBACK.unpack_from(content)
    if magic != _ROLLBACK_MAGIC or not records:
        return []
    size = page + 8  # page number, page, checksum
    return [
        content[at + 4 : at + 4 + page]
        for at in range(sector, min(len(content), sector + records * size), size)
        if content[at : at + 4] == b"\0\0\0\1"
    ] or [b""]
