"""The protocol of a mirror's store, and the choice of a store by its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from kognitos_async.mirror.rows import MirrorChangedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from kognitos_async.mirror.rows import MirroredRun, Progress

T = TypeVar("T")
_TRIES = 5
"""Readings of a mirror that is changed during each: a second one finds the log of the pass and uses it."""


class RunStore(Protocol):
    """A mirror on disk. Each call is atomic; a sync makes all of them in one worker thread."""

    def open(self, api: str) -> None:
        """Open or create the store. Raises `MirrorError` if it is not a mirror, or one of the other API.

        An empty `api` opens a mirror of either.
        """
        ...

    def progress(self, scope: str) -> Progress:
        """The progress of mirroring the list `scope`."""
        ...

    def write(self, scope: str, runs: Sequence[MirroredRun], progress: Progress) -> tuple[int, int]:
        """Store the runs and the progress in one transaction; return how many runs were new and changed."""
        ...

    def known(self, keys: Collection[str]) -> set[str]:
        """The keys that are in the mirror."""
        ...

    def open_unread(self, scope: str, number: int, limit: int) -> list[str]:
        """The keys of at most `limit` runs that have not ended and were not read in pass `number`."""
        ...

    def mark_missing(self, keys: Collection[str], number: int) -> None:
        """Mark runs that the API no longer has, or that cannot be decoded, as read in pass `number`."""
        ...

    def publish(self) -> None:
        """Make the pass visible to readers, if the store has separate files for them."""
        ...

    def rows(self) -> Iterator[MirroredRun]:
        """All runs, oldest first, read lazily."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


class MirrorFile(RunStore, Protocol):
    """A mirror of this library, which can also be opened to be read only."""

    def open_to_read(self) -> None:
        """Open the store for `rows`; nothing is created or changed.

        Raises `MirrorError` if it is not a mirror.
        """
        ...


def read_mirror(path: str | os.PathLike[str], use: Callable[[Iterator[MirroredRun]], T]) -> T:
    """The result of `use` for all runs of a mirror, oldest first; nothing is created or changed.

    `use` is called again if the mirror was changed meanwhile. Raises `MirrorError`, and `ModuleNotFoundError`
    as `store_of`.
    """
    tries = _TRIES
    while True:
        tries -= 1
        store = store_of(path)
        store.open_to_read()
        try:
            return use(store.rows())
        except MirrorChangedError:
            if not tries:
                raise
        finally:
            store.close()


def store_of(path: str | os.PathLike[str]) -> MirrorFile:
    """The store for a path: DuckDB for `*.duckdb`, Parquet for a folder or a path ending in /, else SQLite.

    Raises `ModuleNotFoundError` that names the extra if DuckDB or pyarrow is missing, `ValueError` for "".
    """
    text = os.fspath(path)
    if not text:
        raise ValueError("store must be a path, got an empty one")
    file = Path(text)
    if file.suffix == ".duckdb":
        from kognitos_async.mirror.duckdb_store import DuckDBStore  # noqa: PLC0415 - an extra

        return DuckDBStore(file)
    if text.endswith(("/", os.sep)) or file.is_dir():
        from kognitos_async.mirror.parquet_store import ParquetStore  # noqa: PLC0415 - an extra

        return ParquetStore(file)
    from kognitos_async.mirror.sqlite_store import SQLiteStore  # noqa: PLC0415 - brings SQLite

    return SQLiteStore(file)
