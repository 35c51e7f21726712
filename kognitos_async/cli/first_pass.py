"""The first pass over a requests file: check every row before anything is started."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from kognitos_async.cli.input_text import UnreadableFileError
from kognitos_async.cli.requests_file import PROBLEMS_SHOWN, BadRow, RequestsFile
from kognitos_async.cli.running import WRONG_USE, complain
from kognitos_async.uploads.reading import is_stream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_EVERY = 5000
_SECONDS = 3.0
"""Interval of progress lines without a terminal."""


@dataclass(slots=True)
class Checked:
    """Counts of the first pass; `files` and `bytes` only if files were checked."""

    good: int = 0
    bad: int = 0
    files: int = 0
    bytes: int = 0


def first_pass(rows: RequestsFile, has_run: Callable[[str], bool] | None, *, quiet: bool) -> Checked:
    """Check all rows and report the first invalid ones.

    With `has_run`, files are checked too: a row with an unreadable file is invalid unless it already has a
    run. Without, such a file is the outcome of its row. Raises `typer.Exit` if the requests file cannot be
    read.
    """
    checked = Checked()
    reading = _Reading(quiet=quiet)
    with closing(sqlite3.connect("")) as seen:  # spills to a temporary file when large
        seen.execute("CREATE TABLE files (path TEXT PRIMARY KEY, problem TEXT) WITHOUT ROWID")
        try:
            for row in rows.rows():
                reading.step()
                if isinstance(row, BadRow):
                    problem: str | None = row.problem
                elif has_run is None or row.file is None:
                    problem = None
                else:
                    problem = _file_problem(row.file, checked, seen)
                    if problem is not None and has_run(row.name):
                        problem = None
                if problem is None:
                    checked.good += 1
                else:
                    checked.bad += 1
                    reading.report(f"row {row.number}{f' ({row.name})' if row.name else ''}: {problem}")
        except (UnreadableFileError, OSError) as error:
            reading.clear()
            complain(str(error))
            raise typer.Exit(WRONG_USE) from None
    reading.finish()
    return checked


def _file_problem(path: Path, checked: Checked, seen: sqlite3.Connection) -> str | None:
    """Why a file cannot be uploaded, else None; counts each file once."""
    known = seen.execute("SELECT problem FROM files WHERE path = ?", (str(path),)).fetchone()
    if known is not None:
        found: str | None = known[0]
        return found
    problem = None
    try:
        if is_stream(path):
            problem = f"file {path} cannot be uploaded: not a regular file"
        else:
            with path.open("rb") as file:
                checked.bytes += file.seek(0, os.SEEK_END)
            checked.files += 1
    except OSError as error:
        problem = f"file {path} cannot be read: {error.strerror}"
    seen.execute("INSERT INTO files VALUES (?, ?)", (str(path), problem))
    return problem


class _Reading:
    """Progress of the pass: one line rewritten on a terminal, occasional lines elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._count = 0
        self._problems = 0
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

    def report(self, problem: str) -> None:
        self._problems += 1
        if self._problems <= PROBLEMS_SHOWN:
            self.clear()
            complain(problem)

    def finish(self) -> None:
        self.clear()
        if self._problems > PROBLEMS_SHOWN:
            complain(f"and {self._problems - PROBLEMS_SHOWN} more")

    def clear(self) -> None:
        if self._shown:
            self._shown = False
            self._console.file.write("\r\x1b[K")
            self._console.file.flush()
