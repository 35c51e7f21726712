"""A mirror in one SQLite file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.mirror.rows import MirroredRun, MirrorError, Progress
from kognitos_async.mirror.sqlite_file import (
    APPLICATION_ID,
    VERSION,
    ReadConnection,
    check_version,
    connect,
    mapped_errors,
    not_a_mirror,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE mirror (api TEXT NOT NULL);
CREATE TABLE progress (scope TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    key TEXT PRIMARY KEY,
    scope TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    parent TEXT NOT NULL,
    stage TEXT NOT NULL,
    status TEXT NOT NULL,
    settled INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    needed_person INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    settled_at TEXT,
    outputs TEXT NOT NULL,
    content TEXT NOT NULL,
    read_in INTEGER NOT NULL,
    first_read_in INTEGER NOT NULL,
    missing_since INTEGER
) WITHOUT ROWID;
CREATE INDEX runs_open ON runs (scope, read_in) WHERE NOT ended;
CREATE INDEX runs_created ON runs (created_at);
"""
_UPSERT = """
INSERT INTO runs (key, scope, id, name, parent, stage, status, settled, ended, needed_person, created_at,
                  settled_at, outputs, content, read_in, first_read_in)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    stage = excluded.stage, status = excluded.status, settled = excluded.settled, ended = excluded.ended,
    needed_person = max(needed_person, excluded.needed_person), created_at = excluded.created_at,
    settled_at = excluded.settled_at, outputs = excluded.outputs, content = excluded.content,
    read_in = excluded.read_in, missing_since = NULL
"""
_ROW = ", ".join(MirroredRun.__struct_fields__)
_KEYS_A_QUERY = 500

_encode = msgspec.json.Encoder().encode
_PROGRESS = msgspec.json.Decoder(Progress)
_OUTPUTS = msgspec.json.Decoder(dict[str, Any])


class SQLiteStore:
    """A mirror in a SQLite file: table `runs`, times as ISO text in UTC, outputs as JSON."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database: sqlite3.Connection | None = None
        self._reading: ReadConnection | None = None

    def open(self, api: str) -> None:
        """Open or create the file. Raises `MirrorError` if it is not a mirror, or one of the other API."""
        database = connect(self.file)
        try:
            with mapped_errors(self.file, "opened"):
                self._check_or_create(database, api)
        except BaseException:
            database.close()
            raise
        self._database = database

    def open_to_read(self) -> None:
        """Open the file to read its runs; nothing is created or changed.

        Raises `MirrorError` if it is not a mirror.
        """
        reading = ReadConnection(self.file)
        try:
            if not reading.is_ours:
                raise not_a_mirror(self.file)
            with mapped_errors(self.file, "read"):
                check_version(reading.database, self.file)
        except BaseException:
            reading.close()
            raise
        self._reading, self._database = reading, reading.database

    def _check_or_create(self, database: sqlite3.Connection, api: str) -> None:
        database.execute("BEGIN IMMEDIATE")
        with database:
            application = database.execute("PRAGMA application_id").fetchone()[0]
            if not application and not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
                database.execute("INSERT INTO mirror VALUES (?)", (api,))
                return
            if application != APPLICATION_ID:
                raise not_a_mirror(self.file)
            check_version(database, self.file)
            (known,) = database.execute("SELECT api FROM mirror").fetchone()
            if api and known != api:
                raise MirrorError(f"mirror {self.file} holds runs of {known}, not {api}: use another mirror")

    @property
    def _db(self) -> sqlite3.Connection:
        if self._database is None:
            raise MirrorError(f"mirror {self.file} is not open")
        return self._database

    def progress(self, scope: str) -> Progress:
        """The progress of mirroring the list `scope`."""
        with mapped_errors(self.file, "read"):
            row = self._db.execute("SELECT content FROM progress WHERE scope = ?", (scope,)).fetchone()
        return _PROGRESS.decode(row[0]) if row else Progress()

    def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> tuple[int, int]:
        """Store the runs and the progress in one transaction; return how many runs were new and changed."""
        database = self._db
        with mapped_errors(self.file, "written"), database:
            database.execute("BEGIN IMMEDIATE")
            before = self._contents([run.key for run in runs])
            database.executemany(_UPSERT, [_values(scope, run, progress.number) for run in runs])
            database.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (scope, _encode(progress)))
        latest = {run.key: run.content.decode() for run in runs}
        return (
            sum(key not in before for key in latest),
            sum(key in before and before[key] != content for key, content in latest.items()),
        )

    def _contents(self, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            marks = ", ".join("?" * len(some))
            found.update(self._db.execute(f"SELECT key, content FROM runs WHERE key IN ({marks})", some))  # noqa: S608 - question marks
        return found

    def known(self, keys: Collection[str]) -> set[str]:
        """The keys that are in the mirror."""
        with mapped_errors(self.file, "read"):
            return set(self._contents(list(keys)))

    def open_unread(self, scope: str, number: int, limit: int) -> list[str]:
        """The keys of at most `limit` runs that have not ended and were not read in pass `number`."""
        with mapped_errors(self.file, "read"):
            rows = self._db.execute(
                "SELECT key FROM runs WHERE scope = ? AND NOT ended AND read_in < ? LIMIT ?",
                (scope, number, limit),
            )
            return [key for (key,) in rows]

    def mark_missing(self, keys: Collection[str], number: int) -> None:
        """Mark runs that the API no longer has, or that cannot be decoded, as read in pass `number`."""
        with mapped_errors(self.file, "written"), self._db as database:
            database.executemany(
                "UPDATE runs SET read_in = ?, missing_since = coalesce(missing_since, ?) WHERE key = ?",
                [(number, number, key) for key in keys],
            )

    def publish(self) -> None:
        """Do nothing: readers use the file itself."""

    def rows(self, day: str = "") -> Iterator[MirroredRun]:
        """All runs, or those created on `day` (ISO date in UTC), oldest first, read lazily.

        Raises `MirrorError`; after `open_to_read` also `MirrorChangedError`, at the end.
        """
        try:
            with mapped_errors(self.file, "read"):
                for row in self._db.execute(
                    f"SELECT {_ROW} FROM runs WHERE created_at >= ? AND created_at < ? "  # noqa: S608 - constants
                    "ORDER BY created_at, key",
                    (day, f"{day}~"),
                ):
                    yield _run_of(row)
        except MirrorError:
            self._check_unchanged()  # a page written meanwhile reads as a damaged one
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self._reading is not None:
            self._reading.check_unchanged()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = self._reading = None


def _values(scope: str, run: MirroredRun, number: int) -> tuple[Any, ...]:
    return (
        run.key,
        scope,
        run.id,
        run.name,
        run.parent,
        run.stage,
        run.status,
        run.settled,
        run.ended,
        run.needed_person,
        _iso(run.created_at),
        None if run.settled_at is None else _iso(run.settled_at),
        _encode(run.outputs).decode(),
        run.content.decode(),
        number,
        number,
    )


def _run_of(row: tuple[Any, ...]) -> MirroredRun:
    """The run in a row with the columns of `_ROW`."""
    key, id_, name, parent, stage, status, settled, ended, person, created, settled_at, outputs, content = row
    return MirroredRun(
        key=key,
        id=id_,
        name=name,
        parent=parent,
        stage=stage,
        status=status,
        settled=bool(settled),
        ended=bool(ended),
        needed_person=bool(person),
        created_at=datetime.fromisoformat(created),
        settled_at=None if settled_at is None else datetime.fromisoformat(settled_at),
        outputs=_OUTPUTS.decode(outputs),
        content=content.encode(),
    )


def _iso(time: datetime) -> str:
    """ISO text in UTC of constant length, so that it sorts chronologically."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
