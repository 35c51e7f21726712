"""AIP-160 filters, as far as the platform API's lists support them: parsed once, applied to each item.

As in the AIP, `OR` binds tighter than `AND`, and adjacent terms mean `AND`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", ":"]

ORDERED: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")
EQUAL: tuple[Operator, ...] = ("=", "!=")

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<sign><=|>=|!=|[=<>:()-])
    |(?P<text>[^\s"'=<>!:()-][^\s"'=<>!:()]*))""",
    re.VERBOSE | re.DOTALL,
)
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_DEEPEST = 50


class FilterError(ValueError):
    """A malformed filter, or one that this list does not support."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a list can be filtered by."""

    value: Callable[[Any], Any]
    """Function from an item to the compared value."""
    operators: tuple[Operator, ...] = EQUAL
    read: Callable[[str], Any] = str
    """Function from the filter's text to the compared value. Raises `ValueError` for invalid text."""
    quoted: bool = False
    """Whether the value must be in quotes."""


Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    matches: Callable[[Any], bool]
    least: Mapping[str, Any]
    """Lower bounds: by field compared with `=`, `>` or `>=`, the value below which no item matches."""


EVERYTHING = Filter(lambda _item: True, {})


def parse(text: str, fields: Fields) -> Filter:
    """The parsed filter. Raises `FilterError` for a malformed one or an unknown field."""
    if not text.strip():
        return EVERYTHING
    reader = _Reader(text, fields)
    found = reader.expression(0)
    reader.end()
    return found


def nanoseconds(text: str) -> int:
    """An RFC 3339 timestamp as nanoseconds since 1970. Raises `ValueError` for other text."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        message = "not an RFC 3339 timestamp such as 2025-01-31T12:00:00Z"
        raise ValueError(message)
    seconds = datetime.fromisoformat(match[1] + match[3].upper().replace("Z", "+00:00")).timestamp()
    return int(seconds) * 10**9 + int((match[2] or "").ljust(9, "0"))


class _Reader:
    def __init__(self, text: str, fields: Fields) -> None:
        self._fields = fields
        self._tokens = _tokens(text)
        self._at = 0

    def expression(self, depth: int) -> Filter:
        """Factors joined by AND or whitespace."""
        if depth > _DEEPEST:
            message = f"more than {_DEEPEST} levels of parentheses"
            raise FilterError(message)
        factors = [self._factor(depth)]
        while self._peek() not in {None, ("sign", ")")}:
            self._take(("text", "AND"))
            factors.append(self._factor(depth))
        return _all(factors)

    def end(self) -> None:
        """Raise `FilterError` if anything is left."""
        if self._peek() is not None:
            message = f"unexpected {self._word()}"
            raise FilterError(message)

    def _factor(self, depth: int) -> Filter:
        terms = [self._term(depth)]
        while self._take(("text", "OR")):
            terms.append(self._term(depth))
        return _any(terms)

    def _term(self, depth: int) -> Filter:
        if self._take(("text", "NOT")) or self._take(("sign", "-")):
            return _not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Filter:
        if self._take(("sign", "(")):
            inner = self.expression(depth + 1)
            if not self._take(("sign", ")")):
                message = "a parenthesis is not closed"
                raise FilterError(message)
            return inner
        return self._comparison()

    def _comparison(self) -> Filter:
        kind, name = self._peek() or ("", "")
        if kind != "text" or name in {"AND", "OR", "NOT"}:
            message = f"a field is expected, not {self._word()}"
            raise FilterError(message)
        field = self._fields.get(name)
        if field is None:
            message = f"unknown field {name}; there is {', '.join(sorted(self._fields))}"
            raise FilterError(message)
        self._at += 1
        kind, operator = self._peek() or ("", "")
        if kind != "sign" or operator not in field.operators:
            message = f"{name} takes {' '.join(field.operators)}, not {self._word()}"
            raise FilterError(message)
        self._at += 1
        kind, word = self._peek() or ("", "")
        if kind not in {"string", "text"} or (field.quoted and kind != "string"):
            quoted = " in quotes" if field.quoted else ""
            message = f"{name} {operator} takes a value{quoted}, not {self._word()}"
            raise FilterError(message)
        self._at += 1
        try:
            wanted = field.read(re.sub(r"\\(.)", r"\1", word[1:-1]) if kind == "string" else word)
        except ValueError as error:
            message = f"{name} {operator} {word}: {error}"
            raise FilterError(message) from error
        return _compared(name, field, operator, wanted)

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, token: tuple[str, str]) -> bool:
        found = self._peek() == token
        self._at += found
        return found

    def _word(self) -> str:
        found = self._peek()
        return "the end" if found is None else found[1]


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            message = f"cannot be read from here on: {text[at : at + 20].strip()}"
            raise FilterError(message)
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def _compared(name: str, field: Field, operator: str, wanted: Any) -> Filter:
    value = field.value
    tests: dict[str, Callable[[Any], bool]] = {
        "=": lambda item: bool(value(item) == wanted),
        "!=": lambda item: bool(value(item) != wanted),
        "<": lambda item: bool(value(item) < wanted),
        "<=": lambda item: bool(value(item) <= wanted),
        ">": lambda item: bool(value(item) > wanted),
        ">=": lambda item: bool(value(item) >= wanted),
        ":": lambda item: str(wanted).lower() in str(value(item)).lower(),
    }
    return Filter(tests[operator], {name: wanted} if operator in {"=", ">", ">="} else {})


def _all(parts: list[Filter]) -> Filter:
    if len(parts) == 1:
        return parts[0]
    least: dict[str, Any] = {}
    for part in parts:
        for name, value in part.least.items():
            least[name] = max(value, least.get(name, value))
    return Filter(lambda item: all(part.matches(item) for part in parts), least)


def _any(parts: list[Filter]) -> Filter:
    if len(parts) == 1:
        return parts[0]
    shared = set(parts[0].least).intersection(*(part.least for part in parts[1:]))
    least = {name: min(part.least[name] for part in parts) for name in shared}
    return Filter(lambda item: any(part.matches(item) for part in parts), least)


def _not(part: Filter) -> Filter:
    return Filter(lambda item: not part.matches(item), {})
