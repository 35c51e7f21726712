"""Records as Parquet, each column and each output with a type of its own."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer

from kognitos_async.cli.running import WRONG_USE, complain
from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

ROW_GROUP = 10_000
_LARGEST_INT = 2**63
_DIGITS = 38
NESTED = ("inputs", "outputs")
"""The columns that hold values by name."""
_TIMES = {"created_at", "create_time", "update_time", "since"}
_INTEGERS = {"attempts"}
_LISTS = {"file_ids"}


def import_pyarrow() -> tuple[Any, Any]:
    """Pyarrow and pyarrow.parquet, or one line on stderr and exit code 2 when they are not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        complain("pyarrow is missing: pip install 'kognitos-async[arrow]'")
        raise typer.Exit(WRONG_USE) from None


class _Kinds:
    """What values of one name have been seen, to choose one type that holds them all."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._before = self._behind = 0
        """Digits before and behind the decimal point, at most."""
        self._largest = 0

    def see(self, value: Any) -> None:
        if value is None:
            return
        if type(value) is str:
            self._seen.add("text")
            return
        self._seen.add(_kind(value))
        if isinstance(value, int):
            self._largest = max(self._largest, abs(value))
        elif isinstance(value, Decimal):
            self._see_digits(value)

    def _see_digits(self, value: Decimal) -> None:
        _, digits, exponent = value.as_tuple()
        behind = max(0, -exponent) if isinstance(exponent, int) else _DIGITS
        self._behind = max(self._behind, behind)
        self._before = max(
            self._before, len(digits) + max(0, exponent if isinstance(exponent, int) else 0) - behind
        )

    def column(self, arrow: Any) -> tuple[Any, Callable[[Any], Any]]:
        """The type, and what makes a value fit into it."""
        seen = self._seen
        if self._seen & {"int", "large int"}:
            self._see_digits(Decimal(self._largest))
        if seen == {"int"}:
            return arrow.int64(), _same
        if seen <= {"int", "large int", "decimal"} and seen and self._before + self._behind <= _DIGITS:
            scaled = arrow.decimal128(max(1, self._before + self._behind), self._behind)
            return scaled, _decimal
        if seen and seen <= {"int", "float"}:
            return arrow.float64(), float
        simple = {"bool": arrow.bool_(), "time": arrow.timestamp("us", tz="UTC"), "date": arrow.date32()}
        for kind, chosen in simple.items():
            if seen == {kind}:
                return chosen, _same
        return arrow.string(), _text


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_LARGEST_INT <= value < _LARGEST_INT else "large int"
    if isinstance(value, datetime):
        return "time" if value.tzinfo is not None else "text"
    for kind, name in ((float, "float"), (Decimal, "decimal"), (date, "date"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "nested"


def _same(value: Any) -> Any:
    return value


def _decimal(value: Any) -> Decimal:
    return Decimal(value)


def _text(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str) else json_line(value)


class ParquetFile:
    """A Parquet file with the columns of the records, its types taken from all `records`.

    Values by name become structs, or with `as_columns` columns such as `outputs.total`. A name whose values
    have no type in common is text.
    """

    def __init__(
        self, columns: Iterable[str], records: Callable[[], Iterator[dict[str, Any]]], *, as_columns: bool
    ) -> None:
        self._arrow, self._parquet = import_pyarrow()
        self._records = records
        self._as_columns = as_columns
        self._columns = tuple(columns)
        self._fields: dict[str, dict[str, tuple[Any, Callable[[Any], Any]]]] = {}

    def write(self, file: BinaryIO) -> int:
        """How many records were written: all, in groups of 10,000 rows, so that memory stays flat."""
        self._infer()
        schema = self._arrow.schema(list(self._schema()))
        records = self._records()
        count = 0
        with self._parquet.ParquetWriter(file, schema) as writer:
            while rows := list(islice(records, ROW_GROUP)):
                count += len(rows)
                columns = [values for column in self._columns for values in self._values(column, rows)]
                arrays = [
                    values if isinstance(values, self._arrow.Array) else self._arrow.array(values, field.type)
                    for field, values in zip(schema, columns, strict=True)
                ]
                writer.write_table(self._arrow.Table.from_arrays(arrays, schema=schema))
        return count

    def _infer(self) -> None:
        nested = [column for column in self._columns if column in NESTED]
        kinds: dict[str, dict[str, _Kinds]] = {column: {} for column in nested}
        for record in self._records():
            for column in nested:
                for name, value in (record.get(column) or {}).items():
                    kinds[column].setdefault(name, _Kinds()).see(value)
        self._fields = {
            column: {name: seen.column(self._arrow) for name, seen in sorted(names.items())}
            for column, names in kinds.items()
        }

    def _schema(self) -> Iterator[tuple[str, Any]]:
        for column in self._columns:
            if column in _TIMES:
                yield column, self._arrow.timestamp("us", tz="UTC")
            elif column in _LISTS:
                yield column, self._arrow.list_(self._arrow.string())
            elif column in _INTEGERS:
                yield column, self._arrow.int64()
            elif column not in NESTED:
                yield column, self._arrow.string()
            elif self._as_columns:
                yield from ((f"{column}.{name}", kind) for name, (kind, _) in self._fields[column].items())
            elif self._fields[column]:
                members = [(name, kind) for name, (kind, _) in self._fields[column].items()]
                yield column, self._arrow.struct(members)
            else:
                yield column, self._arrow.string()  # Parquet has no struct without members

    def _values(self, column: str, rows: list[dict[str, Any]]) -> Iterator[Any]:
        """The values of a column, or of the columns that it becomes, row by row."""
        values = [row.get(column) for row in rows]
        if column in _TIMES:
            yield [value if isinstance(value, datetime) else None for value in values]
        elif column not in NESTED:
            yield values
        elif self._as_columns:
            for name, (_, fit) in self._fields[column].items():
                yield _members(values, name, fit)
        elif self._fields[column]:
            yield self._arrow.StructArray.from_arrays(
                [
                    self._arrow.array(_members(values, name, fit), kind)
                    for name, (kind, fit) in self._fields[column].items()
                ],
                fields=[self._arrow.field(name, kind) for name, (kind, _) in self._fields[column].items()],
                mask=self._arrow.array([not value for value in values]),
            )
        else:
            yield [None] * len(rows)


def _members(values: list[Any], name: str, fit: Callable[[Any], Any]) -> list[Any]:
    """The member `name` of each value, made to fit."""
    members = [value.get(name) if value else None for value in values]
    if fit is _same:
        return members
    return [None if member is None else fit(member) for member in members]
