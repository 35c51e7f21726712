"""Single requests, histories and uploads, one contender at a time."""

from __future__ import annotations

import asyncio
import importlib
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.faces.jobs import JOBS, duration
from benchmarks.figures import PAGES
from benchmarks.measuring import forget_peak, memory_now, peak_memory, percentile, run, spent
from benchmarks.static_server import ITEMS, RUN_ID


def get(*, contender: str, base_url: str, concurrency: int, count: int) -> dict[str, float]:
    """CPU and speed of a GET."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url) as client:

            async def take(shares: int) -> None:
                for _ in range(shares):
                    await client.get(RUN_ID)

            shares = count // concurrency
            # The same number as warm-up: httpx needs hundreds until its connections are stable.
            await asyncio.gather(*(take(shares) for _ in range(concurrency)))
            with spent() as it:
                await asyncio.gather(*(take(shares) for _ in range(concurrency)))
            return {"CPU µs a request": 1e6 * it.cpu / count, "requests a second": count / it.seconds}

    return run(main())


def history(*, contender: str, base_url: str, rounds: int, consumer: float | None = None) -> dict[str, float]:
    """CPU and speed of 50 pages of 100, with `consumer` seconds spent on each page."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url) as client:

            async def consume() -> None:
                await asyncio.sleep(consumer or 0.0)

            after_page = None if consumer is None else consume
            if consumer is None:
                await client.history("process-1", None)
            with spent() as it:
                for _ in range(rounds):
                    if await client.history("process-1", after_page) != PAGES * ITEMS:
                        raise AssertionError("the history is incomplete")
            items = rounds * PAGES * ITEMS
            return {
                "CPU µs an item": 1e6 * it.cpu / items,
                "items a second": items / it.seconds,
                "seconds": it.seconds / rounds,
            }

    return run(main())


def consume(*, consumer: float) -> dict[str, float]:
    """The time of the consumer alone: `consumer` seconds for each of 50 pages."""

    async def main() -> dict[str, float]:
        with spent() as it:
            for _ in range(PAGES):
                await asyncio.sleep(consumer)
        return {"seconds": it.seconds}

    return run(main())


def wait(*, contender: str, base_url: str, root: str) -> dict[str, float]:
    """Waiting for 200 runs concurrently: requests, and the delay of each wait."""

    async def main() -> dict[str, float]:
        returned: dict[str, float] = {}
        async with _opened(contender, base_url) as client:

            async def one(job: str) -> None:
                await client.wait(job)
                returned[job] = time.time()

            with spent() as it:
                await asyncio.gather(*(one(job) for job in JOBS))
        with urllib.request.urlopen(f"{root}/counted") as answer:  # noqa: ASYNC210 - all is over
            counted = json.load(answer)
        delays = [returned[job] - counted["began"] - duration(job) for job in JOBS]
        return {
            "requests a run": counted["requests"] / len(JOBS),
            "mean delay s": sum(delays) / len(delays),
            "p95 delay s": percentile(delays, 95),
            "CPU s": it.cpu,
        }

    return run(main())


def upload(*, contender: str, base_url: str, path: str, size: int) -> dict[str, float]:
    """Speed and memory of one large upload."""

    async def main() -> dict[str, float]:
        async with _opened(contender, base_url) as client:
            small = Path(path).with_name("small.bin")
            await client.upload(small)  # what a first upload imports and connects is not its content's memory
            memory = memory_now()
            forget_peak()
            with spent() as it:
                await client.upload(Path(path))
            return {
                "MB a second": size / it.seconds / 1e6,
                "CPU s": it.cpu,
                "memory growth MB": max(0.0, peak_memory() - memory),
            }

    return run(main())


def _opened(contender: str, base_url: str) -> Any:
    return importlib.import_module(f"benchmarks.contenders.{contender}").opened(base_url, "agent-1")
