"""Filters in the language of AIP-160, built from fields and values instead of from pieces of text."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


class Filter:
    """A condition on what a list holds: `str(filter)` is what is sent.

    `one & other`, `one | other` and `~one` make new ones.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Filter({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    # In AIP-160 OR binds tighter than AND, so every part stands in parentheses.

    def __and__(self, other: Filter) -> Filter:
        return Filter(f"({self}) AND ({other})") if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return Filter(f"({self}) OR ({other})") if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        return Filter(f"NOT ({self})")

    def __bool__(self) -> bool:
        raise TypeError("a filter is neither true nor false: combine filters with & | ~, each in parentheses")


class Field:
    """A field to compare: `F.create_time >= time`, `F.title.contains("invoice")`.

    Values are str, bool, int, float, Decimal, an aware datetime or a date; others are a `TypeError`, and what
    cannot be written, such as a naive datetime, a `ValueError`.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"name must be letters, digits, _ and -, with dots between its parts, got {name!r}"
            )
        self._name = name

    def __getattr__(self, name: str) -> Field:
        if name.startswith("__"):
            raise AttributeError(name)
        return Field(f"{self._name}.{name}")

    __getitem__ = __getattr__

    def __repr__(self) -> str:
        return f"F.{self._name}"

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]  # builds a filter
        return self._compared("=", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]  # builds a filter
        return self._compared("!=", value)

    def __lt__(self, value: object) -> Filter:
        return self._compared("<", value)

    def __le__(self, value: object) -> Filter:
        return self._compared("<=", value)

    def __gt__(self, value: object) -> Filter:
        return self._compared(">", value)

    def __ge__(self, value: object) -> Filter:
        return self._compared(">=", value)

    __hash__ = None  # type: ignore[assignment]  # what compares to a filter is no key

    def contains(self, value: object) -> Filter:
        """The condition that the field holds `value`, what the colon means in AIP-160."""
        return Filter(f"{self._name}:{_written(value)}")

    def __bool__(self) -> bool:
        raise TypeError("a field alone is no condition: compare it")

    def _compared(self, operator: str, value: object) -> Filter:
        return Filter(f"{self._name} {operator} {_written(value)}")


class _Fields:
    """Where fields come from: `F.name`, `F.name.part`, `F["name-with-dashes"]`."""

    def __getattr__(self, name: str) -> Field:
        if name.startswith("__"):
            raise AttributeError(name)
        return Field(name)

    def __getitem__(self, name: str) -> Field:
        return Field(name)


F = _Fields()


def filter_text(filter: Filter | str | None) -> str | None:
    """The text of a filter, which may be text already."""
    if filter is None or isinstance(filter, Filter):
        return None if filter is None else str(filter)
    if not isinstance(filter, str):
        raise TypeError(f"filter must be a Filter or str, got {type(filter).__name__}")
    if not filter:
        raise ValueError("filter must be a condition, got an empty one; leave it out to get everything")
    return str(filter)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(str(value))
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("value must be a datetime with a time zone, got one without")
        return f'"{rfc3339(value)}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"value must be a finite number, got {value}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"value must be a finite number, got {value}")
    if isinstance(value, int | float | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else repr(value)
    raise TypeError(f"value must be what a filter can hold, got {type(value).__name__}")


def _quoted(text: str) -> str:
    if not text.isprintable():
        raise ValueError("value must be printable text, got control characters or lone surrogates")
    return f'"{text.translate(_ESCAPES)}"'


def rfc3339(moment: datetime) -> str:
    """An aware time as the API writes times: in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
