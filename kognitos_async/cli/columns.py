"""The header of a CSV file."""

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
    """The column names, trimmed; known ones in lower case.

    Raises `UnreadableFileError` if the column `name` or one given by --number or --input is missing, if a
    column occurs twice, or if one is close to a known column and not in `inputs` (--input).
    """
    columns = []
    for text in header:
        column = text.strip()
        known = column.casefold()
        if known in KNOWN_COLUMNS and column not in inputs:
            column = known
        elif column not in inputs and (near := _nearly(known)) is not None:
            raise UnreadableFileError(
                f"{path} has the column {column!r}: did you mean {near!r}? Rename it, or use --input {column}"
            )
        columns.append(column)
    if "name" not in columns:
        raise UnreadableFileError(
            f"{path} has no column 'name', only {', '.join(columns) or 'an empty header'}"
        )
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise UnreadableFileError(f"{path} has duplicate columns: {', '.join(sorted(twice))}")
    for option, wanted in (("--number", numbers), ("--input", inputs)):
        missing = set(wanted) - set(columns)
        if missing:
            raise UnreadableFileError(f"{path} has no column {', '.join(sorted(missing))} ({option})")
    return columns


def _nearly(column: str) -> str | None:
    """The known column that this one is probably a typo of, else None.

    A typo is two swapped letters, a missing or extra letter, or an extra character that is none. A replaced
    letter is not: `state` and `date` are names in their own right.
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
