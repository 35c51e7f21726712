"""`kognitos runs sync`: keep a local mirror of the history."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from kognitos_async.cli.command import Call  # noqa: TC001 - typer reads it
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import WRONG_USE, complain, run_command, usage_errors
from kognitos_async.mirror.store import store_of

if TYPE_CHECKING:
    from kognitos_async.mirror.rows import SyncResult

_SAID_EVERY = 100
"""Pages between two lines of progress."""


def sync(
    call: Call,
    into: Annotated[
        str, typer.Option(metavar="STORE", help="A SQLite file, *.duckdb, or a folder/ of Parquet files.")
    ],
    process: Annotated[
        str | None, typer.Option(metavar="ID", help="REST API v2: one process; else all of the agent.")
    ] = None,
    automation: Annotated[
        str | None, typer.Option(metavar="ID", help="Platform: one automation; else all of the workspace.")
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1, help="Go on, one pass every so often.")
    ] = None,
) -> None:
    """Mirror the history of runs: read what is new, and again what had not ended.

    A changed status is never missed. Each page is on disk before the next is read, so that an interrupted
    pass goes on where it was. Readers may open the mirror while it is kept.
    """
    if automation is not None:
        call.names(automation, automation=automation)
    try:
        store_of(into)
    except ModuleNotFoundError as missing:
        complain(str(missing))
        raise typer.Exit(WRONG_USE) from None
    run_command(_sync(call, into, process, automation, every))


async def _sync(
    call: Call, into: str, process: str | None, automation: str | None, every: float | None
) -> int:
    call.output.check()
    said = 0

    def progress(result: SyncResult) -> None:
        nonlocal said
        if result.pages // _SAID_EVERY > said:
            said = result.pages // _SAID_EVERY
            call.output.note(f"{result.pages:,} pages read, {result.new:,} new runs")

    options: dict[str, Any] = (
        {"automation": automation} if call.target.is_platform else {"process_id": process}
    )
    async with connect(call.target) as api:
        while True:
            said = 0
            with usage_errors():
                result = await api.client.runs.sync(into, on_progress=progress, **options)
            record = {
                **msgspec.to_builtins(result),
                "store": into,
                "summary": f"{result.new:,} new, {result.changed:,} changed, {result.missing:,} missing; "
                f"{result.pages:,} pages and {result.reads:,} runs read",
            }
            call.output.line(record, ("summary",))
            if every is None:
                return 0
            await asyncio.sleep(every)
