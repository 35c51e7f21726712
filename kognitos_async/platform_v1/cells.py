"""Table cells: the values of `bdkV1Value`, a union other than that of inputs."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from kognitos_async import checks
from kognitos_async.platform_v1.scalars import plain
from kognitos_async.platform_v1.times import (
    read_date,
    read_timeofday,
    read_timestamp,
    rfc3339,
    write_clock,
    write_date,
)
from kognitos_async.platform_v1.value_types import FileRef, UnknownValue, read_bytes, read_file, write_file

_DEEPEST = 100
"""Maximum nesting depth converted."""


def write_cell(cell: object, depth: int = 0) -> dict[str, Any]:
    """A cell in the API's form.

    Accepts None, bool, int, float, Decimal, str, bytes, aware datetimes, dates, times, lists, dicts with text
    keys, `FileRef` and `UnknownValue`. Numbers are doubles. Raises `ValueError` for NaN, for a number that a
    double cannot hold, and for deeper nesting than 100 levels; `TypeError` for other types.
    """
    if depth > _DEEPEST:
        raise ValueError(f"value must be nested at most {_DEEPEST} levels deep, got more")
    cell = plain(cell)
    for kind, write in _WRITERS:
        if isinstance(cell, kind):
            return write(cell, depth)
    raise TypeError(
        "a cell of a table must be None, bool, int, float, Decimal, str, bytes, datetime, date, time, list, "
        f"dict or FileRef, got {type(cell).__name__}"
    )


def _write_number(number: float | Decimal) -> dict[str, Any]:
    try:
        double = float(number)
    except OverflowError:
        double = float("inf")
    if double - double != 0:
        raise ValueError(
            f"a number in a table must be finite and within a double, got {_shortened(number)}: "
            "give None or text"
        )
    exact = double == number if isinstance(number, int) else Decimal(repr(double)) == Decimal(number)
    if not isinstance(number, float) and not exact:
        raise ValueError(
            f"a number in a table must be one that a double holds exactly, got {_shortened(number)}: "
            "give text"
        )
    return {"number_value": number if isinstance(number, int | float) else double}


def _shortened(number: object) -> str:
    text = (
        str(number)
        if not isinstance(number, int) or number.bit_length() < 1000
        else f"{number.bit_length()} bits"
    )
    return text if len(text) <= 60 else f"{text[:60]}…"


def _write_text(text: str) -> dict[str, Any]:
    return {"text_value": checks.text("text", text) if text else text}


def _write_datetime(moment: datetime) -> dict[str, Any]:
    if moment.tzinfo is None:
        raise ValueError("a datetime in a table must have a time zone: add one, or give text")
    return {"datetime_value": rfc3339(moment)}


def _write_time(moment: time) -> dict[str, Any]:
    if moment.tzinfo is not None:
        raise ValueError("value must be a time without a zone, got one with: give a datetime")
    return {"time_value": write_clock(moment)}


def _write_fields(fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    pairs = []
    for key, value in fields.items():
        name = plain(key)
        if not isinstance(name, str):
            raise TypeError(f"a key of a dict in a table must be str, got {type(key).__name__}")
        if name:
            name = checks.text("a key of a dict in a table", name)
        pairs.append({"key": name, "value": write_cell(value, depth + 1)})
    return {"dictionary_value": {"fields": pairs}}


_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, int], dict[str, Any]]], ...] = (
    (type(None), lambda _cell, _: {"null_value": "NULL_VALUE"}),
    (bool, lambda cell, _: {"boolean_value": cell}),
    ((int, float, Decimal), lambda cell, _: _write_number(cell)),
    (str, lambda cell, _: _write_text(cell)),
    (datetime, lambda cell, _: _write_datetime(cell)),
    (date, lambda cell, _: {"date_value": write_date(cell)}),
    (time, lambda cell, _: _write_time(cell)),
    ((bytes, bytearray), lambda cell, _: {"opaque_value": {"content": base64.b64encode(cell).decode()}}),
    (UnknownValue, lambda cell, _: dict(cell.raw)),
    (FileRef, lambda cell, _: {"file_value": write_file(cell)}),
    ((list, tuple), lambda cell, depth: {"list_value": {"values": [write_cell(i, depth + 1) for i in cell]}}),
    (Mapping, _write_fields),
)


def read_cell(value: object, depth: int = 0) -> Any:
    """The Python value of a cell; `UnknownValue` for what Python cannot hold exactly, or for no cell."""
    if not isinstance(value, Mapping):
        return UnknownValue({"": value})
    try:
        if len(value) == 1 and depth <= _DEEPEST:
            [(kind, content)] = value.items()
            return _READERS[kind](content, depth)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    return UnknownValue(dict(value))


def _checked(kind: type | tuple[type, ...]) -> Callable[[Any, int], Any]:
    def read(content: Any, _: int) -> Any:
        if not isinstance(content, kind) or (isinstance(content, bool) and kind is not bool):
            raise TypeError("a cell must be of its own kind")
        return content

    return read


def _known(found: Any) -> Any:
    if found is None:
        raise ValueError("a cell must be of its own kind")
    return found


def _read_fields(content: Any, depth: int) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for field in _only(content, "fields"):
        name = field["key"]
        if not isinstance(name, str) or name in read or field.keys() != {"key", "value"}:
            raise ValueError("a field must have a name of its own and a value")
        read[name] = read_cell(field["value"], depth + 1)
    return read


def _only(content: Any, member: str) -> list[Any]:
    """The list in `content`, if it has no other members: they would be lost."""
    if content.keys() - {member}:
        raise ValueError("members must be known, for the others would be lost")
    found = content.get(member) or []
    if not isinstance(found, list):
        raise TypeError(f"{member} must be a list")
    return found


_READERS: dict[str, Callable[[Any, int], Any]] = {
    "null_value": lambda _content, _: None,
    "text_value": _checked(str),
    "number_value": _checked((int, float)),
    "boolean_value": _checked(bool),
    "datetime_value": lambda content, _: _known(read_timestamp(content)),
    "date_value": lambda content, _: read_date(content),
    "time_value": lambda content, _: read_timeofday(content),
    "opaque_value": lambda content, _: _known(read_bytes("".join(_one_text(content)))),
    "file_value": lambda content, _: _known(read_file(content)),
    "list_value": lambda content, depth: [read_cell(item, depth + 1) for item in _only(content, "values")],
    "dictionary_value": _read_fields,
}


def _one_text(content: Any) -> str:
    """The content of an opaque value, if it has no other members."""
    if content.keys() - {"content"}:
        raise ValueError("an opaque value must hold bytes alone")
    return str(content.get("content") or "")
