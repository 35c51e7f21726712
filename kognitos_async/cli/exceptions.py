"""`kognitos exceptions`: what waits for a person, and the answers to it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.command import Automation, Call, Process, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import run_command, usage_errors
from kognitos_async.cli.target import PLATFORM, V2
from kognitos_async.cli.whole_pages import LeftOut

if TYPE_CHECKING:
    from kognitos_async.cli.api_platform import PlatformApi

app: typer.Typer = command_group("List and show what waits for a person, and answer it.")


class ExceptionState(StrEnum):
    """Where an exception stands."""

    PENDING = "pending"
    RESOLVED = "resolved"
    ARCHIVED = "archived"
    ALL = "all"


@command(app, "list")
def list_exceptions(
    call: Call,
    process: Process = None,
    automation: Annotated[
        str | None, typer.Option(metavar="ID", help="Platform: only those of this automation.")
    ] = None,
    state: Annotated[ExceptionState, typer.Option(help="Platform: only those in this state.")] = (
        ExceptionState.PENDING
    ),
) -> None:
    """List what waits for a person: exceptions of the workspace, or (REST API v2) runs in Exception."""
    call.means(V2 if process is not None else PLATFORM)
    platform = call.target.is_platform
    if not platform or process is not None:
        source: str | None = call.target.source(process, automation)
    else:
        source = automation
    run_command(_list(call, source, None if state is ExceptionState.ALL else state))


async def _list(call: Call, source: str | None, state: str | None) -> int:
    time = "create_time" if call.target.is_platform else "created_at"
    columns = ("id", "state" if call.target.is_platform else "status", time, "message")
    left_out = LeftOut("exceptions" if call.target.is_platform else "runs")
    async with connect(call.target) as api:
        with usage_errors():
            await call.output.list(
                api.exceptions(source, state, left_out), columns, nothing="nothing waits for a person"
            )
    return left_out.exit_code


@command(app)
def show(
    call: Call,
    exception: Annotated[str, typer.Argument(help="An exception's id or full name, or a run's.")],
    automation: Automation = None,
) -> None:
    """Show an exception with what was said about it; on REST API v2 the run that needs a person."""
    call.means(PLATFORM)
    run_command(_show(call, exception, automation))


async def _show(call: Call, exception: str, automation: str | None) -> int:
    left_out = LeftOut("events")
    async with connect(call.target) as api:
        with usage_errors():
            record = await api.exception(exception, automation, left_out)
    call.output.show(record)
    return left_out.exit_code


@command(app)
def reply(
    call: Call,
    exception: Annotated[str, typer.Argument(help="An exception's id or full name, or a run's.")],
    message: Annotated[str, typer.Argument(help="The answer, in plain text.")],
    automation: Automation = None,
) -> None:
    """Answer an exception (platform API): the run goes on when the answer resolves it."""
    call.means(PLATFORM)
    call.target.require(
        PLATFORM, "a reply", "open the run in Kognitos, this API has no operation for answers"
    )
    run_command(_reply(call, exception, message, automation))


async def _reply(call: Call, exception: str, message: str, automation: str | None) -> int:
    async with connect(call.target) as api:
        platform: PlatformApi = api  # type: ignore[assignment]  # the key is of this API
        with usage_errors():
            record = await platform.reply(exception, message, automation)
    call.output.line(record, ("id", "exception"))
    call.output.note("sent; `kognitos runs wait` shows when the run has settled")
    return 0
