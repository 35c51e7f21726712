"""The root command and its exit codes. Subcommands are imported on first use."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from kognitos_async.cli.command import (
    Agent,
    Api,
    Json,
    Options,
    Organization,
    Profile,
    Proxy,
    Quiet,
    Verbose,
    Workspace,
)
from kognitos_async.cli.output import open_standard_streams
from kognitos_async.cli.running import FAILED, INTERRUPTED, READER_GONE, complain, lines_of
from kognitos_async.errors import KognitosError
from kognitos_async.settings import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP = "Start Kognitos runs exactly once, wait for them, and read their outputs and history, on both APIs."
COMMANDS = {
    "runs": ("runs", "Start, list, wait for, export and mirror runs."),
    "processes": ("processes", "List the processes of an agent (REST API v2)."),
    "automations": ("automations", "List, show and invoke automations (platform API)."),
    "exceptions": ("exceptions", "List, show and answer exceptions."),
    "files": ("files", "Upload files."),
    "journal": ("journal", "Inspect, resolve and tune bulk jobs."),
    "engine": ("engine", "Run durable workers on SQLite or PostgreSQL (DBOS)."),
    "health": ("status", "Check that the API is up and accepts the key."),
    "whoami": ("status", "Show the effective settings, without the key."),
    "demo": ("demo", "Demonstrate exactly-once starts on an emulator."),
    "serve": ("serve", "Run an emulator of both APIs."),
}
"""Module and help of each command."""


class LazyGroup(TyperGroup):
    """A group that imports a command on first use."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """All command names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import and return the command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = import_module(f"kognitos_async.cli.{COMMANDS[cmd_name][0]}")
            loaded = typer.main.get_command(_typer_of(module, cmd_name))
            found = getattr(loaded, "commands", {}).get(cmd_name, loaded)
            found.name = cmd_name
            self.commands[cmd_name] = found
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """Write the names and their help, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


def _typer_of(module: Any, name: str) -> typer.Typer:
    """The module's Typer, or one that wraps its function of that name."""
    if isinstance(found := getattr(module, "app", None), typer.Typer):
        return found
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(name)(getattr(module, name))
    return single


# Tracebacks without locals, which may hold a key; help that looks the same in a file and a terminal.
app: typer.Typer = typer.Typer(
    name="kognitos",
    cls=LazyGroup,
    help=HELP,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"kognitos-async {VERSION}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 success, 1 error, 2 usage error, 3 some runs did not succeed, 130 interrupted."
)
def _main(
    ctx: typer.Context,
    profile: Profile = None,
    api: Api = None,
    proxy: Proxy = None,
    agent: Agent = None,
    organization: Organization = None,
    workspace: Workspace = None,
    json: Json = None,
    quiet: Quiet = None,
    verbose: Verbose = None,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Take the options that are accepted before a command as well as after it."""
    ctx.obj = Options(
        agent=agent,
        organization=organization,
        workspace=workspace,
        profile=profile,
        api=api,
        proxy=proxy,
        json=json,
        quiet=quiet,
        verbose=verbose,
    )


_main.__doc__ = HELP


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    open_standard_streams()
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a character that the terminal lacks is no error
    code = _code(sys.argv[1:] if arguments is None else list(arguments))
    return _flushed(code)


def _code(arguments: list[str]) -> int:
    try:
        result = app(args=arguments, prog_name="kognitos", standalone_mode=False)
    except SystemExit as end:  # raised by shell completion
        return end.code if isinstance(end.code, int) else FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        return READER_GONE
    except KognitosError as failed:
        complain(next(lines_of(failed)))
        return FAILED
    except Exception as problem:
        # Usage errors of click, whose module depends on typer's version.
        if not hasattr(problem, "format_message"):
            raise
        return _misused(problem)
    return result if isinstance(result, int) else 0


def _misused(problem: Any) -> int:
    """Report a usage error in one line that names the command to ask for help."""
    context = getattr(problem, "ctx", None)
    message = problem.format_message()
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(message)
        return 2
    path = context.command_path if context is not None else "kognitos"
    if type(problem).__name__ == "NoSuchOption" and not problem.option_name.startswith("--"):
        message += ". An ID that begins with - goes after --"
    message = message.removeprefix("Invalid value: ").removeprefix("Invalid value for ")
    message = message.replace(": Value error, ", ": ", 1)
    complain(f"{message} ({path} --help shows how)")
    return int(problem.exit_code)


def _flushed(code: int) -> int:
    """Flush standard output; `code`, unless that fails."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except OSError as problem:
        # Otherwise the interpreter would try once more at exit and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(problem, BrokenPipeError):
            return code or READER_GONE
        complain(f"standard output: {problem.strerror}")
        return code or FAILED
    return code
