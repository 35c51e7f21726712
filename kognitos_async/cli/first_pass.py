"""The first reading of a requests file: every row checked before anything is started."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from kognitos_async.cli.input_text import UnreadableFileError
from kognitos_async.cli.requests_file import (
    PROBLEMS_SHOWN,
    BadRow,
    MissingFile,
    RequestsFile,
    Row,
)
from kognitos_async.cli.running import WRONG_USE, complain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EVERY = 5000
_SECONDS = 3.0
"""Between lines without a terminal."""


@dataclass(slots=True)
class Checked:
    """What the first reading found. `without_file` are rows that have their run and whose file is gone."""

    good: int = 0
    bad: int = 0
    without_file: set[str] = field(default_factory=set)
    files: set[Path] = field(default_factory=set)


def first_pass(rows: RequestsFile, has_run: Callable[[str], bool], *, quiet: bool) -> Checked:
    """Read all rows; the first bad ones are reported.

    A row whose file is missing is good when `has_run` says that a journal has its run already. Raises
    `typer.Exit` for a file that cannot be read.
    """
    checked = Checked()
    reading = _Reading(quiet=quiet)
    try:
        for row in rows.rows():
            reading.step()
            if isinstance(row, MissingFile) and has_run(row.name):
                checked.good += 1
                checked.without_file.add(row.name)
            elif isinstance(row, Row):
                checked.good += 1
                if row.file is not None:
                    checked.files.add(row.file)
            else:
                checked.bad += 1
                if checked.bad <= PROBLEMS_SHOWN:
                    reading.clear()
                    complain(problem_of(row))
    except (UnreadableFileError, OSError) as problem:
        reading.clear()
        complain(str(problem))
        raise typer.Exit(WRONG_USE) from None
    reading.clear()
    if checked.bad > PROBLEMS_SHOWN:
        complain(f"and {checked.bad - PROBLEMS_SHOWN} more")
    return checked


def problem_of(row: BadRow | MissingFile) -> str:
    """What is wrong with a row, in a line."""
    return f"row {row.number}{f' ({row.name})' if row.name else ''}: {row.problem}"


class _Reading:
    """The progress of the reading: one line rewritten on a terminal, a line now and then elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._count = 0
        self._shown = False
        self._last = time.monotonic()

    def step(self) -> None:
        self._count += 1
        if self._quiet or self._count % _EVERY:
            return
        if self._console.is_terminal:
            self._shown = True
            self._console.file.write(f"\rchecked {self._count:,} rows")
            self._console.file.flush()
        elif time.monotonic() - self._last >= _SECONDS:
            self._last = time.monotonic()
            self._console.print(f"checked {self._count:,} rows", highlight=False)

    def clear(self) -> None:
        if self._shown:
            self._shown = False
            self._console.file.write("\r\x1b[K")
            self._console.file.flush()
