"""`kognitos journal`: what a bulk job has recorded, on either API, while it runs or afterwards."""

from __future__ import annotations

import asyncio
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.bulk.journal import NOT_STARTED, Journal
from kognitos_async.cli.column_types import SeenTypes
from kognitos_async.cli.command import Call, command, command_group
from kognitos_async.cli.destination import Destination
from kognitos_async.cli.limits import write_limit
from kognitos_async.cli.parquet_file import import_pyarrow
from kognitos_async.cli.running import WRONG_USE, complain, run_command, usage_errors
from kognitos_async.cli.table_file import Format, format_of, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kognitos_async.bulk.journal import JournalEntry
    from kognitos_async.cli.api import Columns

app: typer.Typer = command_group("See and decide what bulk jobs have recorded, of either API.")

EXPORTED = ("name", "state", "status", "run_id", "attempts", "since", "outputs")
"""What is exported of each request, in the order of the file."""
_PAGE = 1_000
_JOURNAL = typer.Argument(metavar="JOURNAL", help="The journal of a bulk job, running or not.")


@command(app, api=False)
def show(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again until the job has ended with all requests settled.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Print how many requests are in which state, and in which status the settled runs are."""
    run_command(_show(call, journal, every if watch else None))


async def _show(call: Call, path: Path, every: float | None) -> int:
    call.output.check()
    last: dict[str, int] = {}
    while True:
        async with Journal(path) as journal:
            running = journal.in_use  # asked first: of a job that has ended the counts are final
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
        typer.Option(help="Else by the ending of --output; without one csv, or jsonl with --json."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write; - or nothing is standard output.")
    ] = None,
    state: Annotated[str | None, typer.Option(help="planned, starting, started or settled.")] = None,
    status: Annotated[str | None, typer.Option(help="Only settled runs in this status.")] = None,
) -> None:
    """Write what is recorded of each request, one a row, outputs as columns."""
    kind = format or format_of(output, as_json=call.output.as_json)
    destination = Destination(output or Path("-"))
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
    """What is exported of the entries, in pages."""
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
    name: Annotated[str, typer.Argument(help="The request whose start is in doubt.")],
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="It made this run.")] = None,
    not_started: Annotated[bool, typer.Option("--not-started", help="It started nothing.")] = False,
) -> None:
    """Decide on a start in doubt: the next call of the job awaits that run, or starts the request."""
    if (run is None) != not_started:
        complain("say either --run ID or --not-started (kognitos journal resolve --help shows how)")
        raise typer.Exit(WRONG_USE)
    run_command(_resolve(call, journal, name, run or NOT_STARTED))


async def _resolve(call: Call, path: Path, name: str, run: str) -> int:
    with usage_errors():
        await Journal(path).resolve(name, run)
    call.output.note(f"recorded: {name} {'was not started' if run == NOT_STARTED else f'is run {run}'}")
    return 0


@command(app, api=False)
def limit(
    call: Call,
    journal: Annotated[Path, _JOURNAL],
    max_in_flight: Annotated[int, typer.Option(min=1, help="Runs unsettled at a time from now on.")],
) -> None:
    """Change how many runs a running `kognitos runs bulk` has unsettled at a time.

    The number goes into JOURNAL.max-in-flight, which the job looks at every second and deletes at its end.
    """
    if not journal.exists():
        raise typer.BadParameter(f"there is no journal {journal}", param_hint="JOURNAL")
    write_limit(journal, max_in_flight)
    call.output.note(f"the job of {journal} goes on with at most {max_in_flight} unsettled")
