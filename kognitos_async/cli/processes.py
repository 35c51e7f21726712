"""`kognitos processes`: the processes of an agent (REST API v2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.cli.command import Call, command, command_group
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import run_command
from kognitos_async.cli.target import V2
from kognitos_async.cli.whole_pages import LeftOut

if TYPE_CHECKING:
    import typer

    from kognitos_async.cli.api_v2 import RestV2Api

app: typer.Typer = command_group("List the processes of an agent (REST API v2).")


@command(app, "list")
def list_processes(call: Call) -> None:
    """List the processes of the agent.

    The Draft and the Published version of a process are separate rows with the same ID.
    """
    call.means(V2)
    call.target.require(V2, "kognitos processes", "kognitos automations list")
    run_command(_list(call))


async def _list(call: Call) -> int:
    left_out = LeftOut("processes")
    async with connect(call.target) as api:
        processes: RestV2Api = api  # type: ignore[assignment]  # the key is of this API
        await call.output.list(
            processes.processes(left_out), ("id", "stage", "name"), nothing="the agent has no processes"
        )
    return left_out.exit_code
