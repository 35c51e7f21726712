"""`kognitos runs report`: figures of a mirror as an HTML page or tables."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.table import Table
from rich.text import Text

from kognitos_async.cli.command import Call  # noqa: TC001 - typer reads it
from kognitos_async.cli.console import PipedConsole
from kognitos_async.cli.destination import Destination, destination_of
from kognitos_async.cli.report_tables import ReportTable, duration, percent, tables_of
from kognitos_async.cli.running import WRONG_USE, complain
from kognitos_async.cli.text import printable
from kognitos_async.mirror.figures import Figures, figures_of
from kognitos_async.mirror.store import read_mirror


def report(
    call: Call,
    source: Annotated[
        Path,
        typer.Option("--from", metavar="STORE", help="Mirror made by `kognitos runs sync`."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a self-contained HTML page instead of tables (extra `report`)."
        ),
    ] = None,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Title of the page; by default the name of the mirror.")
    ] = "",
) -> None:
    """Report on a mirror: runs per day, failures, time to settle.

    `kognitos runs sync` makes the mirror.
    """
    if not source.exists():
        raise typer.BadParameter(f"no such mirror: {source}", param_hint="--from")
    destination = None if output is None else destination_of(output)
    figures = _figures(source)
    if destination is not None:
        _write(figures, destination, title or source.name)
        call.output.note(f"kognitos: {figures.total.runs:,} runs reported in {output}")
    if call.output.as_json:
        call.output.line(msgspec.to_builtins(figures), ())
    elif output is None:
        _print(figures)


def _figures(source: Path) -> Figures:
    try:
        return read_mirror(source, figures_of)
    except ModuleNotFoundError as missing:
        complain(str(missing))
        raise typer.Exit(WRONG_USE) from None


def _write(figures: Figures, destination: Destination, title: str) -> None:
    try:
        from kognitos_async.cli.report_page import page_of  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        complain(f"a page needs {missing.name}: pip install 'kognitos-async[cli,report]'")
        raise typer.Exit(WRONG_USE) from None
    page = page_of(figures, title)
    try:
        with destination.open() as file:
            file.write(page.encode())
        destination.finish()
    except BaseException:
        destination.discard()
        raise


def _print(figures: Figures) -> None:
    console = PipedConsole()
    total = figures.total
    settling = total.settling
    console.print(
        f"{total.runs:,} runs: {percent(total.succeeded, total.runs)} succeeded, "
        f"{percent(total.failed, total.runs)} failed, {total.going:,} open, "
        f"{percent(total.needed_person, total.runs)} needed a person"
        + (
            f"; to settle: median {duration(settling.median)}, p90 {duration(settling.p90)}, "
            f"p99 {duration(settling.p99)}"
            if settling
            else ""
        ),
        highlight=False,
    )
    days = list(figures.days)[-14:]
    table = Table(title="By day (the last 14 with runs)", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("day")
    for status in figures.statuses:
        table.add_column(status, justify="right")
    for day in days:
        table.add_row(str(day), *(f"{figures.days[day].get(status, 0):,}" for status in figures.statuses))
    console.print(table)
    for shown in tables_of(figures):
        _print_table(console, shown)


def _print_table(console: PipedConsole, shown: ReportTable) -> None:
    if not shown.rows:
        console.print(f"{shown.title}: {shown.empty}", highlight=False)
        return
    table = Table(title=shown.title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in shown.columns:
        table.add_column(column.name, justify="right" if column.number else "left", overflow="fold")
    for row in shown.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
