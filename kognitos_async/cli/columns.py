"""The heading of a CSV file: which column is what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.cli.input_text import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

KNOWN_COLUMNS = ("name", "stage", "file")


def column_names(
    path: Path, header: Sequence[str], *, numbers: Collection[str], inputs: Collection[str]
) -> list[str]:
    """The names of the columns, trimmed; the known ones in whatever case they are written.

    Raises `UnreadableFileError` for a heading without a name, with a name twice, without a column that
    --number names, and with one that is nearly a known one, unless `inputs` (--input) says it is an input.
    """
    columns = []
    for text in header:
        column = text.strip()
        known = column.casefold()
        if known in KNOWN_COLUMNS and column not in inputs:
            column = known
        elif column not in inputs and (near := _nearly(known)) is not None:
            raise UnreadableFileError(
                f"{path} has the column {column!r}: is it {near!r}? Rename it, or say --input {column}"
            )
        columns.append(column)
    if "name" not in columns:
        raise UnreadableFileError(f"{path} has no column name, only {', '.join(columns) or 'nothing'}")
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise UnreadableFileError(f"{path} has columns of one name: {', '.join(sorted(twice))}")
    for option, wanted in (("--number", numbers), ("--input", inputs)):
        missing = set(wanted) - set(columns)
        if missing:
            raise UnreadableFileError(f"{path} has no column {', '.join(sorted(missing))} ({option})")
    return columns


def _nearly(column: str) -> str | None:
    """The known column that a slip of the finger makes of this one, None if none.

    Two letters that changed places, a letter too much or too few, or another character between: `state` and
    `date`, a letter away from known ones, are columns in their own right.
    """
    letters = "".join(filter(str.isalpha, column))
    for known in KNOWN_COLUMNS:
        if column != known and letters == known and not any(map(str.isdigit, column)):
            return known
        swapped = {known[:at] + known[at + 1] + known[at] + known[at + 2 :] for at in range(len(known) - 1)}
        shorter = {known[:at] + known[at + 1 :] for at in range(len(known))}
        longer = column.isalpha() and known in {column[:at] + column[at + 1 :] for at in range(len(column))}
        if column in swapped or column in shorter or longer:
            return known
    return None
