"""`kognitos runs sync`: mirror the run history locally."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from kognitos_async.cli.command import Call  # noqa: TC001 - typer reads it
from kognitos_async.cli.connection import connect
from kognitos_async.cli.running import FAILED, WRONG_USE, complain, lines_of, run_command, usage_errors
from kognitos_async.errors import KognitosError
from kognitos_async.mirror.rows import MirrorBusyError
from kognitos_async.mirror.store import store_of
from kognitos_async.waiting.policy import is_transient

if TYPE_CHECKING:
    from kognitos_async.cli.api import Api
    from kognitos_async.mirror.rows import SyncResult

_PAGES_PER_NOTE = 100
"""Pages per line of progress."""


def sync(
    call: Call,
    into: Annotated[
        str,
        typer.Option(
            metavar="STORE", help="SQLite file, or *.duckdb or FOLDER/ of Parquet files (extra `sync`)."
        ),
    ],
    process: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only this process (REST API v2); by default all of the agent."),
    ] = None,
    automation: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Only this automation (platform API); by default all of the workspace."
        ),
    ] = None,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=1, help="Repeat in this interval until Ctrl-C.")
    ] = None,
) -> None:
    """Mirror the run history into a local store.

    Reads new runs, and again those that had not ended, so that no change of status is missed. Each page is
    saved before the next is read: an interrupted pass is resumed by the next call. `kognitos runs report`
    summarizes the mirror. SQLite and Parquet can be read at any time; a DuckDB file only between passes, and
    no pass can run while another program has it open. With --every, a pass that fails for want of a
    connection, with 429 or 5xx, or because the mirror is in use, is reported, and the next one resumes it.
    """
    source = call.given_source(process, automation)
    try:
        with usage_errors():
            store_of(into)
    except ModuleNotFoundError as missing:
        complain(str(missing))
        raise typer.Exit(WRONG_USE) from None
    run_command(_sync(call, into, source, every))


async def _sync(call: Call, into: str, source: str | None, every: float | None) -> int:
    call.output.check()
    async with connect(call.target) as api:
        while True:
            try:
                code = await _pass(call, api, into, source)
            except KognitosError as failed:
                if every is None or not (is_transient(failed) or isinstance(failed, MirrorBusyError)):
                    raise
                complain(f"{next(lines_of(failed))}; the next pass is in {every:g} s")
            else:
                if every is None:
                    return code
            await asyncio.sleep(every)


async def _pass(call: Call, api: Api, into: str, source: str | None) -> int:
    """Make one pass and print its counts; exit code 1 if some runs could not be decoded."""
    notes = 0

    def progress(result: SyncResult) -> None:
        nonlocal notes
        if result.pages // _PAGES_PER_NOTE > notes:
            notes = result.pages // _PAGES_PER_NOTE
            call.output.note(f"{result.pages:,} pages read, {result.new:,} new runs")

    options = {"automation" if call.target.is_platform else "process_id": source}
    with usage_errors():
        result = await api.client.runs.sync(into, on_progress=progress, **options)
    record = {
        **msgspec.to_builtins(result),
        "store": into,
        "summary": f"{result.new:,} new, {result.changed:,} changed, {result.missing:,} missing; "
        f"{result.pages:,} pages and {result.reads:,} runs read",
    }
    call.output.line(record, ("summary",))
    if result.undecoded:
        complain(f"runs left out: {result.undecoded} cannot be decoded (-v says which)")
    return FAILED if result.undecoded else 0
