"""The steps of a journal, batched: concurrent steps of one kind share one statement.

Each statement releases the GIL and has to get it back from the event loop, which takes longer than the
statement itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from kognitos_async.bulk.ledger import DuplicateNameError
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_MAX_ROWS = 64
"""Rows of one statement; with eight columns half of the 999 variables that every SQLite allows."""


class NewRow(NamedTuple):
    """A row for a new request. The step fails with `DuplicateNameError` if its name is on record."""

    columns: tuple[str, ...]
    name: str
    values: tuple[Any, ...]


class ChangedRow(NamedTuple):
    """An update of one request's row; each `{}` in `assignments` stands for the next value."""

    assignments: tuple[str, ...]
    name: str
    values: tuple[Any, ...]


def apply_steps(
    database: sqlite3.Connection,
    path: Path,
    steps: Sequence[NewRow | ChangedRow | Callable[[sqlite3.Connection], Any]],
) -> list[Any]:
    """The result of each step, a `JournalError` for one that is refused; the others are still applied.

    The effect is that of applying them in order: only rows of different requests are batched.
    """
    outcomes: list[Any] = [None] * len(steps)
    together: dict[tuple[Any, ...], list[int]] = {}
    names: set[str] = set()

    def flush() -> None:
        for group in together.values():
            for numbers in _parts(group):
                _apply_rows(database, path, steps, numbers, outcomes)
        together.clear()
        names.clear()

    for number, step in enumerate(steps):
        if isinstance(step, NewRow | ChangedRow):
            if step.name in names:
                flush()
            names.add(step.name)
            together.setdefault((type(step), step[0]), []).append(number)
        else:
            flush()
            try:
                outcomes[number] = step(database)
            except JournalError as refusal:
                outcomes[number] = refusal
    flush()
    return outcomes


def _parts(numbers: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(numbers), _MAX_ROWS):
        yield numbers[first : first + _MAX_ROWS]


def _apply_rows(
    database: sqlite3.Connection, path: Path, steps: Sequence[Any], numbers: list[int], outcomes: list[Any]
) -> None:
    rows = [steps[number] for number in numbers]
    if isinstance(rows[0], NewRow):
        known = _known(database, rows)
        if known:
            for number in numbers:
                if steps[number].name in known:
                    outcomes[number] = duplicate(steps[number].name)
            rows = [row for row in rows if row.name not in known]
        if rows:
            database.execute(_insertion(rows[0].columns, len(rows)), [v for row in rows for v in row.values])
        return
    width = len(rows[0].values)
    values = [item for n in range(width) for row in rows for item in (row.name, row.values[n])]
    if len(rows) == 1:
        values = list(rows[0].values)
    values.extend(row.name for row in rows)
    if database.execute(_change(rows[0].assignments, len(rows)), values).rowcount != len(rows):
        known = _known(database, rows)
        for number in numbers:
            if steps[number].name not in known:
                outcomes[number] = JournalError(f"journal {path} holds no request {steps[number].name!r}")


def _known(database: sqlite3.Connection, rows: Sequence[NewRow | ChangedRow]) -> set[str]:
    marks = ", ".join("?" * len(rows))
    found = database.execute(
        f"SELECT name FROM runs WHERE name IN ({marks})",  # noqa: S608 - question marks
        [row.name for row in rows],
    )
    return {name for (name,) in found}


@lru_cache(maxsize=256)
def _insertion(columns: tuple[str, ...], rows: int) -> str:
    one = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO runs ({', '.join(columns)}) VALUES {', '.join([one] * rows)}"  # noqa: S608


@lru_cache(maxsize=256)
def _change(assignments: tuple[str, ...], rows: int) -> str:
    if rows == 1:
        value, where = "?", "name = ?"
    else:
        value = f"CASE name{' WHEN ? THEN ?' * rows} END"
        where = f"name IN ({', '.join('?' * rows)})"
    changes = ", ".join(assignment.format(value) for assignment in assignments)
    return f"UPDATE runs SET {changes} WHERE {where}"  # noqa: S608


def duplicate(name: str) -> DuplicateNameError:
    """The error for a name that occurs twice in a job's input."""
    return DuplicateNameError(f"two requests have the name {name!r}: names must be unique")
