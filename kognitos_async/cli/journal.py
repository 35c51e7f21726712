"""`kognitos journal`: what a bulk job has recorded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from kognitos_async.bulk.journal import settled_runs, summary
from kognitos_async.cli.running import reported_errors
from kognitos_async.messages import decoder_for
from kognitos_async.rest_v2.models import Run

app = typer.Typer(help="See what a bulk job has recorded.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """See what a bulk job has recorded."""


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="The journal of a bulk job that is not running.")],
) -> None:
    """Print how many requests are in which state, and in which status the settled runs are."""
    with reported_errors():
        states = summary(file)
        statuses = _statuses(file)
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("state")
        table.add_column("requests", justify="right")
        for state, count in states.items():
            table.add_row(state, str(count))
            if state == "settled":
                for status, runs in statuses.most_common():
                    table.add_row(f"  {status}", str(runs))
        Console().print(table)


def _statuses(file: Path) -> Counter[str]:
    decoder = decoder_for(Run)
    return Counter(str(decoder.decode(run).status) for run in settled_runs(file))
