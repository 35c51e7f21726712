"""`kognitos engine status`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from rich.table import Table

    from kognitos_async.cli.output import Output
    from kognitos_async.integrations.dbos import EngineStatus, KognitosWorkflows

_COUNTS = ("queued", "starting", "running", "not_handed_on", "refused", "uncertain", "cancelled")


async def show_status(output: Output, kognitos: KognitosWorkflows, every: float | None) -> int:
    """Print the status; with `every`, repeat in that interval until nothing is open."""
    if every is not None and output.on_terminal:
        return await _watch(kognitos, every)
    last: EngineStatus | None = None
    while True:
        status = await kognitos.status()
        if status != last:
            last = status
            _print(output, status, once=every is None)
        if every is None or (status.done and not status.open):
            return 0
        await asyncio.sleep(every)


def _print(output: Output, status: EngineStatus, *, once: bool) -> None:
    if output.as_json:
        output.line(msgspec.to_builtins(status), ())
    elif output.on_terminal:
        from rich.console import Console  # noqa: PLC0415 - for a terminal

        Console().print(_table(status))
    elif once:
        for state, count in _rows(status):
            output.line({"state": state, "count": count}, ("state", "count"))
    else:
        counts = ", ".join(f"{state} {count}" for state, count in _rows(status) if count)
        output.line({"counts": counts}, ("counts",))


async def _watch(kognitos: KognitosWorkflows, every: float) -> int:
    from rich.live import Live  # noqa: PLC0415 - for a terminal

    status = await kognitos.status()
    with Live(_table(status), refresh_per_second=4) as live:
        while status.open or not status.done:
            await asyncio.sleep(every)
            status = await kognitos.status()
            live.update(_table(status))
    return 0


def _rows(status: EngineStatus) -> list[tuple[str, int]]:
    rows = [(name, getattr(status, name)) for name in _COUNTS]
    return [*rows[:3], *status.settled.items(), *rows[3:]]


def _table(status: EngineStatus) -> Table:
    from rich import box  # noqa: PLC0415 - for a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("state")
    table.add_column("runs", justify="right")
    for state, count in _rows(status):
        table.add_row(Text(state), str(count))
    for worker in sorted({*status.workers, *status.holding}):
        alive = worker in status.workers or not status.workers
        name = Text(f"worker {worker}" if alive else f"gone: {worker}")
        table.add_row(name, str(status.holding.get(worker, 0)))
    for undecided in status.undecided[:10]:
        table.add_row(Text(f"to decide: {undecided}"), Text(""))
    return table
