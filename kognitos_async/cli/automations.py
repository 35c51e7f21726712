"""`kognitos automations`: list, show and invoke automations (platform API)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kognitos_async.cli.command import Call, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import run_command, usage_errors
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
from kognitos_async.cli.target import PLATFORM
from kognitos_async.cli.whole_pages import LeftOut

if TYPE_CHECKING:
    from kognitos_async.cli.api_platform import PlatformApi

app: typer.Typer = command_group("List, show and invoke automations (platform API).")


class AutomationState(StrEnum):
    """State of an automation."""

    DRAFT = "draft"
    PUBLISHED = "published"


@command(app, "list")
def list_automations(
    call: Call,
    state: Annotated[AutomationState | None, typer.Option(help="Only automations in this state.")] = None,
) -> None:
    """List the automations of the workspace, last changed first."""
    call.means(PLATFORM)
    call.target.require(PLATFORM, "kognitos automations", "kognitos processes list")
    run_command(_list(call, state))


async def _list(call: Call, state: str | None) -> int:
    left_out = LeftOut("automations")
    async with connect(call.target) as api:
        automations: PlatformApi = api  # type: ignore[assignment]  # the key is of this API
        await call.output.list(
            automations.automations(state, left_out),
            ("id", "version", "published_version", "update_time", "display_name"),
            nothing="the workspace has no automations",
        )
    return left_out.exit_code


@command(app)
def show(
    call: Call,
    automation: Annotated[
        str, typer.Argument(metavar="AUTOMATION", help="ID or full name of an automation.")
    ],
) -> None:
    """Show an automation: inputs, versions, code in English."""
    call.means(PLATFORM)
    call.target.require(PLATFORM, "kognitos automations", "kognitos processes list")
    run_command(_show(call, automation))


async def _show(call: Call, automation: str) -> int:
    async with connect(call.target) as api:
        automations: PlatformApi = api  # type: ignore[assignment]  # the key is of this API
        with usage_errors():
            record = await automations.automation(automation)
    call.output.show(record)
    return 0


@command(app)
def invoke(
    call: Call,
    automation: Annotated[
        str, typer.Argument(metavar="AUTOMATION", help="ID or full name of an automation.")
    ],
    input: Inputs = None,
    number: Numbers = None,
    file: Files = None,
    inputs: InputsFile = None,
    stage: StageName = "published",
    wait: Wait = False,
    timeout: Timeout = None,
) -> None:
    """Start a run of an automation.

    With --wait, wait until it settles; exit code 3 if it did not complete. If the answer is lost, the start
    is not sent again: the error says that the run may exist.
    """
    call.means(PLATFORM)
    call.target.require(PLATFORM, "kognitos automations", "kognitos runs start")
    start_run(call, automation, None, stage, input, number, file, inputs, wait=wait, timeout=timeout)
