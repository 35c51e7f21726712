"""Inferred types of inputs and outputs: one per name, wide enough for all values seen."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from kognitos_async.cli.api import Columns

NESTED = ("inputs", "outputs")
"""Columns that hold values by name."""
_LARGEST_INT = 2**63
_DIGITS = 38
_KINDS: dict[type, str] = {str: "text", float: "float"}


class SeenTypes:
    """The types of the inputs and outputs in the pages given to `see`."""

    def __init__(self, columns: Iterable[str]) -> None:
        self._seen: dict[str, dict[str, ColumnType]] = {column: {} for column in columns if column in NESTED}

    def see(self, page: Columns) -> None:
        """Take the values of a page into account."""
        for column, types in self._seen.items():
            for name, values in by_name(page[column]).items():
                found = types.get(name)
                if found is None:
                    found = types[name] = ColumnType()
                found.see(values)

    def __getitem__(self, column: str) -> Mapping[str, ColumnType]:
        """The types by name, sorted."""
        return dict(sorted(self._seen[column].items()))

    def names(self) -> dict[str, list[str]]:
        """The names seen, sorted, by column."""
        return {column: sorted(types) for column, types in self._seen.items()}


class ColumnType:
    """The narrowest Arrow type for all values seen; text if they have no type in common."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._before = self._behind = 0
        """Maximum number of digits before and after the decimal point."""
        self._largest = 0

    def see(self, values: Collection[Any]) -> None:
        """Take `values` into account."""
        types = set(map(type, values))
        if types <= {str, float}:
            self._kinds.update(_KINDS[one] for one in types)
        elif types == {int}:
            for value in (max(values), min(values)):
                self._see(value)
        else:
            for value in values:
                self._see(value)

    def _see(self, value: Any) -> None:
        if value is None:
            return
        self._kinds.add(_kind(value))
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

    def resolve(self, arrow: Any) -> tuple[Any, Callable[[Any], Any] | None]:
        """The Arrow type, and a function that converts a value to it; None if no conversion is needed."""
        kinds = self._kinds
        if kinds & {"int", "large int"}:
            self._see_digits(Decimal(self._largest))
        simple = {
            "int": arrow.int64(),
            "bool": arrow.bool_(),
            "time": arrow.timestamp("us", tz="UTC"),
            "date": arrow.date32(),
        }
        if len(kinds) == 1 and (chosen := simple.get(*kinds)) is not None:
            return chosen, None
        if kinds and kinds <= {"int", "large int", "decimal"} and self._before + self._behind <= _DIGITS:
            return arrow.decimal128(max(1, self._before + self._behind), self._behind), Decimal
        if kinds and kinds <= {"int", "float"}:
            return arrow.float64(), None if kinds == {"float"} else float
        return arrow.string(), None if kinds == {"text"} else _text


def by_name(rows: Iterable[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """The values of each name, without the rows that lack it."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        if row:
            for name, value in row.items():
                values.setdefault(name, []).append(value)
    return values


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_LARGEST_INT <= value < _LARGEST_INT else "large int"
    if isinstance(value, datetime):
        return "time" if value.tzinfo is not None else "other"
    for kind, name in ((float, "float"), (Decimal, "decimal"), (date, "date"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "other"


def _text(value: Any) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str) else json_line(value)
