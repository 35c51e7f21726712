"""Cost per item and memory of jobs at sizes a factor of ten apart, each in its own process."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import fanout, waiting
from benchmarks.faces.server import face_server
from benchmarks.measuring import forget_peak, memory_now, peak_memory, run, spent
from kognitos_async import KognitosClient, PollPolicy

COST, MEMORY = "CPU µs an item", "memory MB"


def waiters(*, size: int) -> dict[str, float]:
    """Waiting for `size` runs concurrently."""
    found = waiting.measure(way="shared", waiters=size)
    return {COST: 1e6 * found["CPU s"] / size, MEMORY: found["memory MB"]}


def bulk(*, size: int) -> dict[str, float]:
    """`run_many` with a journal."""
    found = fanout.measure(runs=size, journal=True)
    return {COST: 1e3 * found["CPU ms a run"], MEMORY: found["memory MB"]}


def export(*, size: int) -> dict[str, float]:
    """Export of a history to Parquet, as by `kognitos runs export`."""
    import os  # noqa: PLC0415

    from kognitos_async.cli.app import run as command  # noqa: PLC0415 - nobody else needs typer
    from kognitos_async.cli.parquet_file import import_pyarrow  # noqa: PLC0415

    with face_server("long_history", runs=size) as root, tempfile.TemporaryDirectory() as folder:
        settings = {"API_KEY": "test-key", "AGENT_ID": "agent-1", "BASE_URL": root}
        os.environ |= {f"KOGNITOS_{name}": value for name, value in settings.items()}
        import_pyarrow()  # its 100 MB are not what grows
        path = Path(folder) / "runs.parquet"
        arguments = ["runs", "export", "--process", "process-1", "--output", str(path), "--quiet"]
        memory = memory_now()
        forget_peak()
        with spent() as it:
            code = command(arguments)
        if code or not path.stat().st_size:
            raise AssertionError(f"the export ended with exit code {code}")
        return {
            COST: 1e6 * it.cpu / size,
            MEMORY: peak_memory() - memory,
            "items a second": size / it.seconds,
        }


def walk(*, size: int) -> dict[str, float]:
    """Iteration over a history."""

    async def main(root: str) -> dict[str, float]:
        async with KognitosClient("test-key", base_url=f"{root}/v2", agent_id="agent-1") as client:
            memory = memory_now()
            forget_peak()
            count = 0
            with spent() as it:
                async for found in client.runs.list("process-1"):
                    count += found.created_at is not None
            if count != size:
                raise AssertionError(f"{count} of {size} runs")
            return {
                COST: 1e6 * it.cpu / size,
                MEMORY: peak_memory() - memory,
                "items a second": size / it.seconds,
            }

    with face_server("long_history", runs=size) as root:
        return run(main(root))


def follow(*, size: int) -> dict[str, float]:
    """Following a process with `size` runs in the hour looked at, until the 100 newest have changed."""

    async def main(root: str) -> dict[str, float]:
        poll = PollPolicy(initial=0.2, maximum=0.5)
        async with KognitosClient("test-key", base_url=f"{root}/v2", agent_id="agent-1", poll=poll) as client:
            memory = memory_now()
            forget_peak()
            ended: set[str] = set()
            since = datetime.now(UTC) - timedelta(hours=1)
            with spent() as it:
                async with (
                    asyncio.timeout(300),
                    client.runs.follow("process-1", since=since) as changes,
                ):
                    async for found in changes:
                        if found.settled and found.id.startswith("000000-"):
                            ended.add(found.id)
                        if len(ended) == 100:
                            break
            return {COST: 1e6 * it.cpu / size, MEMORY: peak_memory() - memory}

    with face_server("long_history", runs=size) as root:
        return run(main(root))
