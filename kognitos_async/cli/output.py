"""What a command prints: tables on a terminal, tab-separated lines elsewhere, JSON lines where asked for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kognitos_async.cli.text import cell, json_line, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping, Sequence

    from rich.table import Table


class Output:
    """Standard output for results, standard error for notes.

    Results are one JSON object a line with `as_json`. Otherwise a terminal shows lists as tables, and
    anything else gets tab-separated lines without a heading.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet

    @property
    def on_terminal(self) -> bool:
        """Whether results are read by a person."""
        return not self.as_json and sys.stdout is not None and sys.stdout.isatty()

    def note(self, line: str) -> None:
        """Print a line on standard error, unless quiet."""
        if not self.quiet and sys.stderr is not None:
            print(printable(line), file=sys.stderr, flush=True)

    def line(self, record: Mapping[str, object], columns: Sequence[str]) -> None:
        """Print one result at once: all of it as JSON, else its `columns`."""
        if self.as_json:
            self._write(json_line(record))
        else:
            self._write("\t".join(cell(record.get(column)) for column in columns))

    def show(self, record: Mapping[str, object]) -> None:
        """Print one result with all its members, those that are empty left out on a terminal."""
        if self.as_json:
            self._write(json_line(record))
        elif self.on_terminal:
            table = _table()
            table.show_header = False
            table.add_column(style="bold")
            table.add_column(overflow="fold")
            for name, value in record.items():
                if value not in (None, "", [], {}):
                    _add_row(table, [name, cell(value)])
            _print(table)
        else:
            for name, value in record.items():
                self._write(f"{name}\t{cell(value)}")

    async def list(
        self, records: AsyncIterable[Mapping[str, object]], columns: Sequence[str], *, nothing: str
    ) -> int:
        """Print results as they come, a table when all are there; `nothing` is noted when there are none."""
        self.check()
        rows: list[list[str]] = []
        count = 0
        async for record in records:
            count += 1
            if self.on_terminal:
                rows.append([cell(record.get(column)) for column in columns])
            else:
                self.line(record, columns)
        if rows:
            table = _table()
            for column in columns:
                table.add_column(column, overflow="fold")
            for row in rows:
                _add_row(table, row)
            _print(table)
        if not count:
            self.note(nothing)
        return count

    def check(self) -> None:
        """Raise `OSError` when there is no standard output."""
        if sys.stdout is None:
            raise OSError("standard output is closed: open it, or send it to a file")

    def _write(self, line: str) -> None:
        self.check()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def open_standard_streams() -> None:
    """Put /dev/null where a standard stream is closed: the next file opened would become standard output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _table() -> Table:
    from rich import box  # noqa: PLC0415 - rich is loaded when a table is printed
    from rich.table import Table  # noqa: PLC0415

    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)


def _add_row(table: Table, cells: Sequence[str]) -> None:
    from rich.text import Text  # noqa: PLC0415

    table.add_row(*(Text(text) for text in cells))


def _print(table: Table) -> None:
    from rich.console import Console  # noqa: PLC0415

    Console().print(table)
