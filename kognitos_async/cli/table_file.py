"""Records as a file: CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.parquet_file import NESTED, ParquetFile
from kognitos_async.cli.text import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from kognitos_async.cli.destination import Destination

Record = dict[str, Any]


class Format(StrEnum):
    """How records are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def format_of(output: Path | None) -> Format:
    """The format that the ending of a file names, CSV where it names none."""
    ending = "" if output is None else output.suffix.lower().removeprefix(".")
    return {"jsonl": Format.JSONL, "ndjson": Format.JSONL, "parquet": Format.PARQUET}.get(ending, Format.CSV)


def write_table(
    destination: Destination,
    kind: Format,
    columns: Sequence[str],
    records: Callable[[], Iterator[Record]],
    *,
    as_columns: bool,
) -> int:
    """How many records were written: all that `records` gives, which is asked twice where columns depend on
    values. Nothing is left of a file that could not be finished.
    """
    count = 0
    try:
        with destination.open() as file:
            if kind is Format.PARQUET:
                count = ParquetFile(columns, records, as_columns=as_columns).write(file)
            else:
                names = names_of(records(), columns) if as_columns and kind is Format.CSV else {}
                write = text_writer(kind, columns, file, names)
                for count, record in enumerate(records(), 1):  # noqa: B007 - the last one counts them
                    write(record)
        destination.finish()
    except BrokenPipeError:
        raise destination.lost() from None
    except BaseException:
        destination.discard()
        raise
    return count


def names_of(records: Iterable[Record], columns: Iterable[str]) -> dict[str, list[str]]:
    """The names of all values, by the column that holds them."""
    found: dict[str, set[str]] = {column: set() for column in columns if column in NESTED}
    for record in records:
        for column, names in found.items():
            names.update(record.get(column) or {})
    return {column: sorted(names) for column, names in found.items()}


def text_writer(
    kind: Format, columns: Sequence[str], file: BinaryIO, spread: dict[str, list[str]]
) -> Callable[[Record], object]:
    """A function that writes a record as text; for CSV the heading is written at once.

    The columns in `spread` become a column for each of their names.
    """

    def send(text: str) -> None:
        file.write(text.encode("utf-8", "backslashreplace"))

    def row(cells: Iterable[Any]) -> None:
        text = io.StringIO()
        csv.writer(text).writerow(cells)
        send(text.getvalue())

    if kind is Format.JSONL:
        return lambda record: send(json_line(record) + "\n")
    row(name for column in columns for name in _headings(column, spread))
    return lambda record: row(_cells(record, columns, spread))


def _headings(column: str, spread: dict[str, list[str]]) -> list[str]:
    return [f"{column}.{name}" for name in spread[column]] if column in spread else [column]


def _cells(record: Record, columns: Iterable[str], spread: dict[str, list[str]]) -> Iterator[Any]:
    for column in columns:
        value = record.get(column)
        if column in spread:
            yield from (_cell((value or {}).get(name)) for name in spread[column])
        else:
            yield _cell(value)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    return json_line(value)
