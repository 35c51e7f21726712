"""Requests files, CSV or JSONL, read row by row."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from kognitos_async.cli.columns import KNOWN_COLUMNS, Columns, columns_of
from kognitos_async.cli.input_text import (
    UnreadableFileError,
    advice,
    open_text,
    sniff_delimiter,
    undecodable,
)
from kognitos_async.cli.numbers import exact_decimal, parse_number
from kognitos_async.cli.start_run import unique_members
from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.rest_v2.models import RunRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

PROBLEMS_SHOWN = 20
_LARGEST_CELL = 2**31 - 1


class Row(NamedTuple):
    """A request and the path of its file; `number` is the line, from 1."""

    number: int
    name: str
    stage: str
    inputs: dict[str, Any]
    file: Path | None


class BadRow(NamedTuple):
    """An invalid row, and why."""

    number: int
    name: str
    problem: str


class RequestsFile:
    """The rows of a requests file, read on each iteration in constant memory.

    CSV has the column `name` and optionally `stage` and `file`; every other column is an input, text unless
    in `numbers`. JSONL has an object per line, with `name`, `stage`, `file` and `inputs`. `check` raises
    `TypeError` or `ValueError` for a row that cannot be sent; the default checks for REST API v2. `exact`
    parses numbers with a decimal point or an exponent as `Decimal`.
    """

    def __init__(
        self,
        path: Path,
        *,
        process_id: str,
        stage: str,
        numbers: Collection[str],
        inputs: Collection[str] = (),
        delimiter: str | None = None,
        encoding: str | None = None,
        exact: bool = False,
        check: Callable[[Row], object] | None = None,
    ) -> None:
        self.path = path
        self._process_id = process_id
        self._stage = stage
        self._numbers = frozenset(name.strip() for name in numbers)
        self._inputs = frozenset(name.strip() for name in inputs)
        self._delimiter = delimiter
        self._encoding = encoding
        self._exact = exact
        self._decode = json.JSONDecoder(
            parse_float=exact_decimal if exact else None, object_pairs_hook=unique_members
        ).decode
        self._check = check or self._check_for_v2

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows, valid or not; a repeated name is invalid.

        Raises `UnreadableFileError`, or `OSError` if the file cannot be read.
        """
        with closing(sqlite3.connect("")) as seen:  # spills to a temporary file when large
            seen.execute("CREATE TABLE names (name TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID")
            try:
                for row in self._parsed():
                    yield self._checked(row, seen) if isinstance(row, Row) else row
            except UnicodeDecodeError as problem:
                raise UnreadableFileError(
                    f"{self.path} is not {problem.encoding}: {problem.reason} (--encoding)"
                ) from None

    def _check_for_v2(self, row: Row) -> None:
        request = RunRequest(process_id=self._process_id, name=row.name, stage=row.stage, inputs=row.inputs)
        encode_start(request, "agent")

    def _checked(self, row: Row, seen: sqlite3.Connection) -> Row | BadRow:
        if row.file is not None and "\0" in str(row.file):
            return BadRow(row.number, row.name, "the file name contains a null character")
        try:
            self._check(row)
        except (TypeError, ValueError) as problem:
            return BadRow(row.number, row.name, str(problem))
        try:
            seen.execute("INSERT INTO names VALUES (?, ?)", (row.name, row.number))
        except sqlite3.IntegrityError:
            (first,) = seen.execute("SELECT row FROM names WHERE name = ?", (row.name,)).fetchone()
            return BadRow(row.number, row.name, f"duplicate name, first used in row {first}")
        return row

    def _parsed(self) -> Iterator[Row | BadRow]:
        kind = self.path.suffix.lower()
        if kind in (".csv", ".tsv"):
            yield from self._csv(kind)
        elif kind in (".jsonl", ".ndjson"):
            yield from self._jsonl()
        else:
            raise UnreadableFileError(f"{self.path} is neither .csv nor .jsonl")

    def _csv(self, kind: str) -> Iterator[Row | BadRow]:
        # The default of 128 KiB, a setting of the whole process, is too low for letters and mail bodies.
        csv.field_size_limit(_LARGEST_CELL)
        with open_text(self.path, self._encoding) as file:
            header = file.readline()
            file.seek(0)
            delimiter = self._delimiter or (
                "\t" if kind == ".tsv" else sniff_delimiter(header, frozenset(KNOWN_COLUMNS))
            )
            reader = csv.reader(file, strict=True, delimiter=delimiter)
            columns = columns_of(self.path, next(reader, []), numbers=self._numbers, inputs=self._inputs)
            while True:
                first = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as problem:
                    if "unexpected end of data" in str(problem):
                        # Everything after the quote would be lost as its text.
                        raise UnreadableFileError(
                            f"{self.path}: row {first} opens a quote that is never closed"
                        ) from None
                    yield BadRow(reader.line_num, "", f"is not CSV: {problem}")
                    continue
                if cells:
                    yield self._from_cells(reader.line_num, columns, cells)

    def _from_cells(self, number: int, columns: Columns, cells: list[str]) -> Row | BadRow:
        names, input_columns, numbers, chosen = columns
        if len(cells) != len(names):
            return BadRow(number, "", f"has {len(cells)} cells for {len(names)} columns")
        values = dict(zip(names, cells, strict=True))
        name = values["name"].strip()
        if any(map(undecodable, cells)):
            return BadRow(number, name.encode("utf-8", "replace").decode(), advice(self._encoding))
        inputs: dict[str, Any] = {}
        for column in input_columns:
            value = values[column]
            if column not in numbers:
                inputs[column] = value
            elif value.strip():
                parsed = parse_number(value, exact=self._exact)
                if parsed is None:
                    return BadRow(number, name, f"column {column} must be a number, got {value!r}")
                inputs[column] = parsed
        stage = "" if "stage" in chosen else values.get("stage", "").strip()
        file = "" if "file" in chosen else values.get("file", "").strip()
        return Row(number, name, stage or self._stage, inputs, self._file(file))

    def _jsonl(self) -> Iterator[Row | BadRow]:
        if self._numbers or self._inputs or self._delimiter:
            raise UnreadableFileError(f"{self.path} is JSONL: --number, --input and --delimiter are for CSV")
        with open_text(self.path, self._encoding) as file:
            for number, line in enumerate(file, 1):
                if undecodable(line):
                    yield BadRow(number, "", advice(self._encoding))
                elif line.strip():
                    yield self._from_json(number, line)

    def _from_json(self, number: int, line: str) -> Row | BadRow:
        try:
            model: Any = self._decode(line)
        except (ValueError, RecursionError) as problem:
            return BadRow(number, "", f"is not JSON: {problem}")
        if not isinstance(model, dict) or not isinstance(model.get("name"), str):
            return BadRow(number, "", "must be an object with a string `name`")
        name = model["name"]
        unknown = set(model) - {*KNOWN_COLUMNS, "inputs"}
        inputs, file, stage = (model.get(member) for member in ("inputs", "file", "stage"))
        if unknown:
            return BadRow(number, name, f"has unknown members: {', '.join(sorted(unknown))}")
        if not isinstance(inputs, dict | None) or not all(
            isinstance(text, str | None) for text in (file, stage)
        ):
            return BadRow(number, name, "`inputs` must be an object, `file` and `stage` strings")
        return Row(number, name, stage or self._stage, inputs or {}, self._file(file))

    def _file(self, name: str | None) -> Path | None:
        return self.path.parent / name if name else None
