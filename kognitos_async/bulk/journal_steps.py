"""The steps of a journal as its thread takes them: those of one kind together, in one statement.

Each statement hands the interpreter to the event loop and has to get it back, which takes longer than the
statement itself. So what many requests ask for at the same moment is one statement, not one for each.
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

_MOST = 64
"""Rows of one statement: with eight columns half of the variables that every SQLite allows."""


class NewRow(NamedTuple):
    """A row for a request that is not on record; `DuplicateNameError` if it is."""

    columns: tuple[str, ...]
    name: str
    values: tuple[Any, ...]


class ChangedRow(NamedTuple):
    """A change of the row of one request: each assignment takes the next value where it says `{}`."""

    assignments: tuple[str, ...]
    name: str
    values: tuple[Any, ...]


def take(
    database: sqlite3.Connection,
    path: Path,
    steps: Sequence[NewRow | ChangedRow | Callable[[sqlite3.Connection], Any]],
) -> list[Any]:
    """What each step comes to, a `JournalError` for one that is refused; its neighbours are not.

    They are taken in their order, or as if they were: only rows of different requests are put together.
    """
    outcomes: list[Any] = [None] * len(steps)
    together: dict[tuple[Any, ...], list[int]] = {}
    names: set[str] = set()

    def flush() -> None:
        for group in together.values():
            for numbers in _parts(group):
                _take_rows(database, path, steps, numbers, outcomes)
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
    for first in range(0, len(numbers), _MOST):
        yield numbers[first : first + _MOST]


def _take_rows(
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
    """The error of a name that a job's input holds twice."""
    return DuplicateNameError(f"two requests have the name {name!r}: names must be unique")
