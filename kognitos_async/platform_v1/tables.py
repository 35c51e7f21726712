"""Tables among the values: Arrow data inline, columns of plain values, or the address of a Feather file."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW_MEMBERS = ("data", "content", "arrow", "arrow_ipc")
"""Where the bytes of an inline table may be found; sources differ."""


class Table(msgspec.Struct, frozen=True):
    """A table that is no pyarrow table yet: its Arrow bytes, the URL of a Feather file, or its columns.

    With pyarrow installed (the `arrow` extra), values that are inline tables are pyarrow tables already; a
    remote one, or one whose bytes pyarrow cannot read, is this.
    """

    data: bytes | None = None
    url: str | None = None
    columns: dict[str, list[Any]] | None = None

    def __repr__(self) -> str:
        if self.data is not None:
            return f"Table({len(self.data)} bytes)"
        return f"Table(columns={list(self.columns)})" if self.columns is not None else "Table(url=...)"

    def to_arrow(self) -> pa.Table:
        """The pyarrow table. Raises `ImportError` without pyarrow, `ValueError` for what it cannot read.

        A remote table is not fetched: its URL is the caller's to trust or not.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra
        except ImportError:
            raise ImportError("tables need pyarrow: pip install 'kognitos-async[arrow]'") from None
        try:
            if self.columns is not None:
                return pa.table(self.columns)
            if self.data is None:
                raise ValueError(
                    f"this table is at {self.url}: fetch it and give its bytes to Table(data=...)"
                )
            if self.data.startswith(b"ARROW1"):
                return pa.ipc.open_file(self.data).read_all()
            return pa.ipc.open_stream(self.data).read_all()
        except (pa.ArrowException, OSError) as problem:
            raise ValueError(f"pyarrow cannot read this table: {problem}") from None


def is_arrow(obj: object) -> bool:
    """Whether `obj` is a pyarrow table or batch, which it can only be where pyarrow is loaded already."""
    pyarrow = sys.modules.get("pyarrow")
    return pyarrow is not None and isinstance(obj, pyarrow.Table | pyarrow.RecordBatch)


def write_table(table: Any) -> dict[str, Any]:
    """The API's form of a `Table` or of a pyarrow table."""
    if not isinstance(table, Table):
        table = Table(_arrow_bytes(table))
    elif table.columns is not None:
        table = Table(_arrow_bytes(table.to_arrow()))
    if (table.data is None) == (table.url is None):
        raise ValueError("Table must be either data or a url, got both or neither")
    if table.data is None:
        return {"remote": table.url}
    return {"inline": base64.b64encode(table.data).decode()}


def _arrow_bytes(table: Any) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - an extra, loaded already

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)
    return bytes(sink.getvalue())


def read_table(content: Any) -> object:
    """The table in the API's form, None if that is not one this version knows."""
    if not isinstance(content, Mapping) or len(content) != 1:
        return None
    if isinstance(url := content.get("remote"), str):
        return Table(url=url)
    inline = content.get("inline")
    if isinstance(inline, Mapping) and isinstance(inline.get("columns"), list):
        columns = _columns(inline["columns"])
        return None if columns is None else _as_arrow(Table(columns=columns))
    if isinstance(inline, Mapping):
        inline = next((inline[name] for name in _ARROW_MEMBERS if name in inline and len(inline) == 1), None)
    if not isinstance(inline, str):
        return None
    try:
        return _as_arrow(Table(base64.b64decode(inline, validate=True)))
    except binascii.Error:
        return None


def _as_arrow(table: Table) -> object:
    try:
        return table.to_arrow()
    except (ImportError, ValueError):
        return table


def _columns(columns: list[Any]) -> dict[str, list[Any]] | None:
    read: dict[str, list[Any]] = {}
    for column in columns:
        if not isinstance(column, Mapping) or not isinstance(column.get("name"), str):
            return None
        values = column.get("values") or []
        if column["name"] in read or not isinstance(values, list):
            return None
        read[column["name"]] = [_cell(value) for value in values]
    return read


def _cell(value: Any) -> Any:
    """A `bdkV1Value` as Python has it; of a kind not found in tables, as it came."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    [(kind, content)] = value.items()
    try:
        return _CELLS[kind](content) if kind in _CELLS else value
    except (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError):
        return value


def _time(content: Any) -> time:
    hours, minutes, seconds, nanos = (content.get(n, 0) for n in ("hours", "minutes", "seconds", "nanos"))
    return time(hours, minutes, seconds, nanos // 1000)


_CELLS: dict[str, Callable[[Any], Any]] = {
    "null_value": lambda _: None,
    "text_value": lambda content: content,
    "number_value": lambda content: content,
    "boolean_value": lambda content: content,
    "datetime_value": lambda content: msgspec.convert(content, datetime),
    "date_value": lambda content: date(content["year"], content["month"], content["day"]),
    "time_value": _time,
    "list_value": lambda content: [_cell(item) for item in content.get("values") or []],
    "dictionary_value": lambda content: {
        field["key"]: _cell(field["value"]) for field in content.get("fields") or []
    },
}
