"""Output of the commands: tables on a terminal, tab-separated lines elsewhere, JSON lines with --json."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from kognitos_async.cli.text import cell, json_line, printable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping, Sequence

    from rich.table import Table

_LONGEST_ID = 40


class Output:
    """Results on standard output, notes on standard error.

    With `as_json`, results are one JSON object per line. Otherwise a terminal shows tables, anything else
    tab-separated lines without a header.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet

    @property
    def on_terminal(self) -> bool:
        """Whether results are shown as tables."""
        return not self.as_json and sys.stdout is not None and sys.stdout.isatty()

    def note(self, line: str) -> None:
        """Print a line on standard error, unless quiet."""
        if not self.quiet and sys.stderr is not None:
            print(printable(line), file=sys.stderr, flush=True)

    def line(self, record: Mapping[str, object], columns: Sequence[str]) -> None:
        """Print one result in one line: as JSON in full, else its `columns`."""
        if self.as_json:
            self._write(json_line(record))
        else:
            self._write("\t".join(cell(record.get(column)) for column in columns))

    def show(self, record: Mapping[str, object]) -> None:
        """Print one result, a member per line; on a terminal without empty ones."""
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
        """Print results as they arrive, or a table once all are read; note `nothing` if there are none."""
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
            for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
                longest = max(map(len, cells))
                # An ID broken in two could not be copied; the other columns give way.
                whole = longest if column == "id" and longest <= _LONGEST_ID else None
                table.add_column(column, overflow="fold", min_width=whole)
            for row in rows:
                _add_row(table, row)
            _print(table)
        if not count:
            self.note(nothing)
        return count

    def check(self) -> None:
        """Raise `OSError` if standard output is closed."""
        if sys.stdout is None:
            raise OSError("standard output is closed: redirect it to a file or /dev/null")

    def _write(self, line: str) -> None:
        self.check()
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def open_standard_streams() -> None:
    """Open /dev/null for closed standard streams; otherwise the next file opened takes their descriptor."""
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
