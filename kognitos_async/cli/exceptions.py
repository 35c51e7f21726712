"""`kognitos exceptions`: list, show and answer exceptions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.command import Automation, Call, Process, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import run_command, usage_errors
from kognitos_async.cli.target import APIS, PLATFORM, V2
from kognitos_async.cli.whole_pages import LeftOut

if TYPE_CHECKING:
    from kognitos_async.cli.api_platform import PlatformApi

app: typer.Typer = command_group("List, show and answer exceptions.")


class ExceptionState(StrEnum):
    """State of an exception."""

    PENDING = "pending"
    RESOLVED = "resolved"
    ARCHIVED = "archived"
    ALL = "all"


@command(app, "list")
def list_exceptions(
    call: Call,
    process: Process = None,
    automation: Annotated[
        str | None, typer.Option(metavar="ID", help="Only exceptions of this automation (platform API).")
    ] = None,
    state: Annotated[ExceptionState, typer.Option(help="Only exceptions in this state (platform API).")] = (
        ExceptionState.PENDING
    ),
) -> None:
    """List the exceptions that wait for a person.

    Platform API: the exceptions of the workspace. REST API v2: the runs of a process in Exception. If keys of
    both APIs are set, use --process or --api v2 for REST API v2.
    """
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
                api.exceptions(source, state, left_out),
                columns,
                nothing=f"no exceptions on {APIS[call.target.api]}",
            )
    return left_out.exit_code


@command(app)
def show(
    call: Call,
    exception: Annotated[
        str, typer.Argument(metavar="EXCEPTION", help="ID or full name of an exception or a waiting run.")
    ],
    automation: Automation = None,
) -> None:
    """Show an exception and its messages.

    REST API v2 has no exceptions: there, show the run in Exception.
    """
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
    exception: Annotated[
        str, typer.Argument(metavar="EXCEPTION", help="ID or full name of an exception or a waiting run.")
    ],
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The answer, as plain text.")],
    automation: Automation = None,
) -> None:
    """Answer an exception (platform API).

    The run resumes if the answer resolves the exception.
    """
    call.means(PLATFORM)
    call.target.require(PLATFORM, "a reply", "open the run in Kognitos; the API has no operation for answers")
    run_command(_reply(call, exception, message, automation))


async def _reply(call: Call, exception: str, message: str, automation: str | None) -> int:
    async with connect(call.target) as api:
        platform: PlatformApi = api  # type: ignore[assignment]  # the key is of this API
        with usage_errors():
            record = await platform.reply(exception, message, automation, LeftOut("exceptions"))
    call.output.line(record, ("id", "exception"))
    call.output.note(f"answer sent; `kognitos runs wait {record['run']}` waits for the run")
    return 0
