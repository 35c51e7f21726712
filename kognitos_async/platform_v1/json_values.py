"""Python values as plain JSON for exports and logs. One-way: `to_value` is the exact form."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from kognitos_async.platform_v1.tables import Table
from kognitos_async.platform_v1.value_types import FileRef, UnknownValue


def json_ready(value: object) -> Any:
    """`value` as None, bool, int, float, str, lists, and dicts with text keys.

    Decimals become text (a float would round them), times and durations ISO 8601 text, sets lists, tables
    lists of rows, file contents base64. Tables that need pyarrow become base64 or a URL where it is missing.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | Decimal | ZoneInfo):
        return str(value)
    if isinstance(value, date | time | datetime):
        return value.isoformat()
    if isinstance(value, timedelta | bytes):
        return msgspec.to_builtins(value)  # ISO 8601, base64
    if isinstance(value, Mapping):
        return {_key(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple | AbstractSet):
        return [json_ready(item) for item in value]
    return _structured(value)


def _key(key: object) -> str:
    """A key as text: its JSON form if it is not text already."""
    ready = json_ready(key)
    return ready if isinstance(ready, str) else msgspec.json.encode(ready).decode()


def _structured(value: Any) -> Any:
    if isinstance(value, UnknownValue):
        return value.raw
    if isinstance(value, FileRef):
        members = {"remote": value.remote, "file_name": value.file_name, "content": value.content}
        return {name: json_ready(member) for name, member in members.items() if member is not None}
    if isinstance(value, msgspec.Struct) and not isinstance(value, Table):  # a model of the API
        return {name: json_ready(member) for name, member in msgspec.structs.asdict(value).items()}
    if isinstance(value, Table) and value.url is not None:
        return {"url": value.url}
    try:
        return json_ready(value.to_pylist())  # a Table, or a table of pyarrow
    except (ImportError, ValueError):
        return {"data": json_ready(value.data)}
