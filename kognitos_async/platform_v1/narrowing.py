"""API values narrowed to one Python type, with a check."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from kognitos_async.platform_v1.tables import Table

T = TypeVar("T")


def narrowed(name: str, value: object, kind: type[T]) -> T:
    """`value` if it is a `kind`, or a number that a `kind` holds exactly. Raises `TypeError` otherwise.

    Whole numbers are read as int, others as Decimal: an int also passes for Decimal and float, and a Decimal
    for float and int if nothing is lost. A bool is not a number, a datetime not a date. A pyarrow table
    passes for `Table`.
    """
    found = _converted(value, kind)
    if (
        type(found) is not kind
        and (
            not isinstance(found, kind)
            or isinstance(found, bool) != (kind is bool)
            or (kind is date and isinstance(found, datetime))
        )
        and kind is not object
    ):
        shown = f" {value}" if isinstance(value, int | Decimal) and not isinstance(value, bool) else ""
        raise TypeError(f"{name} must be {kind.__name__}, got {type(value).__name__}{shown}")
    return cast("T", found)


def _converted(value: Any, kind: type) -> Any:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if kind is Decimal:
            return Decimal(value)
        if kind is int and value == int(value):
            return int(value)
        return _double(value) if kind is float else value
    if kind is Table and not isinstance(value, Table | bool) and hasattr(value, "to_pydict"):
        return Table(columns=value.to_pydict())
    return value


def _double(number: int | Decimal) -> Any:
    """The float whose `repr` is this number; the number itself if there is none."""
    double = float(number)
    return double if Decimal(repr(double)) == number else number
