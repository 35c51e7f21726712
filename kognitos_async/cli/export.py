"""`kognitos runs export`: the history of a process as a file, in flat memory."""

from __future__ import annotations

import csv
import io
import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import typer

from kognitos_async.cli.bulk import wrong_call
from kognitos_async.cli.running import complain, run_command
from kognitos_async.rest_v2.client import KognitosClient

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO, TextIO

    from kognitos_async.paging import Pager
    from kognitos_async.rest_v2.models import Run

COLUMNS = ("id", "name", "agent_id", "process_id", "stage", "status", "created_at", "file_ids", "outputs")
_ROW_GROUP = 10_000


class Format(StrEnum):
    """How the history is written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class _Writer(Protocol):
    def write(self, row: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


def export(
    process: Annotated[str, typer.Option(help="The process whose runs are wanted.")],
    agent: Annotated[str | None, typer.Option(help="The agent; else KOGNITOS_AGENT_ID.")] = None,
    stage: Annotated[str | None, typer.Option(help="Draft or Published; both without it.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only runs created then or later: ISO 8601, UTC unless it says.")
    ] = None,
    format: Annotated[Format, typer.Option(help="csv, jsonl or parquet.")] = Format.CSV,
    output: Annotated[Path | None, typer.Option(help="A file; - or nothing is standard output.")] = None,
) -> None:
    """Write the runs of a process, one a row, as the API lists them."""
    earliest = _moment(since)
    if output == Path("-"):
        output = None
    if format is Format.PARQUET and output is None:
        raise typer.BadParameter("parquet needs a file", param_hint="--output")
    client = KognitosClient(agent_id=agent)
    with wrong_call():
        runs = client.runs.list(process, stage=stage)
    run_command(_export(client, runs, earliest, format, output))


def _moment(since: str | None) -> datetime | None:
    if since is None:
        return None
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        raise typer.BadParameter(f"is no ISO 8601 time: {since!r}", param_hint="--since") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


async def _export(
    client: KognitosClient,
    runs: Pager[Run],
    earliest: datetime | None,
    kind: Format,
    output: Path | None,
) -> int:
    """0 once every run is written."""
    count = 0
    async with client:
        with _Place(output) as place:
            writer = _writer(kind, place)
            try:
                async for run in runs:
                    # The order of the list is not documented, so that every item is looked at.
                    if earliest is None or run.created_at >= earliest:
                        writer.write(_row(run))
                        count += 1
            finally:
                writer.close()
    complain(f"{count} runs written")
    return 0


def _row(run: Run) -> dict[str, Any]:
    return {
        **{column: str(getattr(run, column)) for column in COLUMNS[:6]},
        "created_at": run.created_at.isoformat(),
        "file_ids": json.dumps(list(run.file_ids)),
        "outputs": json.dumps(run.outputs_by_name),
    }


class _Place:
    """Standard output, or a file written beside its place and moved there when all went well."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part = path and path.with_name(f"{path.name}.part")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def text(self) -> TextIO:
        if self._part is None:
            # UTF-8 and these line ends in any locale, as in a file.
            text = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="", write_through=True)
            self._stack.callback(text.detach)
            return text
        return self._stack.enter_context(self._part.open("w", newline="", encoding="utf-8"))

    def binary(self) -> BinaryIO:
        if self._part is None:
            return sys.stdout.buffer
        return self._stack.enter_context(self._part.open("wb"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if self._part is None or self._path is None:
            return
        if error is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


def _writer(kind: Format, place: _Place) -> _Writer:
    if kind is Format.PARQUET:
        return _ParquetWriter(place.binary())
    return _TextWriter(place.text(), as_csv=kind is Format.CSV)


class _TextWriter:
    def __init__(self, file: TextIO, *, as_csv: bool) -> None:
        self._file = file
        self._rows: csv.DictWriter[str] | None = csv.DictWriter(file, COLUMNS) if as_csv else None
        if self._rows is not None:
            self._rows.writeheader()

    def write(self, row: dict[str, Any]) -> None:
        if self._rows is not None:
            self._rows.writerow(row)
            return
        whole = {**row, "file_ids": json.loads(row["file_ids"]), "outputs": json.loads(row["outputs"])}
        self._file.write(json.dumps(whole) + "\n")

    def close(self) -> None:
        self._file.flush()


class _ParquetWriter:
    """Row groups of 10,000 runs, so that memory stays flat."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            arrow: Any = import_module("pyarrow")
            parquet: Any = import_module("pyarrow.parquet")
        except ModuleNotFoundError:
            complain("pyarrow is missing: pip install 'kognitos-async[arrow]'")
            raise typer.Exit(2) from None
        self._arrow = arrow
        self._schema = arrow.schema([(column, arrow.string()) for column in COLUMNS])
        self._parquet = parquet.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._parquet.close()

    def _flush(self) -> None:
        if self._rows:
            self._parquet.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []
