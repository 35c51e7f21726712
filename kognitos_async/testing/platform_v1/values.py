"""Values and timestamps in the platform API's form."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, cast

import msgspec

Values = Mapping[str, Any]
"""Values by name: plain Python ones, or objects in the API's form such as `{"text": "x"}`."""

MEMBERS = frozenset(
    {
        "null_value",
        "bool_value",
        "number",
        "text",
        "date",
        "timeofday",
        "datetime",
        "time_zone",
        "duration",
        "list",
        "dictionary",
        "file",
        "table",
        "set",
    }
)
"""Members of a value, exactly one of which is set."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WORD = 2**32
_LARGEST = 2**96
_LARGEST_SCALE = 28
_NEGATIVE = 2**31
_FLAGS = _NEGATIVE | 0xFF << 16
_PRECISION = 60


def to_values(values: Values) -> dict[str, Any]:
    """Values in the API's form."""
    return {name: to_value(value) for name, value in values.items()}


def to_value(value: Any) -> dict[str, Any]:
    """A value in the API's form. Raises `TypeError` for an unsupported type."""
    match value:
        case None:
            return {"null_value": "NULL_VALUE"}
        case bool():
            return {"bool_value": value}
        case int() | float() | Decimal():
            return {"number": to_number(value)}
        case str():
            return {"text": value}
        case list() | tuple():
            return {"list": {"items": [to_value(item) for item in cast("list[Any]", value)]}}
        case dict():
            found: dict[Any, Any] = value
            if len(found) == 1 and MEMBERS.issuperset(found):
                return found
            pairs = [{"key": to_value(key), "value": to_value(inner)} for key, inner in found.items()]
            return {"dictionary": {"entries": pairs}}
        case _:
            message = (
                "value must be None, a bool, number, str, list or dict, or an object in the API's form such "
                f"as {{'date': …}}, got {type(value).__name__}"
            )
            raise TypeError(message)


def to_number(value: float | Decimal) -> dict[str, int]:
    """A 96-bit decimal. Raises `ValueError` for a number that does not fit."""
    sign, digits, exponent = Decimal(str(value)).as_tuple()
    if not isinstance(exponent, int):
        message = f"not a finite number: {value}"
        raise ValueError(message)  # noqa: TRY004 - of the right type
    mantissa = int("".join(map(str, digits))) * 10 ** max(exponent, 0)
    scale = max(-exponent, 0)
    if mantissa >= _LARGEST or scale > _LARGEST_SCALE:
        message = f"more than 96 bits or {_LARGEST_SCALE} decimals: {value}"
        raise ValueError(message)
    parts = {
        "lo": mantissa % _WORD,
        "mid": mantissa // _WORD % _WORD,
        "hi": mantissa // _WORD**2,
        "flags": (scale << 16) | (_NEGATIVE if sign else 0),
    }
    # protobuf omits zeros.
    return {name: part for name, part in parts.items() if part}


def from_number(number: Mapping[str, int]) -> Decimal:
    """The number that a 96-bit decimal holds."""
    mantissa = number.get("lo", 0) + number.get("mid", 0) * _WORD + number.get("hi", 0) * _WORD**2
    flags = number.get("flags", 0)
    digits = tuple(map(int, str(mantissa)))
    # Arithmetic would round to the precision of the context.
    return Decimal((1 if flags & _NEGATIVE else 0, digits, -(flags >> 16 & 0xFF)))


def problems_of(value: Any, where: str) -> list[tuple[str, str]]:
    """Problems of a value beyond its schema: numbers over 96 bits, columns of unequal length."""
    if isinstance(value, list):
        items = enumerate(value)
        return [problem for at, item in items for problem in problems_of(item, f"{where}.{at}")]
    if not isinstance(value, dict):
        return []
    found = cast("dict[str, Any]", value)
    problems = [problem for name in found for problem in problems_of(found[name], f"{where}.{name}")]
    number, columns = found.get("number"), found.get("columns")
    if isinstance(number, dict):
        parts = cast("dict[str, int]", number)
        if not all(0 <= part < _WORD for part in parts.values()):
            problems.append((f"{where}.number", "must have members of 32 bits each"))
        elif (flags := parts.get("flags", 0)) & ~_FLAGS or flags >> 16 & 0xFF > _LARGEST_SCALE:
            problems.append((f"{where}.number.flags", f"must be a sign and a scale up to {_LARGEST_SCALE}"))
    if isinstance(columns, list):
        lengths = {len(column.get("values") or ()) for column in cast("list[dict[str, Any]]", columns)}
        if len(lengths) > 1:
            problems.append((f"{where}.columns", f"must be of one length, got {sorted(lengths)}"))
    return problems


def remote_files(value: Any) -> Iterator[str]:
    """The names of the stored files that a value refers to."""
    match value:
        case {"file": {"remote": str(name)}}:
            yield name
        case dict() | list():
            for inner in value.values() if isinstance(value, dict) else value:
                yield from remote_files(inner)


def derived_outputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs that identify a run: the sum of its numbers, and a digest of its inputs."""
    numbers = (from_number(value["number"]) for value in inputs.values() if "number" in value)
    with localcontext(prec=_PRECISION):
        total = sum(numbers, Decimal(0))
    mark = hashlib.blake2b(msgspec.json.encode(inputs, order="sorted"), digest_size=8).hexdigest()
    try:
        number = to_number(total)
    except ValueError:
        number = {}
    return {"total": {"number": number}, "reference": {"text": mark}}


def to_nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(nanoseconds: int) -> datetime:
    """The datetime in UTC, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def timestamp(nanoseconds: int) -> str:
    """A timestamp with 0, 3, 6 or 9 decimal places: as few as are exact."""
    text = to_datetime(nanoseconds).isoformat()[:19]
    rest = nanoseconds % 10**9
    if not rest:
        return f"{text}Z"
    digits = f"{rest:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f"{text}.{digits}Z"
