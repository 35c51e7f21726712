"""Parquet files with inferred types for inputs and outputs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer

from kognitos_async.cli.column_types import NESTED
from kognitos_async.cli.running import WRONG_USE, complain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from typing import BinaryIO

    from kognitos_async.cli.api import Columns
    from kognitos_async.cli.column_types import SeenTypes

ROW_GROUP = 10_000
_TIMES = {"created_at", "create_time", "update_time", "since"}
_INTEGERS = {"attempts"}
_LISTS = {"file_ids"}


def import_pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and pyarrow.parquet; one line on stderr and exit code 2 if they are not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        complain("pyarrow is missing: pip install 'kognitos-async[arrow]'")
        raise typer.Exit(WRONG_USE) from None


class ParquetFile:
    """A Parquet file with these columns.

    Inputs and outputs become structs, or with `as_columns` columns such as `outputs.total`. `types` must have
    seen every page that will be written.
    """

    def __init__(self, columns: Iterable[str], types: SeenTypes, *, as_columns: bool) -> None:
        self._arrow, self._parquet = import_pyarrow()
        self._columns = tuple(columns)
        self._as_columns = as_columns
        self._members: dict[str, list[_Member]] = {
            column: [_Member(name, *found.resolve(self._arrow)) for name, found in types[column].items()]
            for column in self._columns
            if column in NESTED
        }

    def write(self, file: BinaryIO, pages: Iterable[Columns]) -> int:
        """Write all `pages` in groups of 10,000 rows, in constant memory, and return the number of rows."""
        schema = self._arrow.schema(list(self._schema()))
        count = 0
        # Arrow releases the GIL: a group is encoded while the next one is read.
        with self._parquet.ParquetWriter(file, schema) as writer, ThreadPoolExecutor(1) as thread:
            writing: Future[None] | None = None
            for group in _groups(pages, self._columns):
                count += len(group[self._columns[0]])
                arrays = [array for column in self._columns for array in self._arrays(column, group[column])]
                if writing is not None:
                    writing.result()
                table = self._arrow.Table.from_arrays(arrays, schema=schema)
                writing = thread.submit(writer.write_table, table)
            if writing is not None:
                writing.result()
        return count

    def _schema(self) -> Iterator[tuple[str, Any]]:
        for column in self._columns:
            if column not in NESTED:
                yield column, self._type(column)
            elif self._as_columns:
                yield from ((f"{column}.{member.name}", member.type) for member in self._members[column])
            elif self._members[column]:
                yield column, self._arrow.struct([(one.name, one.type) for one in self._members[column]])
            else:
                yield column, self._arrow.string()  # Parquet has no empty struct

    def _type(self, column: str) -> Any:
        if column in _TIMES:
            return self._arrow.timestamp("us", tz="UTC")
        if column in _LISTS:
            return self._arrow.list_(self._arrow.string())
        return self._arrow.int64() if column in _INTEGERS else self._arrow.string()

    def _arrays(self, column: str, values: list[Any]) -> Iterator[Any]:
        """The array of a column, or of each column that replaces it."""
        if column not in NESTED:
            yield self._arrow.array(values, self._type(column))
            return
        arrays = [self._arrow.array(member.values(values), member.type) for member in self._members[column]]
        if self._as_columns:
            yield from arrays
        elif arrays:
            yield self._arrow.StructArray.from_arrays(
                arrays,
                fields=[self._arrow.field(member.name, member.type) for member in self._members[column]],
                mask=self._arrow.array([not value for value in values]),
            )
        else:
            yield self._arrow.nulls(len(values), self._arrow.string())


class _Member:
    """A member of a struct or a column for one name, with its Arrow type."""

    def __init__(self, name: str, type: Any, convert: Callable[[Any], Any] | None) -> None:
        self.name = name
        self.type = type
        self._convert = convert

    def values(self, rows: Sequence[dict[str, Any] | None]) -> list[Any]:
        """The value of each row, converted; None in rows without it."""
        name, convert = self.name, self._convert
        values = [row.get(name) if row else None for row in rows]
        return values if convert is None else [None if value is None else convert(value) for value in values]


def _groups(pages: Iterable[Columns], columns: Sequence[str]) -> Iterator[Columns]:
    """Row groups of the pages."""
    group: Columns = {column: [] for column in columns}
    for page in pages:
        for column in columns:
            group[column] += page[column]
        while len(group[columns[0]]) >= ROW_GROUP:
            yield {column: values[:ROW_GROUP] for column, values in group.items()}
            group = {column: values[ROW_GROUP:] for column, values in group.items()}
    if group[columns[0]]:
        yield group
