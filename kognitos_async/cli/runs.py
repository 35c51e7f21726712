"""`kognitos runs`: list, show, start, wait and watch; its other commands have their own modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kognitos_async.cli.bulk import bulk
from kognitos_async.cli.command import Automation, Call, Process, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.export import export
from kognitos_async.cli.report import report
from kognitos_async.cli.running import FAILED, SOME_FAILED, complain, lines_of, run_command, usage_errors
from kognitos_async.cli.start_run import (
    Files,
    Inputs,
    InputsFile,
    Numbers,
    StageName,
    Timeout,
    Wait,
    start_run,
)
from kognitos_async.cli.sync import sync
from kognitos_async.cli.times import moment
from kognitos_async.cli.whole_pages import LeftOut
from kognitos_async.errors import AuthenticationError, KognitosError
from kognitos_async.work_stream import side_by_side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from kognitos_async.cli.api import Api, Record

app: typer.Typer = command_group("Start, list, wait for, export and mirror runs.")
command(app)(bulk)
command(app)(export)
command(app)(sync)
command(app, api=False)(report)


@command(app, "list")
def list_runs(
    call: Call,
    process: Process = None,
    automation: Automation = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Only this stage: draft or published.")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="STATUS", help="Only runs in this status (state); may be repeated."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only runs created at or after this ISO 8601 time, default UTC."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=0, help="Maximum number of runs; 0 for all.")] = 50,
) -> None:
    """List the runs of a process or automation.

    In the order of the API: newest first on the platform API, not documented for REST API v2.
    """
    source = call.source(process, automation)
    wanted = {word.lower() for word in status or ()}
    run_command(_list(call, source, stage, wanted, moment(since), limit))


async def _list(
    call: Call, source: str, stage: str | None, wanted: set[str], since: datetime | None, limit: int
) -> int:
    left_out = LeftOut("runs")
    async with connect(call.target) as api:
        # Where others are left out, a page of this size may hold too few.
        page = None if wanted or stage or (since is not None and not call.target.is_platform) else limit
        runs = api.runs(source, stage, since, left_out, page=page)
        with usage_errors():
            await call.output.list(
                _records(api, runs, wanted, limit), api.run_columns, nothing="no runs found"
            )
    return left_out.exit_code


async def _records(api: Api, runs: AsyncIterator[Any], wanted: set[str], limit: int) -> AsyncIterator[Record]:
    count = 0
    async for run in runs:
        if wanted and api.status(run).lower() not in wanted:
            continue
        yield api.record(run)
        count += 1
        if count == limit:
            return


@command(app)
def show(
    call: Call,
    run: Annotated[str, typer.Argument(metavar="RUN", help="ID or full name of a run.")],
    automation: Automation = None,
) -> None:
    """Show a run and its outputs."""
    call.names(run, automation=automation)
    run_command(_show(call, run, automation))


async def _show(call: Call, run: str, automation: str | None) -> int:
    async with connect(call.target) as api:
        with usage_errors():
            found = await api.client.runs.get(api.run_name(run, automation))
    call.output.show(api.record(found))
    return 0


@command(app)
def start(
    call: Call,
    process: Process = None,
    automation: Automation = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Unique name of the run; required by REST API v2.")
    ] = None,
    input: Inputs = None,
    number: Numbers = None,
    file: Files = None,
    inputs: InputsFile = None,
    stage: StageName = "published",
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Start a run.

    With --wait, wait until it settles; exit code 3 if it did not succeed. If the answer is lost, the start is
    not sent again: the error says that the run may exist.
    """
    source = call.source(process, automation)
    if name is None and not call.target.is_platform:
        raise typer.BadParameter("required by REST API v2", param_hint="--name")
    if name is not None and call.target.is_platform:
        raise typer.BadParameter("not supported by the platform API", param_hint="--name")
    start_run(call, source, name, stage, input, number, file, inputs, wait=wait, timeout=timeout)


@command(app)
def wait(
    call: Call,
    ids: Annotated[list[str], typer.Argument(metavar="RUN...", help="IDs or full names of runs.")],
    automation: Automation = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Maximum wait for all runs.")
    ] = None,
) -> None:
    """Wait for runs and print each as it settles.

    Exit code 3 if some did not succeed, 1 if some were not found or did not settle in time.
    """
    call.names(*ids, automation=automation)
    run_command(_wait(call, ids, automation, timeout))


async def _wait(call: Call, ids: list[str], automation: str | None, timeout: float | None) -> int:
    """Wait and return the exit code; an error of one run does not end the wait for the others."""
    failed = lost = 0
    call.output.check()
    async with connect(call.target) as api:
        names = dict.fromkeys(api.run_name(one, automation) for one in ids)
        with usage_errors():
            waiting = api.client.wait_for_runs(names, timeout=timeout)
        async with waiting as settled:
            while True:
                try:
                    run = await anext(settled)
                except StopAsyncIteration:
                    break
                except KognitosError as problem:
                    _complain_of_run(problem)
                    lost += 1
                    continue
                failed += not run.succeeded
                call.output.line(api.record(run), api.settled_columns)
    if lost:
        return FAILED
    return SOME_FAILED if failed else 0


@command(app)
def watch(
    call: Call,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...]", help="Runs to watch until they settle; by default all, until Ctrl-C."
        ),
    ] = None,
    process: Process = None,
    automation: Automation = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Maximum time to watch the given runs.")
    ] = None,
) -> None:
    """Print each change of the status of a run.

    Without RUN, print new and changed runs of the process or automation until Ctrl-C.
    """
    if ids:
        call.names(*ids, automation=automation)
        run_command(_watch(call, ids, automation, timeout))
    else:
        run_command(_follow(call, call.source(process, automation)))


async def _watch(call: Call, ids: list[str], automation: str | None, timeout: float | None) -> int:
    """Watch and return the exit code; an error of one run does not end the watch of the others."""
    failed = lost = 0
    call.output.check()
    async with connect(call.target) as api:

        async def one(name: str) -> None:
            nonlocal failed, lost
            printed = None

            def update(run: Any) -> None:
                nonlocal printed
                if api.status(run) != printed:
                    printed = api.status(run)
                    call.output.line(api.record(run), api.settled_columns)

            try:
                run = await api.client.wait_for_run(name, timeout=timeout, on_update=update)
            except KognitosError as problem:
                _complain_of_run(problem)
                lost += 1
                return
            update(run)
            failed += not run.succeeded

        names = dict.fromkeys(api.run_name(one, automation) for one in ids)
        with usage_errors():
            await side_by_side(map(one, names))
    if lost:
        return FAILED
    return SOME_FAILED if failed else 0


def _complain_of_run(problem: KognitosError) -> None:
    """Print why the wait for one run ended. Raises a refusal of the key, which ends all waits."""
    if isinstance(problem, AuthenticationError):
        raise problem
    complain(next(lines_of(problem)))


async def _follow(call: Call, source: str) -> int:
    call.output.check()
    async with connect(call.target) as api:
        call.output.note(f"watching {source}; stop with Ctrl-C")
        with usage_errors():
            changes = api.client.runs.follow(source)
        async with changes as runs:
            async for run in runs:
                call.output.line(api.record(run), api.settled_columns)
    return 0
