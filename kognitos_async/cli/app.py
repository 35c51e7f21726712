"""The commands put together: one module a command or group of commands."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Annotated

import typer

import kognitos_async
from kognitos_async.cli.demo import demo
from kognitos_async.cli.journal import journal
from kognitos_async.cli.running import INTERRUPTED, complain, lines_of
from kognitos_async.cli.runs import runs
from kognitos_async.cli.serve import serve
from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Sequence

# No locals in tracebacks (a key may be among them), and help that reads the same in a file and a terminal.
app = typer.Typer(
    name="kognitos",
    help="Start runs of Kognitos processes exactly once, and try it all on an emulator.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
)
app.command()(demo)
app.command()(serve)
app.add_typer(runs, name="runs")
app.add_typer(journal, name="journal")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"kognitos-async {kognitos_async.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Start runs of Kognitos processes exactly once, and try it all on an emulator."""


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command: 0 done, 1 failed, 2 wrongly called, 130 interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what a terminal cannot show must not end a command
    try:
        app(args=sys.argv[1:] if arguments is None else list(arguments), prog_name="kognitos")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except KognitosError as failed:
        complain(next(lines_of(failed)))
        return 1
    return 0
