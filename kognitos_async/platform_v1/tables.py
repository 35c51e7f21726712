"""Table values: columns of plain values, Arrow data, or the URL of a Feather file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async import checks
from kognitos_async.platform_v1.cells import read_cell, write_cell
from kognitos_async.platform_v1.value_types import read_bytes

if TYPE_CHECKING:
    import pyarrow as pa

_ARROW_MEMBERS = ("data", "content", "arrow", "arrow_ipc")
"""Members that may hold the Arrow bytes of an inline table; sources differ."""
_NO_PYARROW = "tables need pyarrow: pip install 'kognitos-async[arrow]'"
_ONE_OF_THREE = "a Table must have either data, a url or columns, and not more"


class Table(msgspec.Struct, frozen=True):
    """A table that is not a pyarrow table: columns, Arrow bytes, or the URL of a Feather file.

    To send one: `Table(columns={"line": [1, 2], "text": ["a", None]})`. Tables read from the API are pyarrow
    tables; `Table` is used instead if pyarrow is not installed (the `arrow` extra), if the table is remote,
    or if a column mixes values that Arrow would convert. Both have `to_pylist()`, `to_pydict()`,
    `column_names` and `num_rows`.
    """

    data: bytes | None = None
    """Arrow IPC bytes: a stream, a file, or Feather."""
    url: str | None = None
    """URL of a Feather file. Never fetched: whether to trust it is up to the caller."""
    columns: dict[str, list[Any]] | None = None
    """Lists of plain values by column name, all of the same length."""

    def __repr__(self) -> str:
        if self.data is not None:
            return f"Table({len(self.data)} bytes)"
        return f"Table(columns={list(self.columns)})" if self.columns is not None else "Table(url=...)"

    @property
    def column_names(self) -> list[str]:
        """The names of the columns. Raises what `to_pydict` raises."""
        return list(self.to_pydict())

    @property
    def num_rows(self) -> int:
        """The number of rows. Raises what `to_pydict` raises."""
        return len(next(iter(self.to_pydict().values()), []))

    def to_pydict(self) -> dict[str, list[Any]]:
        """The columns by name. Raises what `to_arrow` raises, unless `columns` is set."""
        if self.columns is not None:
            return {name: list(cells) for name, cells in self.columns.items()}
        found: dict[str, list[Any]] = self.to_arrow().to_pydict()
        return found

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dicts by column name. Raises what `to_arrow` raises, unless `columns` is set."""
        columns = self.to_pydict()
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_arrow(self) -> pa.Table:
        """The pyarrow table.

        Raises `ImportError` without pyarrow, and `ValueError` for bytes that it cannot read, for columns of
        mixed types, and for a remote table, which is not fetched.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 - an extra
        except ImportError:
            raise ImportError(_NO_PYARROW) from None
        try:
            if self.columns is not None:
                if (table := _exactly(self.columns)) is None:
                    raise ValueError("pyarrow cannot hold this table exactly: use to_pylist() or to_pydict()")
                return table
            if self.data is None:
                raise ValueError(
                    f"this table is at {self.url}: fetch it and give its bytes to Table(data=...)"
                )
            if self.data.startswith(b"ARROW1"):
                return pa.ipc.open_file(self.data).read_all()
            return pa.ipc.open_stream(self.data).read_all()
        except (pa.ArrowException, OSError) as problem:
            raise ValueError(f"pyarrow cannot read this table: {problem}") from None


def is_frame(obj: object) -> bool:
    """Whether `obj` is a table of pyarrow, pandas, polars or another library that exports Arrow data."""
    kind = type(obj)
    return (
        hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__dataframe__") or hasattr(kind, "to_batches")
    )


def write_table(table: Any) -> dict[str, Any]:
    """A `Table` or a frame in the API's form: its columns, or the URL of a remote table.

    Raises `TypeError` for anything else, for a frame without pyarrow, and for cells of unsupported types;
    `ValueError` for columns of different lengths or equal names, and for cells that cannot be held exactly.
    """
    if not isinstance(table, Table):
        return {"inline": _inline(_from_frame(table))}
    if sum(part is not None for part in (table.data, table.url, table.columns)) != 1:
        raise ValueError(_ONE_OF_THREE)
    if table.url is not None:
        return {"remote": checks.text("Table.url", table.url)}
    if table.data is not None:
        try:
            return {"inline": _inline(_columns_of(table.to_arrow()))}
        except ImportError:
            raise TypeError(_NO_PYARROW) from None
    return {"inline": _inline(table.columns)}


def _inline(columns: Any) -> dict[str, Any]:
    if not isinstance(columns, Mapping):
        raise TypeError(f"Table.columns must be a dict of lists, got {type(columns).__name__}")
    written = []
    for name, cells in columns.items():
        # A dict, as DataFrame.to_dict() makes of each column, and a set have no order of rows.
        if isinstance(cells, str | bytes | Mapping | AbstractSet) or not hasattr(cells, "__len__"):
            raise TypeError(f"column {name!r} must be a list, got {type(cells).__name__}")
        try:
            values = [write_cell(cell) for cell in cells]
        except (TypeError, ValueError) as problem:
            raise type(problem)(f"column {name!r}: {problem}") from None
        written.append({"name": checks.text("the name of a column", name), "values": values})
    if len({len(column["values"]) for column in written}) > 1:
        lengths = ", ".join(f"{column['name']!r} {len(column['values'])}" for column in written[:8])
        raise ValueError(f"the columns of a table must be of one length, got {lengths}")
    return {"columns": written}


def _from_frame(frame: Any) -> dict[str, list[Any]]:
    """The columns of any library's frame, read by pyarrow."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
    except ImportError:
        raise TypeError(f"{type(frame).__name__} given as a table, but {_NO_PYARROW}") from None
    _check_index(frame)
    try:
        if isinstance(frame, pa.Table):
            return _columns_of(frame)
        if isinstance(frame, pa.RecordBatch):
            return _columns_of(pa.Table.from_batches([frame]))
        if hasattr(frame, "iloc"):
            return _columns_of_pandas(frame)
        if hasattr(frame, "__arrow_c_stream__"):
            return _columns_of(pa.table(frame))
        if hasattr(frame, "__dataframe__"):
            from pyarrow import interchange  # noqa: PLC0415 - an extra

            return _columns_of(interchange.from_dataframe(frame))
    except (pa.ArrowException, TypeError, OverflowError) as problem:
        if isinstance(problem, TypeError) and str(problem).startswith("column "):
            raise
        raise TypeError(
            f"a table must be a frame that pyarrow can read, got {type(frame).__name__} ({problem}): "
            "give a frame of plain columns, or a list for a single column"
        ) from None
    raise TypeError(f"a table must be a Table or a frame, got {type(frame).__name__}")


def _columns_of_pandas(frame: Any) -> dict[str, list[Any]]:
    """The columns of a pandas frame.

    Columns of objects are read cell by cell. pyarrow would make their cells alike: a datetime beside a date
    would become a date, a naive datetime beside an aware one would be taken as UTC.
    """
    import pyarrow as pa  # noqa: PLC0415 - an extra, loaded already

    if getattr(frame, "ndim", 2) != 2:
        raise TypeError("it is a single column")
    names = _distinct(list(map(str, frame.columns)))
    of_objects = [_is_of_objects(kind) for kind in frame.dtypes]
    typed = frame.iloc[:, [place for place, objects in enumerate(of_objects) if not objects]]
    read = iter(_columns_of(pa.Table.from_pandas(typed, preserve_index=False)).values())
    return {
        name: _objects(frame.iloc[:, place]) if of_objects[place] else next(read)
        for place, name in enumerate(names)
    }


def _is_of_objects(kind: Any) -> bool:
    """Whether a dtype of pandas is that of objects, or of categories that are objects."""
    categories = getattr(kind, "categories", None)
    return bool(kind == "object" or getattr(categories, "dtype", None) == "object")


def _objects(column: Any) -> list[Any]:
    """The cells of a pandas column of objects: None for missing ones, lists for arrays."""
    cells = zip(column.tolist(), column.isna().tolist(), strict=True)
    return [None if missing else _unpacked(cell) for cell, missing in cells]


def _unpacked(cell: Any) -> Any:
    """A list in place of an array, whose own `tolist` makes numbers of times."""
    return [_unpacked(item) for item in cell] if getattr(cell, "ndim", 0) else cell


def _check_index(frame: Any) -> None:
    """Refuse a meaningful index: pandas does not include it in the columns."""
    index: Any = getattr(frame, "index", None)
    names = getattr(index, "names", None)
    if names is None:
        return
    if any(name is not None for name in names) or getattr(index.dtype, "kind", "i") not in "iu":
        raise ValueError("a frame must have a plain index, for it is not sent: call reset_index() first")


def _columns_of(table: pa.Table) -> dict[str, list[Any]]:
    names = _distinct(table.column_names)
    return {name: _cells(name, column) for name, column in zip(names, table.columns, strict=True)}


def _distinct(names: list[str]) -> list[str]:
    """`names`. Raises `ValueError` if one is there twice."""
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the columns of a table must have names of their own, got {twice!r} twice")
    return names


def _cells(name: str, column: Any) -> list[Any]:
    """The cells of a pyarrow column. Raises `ValueError` for what they would lose, such as nanoseconds."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, loaded already

    kind = column.type
    if isinstance(kind, pa.ExtensionType):  # defined in Python, such as a period of pandas
        raise TypeError(f"column {name!r}: Kognitos has no values like {kind}: give dates or text")
    if (pa.types.is_timestamp(kind) or pa.types.is_time(kind)) and kind.unit == "ns":
        target = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.time64("us")
        try:
            column = column.cast(target, safe=True)
        except pa.ArrowInvalid:
            raise ValueError(
                f"column {name!r}: a time must have whole microseconds: round the column, or give text"
            ) from None
    try:
        found: list[Any] = column.to_pylist()
    except OverflowError:
        raise ValueError(f"column {name!r}: a date must be within the years 1 to 9999") from None
    return found


def read_table(content: Any) -> object:
    """The table in the API's form; None if this version does not know the form."""
    if not isinstance(content, Mapping) or len(content) != 1:
        return None
    if isinstance(url := content.get("remote"), str):
        return Table(url=url)
    inline = content.get("inline")
    if isinstance(inline, Mapping) and not inline.keys() - {"columns"}:
        columns = _read_columns(inline.get("columns") or [])
        return None if columns is None else _as_arrow(Table(columns=columns))
    if isinstance(inline, Mapping):
        inline = next((inline[name] for name in _ARROW_MEMBERS if name in inline and len(inline) == 1), None)
    data = read_bytes(inline)
    return None if data is None else _as_arrow(Table(data))


def _as_arrow(table: Table) -> object:
    try:
        return table.to_arrow()
    except (ImportError, ValueError):
        return table


def _read_columns(columns: object) -> dict[str, list[Any]] | None:
    if not isinstance(columns, list):
        return None
    read: dict[str, list[Any]] = {}
    for column in columns:
        if not isinstance(column, Mapping) or column.keys() - {"name", "values"}:
            return None
        name, values = column.get("name"), column.get("values") or []
        if not isinstance(name, str) or name in read or not isinstance(values, list):
            return None
        read[name] = [read_cell(value) for value in values]
    return read if len({len(cells) for cells in read.values()}) <= 1 else None


def _exactly(columns: dict[str, list[Any]]) -> pa.Table | None:
    """The pyarrow table of these columns; None if it would change their values."""
    pa = sys.modules["pyarrow"]
    try:
        table = pa.table(columns)
        return table if _same(table.to_pydict(), columns) else None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None


def _same(one: object, other: object) -> bool:
    """Deep equality in which True differs from 1, and times differ by offset."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other and one.utcoffset() == other.utcoffset()
    both_numbers = isinstance(one, int | float) and isinstance(other, int | float)
    alike = both_numbers or isinstance(one, type(other)) or isinstance(other, type(one))
    return one == other and alike and isinstance(one, bool) == isinstance(other, bool)
