"""A mirror in a DuckDB file (extra `sync`)."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.mirror.rows import MirrorBusyError, MirroredRun, MirrorError, Progress

try:
    import duckdb
    import pyarrow as pa
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"a mirror in DuckDB needs {missing.name}: pip install 'kognitos-async[sync]'", name=missing.name
    ) from None

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

_SCHEMA = """
CREATE TABLE mirror (api TEXT NOT NULL, version INTEGER NOT NULL);
CREATE TABLE progress (scope TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE runs (
    key TEXT PRIMARY KEY, scope TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL,
    stage TEXT NOT NULL, status TEXT NOT NULL, settled BOOLEAN NOT NULL, ended BOOLEAN NOT NULL,
    needed_person BOOLEAN NOT NULL, created_at TIMESTAMPTZ NOT NULL, settled_at TIMESTAMPTZ,
    outputs JSON NOT NULL, content JSON NOT NULL, read_in BIGINT NOT NULL, missing_since BIGINT
);
"""
_VERSION = 1
_COLUMNS = (
    "key, scope, id, name, parent, stage, status, settled, ended, needed_person, created_at, settled_at, "
    "outputs, content, read_in, missing_since"
)
_CHANGING = (
    "stage", "status", "settled", "ended", "created_at", "settled_at", "outputs", "content", "read_in",
    "missing_since",
)  # fmt: skip
_UPSERT = (
    f"INSERT INTO runs SELECT {_COLUMNS} FROM batch ON CONFLICT (key) DO UPDATE SET "  # noqa: S608 - constants
    f"{', '.join(f'{name} = excluded.{name}' for name in _CHANGING)}, "
    "needed_person = (needed_person OR excluded.needed_person)"
)
# As numbers: DuckDB needs another package to return times with a zone.
_SELECT = (
    "SELECT * REPLACE (epoch_us(created_at) AS created_at, epoch_us(settled_at) AS settled_at) "  # noqa: S608 - constants
    f"FROM (SELECT {_COLUMNS} FROM runs) ORDER BY created_at, key"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS_AT_ONCE = 1000

_encode = msgspec.json.Encoder().encode
_PROGRESS = msgspec.json.Decoder(Progress)
_OUTPUTS = msgspec.json.Decoder(dict[str, Any])
_TIME = pa.timestamp("us", tz="UTC")
_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "scope", "id", "name", "parent", "stage", "status")),
        *((name, pa.bool_()) for name in ("settled", "ended", "needed_person")),
        *((name, _TIME) for name in ("created_at", "settled_at")),
        *((name, pa.string()) for name in ("outputs", "content")),
        *((name, pa.int64()) for name in ("read_in", "missing_since")),
    ]
)


class DuckDBStore:
    """A mirror in a DuckDB file: table `runs` with timestamps in UTC, and outputs as JSON."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database: duckdb.DuckDBPyConnection | None = None

    def open(self, api: str) -> None:
        """Open or create the file. Raises `MirrorError` if it is not a mirror, or one of the other API."""
        with self._connected(read_only=False) as database:
            if not self._is_mirror(database):
                database.execute("BEGIN")
                database.execute(_SCHEMA)
                database.execute("INSERT INTO mirror VALUES (?, ?)", [api, _VERSION])
                database.execute("COMMIT")
            known = self._api(database)
            if api and known != api:
                raise MirrorError(f"mirror {self.file} holds runs of {known}, not {api}: use another mirror")

    def open_to_read(self) -> None:
        """Open the file to read its runs; nothing is created or changed.

        Raises `MirrorError` if it is not a mirror, `MirrorBusyError` during a pass.
        """
        if not self.file.exists():
            raise MirrorError(f"there is no mirror {self.file}")
        with self._connected(read_only=True) as database:
            if not self._is_mirror(database):
                raise self._not_a_mirror()
            self._api(database)

    @contextmanager
    def _connected(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that is kept if the block succeeds."""
        with self._mapped_errors("opened"):
            database = duckdb.connect(str(self.file), read_only=read_only)
            try:
                database.execute("SET TimeZone = 'UTC'")
                yield database
            except BaseException:
                database.close()
                raise
        self._database = database

    @contextmanager
    def _mapped_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as problem:
            text = str(problem)
            # Of a process that holds the file, or of this one holding it the other way: it has no own class.
            if "Could not set lock" in text or "different configuration" in text:
                raise MirrorBusyError(
                    f"mirror {self.file} is in use: a DuckDB file can be read only between the passes of a "
                    "sync, and no pass can run while it is read. Try again later, or use SQLite"
                ) from problem
            raise MirrorError(f"mirror {self.file} cannot be {what}: {text}") from problem

    def _is_mirror(self, database: duckdb.DuckDBPyConnection) -> bool:
        """Whether the file is a mirror; False if it is empty. Raises `MirrorError` for another content."""
        tables = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if tables and not {"mirror", "progress", "runs"} <= tables:
            raise self._not_a_mirror()
        return bool(tables)

    def _not_a_mirror(self) -> MirrorError:
        return MirrorError(f"{self.file} is not a mirror of kognitos-async; it was not changed")

    def _api(self, database: duckdb.DuckDBPyConnection) -> str:
        """The API whose runs it holds. Raises `MirrorError` for another format."""
        known: str
        known, version = database.execute("SELECT api, version FROM mirror").fetchall()[0]
        if version != _VERSION:
            raise MirrorError(
                f"mirror {self.file} has format version {version}, but this version of kognitos-async reads "
                f"{_VERSION}"
            )
        return known

    @property
    def _db(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            raise MirrorError(f"mirror {self.file} is not open")
        return self._database

    def progress(self, scope: str) -> Progress:
        """The progress of mirroring the list `scope`."""
        rows = self._all("SELECT content FROM progress WHERE scope = ?", [scope])
        return _PROGRESS.decode(rows[0][0]) if rows else Progress()

    def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> tuple[int, int]:
        """Store the runs and the progress in one transaction; return how many runs were new and changed."""
        latest = {run.key: run for run in runs}
        database = self._db
        with self._mapped_errors("written"):
            database.execute("BEGIN")
            try:
                before = self._contents(list(latest))
                if latest:
                    batch = pa.Table.from_pylist(
                        [_values(scope, run, progress.number) for run in latest.values()], schema=_ARROW
                    )
                    database.register("batch", batch)
                    database.execute(_UPSERT)
                    database.unregister("batch")
                database.execute(
                    "INSERT OR REPLACE INTO progress VALUES (?, ?)", [scope, _encode(progress).decode()]
                )
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        return (
            sum(key not in before for key in latest),
            sum(key in before and before[key] != run.content.decode() for key, run in latest.items()),
        )

    def _contents(self, keys: Sequence[str]) -> dict[str, str]:
        if not keys:
            return {}
        return dict(self._all("SELECT key, content FROM runs WHERE key IN (SELECT unnest(?))", [list(keys)]))

    def known(self, keys: Collection[str]) -> set[str]:
        """The keys that are in the mirror."""
        return set(self._contents(list(keys)))

    def open_unread(self, scope: str, number: int, limit: int) -> list[str]:
        """The keys of at most `limit` runs that have not ended and were not read in pass `number`."""
        rows = self._all(
            "SELECT key FROM runs WHERE scope = ? AND NOT ended AND read_in < ? LIMIT ?",
            [scope, number, limit],
        )
        return [key for (key,) in rows]

    def mark_missing(self, keys: Collection[str], number: int) -> None:
        """Mark runs that the API no longer has, or that cannot be decoded, as read in pass `number`."""
        self._all(
            "UPDATE runs SET read_in = ?, missing_since = coalesce(missing_since, ?) "
            "WHERE key IN (SELECT unnest(?))",
            [number, number, list(keys)],
        )

    def publish(self) -> None:
        """Write the write-ahead log to the file."""
        self._all("CHECKPOINT")

    def rows(self) -> Iterator[MirroredRun]:
        """All runs, oldest first, read lazily. Raises `MirrorError`."""
        with self._mapped_errors("read"):
            cursor = self._db.cursor()
            cursor.execute("SET TimeZone = 'UTC'")
            result = cursor.execute(_SELECT)
            while rows := result.fetchmany(_ROWS_AT_ONCE):
                for row in rows:
                    yield _run_of(dict(zip(_COLUMNS.split(", "), row, strict=True)))

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with self._mapped_errors("used"):
            return self._db.execute(statement, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _values(scope: str, run: MirroredRun, number: int) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(run),
        "scope": scope,
        "outputs": _encode(run.outputs).decode(),
        "content": run.content.decode(),
        "read_in": number,
        "missing_since": None,
    }


def _run_of(row: dict[str, Any]) -> MirroredRun:
    kept = {name: row[name] for name in MirroredRun.__struct_fields__}
    for name in ("created_at", "settled_at"):
        kept[name] = None if kept[name] is None else _EPOCH + timedelta(microseconds=kept[name])
    kept["outputs"] = _OUTPUTS.decode(row["outputs"])
    kept["content"] = row["content"].encode()
    return MirroredRun(**kept)
