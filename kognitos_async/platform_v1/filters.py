"""Filters in AIP-160 syntax, built from fields and values."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, datetime
from decimal import Decimal

from kognitos_async import checks
from kognitos_async.platform_v1.scalars import plain
from kognitos_async.platform_v1.times import rfc3339

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
_LARGEST = 2**63 - 1
"""Largest integer of the API."""
_LARGEST_EXPONENT = 308
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})


class Filter:
    """A condition on the items of a list. `str(filter)` is its AIP-160 text.

    `one & other`, `one | other` and `~one` combine conditions. Build filters from fields (`F`), or from text,
    which is sent unchanged.
    """

    __slots__ = ("_spelled", "_text")

    def __init__(self, text: str, *, spelled: str | None = None) -> None:
        self._text = text
        self._spelled = text if spelled is None else spelled

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Filter({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)

    # In AIP-160 OR binds tighter than AND: put every part in parentheses.

    def __and__(self, other: Filter) -> Filter:
        return self._joined("AND", other) if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return self._joined("OR", other) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        return Filter(f"NOT ({self._text})", spelled=f"NOT ({self._spelled})")

    def _joined(self, word: str, other: Filter) -> Filter:
        return Filter(
            f"({self._text}) {word} ({other._text})", spelled=f"({self._spelled}) {word} ({other._spelled})"
        )

    @property
    def spelled(self) -> str:
        """The text for lists that spell containment as the word contains, not as a colon."""
        return self._spelled

    def __bool__(self) -> bool:
        raise TypeError("a filter has no truth value: combine filters with & | ~, each in parentheses")


class Field:
    """A field to compare: `F.create_time >= time`, `F.title.contains("invoice")`.

    Values are str, bool, int, float, Decimal, aware datetimes, dates, enum members and numpy scalars. Raises
    `TypeError` for other types, and `ValueError` for a naive datetime, nanoseconds, numbers beyond 64 bits,
    and text with line breaks or control characters.
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

    __hash__ = None  # type: ignore[assignment]  # == builds a filter

    def contains(self, value: object) -> Filter:
        """The condition that the field contains `value`.

        Spelled with a colon, as in AIP-160, and as the word contains for `exceptions.list_guide_entries`.
        """
        literal = _literal(value)
        return Filter(f"{self._name}:{literal}", spelled=f"{self._name} contains {literal}")

    def __bool__(self) -> bool:
        raise TypeError("a field alone is not a condition: compare it")

    def _compared(self, operator: str, value: object) -> Filter:
        return Filter(f"{self._name} {operator} {_literal(value)}")


class _Fields:
    """Fields by name: `F.name`, `F.name.part`, `F["name-with-dashes"]`."""

    def __getattr__(self, name: str) -> Field:
        if name.startswith("__"):
            raise AttributeError(name)
        return Field(name)

    def __getitem__(self, name: str) -> Field:
        return Field(name)


F = _Fields()
"""Fields for filters: `F.create_time >= time`, `F.state == "PUBLISHED"`."""


def filter_text(filter: Filter | str | None) -> str | None:
    """The text of a filter, or None. Raises `TypeError` or `ValueError` for an invalid one."""
    if filter is None or isinstance(filter, Filter):
        return None if filter is None else str(filter)
    if not isinstance(filter, str):
        raise TypeError(f"filter must be a Filter or str, got {type(filter).__name__}")
    if not filter:
        raise ValueError("filter must be a condition, got an empty one; leave it out to get everything")
    return checks.text("filter", str.__str__(filter))


def spelled_filter_text(filter: Filter | str | None) -> str | None:
    """As `filter_text`, for lists that spell containment as the word contains."""
    return filter.spelled if isinstance(filter, Filter) else filter_text(filter)


def _literal(value: object) -> str:
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time in a filter must have a time zone, got a datetime without one")
        return f'"{rfc3339(value)}"'
    if isinstance(value, date):
        return f'"{value.isoformat()}"'
    if isinstance(value, int | float | Decimal):
        return _number(value)
    raise TypeError(
        "a value in a filter must be str, bool, int, float, Decimal, datetime or date, "
        f"got {type(value).__name__}"
    )


def _number(number: float | Decimal) -> str:
    if isinstance(number, float | Decimal) and not math.isfinite(number):
        raise ValueError(f"a number in a filter must be finite, got {number}")
    if isinstance(number, int) and not -_LARGEST - 1 <= number <= _LARGEST:
        raise ValueError("an integer in a filter must be within 64 bits")
    if isinstance(number, Decimal) and number and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number in a filter must be within a double")
    return f"{number:f}" if isinstance(number, Decimal) else repr(number)


def _quoted(text: str) -> str:
    checks.text("text in a filter", text or " ")
    for character in text:
        if unicodedata.category(character) == "Cc" or character in "\u2028\u2029":
            raise ValueError(
                f"text in a filter must be free of control characters and line breaks, got {character!r}"
            )
    return f'"{text.translate(_ESCAPES)}"'
