"""A mirror as a folder of Parquet files, one for each day (extra `sync`)."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import msgspec

from kognitos_async.mirror.rows import MirrorError
from kognitos_async.mirror.sqlite_file import mapped_errors, not_a_mirror
from kognitos_async.mirror.sqlite_store import SQLiteStore

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"a mirror of Parquet files needs {missing.name}: pip install 'kognitos-async[sync]'",
        name=missing.name,
    ) from None

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kognitos_async.mirror.rows import MirroredRun, Progress

_STATE = ".mirror.sqlite"
_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "name", "parent", "stage", "status")),
        *((name, pa.bool_()) for name in ("settled", "ended", "needed_person")),
        *((name, _TIME) for name in ("created_at", "settled_at")),
        *((name, pa.string()) for name in ("outputs", "content")),
    ]
)


class ParquetStore(SQLiteStore):
    """Files `created=YYYY-MM-DD/runs.parquet`: timestamps in UTC, outputs and the run as JSON text.

    The mirror itself is a SQLite file in the folder. After each pass the files of changed days are replaced
    atomically.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / _STATE)
        self.folder = folder

    def open(self, api: str) -> None:
        """Open or create the folder. Raises `MirrorError` if it is not a mirror, or one of the other API."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise MirrorError(f"mirror {self.folder} cannot be created: {problem.strerror}") from problem
        super().open(api)
        with mapped_errors(self.file, "written"):
            self._db.execute("CREATE TABLE IF NOT EXISTS unpublished (day TEXT PRIMARY KEY) WITHOUT ROWID")

    def open_to_read(self) -> None:
        """Open the folder to read its runs; nothing is created or changed.

        Raises `MirrorError` if it is not a mirror.
        """
        if not self.file.exists():
            raise not_a_mirror(self.folder)
        super().open_to_read()

    def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> tuple[int, int]:
        """Store the runs and the progress, and record the days to be written."""
        days = {(run.created_at.date().isoformat(),) for run in runs}
        # Before the runs: an unchanged day may be written, but no changed one is missed.
        with mapped_errors(self.file, "written"):
            self._db.executemany("INSERT OR IGNORE INTO unpublished VALUES (?)", days)
        return super().write(scope, runs, progress)

    def publish(self) -> None:
        """Write the files of changed days."""
        with mapped_errors(self.file, "written"):
            for (day,) in self._db.execute("SELECT day FROM unpublished ORDER BY day").fetchall():
                try:
                    self._write_day(day)
                except OSError as problem:
                    raise MirrorError(
                        f"mirror {self.folder} cannot be written: {problem.strerror}"
                    ) from problem
                self._db.execute("DELETE FROM unpublished WHERE day = ?", (day,))

    def _write_day(self, day: str) -> None:
        target = self.folder / f"created={day}" / "runs.parquet"
        target.parent.mkdir(exist_ok=True)
        beside = target.with_name(f".runs.{secrets.token_hex(4)}.part")
        rows = [
            {
                **{name: getattr(run, name) for name in _SCHEMA.names},
                "outputs": msgspec.json.encode(run.outputs).decode(),
                "content": run.content.decode(),
            }
            for run in self.rows(day)
        ]
        try:
            pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), beside)
            with beside.open("rb+") as written:
                os.fsync(written.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
