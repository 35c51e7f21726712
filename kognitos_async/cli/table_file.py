"""Export files: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import gc
import io
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.parquet_file import ParquetFile
from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from kognitos_async.cli.api import Columns
    from kognitos_async.cli.column_types import SeenTypes
    from kognitos_async.cli.destination import Destination


class Format(StrEnum):
    """Format of an export."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def format_of(output: Path | None, *, as_json: bool = False) -> Format:
    """The format for the suffix of a file, by default JSON lines if `as_json`, else CSV."""
    ending = "" if output is None else output.suffix.lower().removeprefix(".")
    by_ending = {
        "jsonl": Format.JSONL,
        "ndjson": Format.JSONL,
        "parquet": Format.PARQUET,
        "csv": Format.CSV,
    }
    return by_ending.get(ending, Format.JSONL if as_json else Format.CSV)


def write_table(
    destination: Destination,
    kind: Format,
    columns: Sequence[str],
    pages: Iterable[Columns],
    types: SeenTypes,
    *,
    as_columns: bool,
) -> int:
    """Write all `pages` and return the number of rows; `types` must have seen the pages.

    An unfinished file is deleted.
    """
    count = 0
    try:
        with destination.open() as file, _collector_paused():
            if kind is Format.PARQUET:
                count = ParquetFile(columns, types, as_columns=as_columns).write(file, pages)
            else:
                names = types.names() if as_columns and kind is Format.CSV else {}
                write = text_writer(kind, columns, file, names)
                for page in pages:
                    write(page)
                    count += len(page[columns[0]])
        destination.finish()
    except BrokenPipeError:
        raise destination.lost() from None
    except BaseException:
        destination.discard()
        raise
    return count


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No cyclic garbage collection: pages have no cycles, and looking for some takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def text_writer(
    kind: Format, columns: Sequence[str], file: BinaryIO, spread: dict[str, list[str]]
) -> Callable[[Columns], object]:
    """A function that writes a page as text; for CSV the header is written first.

    The columns in `spread` become a column for each of their names.
    """

    def send(text: str) -> None:
        file.write(text.encode("utf-8", "backslashreplace"))

    def send_rows(rows: Iterable[Iterable[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        send(text.getvalue())

    def write_lines(page: Columns) -> None:
        rows = zip(*(page[column] for column in columns), strict=True)
        send("".join(json_line(dict(zip(columns, row, strict=True))) + "\n" for row in rows))

    def write_cells(page: Columns) -> None:
        cells = [cells for column in columns for cells in _cells(page[column], spread.get(column))]
        send_rows(zip(*cells, strict=True))

    if kind is Format.JSONL:
        return write_lines
    send_rows([[heading for column in columns for heading in _headings(column, spread)]])
    return write_cells


def _headings(column: str, spread: dict[str, list[str]]) -> list[str]:
    return [f"{column}.{name}" for name in spread[column]] if column in spread else [column]


def _cells(values: list[Any], names: list[str] | None) -> Iterator[list[Any]]:
    """The cells of a column, or of the columns that its names become."""
    if names is None:
        yield [_cell(value) for value in values]
    else:
        yield from ([_cell((value or {}).get(name)) for value in values] for name in names)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    return json_line(value)
