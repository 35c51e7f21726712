"""Requests in a CSV or JSONL file, read row by row."""

from __future__ import annotations

import csv
import json
import math
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.rest_v2.models import RunRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PROBLEMS_SHOWN = 20
_KNOWN_COLUMNS = ("name", "stage", "file")
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


class Row(NamedTuple):
    """A request, without the id of the file that goes with it; `number` counts lines from 1."""

    number: int
    name: str
    stage: str
    inputs: dict[str, str | int | float]
    file: Path | None


class BadRow(NamedTuple):
    """A row that is no request, and why."""

    number: int
    name: str
    problem: str


class UnreadableFileError(Exception):
    """A file that holds no requests at all; the text says why."""


class RequestsFile:
    """The rows of a file, read anew each time: a million of them take no memory.

    In CSV, `name` and optionally `stage` and `file` are columns, every other column is an input, and text
    unless `numbers` names it. In JSONL every line is an object with `name`, `inputs` and the like.
    """

    def __init__(self, path: Path, *, process_id: str, stage: str, numbers: Sequence[str]) -> None:
        self.path = path
        self._process_id = process_id
        self._stage = stage
        self._numbers = frozenset(numbers)

    def rows(self) -> Iterator[Row | BadRow]:
        """Every row in turn, good or bad; of two with one name the second is bad.

        Raises `UnreadableFileError`, and `OSError` when the file cannot be read.
        """
        with closing(sqlite3.connect("")) as seen:  # on disk as soon as it is large, gone when closed
            seen.execute("CREATE TABLE names (name TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
            for row in self._parsed():
                if isinstance(row, Row):
                    yield self._checked(row, seen)
                else:
                    yield row

    def request(self, row: Row, file_id: str | None) -> RunRequest:
        """The request of a row."""
        return RunRequest(
            process_id=self._process_id,
            name=row.name,
            stage=row.stage,
            inputs=row.inputs,
            file_ids=None if file_id is None else [file_id],
        )

    def _checked(self, row: Row, seen: sqlite3.Connection) -> Row | BadRow:
        try:
            encode_start(self.request(row, None), "agent")
        except (TypeError, ValueError) as problem:
            return BadRow(row.number, row.name, str(problem))
        try:
            there = row.file is None or row.file.is_file()
        except OSError as problem:  # a path too long, or in a folder that is closed to us
            return BadRow(row.number, row.name, f"the file cannot be read: {problem.strerror}")
        if not there:
            return BadRow(row.number, row.name, f"there is no file {row.file}")
        try:
            seen.execute("INSERT INTO names VALUES (?, ?)", (row.name, row.number))
        except sqlite3.IntegrityError:
            (first,) = seen.execute("SELECT row FROM names WHERE name = ?", (row.name,)).fetchone()
            return BadRow(row.number, row.name, f"the name is that of row {first}: names must be unique")
        return row

    def _parsed(self) -> Iterator[Row | BadRow]:
        if self.path.suffix.lower() == ".csv":
            yield from self._csv()
        elif self.path.suffix.lower() in (".jsonl", ".ndjson"):
            yield from self._jsonl()
        else:
            raise UnreadableFileError(f"{self.path} is neither .csv nor .jsonl")

    def _csv(self) -> Iterator[Row | BadRow]:
        with self.path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.reader(file, strict=True)
            columns = next(reader, [])
            self._check_columns(columns)
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as problem:
                    if "field limit" in str(problem):
                        # Probably a quote that is never closed: what follows may be text and no rows.
                        raise UnreadableFileError(
                            f"{self.path}: row {reader.line_num} is not CSV: {problem}; is a quote open?"
                        ) from None
                    yield BadRow(reader.line_num, "", f"is not CSV: {problem}")
                    continue
                if cells:
                    yield self._from_cells(reader.line_num, columns, cells)

    def _check_columns(self, columns: list[str]) -> None:
        if "name" not in columns:
            raise UnreadableFileError(
                f"{self.path} has no column name, only {', '.join(columns) or 'nothing'}"
            )
        twice = {column for column in columns if columns.count(column) > 1}
        if twice:
            raise UnreadableFileError(f"{self.path} has columns of one name: {', '.join(sorted(twice))}")
        missing = self._numbers - set(columns)
        if missing:
            raise UnreadableFileError(f"{self.path} has no column {', '.join(sorted(missing))} (--number)")

    def _from_cells(self, number: int, columns: list[str], cells: list[str]) -> Row | BadRow:
        if len(cells) != len(columns):
            return BadRow(number, "", f"has {len(cells)} cells for {len(columns)} columns")
        values = dict(zip(columns, cells, strict=True))
        name = values["name"]
        if any("\udc80" <= character <= "\udcff" for cell in cells for character in cell):
            return BadRow(number, name.encode("utf-8", "replace").decode(), "is not UTF-8")
        inputs: dict[str, str | int | float] = {}
        for column, value in values.items():
            if column in _KNOWN_COLUMNS:
                continue
            if column in self._numbers:
                parsed = _number(value)
                if parsed is None:
                    return BadRow(number, name, f"column {column} is no number: {value!r}")
                inputs[column] = parsed
            else:
                inputs[column] = value
        return Row(number, name, values.get("stage") or self._stage, inputs, self._file(values.get("file")))

    def _jsonl(self) -> Iterator[Row | BadRow]:
        if self._numbers:
            raise UnreadableFileError(f"{self.path} has numbers of its own: --number is for CSV")
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield self._from_json(number, line)

    def _from_json(self, number: int, line: bytes) -> Row | BadRow:
        try:
            model: Any = json.loads(line)
        except (ValueError, RecursionError) as problem:
            return BadRow(number, "", f"is not JSON: {problem}")
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            return BadRow(number, "", "is not an object with a name")
        name = model["name"]
        unknown = set(model) - {*_KNOWN_COLUMNS, "inputs"}
        inputs, file, stage = (model.get(member) for member in ("inputs", "file", "stage"))
        if unknown:
            return BadRow(number, name, f"has members nobody reads: {', '.join(sorted(unknown))}")
        if not isinstance(inputs, dict | None) or not all(
            isinstance(text, str | None) for text in (file, stage)
        ):
            return BadRow(number, name, "needs inputs as an object, file and stage as text")
        return Row(number, name, stage or self._stage, inputs or {}, self._file(file))

    def _file(self, name: str | None) -> Path | None:
        return self.path.parent / name if name else None


def _number(text: str) -> int | float | None:
    """The number that a cell spells out; None for all else that Python would take, `1_000` or `nan`."""
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text) if _DECIMAL.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None
