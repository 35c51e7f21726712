"""Options about the rows of a requests file, shared by `runs bulk` and `engine submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.input_text import UnreadableFileError, codecs_name
from kognitos_async.cli.requests_file import RequestsFile

if TYPE_CHECKING:
    from collections.abc import Collection

    from kognitos_async.cli.bulk_requests import RowRequests

Requests = Annotated[
    Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file with one request per row.")
]
Stage = Annotated[str, typer.Option(metavar="STAGE", help="Stage of rows without one: draft or published.")]
Number = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Read this column as numbers; may be repeated."),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN", help="Accept this column as an input though it is or resembles a known column."
    ),
]
FileInput = Annotated[
    str, typer.Option(metavar="NAME", help="Input that receives the file of a row (platform API).")
]
Delimiter = Annotated[
    str | None,
    typer.Option(metavar="CHARACTER", help="Cell delimiter, `tab` for a tab; detected by default."),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of the file; by default UTF-8, or UTF-16 with a BOM."),
]
_TAB = {"tab", "\\t"}


def check_stage(stage: str) -> None:
    """Raise `typer.BadParameter` for a stage that is neither draft nor published."""
    if stage.lower() not in ("draft", "published"):
        raise typer.BadParameter(f"must be draft or published, got {stage!r}", param_hint="--stage")


def requests_file(
    path: Path,
    of_rows: RowRequests,
    *,
    source: str,
    stage: str,
    number: Collection[str] | None,
    input: Collection[str] | None,
    delimiter: str | None,
    encoding: str | None,
    exact: bool,
) -> RequestsFile:
    """The rows of a file, checked by `of_rows`. Raises `typer.BadParameter` for an invalid option."""
    try:
        name = None if encoding is None else codecs_name(encoding)
    except UnreadableFileError as problem:
        raise typer.BadParameter(str(problem)) from None
    return RequestsFile(
        path,
        process_id=source,
        stage=stage,
        numbers=number or (),
        inputs=input or (),
        delimiter=_delimiter(delimiter),
        encoding=name,
        exact=exact,
        check=of_rows.check,
    )


def _delimiter(text: str | None) -> str | None:
    if text is None:
        return None
    if text.lower() in _TAB:
        return "\t"
    if len(text) != 1 or text in '"\r\n':
        raise typer.BadParameter(f"must be one character or `tab`, got {text!r}", param_hint="--delimiter")
    return text
