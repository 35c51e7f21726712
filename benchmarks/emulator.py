"""The emulator in its own process, so that only the client is measured."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kognitos_async.testing import KognitosServer, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

OPEN = ("Created", "Running")


class Emulated:
    """An emulator in another process: its address, and its counts after `finish`."""

    def __init__(self, connection: Connection, facts: dict[str, Any]) -> None:
        self._connection = connection
        self.base_url: str = facts["base_url"]
        self.process_id: str = facts["process_id"]
        self.agent_id: str = facts["agent_id"]
        self.run_ids: list[str] = facts["run_ids"]

    def finish(self) -> dict[str, Any]:
        """Requests by kind, and when each run settled (POSIX time)."""
        self._connection.send("finish")
        report: dict[str, Any] = self._connection.recv()
        return report


@contextmanager
def emulator(
    *, runs: int = 0, history: int = 0, durations: tuple[float, float] = (2.0, 10.0), **options: Any
) -> Iterator[Emulated]:
    """Run an emulator with `history` settled runs and `runs` new ones while the block lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, runs, history, durations, options), daemon=True
    )
    process.start()
    try:
        yield Emulated(ours, ours.recv())
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.terminate()
            process.join()


def _first_pages(server: KognitosServer) -> int:
    """Number of readings of the first list page before the first start."""
    seen = [request.operation for request in server.log if not request.query.get("continuation_token")]
    return (
        seen[: seen.index("create_run")].count("list_runs")
        if "create_run" in seen
        else seen.count("list_runs")
    )


def _serve(
    connection: Connection, runs: int, history: int, durations: tuple[float, float], options: dict[str, Any]
) -> None:
    async def main() -> None:
        low, high = durations
        schedule = Schedule.random(low, high, seed=1) if low < high else Schedule.fixed(low)
        async with KognitosServer(schedule=schedule, **{"capacity": None, **options}) as server:
            long_ago = datetime.now(UTC) - timedelta(days=2)
            for n in range(history):
                server.add_run(
                    name=f"older {n}", status="Succeeded", created_at=long_ago + timedelta(seconds=n)
                )
            fresh = [
                server.add_run(name=f"run {n}", schedule=Schedule.random(low, high, seed=n))
                for n in range(runs)
            ]
            connection.send(
                {
                    "base_url": server.base_url,
                    "process_id": server.process.id,
                    "agent_id": server.agent_id,
                    "run_ids": [run.id for run in fresh],
                }
            )
            settled: dict[str, float] = {}
            pending = dict(zip((run.id for run in fresh), fresh, strict=True))
            while not connection.poll():
                now = time.time()
                for run_id in [key for key, run in pending.items() if run.status not in OPEN]:
                    settled[run_id] = now
                    del pending[run_id]
                await asyncio.sleep(0.01)
            try:
                connection.recv()
            except EOFError:
                return
            connection.send(
                {
                    "requests": server.count(),
                    "gets": server.count("get_run"),
                    "lists": server.count("list_runs"),
                    "starts": server.count("create_run"),
                    "first pages before a start": _first_pages(server),
                    "throttled": server.count(status=429),
                    "duplicates": len(server.duplicates()),
                    "settled": settled,
                }
            )
            await asyncio.to_thread(connection.poll, None)  # the other end is closed when all is done

    asyncio.run(main())
