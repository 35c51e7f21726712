"""The header of a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kognitos_async.cli.input_text import UnreadableFileError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

KNOWN_COLUMNS = ("name", "stage", "file")


class Columns(NamedTuple):
    """The columns of a file. Known ones are in lower case, inputs as the header spells them."""

    names: list[str]
    inputs: list[str]
    """Those that are inputs."""
    numbers: frozenset[str]
    """Inputs that are numbers (--number)."""
    chosen: frozenset[str]
    """Inputs that --number or --input names, and that therefore are no known columns."""


def columns_of(
    path: Path, header: Sequence[str], *, numbers: Collection[str], inputs: Collection[str]
) -> Columns:
    """The columns of a header, which is trimmed; `numbers` and `inputs` are those of --number and --input.

    An option means the column of its exact name, else the only one whose name differs in case alone. Raises
    `UnreadableFileError` if the column `name` or that of an option is missing, if an option may mean several,
    if a column occurs twice, or if one is close to a known column and not given by --input.
    """
    header = [text.strip() for text in header]
    meant = {option: _meant(option, header) for option in (*numbers, *inputs)}
    given = {column for found in meant.values() for column in found}
    names = {column: _name_of(path, column, given, exact=column in meant) for column in header}
    columns = [names[column] for column in header]
    if "name" not in columns:
        raise UnreadableFileError(
            f"{path} has no column 'name', only {', '.join(columns) or 'an empty header'}"
        )
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise UnreadableFileError(f"{path} has duplicate columns: {', '.join(sorted(twice))}")
    for option, wanted in (("--number", numbers), ("--input", inputs)):
        missing = {one for one in wanted if not meant[one]}
        if missing:
            raise UnreadableFileError(f"{path} has no column {', '.join(sorted(missing))} ({option})")
        for one in wanted:
            if len(meant[one]) > 1:
                found = ", ".join(sorted(meant[one]))
                raise UnreadableFileError(f"{path} has several columns for {option} {one}: {found}")
    # A column that is said to be a number is an input, whatever its name.
    chosen = frozenset(names[column] for column in given)
    return Columns(
        columns,
        [column for column in columns if column in chosen or column not in KNOWN_COLUMNS],
        frozenset(names[meant[option][0]] for option in numbers),
        chosen,
    )


def _meant(option: str, header: Sequence[str]) -> list[str]:
    """The columns that the value of an option may mean."""
    if option in header:
        return [option]
    folded = option.casefold()
    return [column for column in header if column.casefold() == folded]


def _name_of(path: Path, column: str, given: Collection[str], *, exact: bool) -> str:
    """The name of a column; one that an option gives exactly keeps its case, though it is a known one."""
    known = column.casefold()
    if known in KNOWN_COLUMNS:
        return column if exact else known
    if column not in given and (near := _nearly(known)) is not None:
        raise UnreadableFileError(
            f"{path} has the column {column!r}: did you mean {near!r}? Rename it, or use --input {column}"
        )
    return column


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
