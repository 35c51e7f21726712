"""`kognitos journal`: what a bulk job has recorded."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from kognitos_async.bulk.journal import Journal
from kognitos_async.cli.running import reported_errors

app = typer.Typer(help="See what a bulk job has recorded.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See what a bulk job has recorded."""


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="The journal of a bulk job, which may be running.")],
) -> None:
    """Print how many requests are in which state, and in which status the settled runs are."""
    with reported_errors(), Journal(file) as opened:
        states, statuses = opened.summary(), opened.statuses()
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("state")
        table.add_column("requests", justify="right")
        for state, count in states.items():
            table.add_row(state, str(count))
            if state == "settled":
                for status, runs in statuses.items():
                    table.add_row(f"  {status}", str(runs))
        Console().print(table)
