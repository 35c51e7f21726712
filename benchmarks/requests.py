"""Single requests, histories and uploads, one contender at a time."""

from __future__ import annotations

import asyncio
import importlib
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import memory_now, peak_memory
from benchmarks.static_server import ITEMS, PAGES, RUN_ID

WARM_UP = 200


def get(*, contender: str, base_url: str, concurrency: int, count: int) -> dict[str, float]:
    """CPU and speed of one GET."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url) as client:

            async def take(shares: int) -> None:
                for _ in range(shares):
                    await client.get(RUN_ID)

            await asyncio.gather(*(take(WARM_UP // concurrency) for _ in range(concurrency)))
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(take(count // concurrency) for _ in range(concurrency)))
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            return {"CPU µs a request": 1e6 * cpu / count, "requests a second": count / took}

    return asyncio.run(main())


def history(*, contender: str, base_url: str, rounds: int, consumer: float | None = None) -> dict[str, float]:
    """CPU and speed of 50 pages of 100; `consumer` seconds are spent on each page."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url) as client:

            async def consume() -> None:
                await asyncio.sleep(consumer or 0.0)

            after_page = None if consumer is None else consume
            if consumer is None:
                await client.history("process-1", None)
            began, cpu = time.perf_counter(), time.process_time()
            for _ in range(rounds):
                if await client.history("process-1", after_page) != PAGES * ITEMS:
                    raise AssertionError("the history is incomplete")
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            items = rounds * PAGES * ITEMS
            return {
                "CPU µs an item": 1e6 * cpu / items,
                "items a second": items / took,
                "seconds": took / rounds,
            }

    return asyncio.run(main())


def upload(*, contender: str, base_url: str, agent_id: str, path: str, size: int) -> dict[str, float]:
    """Speed and memory of one large upload."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url, agent_id) as client:
            memory, began, cpu = memory_now(), time.perf_counter(), time.process_time()
            await client.upload(Path(path))
            took, cpu = time.perf_counter() - began, time.process_time() - cpu
            return {
                "MB a second": size / took / 1e6,
                "CPU s": cpu,
                "memory growth MB": max(0, peak_memory() - memory) / 1024,
            }

    return asyncio.run(main())


def idle(*, contender: str) -> dict[str, float]:
    """Memory that importing and opening a client takes."""
    memory = memory_now()

    async def main() -> dict[str, float]:
        async with _opened(contender, "http://127.0.0.1:9/v2"):
            return {"idle client MB": (memory_now() - memory) / 1024}

    return asyncio.run(main())


def _opened(contender: str, base_url: str, agent_id: str = "agent-1") -> Any:
    return importlib.import_module(f"benchmarks.contenders.{contender}").opened(base_url, agent_id)
