"""Conversion between Python values and values of the platform API: exact, or refused.

A value is a JSON object with one member, named by its kind. What Python cannot hold exactly, or this version
does not know, is read as an `UnknownValue` that keeps the JSON unchanged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from kognitos_async import checks
from kognitos_async.platform_v1.exact_numbers import read_number, write_number
from kognitos_async.platform_v1.scalars import plain
from kognitos_async.platform_v1.tables import Table, is_frame, read_table, write_table
from kognitos_async.platform_v1.times import (
    read_date,
    read_datetime,
    read_duration,
    read_timeofday,
    read_zone,
    write_date,
    write_datetime,
    write_duration,
    write_timeofday,
    zone_key,
)
from kognitos_async.platform_v1.value_types import FileRef, UnknownValue, read_file, write_file

__all__ = ["FileRef", "UnknownValue", "from_value", "from_values", "to_value", "to_values"]

DEEPEST = 100
"""Maximum nesting depth converted."""


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """The value is to be kept as an `UnknownValue`."""


def to_value(obj: object) -> dict[str, Any]:
    """A Python value in the API's form, ready for JSON.

    Accepts None, bool, int, Decimal, float, str, date, time, datetime, ZoneInfo, timedelta, list, tuple,
    dict, set, `FileRef`, `Table`, `UnknownValue`, enum members (as their values), numpy scalars, and pyarrow,
    pandas or polars frames (which need the `arrow` extra). Numbers have 96 bits and a scale of at most 28; a
    float counts as the decimal that its `repr` shows. Nesting is limited to 100 levels.

    Raises `ValueError` for a value that does not fit: nothing is rounded or truncated. Raises `TypeError` for
    other types.
    """
    return _write(obj, 0)


def from_value(value: Mapping[str, Any]) -> object:
    """The Python value of an API value. Whole numbers become int, others Decimal of the same scale.

    An inline table becomes a pyarrow table if pyarrow is installed and holds it exactly, else a `Table`; both
    have `to_pylist()`. A value that Python cannot hold exactly becomes an `UnknownValue`. Raises `TypeError`
    if `value` is not a mapping.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"value must be a mapping with one member, got {type(value).__name__}")
    return _read(value, 0)


def to_values(values: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Named values in the API's form, such as the inputs of an automation.

    Raises what `to_value` raises, with the name of the invalid input.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"inputs must be a mapping of names to values, got {type(values).__name__}")
    written = {}
    for name, value in values.items():
        checks.text("an input's name", name)
        try:
            written[str.__str__(name)] = to_value(value)
        except (TypeError, ValueError) as problem:
            kind = TypeError if isinstance(problem, TypeError) else ValueError
            raise kind(f"inputs[{name!r}]: {problem}") from None
    return written


def from_values(values: Mapping[str, Any]) -> dict[str, object]:
    """Named values as Python values, such as the outputs of a run.

    Anything but a JSON object becomes an `UnknownValue`.
    """
    return {
        name: from_value(value) if isinstance(value, Mapping) else UnknownValue({"": value})
        for name, value in values.items()
    }


# Writing


def _write(obj: object, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise ValueError(f"value must be nested at most {DEEPEST} levels deep, got more")
    if isinstance(obj, UnknownValue):
        return dict(obj.raw)
    for kind, write in _WRITERS:
        if isinstance(obj, kind):
            return write(obj, depth + 1)
    if is_frame(obj):
        return {"table": write_table(obj)}
    return _write_hashable(obj)


def _write_dictionary(entries: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    pairs = [{"key": _write_hashable(key), "value": _write(item, depth)} for key, item in entries.items()]
    return {"dictionary": {"entries": pairs}}


_WRITERS: tuple[tuple[type | tuple[type, ...], Callable[[Any, int], dict[str, Any]]], ...] = (
    (type(None), lambda _obj, _: {"null_value": "NULL_VALUE"}),
    ((list, tuple), lambda obj, depth: {"list": {"items": [_write(item, depth) for item in obj]}}),
    (Mapping, _write_dictionary),
    (AbstractSet, lambda obj, _: {"set": {"items": [_write_hashable(item) for item in obj]}}),
    (FileRef, lambda obj, _: {"file": write_file(obj)}),
    (ZoneInfo, lambda obj, _: {"time_zone": {"id": zone_key(obj)}}),
    (Table, lambda obj, _: {"table": write_table(obj)}),
)


def _write_hashable(obj: object) -> dict[str, Any]:
    if isinstance(obj, UnknownValue):
        return dict(obj.raw)
    found = plain(obj)
    if found is not obj and not isinstance(
        found, bool | int | float | Decimal | str | date | time | timedelta
    ):
        return _write(found, 1)  # an enum member with a value such as None or a list
    for types, kind, write in _HASHABLE_WRITERS:
        if isinstance(found, types):
            return {kind: write(found)}
    raise TypeError(f"value must be of a type that Kognitos has, got {type(obj).__name__}{_advice(obj)}")


_HASHABLE_WRITERS: tuple[tuple[type | tuple[type, ...], str, Callable[[Any], Any]], ...] = (
    (bool, "bool_value", bool),
    ((int, float, Decimal), "number", write_number),
    (str, "text", lambda text: checks.text("text", text) if text else text),
    (datetime, "datetime", write_datetime),
    (date, "date", write_date),
    (time, "timeofday", write_timeofday),
    (timedelta, "duration", write_duration),
)
_HASHABLE_TYPES = (bool, int, float, Decimal, str, date, time, timedelta)


def _advice(obj: object) -> str:
    if isinstance(obj, bytes | bytearray | memoryview | os.PathLike):
        return ": give a file as FileSource, which is uploaded first, or as FileRef"
    if hasattr(obj, "mime_type"):
        return ": give an uploaded file as file_ref(…)"
    if getattr(obj, "ndim", 0):
        return ": give a list, such as tolist() makes, or a frame"
    if hasattr(obj, "to_pylist"):
        return ": give a list, such as to_pylist() makes"
    if hasattr(obj, "collect"):
        return ": give a frame, such as collect() makes"
    return ""


# Reading


def _read(value: Mapping[str, Any], depth: int) -> object:
    try:
        if len(value) != 1 or depth > DEEPEST:
            raise _Unreadable
        [(kind, content)] = value.items()
        return _READERS[kind](content, depth)
    # A missing, mistyped or out-of-range member.
    except (_Unreadable, KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return UnknownValue(dict(value))


def _read_hashable(value: Mapping[str, Any]) -> object:
    [kind] = value
    found = _read(value, 0)
    if kind not in _HASHABLE or isinstance(found, UnknownValue):
        raise _Unreadable
    return found


def _of(kind: type) -> Callable[[Any, int], object]:
    def read(content: Any, _: int) -> object:
        if not isinstance(content, kind):
            raise _Unreadable
        return content

    return read


def _known(found: object) -> object:
    if found is None:
        raise _Unreadable
    return found


def _items(content: Any, member: str) -> list[Any]:
    """The list in `content`, if it has no other members: they would be lost."""
    if not isinstance(content, Mapping) or content.keys() - {member}:
        raise _Unreadable
    items = content.get(member) or []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise _Unreadable
    return items


def _read_list(content: Any, depth: int) -> list[object]:
    return [_read(item, depth + 1) for item in _items(content, "items")]


def _read_dictionary(content: Any, depth: int) -> dict[object, object]:
    read: dict[object, object] = {}
    keys: dict[object, Mapping[str, Any]] = {}
    for entry in _items(content, "entries"):
        if entry.keys() - {"key", "value"}:
            raise _Unreadable
        key = _read_hashable(entry["key"])
        _check_distinct(keys, key, entry["key"])
        read[key] = _read(entry["value"], depth + 1)
    return read


def _read_set(content: Any, _: int) -> set[object]:
    read: dict[object, Mapping[str, Any]] = {}
    for item in _items(content, "items"):
        _check_distinct(read, _read_hashable(item), item)
    return set(read)


def _check_distinct(known: dict[object, Mapping[str, Any]], key: object, value: Mapping[str, Any]) -> None:
    """Refuse keys that Python would merge: True, 1 and 1.0; one moment in two time zones."""
    if known.setdefault(key, value) != value:
        raise _Unreadable


_READERS: dict[str, Callable[[Any, int], object]] = {
    "null_value": lambda _content, _: None,
    "bool_value": _of(bool),
    "number": lambda content, _: _known(read_number(content)),
    "text": _of(str),
    "date": lambda content, _: read_date(content),
    "timeofday": lambda content, _: read_timeofday(content),
    "datetime": lambda content, _: read_datetime(content),
    "time_zone": lambda content, _: read_zone(content),
    "duration": lambda content, _: read_duration(content),
    "list": _read_list,
    "dictionary": _read_dictionary,
    "set": _read_set,
    "file": lambda content, _: _known(read_file(content)),
    "table": lambda content, _: _known(read_table(content)),
}
_HASHABLE = frozenset({"bool_value", "number", "text", "date", "timeofday", "datetime", "duration"})
