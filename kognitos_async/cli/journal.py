"""`kognitos journal`: inspect and change the journal of a bulk job, running or ended."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.bulk.journal import NOT_STARTED, Journal
from kognitos_async.cli.column_types import SeenTypes
from kognitos_async.cli.command import Call, command, command_group
from kognitos_async.cli.destination import destination_of
from kognitos_async.cli.limits import write_limit
from kognitos_async.cli.parquet_file import import_pyarrow
from kognitos_async.cli.running import WRONG_USE, complain, run_command, usage_errors
from kognitos_async.cli.table_file import Format, format_of, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kognitos_async.bulk.journal import JournalEntry
    from kognitos_async.cli.api import Columns

app: typer.Typer = command_group("Inspect, resolve and tune bulk jobs.")

EXPORTED = ("name", "state", "status", "run_id", "attempts", "since", "outputs")
"""Columns of an export."""
_PAGE = 1_000
_JOURNAL = typer.Argument(metavar="JOURNAL", help="Journal of a bulk job, running or ended.")


@command(app, api=False)
def show(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    watch: Annotated[
        bool, typer.Option("--watch", help="Repeat until the job has ended and all requests are settled.")
    ] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Interval of --watch.")] = 2.0,
) -> None:
    """Count requests by state, and settled runs by status."""
    run_command(_show(call, journal, every if watch else None))


async def _show(call: Call, path: Path, every: float | None) -> int:
    call.output.check()
    last: dict[str, int] = {}
    while True:
        async with Journal(path) as journal:
            running = journal.in_use  # read first: once the job has ended, the counts are final
            states = await asyncio.to_thread(journal.summary)
            statuses = await asyncio.to_thread(journal.statuses)
        counts = {**states, **statuses}
        if counts != last:
            last = counts
            if call.output.as_json:
                call.output.line({**states, "statuses": statuses}, ())
            elif call.output.on_terminal:
                _table(states, statuses)
            elif every is None:
                for state, count in _rows(states, statuses):
                    call.output.line({"state": state, "count": count}, ("state", "count"))
            else:
                call.output.line({"counts": ", ".join(f"{k} {v}" for k, v in counts.items())}, ("counts",))
        if every is None or (not running and states["settled"] and states["settled"] == sum(states.values())):
            return 0
        await asyncio.sleep(every)


def _rows(states: dict[str, int], statuses: dict[str, int]) -> Iterator[tuple[str, int]]:
    for state, count in states.items():
        yield state, count
        if state == "settled":
            yield from statuses.items()


def _table(states: dict[str, int], statuses: dict[str, int]) -> None:
    from rich import box  # noqa: PLC0415 - for a terminal
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("state")
    table.add_column("requests", justify="right")
    for state, count in _rows(states, statuses):
        table.add_row(Text(state if state in states else f"  {state}"), f"{count:,}")
    Console().print(table)


@command(app, api=False)
def export(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    format: Annotated[
        Format | None,
        typer.Option(
            help="Output format; by default from the suffix of --output, else csv (jsonl with --json)."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write; by default, or with -, stdout.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE", help="Only requests in this state: planned, starting, started or settled."
        ),
    ] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="Only settled runs in this status.")
    ] = None,
) -> None:
    """Export the recorded requests, one per row.

    CSV and Parquet have a column for each output.
    """
    kind = format or format_of(output, as_json=call.output.as_json)
    destination = destination_of(output or Path("-"))
    if kind is Format.PARQUET:
        if destination.descriptor is not None:
            raise typer.BadParameter("parquet needs a file", param_hint="--output")
        import_pyarrow()
    if destination.descriptor == 1:
        call.output.check()
    with Journal(journal) as opened:
        with usage_errors():
            entries = opened.entries(state=state, status=status)
        types = SeenTypes(EXPORTED)
        as_columns = kind is not Format.JSONL
        if as_columns:
            for page in _pages(entries):
                types.see(page)
        count = write_table(destination, kind, EXPORTED, _pages(entries), types, as_columns=as_columns)
    call.output.note(f"kognitos: {count} requests written")


def _pages(entries: Iterable[JournalEntry]) -> Iterator[Columns]:
    """The exported columns of the entries, page by page."""
    records = map(_record, entries)
    while page := list(islice(records, _PAGE)):
        yield {column: [record[column] for record in page] for column in EXPORTED}


def _record(entry: JournalEntry) -> dict[str, Any]:
    run = entry.run
    outputs = (
        {} if run is None else getattr(run, "outputs_by_name", None) or getattr(run, "outputs", None) or {}
    )
    return {
        "name": entry.name,
        "state": entry.state,
        "status": entry.status,
        "run_id": entry.run_id,
        "attempts": entry.attempts,
        "since": entry.since,
        "outputs": dict(outputs),
    }


@command(app, api=False)
def resolve(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the request.")],
    run: Annotated[
        str | None, typer.Option("--run", metavar="ID", help="The start created this run.")
    ] = None,
    not_started: Annotated[bool, typer.Option("--not-started", help="The start created no run.")] = False,
) -> None:
    """Decide an uncertain start.

    The next call of the job waits for the run given with --run, or with --not-started starts the request.
    """
    if (run is None) != not_started:
        complain("use either --run ID or --not-started (kognitos journal resolve --help shows how)")
        raise typer.Exit(WRONG_USE)
    if run is not None and (not run.strip() or run == NOT_STARTED):
        raise typer.BadParameter(f"must be the id of a run, got {run!r}", param_hint="--run")
    run_command(_resolve(call, journal, name, NOT_STARTED if run is None else run))


async def _resolve(call: Call, path: Path, name: str, run: str) -> int:
    with usage_errors():
        await Journal(path).resolve(name, run)
    call.output.note(f"{name}: recorded {'as not started' if run == NOT_STARTED else f'run {run}'}")
    return 0


@command(app, api=False)
def limit(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    max_in_flight: Annotated[
        int, typer.Option(metavar="N", min=1, help="New maximum number of unsettled runs.")
    ],
) -> None:
    """Change --max-in-flight of a running `kognitos runs bulk`.

    The number is written to JOURNAL.max-in-flight, which the job reads every second and deletes when it ends.
    """
    if not journal.exists():
        raise typer.BadParameter(f"no such journal: {journal}", param_hint="JOURNAL")
    write_limit(journal, max_in_flight)
    call.output.note(
        f"--max-in-flight {max_in_flight}: applied within a second if the job of {journal} is running"
    )
