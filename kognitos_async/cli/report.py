"""`kognitos runs report`: the figures of a mirror, as a page or a table."""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kognitos_async.cli.report_tables import ReportTable, duration, percent, tables_of
from kognitos_async.cli.running import complain, reported_errors
from kognitos_async.mirror.figures import Figures, figures_of
from kognitos_async.mirror.store import store_of


def report(
    source: Annotated[
        Path, typer.Option("--from", help="The mirror that `kognitos runs sync` keeps: a file or folder.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page here; without it, print tables.")
    ] = None,
    title: Annotated[str, typer.Option(help="What the page is headed with.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Report on a mirrored history: runs a day, failures, what needed a person, time to settle."""
    if not source.exists():
        raise typer.BadParameter(f"there is no mirror {source}", param_hint="--from")
    with reported_errors():
        figures = _figures(source)
        if output is not None:
            _write(figures, output, title or source.name)
            complain(f"{figures.total.runs:,} runs reported in {output}")
        if as_json:
            sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
        elif output is None:
            _print(figures)


def _figures(source: Path) -> Figures:
    try:
        store = store_of(source)
    except ModuleNotFoundError as missing:
        complain(str(missing))
        raise typer.Exit(2) from None
    store.open("")
    try:
        return figures_of(store.rows())
    finally:
        store.close()


def _write(figures: Figures, output: Path, title: str) -> None:
    try:
        from kognitos_async.cli.report_page import page_of  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        complain(f"a page needs {missing.name}: pip install 'kognitos-async[cli,report]'")
        raise typer.Exit(2) from None
    page = page_of(figures, title)
    beside = output.with_name(f".{output.name}.part")
    try:
        beside.write_text(page, encoding="utf-8")
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)


def _print(figures: Figures) -> None:
    console = Console()
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


def _print_table(console: Console, shown: ReportTable) -> None:
    if not shown.rows:
        console.print(f"{shown.title}: {shown.empty}", highlight=False)
        return
    table = Table(title=shown.title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in shown.columns:
        table.add_column(column.name, justify="right" if column.number else "left", overflow="fold")
    for row in shown.rows:
        table.add_row(*(Text("".join(c if c.isprintable() else "\ufffd" for c in cell)) for cell in row))
    console.print(table)
