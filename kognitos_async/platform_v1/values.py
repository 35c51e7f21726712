"""Values of the platform API: to Python and back, exactly, or not at all.

A value is a JSON object with one member that names its kind. What Python cannot hold exactly, or this version
does not know, is read as an `UnknownValue` that keeps it as it came.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from kognitos_async import checks
from kognitos_async.platform_v1.tables import Table, is_arrow, read_table, write_table

_DEEPEST = 100
"""Levels of nesting that are converted."""
_BITS = 96
_LARGEST_SCALE = 28
_SIGN = 1 << 31
_DURATION = re.compile(r"(-?)(\d{1,14})(?:\.(\d{1,9}))?s")
_LONGEST_OFFSET = timedelta(hours=18)
_MICROSECOND = timedelta(microseconds=1)


class FileRef(msgspec.Struct, frozen=True):
    """A file as a value: `remote` names one in Kognitos, or else `content` is the file itself.

    `(await client.files.upload(...)).ref` is one.
    """

    remote: str | None = None
    file_name: str | None = None
    content: bytes | None = None

    def __repr__(self) -> str:
        size = "" if self.content is None else f", {len(self.content)} bytes"
        return f"FileRef({self.remote!r}, file_name={self.file_name!r}{size})"


class UnknownValue(msgspec.Struct, frozen=True):
    """A value that has no exact counterpart in Python, or is of a kind this version does not know.

    `raw` is its JSON object as it came; `to_value` gives it back unchanged.
    """

    raw: dict[str, Any]


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """A value that is to be kept as it came."""


def to_value(obj: object) -> dict[str, Any]:
    """The API's form of a Python value, ready for JSON.

    Takes None, bool, int, Decimal, float, str, date, time, datetime, ZoneInfo, timedelta, list, tuple, dict,
    set, `FileRef`, `Table`, pyarrow tables and `UnknownValue`. Numbers have 96 bits and a scale of at most
    28; a float is taken for the decimal that `repr` shows. Raises `ValueError` for what does not fit, for it
    is never rounded, and `TypeError` for other types.
    """
    return _write(obj, 0)


def from_value(value: Mapping[str, Any]) -> object:
    """The Python value of the API's form; whole numbers are int, others Decimal of the same scale.

    An inline table is a pyarrow table where pyarrow is installed, else a `Table`. Raises `TypeError` only,
    for what is no JSON object.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"value must be a mapping with one member, got {type(value).__name__}")
    return _read(value, 0)


def to_values(values: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Named values, such as the inputs of an automation; errors name the one at fault."""
    if not isinstance(values, Mapping):
        raise TypeError(f"inputs must be a mapping of names to values, got {type(values).__name__}")
    written = {}
    for name, value in values.items():
        checks.text("an input's name", name)
        try:
            written[name] = to_value(value)
        except (TypeError, ValueError) as problem:
            raise type(problem)(f"inputs[{name!r}]: {problem}") from None
    return written


def from_values(values: Mapping[str, Any]) -> dict[str, object]:
    """Named values, such as the outputs of a run. What is no object at all is kept in an `UnknownValue`."""
    return {
        name: from_value(value) if isinstance(value, Mapping) else UnknownValue({"": value})
        for name, value in values.items()
    }


# Writing


def _write(obj: object, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ValueError(f"value must be nested at most {_DEEPEST} levels deep, got more")
    if isinstance(obj, UnknownValue):
        return dict(obj.raw)
    for kind, write in _WRITERS:
        if isinstance(obj, kind):
            return write(obj, depth + 1)
    if is_arrow(obj):
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
    (FileRef, lambda obj, _: {"file": _write_file(obj)}),
    (ZoneInfo, lambda obj, _: {"time_zone": {"id": _key_of(obj)}}),
    (Table, lambda obj, _: {"table": write_table(obj)}),
)


def _write_hashable(obj: object) -> dict[str, Any]:
    if isinstance(obj, UnknownValue):
        return dict(obj.raw)
    if isinstance(obj, bool):
        return {"bool_value": obj}
    if isinstance(obj, int | float | Decimal):
        return {"number": _write_number(obj)}
    if isinstance(obj, str):
        if obj:
            checks.text("text", obj)
        return {"text": str(obj)}
    if isinstance(obj, datetime):
        return {"datetime": _write_datetime(obj)}
    if isinstance(obj, date):
        return {"date": {"year": obj.year, "month": obj.month, "day": obj.day}}
    if isinstance(obj, time):
        if obj.tzinfo is not None:
            raise ValueError("value must be a time without a zone, got one with: give a datetime")
        return {"timeofday": _write_time(obj)}
    if isinstance(obj, timedelta):
        return {"duration": _write_duration(obj)}
    advice = "; give a file as FileRef" if isinstance(obj, bytes | bytearray) else ""
    raise TypeError(f"value must be what a Kognitos value can hold, got {type(obj).__name__}{advice}")


def _write_number(number: float | Decimal) -> dict[str, int]:
    # What repr shows of a float is the decimal that was meant.
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    sign, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"value must be a finite number, got {exact}")  # noqa: TRY004 - of the right type
    if digits == (0,) and not -_LARGEST_SCALE <= exponent <= 0:
        exponent = 0
    fits = len(digits) <= 2 * _LARGEST_SCALE + 2 and exponent <= _LARGEST_SCALE + 1
    mantissa = int("".join(map(str, digits))) if fits else 1 << _BITS
    if exponent > 0:
        mantissa, exponent = mantissa * 10**exponent if fits else mantissa, 0
    while exponent < 0 and not mantissa % 10 and (exponent < -_LARGEST_SCALE or mantissa >> _BITS):
        mantissa, exponent = mantissa // 10, exponent + 1
    if mantissa >> _BITS or exponent < -_LARGEST_SCALE:
        raise ValueError(
            f"value must be a number of at most {_BITS} bits and {_LARGEST_SCALE} decimal places, "
            f"got {exact}, which does not fit and is never rounded"
        )
    parts = {
        "lo": mantissa & 0xFFFFFFFF,
        "mid": mantissa >> 32 & 0xFFFFFFFF,
        "hi": mantissa >> 64,
        "flags": (-exponent << 16) | (_SIGN if sign else 0),
    }
    return {name: part for name, part in parts.items() if part}


def _write_time(moment: time | datetime) -> dict[str, int]:
    return {
        "hours": moment.hour,
        "minutes": moment.minute,
        "seconds": moment.second,
        "nanos": moment.microsecond * 1000,
    }


def _write_datetime(moment: datetime) -> dict[str, Any]:
    written: dict[str, Any] = {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        **_write_time(moment),
    }
    zone = moment.tzinfo
    if isinstance(zone, ZoneInfo):
        if moment.fold and moment.utcoffset() != moment.replace(fold=0).utcoffset():
            raise ValueError(
                "the second of two equal local times has no counterpart here: give a fixed offset"
            )
        written["time_zone"] = {"id": _key_of(zone)}
    elif (offset := moment.utcoffset()) is not None:
        if offset % timedelta(seconds=1) or abs(offset) > _LONGEST_OFFSET:
            raise ValueError("value must be of a UTC offset in whole seconds within 18 hours, got another")
        written["utc_offset"] = _write_duration(offset)
    return written


def _key_of(zone: ZoneInfo) -> str:
    if not zone.key:
        raise ValueError("value must be of a time zone with a key, such as Europe/Berlin, got one without")
    return str(zone.key)


def _write_duration(span: timedelta) -> str:
    microseconds = span // _MICROSECOND
    whole, part = divmod(abs(microseconds), 1_000_000)
    fraction = f".{part:06}" if part else ""
    return f"{'-' if microseconds < 0 else ''}{whole}{fraction}s"


def _write_file(file: FileRef) -> dict[str, Any]:
    if (file.remote is None) == (file.content is None):
        raise ValueError("FileRef must be either a remote name or a content, got both or neither")
    if file.content is None:
        return {"remote": checks.text("FileRef.remote", file.remote)}
    inline = {"content": base64.b64encode(file.content).decode()}
    return {"inline": {"file_name": file.file_name, **inline} if file.file_name else inline}


# Reading


def _read(value: Mapping[str, Any], depth: int) -> object:
    try:
        if len(value) != 1 or depth > _DEEPEST:
            raise _Unreadable
        [(kind, content)] = value.items()
        return _READERS[kind](content, depth)
    # A member that is missing, of another type or out of range: what follows reads as unknown.
    except (_Unreadable, KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return UnknownValue(dict(value))


def _read_hashable(value: Mapping[str, Any]) -> object:
    [kind] = value
    found = _read(value, 0)
    if kind not in _HASHABLE or isinstance(found, UnknownValue):
        raise _Unreadable
    return found


def _of(kind: type | tuple[type, ...]) -> Callable[[Any, int], object]:
    def read(content: Any, _: int) -> object:
        if not isinstance(content, kind):
            raise _Unreadable
        return content

    return read


def _whole(content: Mapping[str, Any], member: str, default: int = 0) -> int:
    """An integer member, which may be absent, null or written as text."""
    found = content.get(member)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int | str):
        raise _Unreadable
    return int(found)


def _members(content: Any, known: frozenset[str]) -> Mapping[str, Any]:
    """`content`, if it holds nothing that would be lost."""
    if not isinstance(content, Mapping) or content.keys() - known:
        raise _Unreadable
    return content


_NUMBER = frozenset({"lo", "mid", "hi", "flags"})
_DAY = frozenset({"year", "month", "day"})
_CLOCK = frozenset({"hours", "minutes", "seconds", "nanos"})


def _read_number(content: Any, _: int) -> int | Decimal:
    members = _members(content, _NUMBER)
    lo, mid, hi, flags = (_whole(members, name) for name in ("lo", "mid", "hi", "flags"))
    if flags < 0:
        flags += 1 << 32  # a signed reading of 32 bits
    scale = flags >> 16 & 0xFF
    if not all(0 <= part < 1 << 32 for part in (lo, mid, hi)) or flags & ~(_SIGN | 0xFF0000):
        raise _Unreadable
    if scale > _LARGEST_SCALE:
        raise _Unreadable
    mantissa = lo | mid << 32 | hi << 64
    negative = bool(flags & _SIGN)
    if scale == 0 and (mantissa or not negative):
        return -mantissa if negative else mantissa
    return Decimal((int(negative), tuple(map(int, str(mantissa))), -scale))


def _read_date(content: Any, _: int) -> date:
    members = _members(content, _DAY)
    return date(_whole(members, "year"), _whole(members, "month"), _whole(members, "day"))


def _read_clock(members: Mapping[str, Any]) -> time:
    nanos = _whole(members, "nanos")
    if nanos % 1000:
        raise _Unreadable
    return time(
        _whole(members, "hours"), _whole(members, "minutes"), _whole(members, "seconds"), nanos // 1000
    )


def _read_timeofday(content: Any, _: int) -> time:
    return _read_clock(_members(content, _CLOCK))


def _read_datetime(content: Any, _: int) -> datetime:
    members = _members(content, _DAY | _CLOCK | {"utc_offset", "time_zone"})
    day = {name: members.get(name) for name in _DAY}
    offset, zone = members.get("utc_offset"), members.get("time_zone")
    if offset is not None and zone is not None:
        raise _Unreadable
    place: tzinfo | None = None
    if offset is not None:
        place = timezone(_read_duration(offset, 0)) if _read_duration(offset, 0) else UTC
    elif zone is not None:
        place = _read_zone(zone, 0)
    return datetime.combine(_read_date(day, 0), _read_clock(members), place)


def _read_zone(content: Any, _: int) -> ZoneInfo:
    members = _members(content, frozenset({"id", "version"}))
    if members.get("version"):
        raise _Unreadable
    try:
        return ZoneInfo(members["id"])
    except OSError:  # names that are folders
        raise _Unreadable from None


def _read_duration(content: Any, _: int) -> timedelta:
    found = _DURATION.fullmatch(content)
    if found is None:
        raise _Unreadable
    nanos = int((found[3] or "").ljust(9, "0"))
    if nanos % 1000:
        raise _Unreadable
    span = timedelta(seconds=int(found[2]), microseconds=nanos // 1000)
    return -span if found[1] else span


def _read_list(content: Any, depth: int) -> list[object]:
    items = _members(content, frozenset({"items"})).get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise _Unreadable
    return [_read(item, depth + 1) for item in items]


def _read_dictionary(content: Any, depth: int) -> dict[object, object]:
    entries = _members(content, frozenset({"entries"})).get("entries") or []
    read: dict[object, object] = {}
    kinds: dict[object, str] = {}
    for entry in entries:
        members = _members(entry, frozenset({"key", "value"}))
        key = _read_hashable(members["key"])
        _tell_apart(kinds, key, members["key"])
        read[key] = _read(members["value"], depth + 1)
    return read


def _read_set(content: Any, _: int) -> set[object]:
    kinds: dict[object, str] = {}
    read: set[object] = set()
    for item in _members(content, frozenset({"items"})).get("items") or []:
        found = _read_hashable(item)
        _tell_apart(kinds, found, item)
        read.add(found)
    return read


def _tell_apart(kinds: dict[object, str], key: object, value: Mapping[str, Any]) -> None:
    """Python holds True and 1 for one key: what it would merge is kept as it came."""
    [kind] = value
    if kinds.setdefault(key, kind) != kind:
        raise _Unreadable


def _read_file(content: Any, _: int) -> FileRef:
    members = _members(content, frozenset({"remote", "inline"}))
    remote, inline = members.get("remote"), members.get("inline")
    if (remote is None) == (inline is None):
        raise _Unreadable
    if remote is not None:
        return FileRef(_of(str)(remote, 0))  # type: ignore[arg-type]  # checked
    file = _members(inline, frozenset({"file_name", "content"}))
    try:
        data = base64.b64decode(file.get("content") or "", validate=True)
    except binascii.Error:
        raise _Unreadable from None
    return FileRef(None, file.get("file_name"), data)


def _read_null(_content: Any, _: int) -> None:
    return None


def _read_table(content: Any, _: int) -> object:
    found = read_table(content)
    if found is None:
        raise _Unreadable
    return found


_READERS: dict[str, Callable[[Any, int], object]] = {
    "null_value": _read_null,
    "bool_value": _of(bool),
    "number": _read_number,
    "text": _of(str),
    "date": _read_date,
    "timeofday": _read_timeofday,
    "datetime": _read_datetime,
    "time_zone": _read_zone,
    "duration": _read_duration,
    "list": _read_list,
    "dictionary": _read_dictionary,
    "set": _read_set,
    "file": _read_file,
    "table": _read_table,
}
_HASHABLE = frozenset({"bool_value", "number", "text", "date", "timeofday", "datetime", "duration"})
