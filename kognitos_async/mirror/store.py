"""Where a mirror is kept: the protocol, and which store a path means."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from kognitos_async.mirror.rows import MirroredRun, Progress


class RunStore(Protocol):
    """A mirror on disk. All calls but `open` are made in one worker thread; each one is atomic."""

    def open(self, api: str) -> None:
        """Open or create the store; `MirrorError` if it belongs to another API or is no mirror."""
        ...

    def progress(self, scope: str) -> Progress:
        """How far the list `scope` has been mirrored."""
        ...

    def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> tuple[int, int]:
        """Keep the runs and the progress in one transaction: how many were new, and how many changed."""
        ...

    def known(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that the mirror holds."""
        ...

    def open_unread(self, scope: str, number: int, limit: int) -> list[str]:
        """Keys of runs that had not ended and were not read in pass `number`, `limit` at most."""
        ...

    def mark_missing(self, keys: Collection[str], number: int) -> None:
        """Note runs that the API no longer has, read in pass `number`."""
        ...

    def publish(self) -> None:
        """Make the pass visible where the store has a second form (files of a folder)."""
        ...

    def rows(self) -> Iterator[MirroredRun]:
        """All runs, the oldest first, read as they are asked for."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


def store_of(path: str | os.PathLike[str]) -> RunStore:
    """The store that a path means: `*.duckdb`, a folder (or a path that ends in /), else SQLite.

    Raises `ModuleNotFoundError` naming the extra when DuckDB or pyarrow is missing.
    """
    text = os.fspath(path)
    file = Path(text)
    if file.suffix == ".duckdb":
        from kognitos_async.mirror.duckdb_store import DuckDBStore  # noqa: PLC0415 - an extra

        return DuckDBStore(file)
    if text.endswith(("/", os.sep)) or file.is_dir():
        from kognitos_async.mirror.parquet_store import ParquetStore  # noqa: PLC0415 - an extra

        return ParquetStore(file)
    from kognitos_async.mirror.sqlite_store import SQLiteStore  # noqa: PLC0415 - brings SQLite

    return SQLiteStore(file)
