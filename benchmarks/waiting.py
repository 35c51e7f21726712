"""Waiting for many runs: requests, delay, CPU, memory and lag of shared polls, and of one GET per poll."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmarks.emulator import emulator
from benchmarks.measuring import forget_peak, memory_now, peak_memory, percentile, run, spent
from kognitos_async import KognitosClient, PollPolicy, Run, RunStatus, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from benchmarks.emulator import Emulated

POLL = PollPolicy(initial=0.5, maximum=2.0)


def measure(*, way: str, waiters: int, bare_ids: bool = False, **server: Any) -> dict[str, float]:
    """Measure one method, `shared` or `plain`, with a number of concurrent waiters."""
    with emulator(runs=waiters, **server) as emulated:
        memory = memory_now()
        forget_peak()
        returned, lags, cpu = run(_wait_for_all(emulated, way, bare_ids))
        grown = peak_memory() - memory
        report = emulated.finish()
    delays = [returned[run_id] - when for run_id, when in report["settled"].items()]
    return {
        "requests a run": report["requests"] / waiters,
        "mean delay s": statistics.fmean(delays),
        "p95 delay s": percentile(delays, 95),
        "CPU s": cpu,
        "memory MB": grown,
        "kB a waiter": 1024 * grown / waiters,
        "loop lag p99 ms": percentile(lags, 99) * 1000,
    }


async def _wait_for_all(
    emulated: Emulated, way: str, bare_ids: bool
) -> tuple[dict[str, float], list[float], float]:
    returned: dict[str, float] = {}
    lags: list[float] = []
    async with KognitosClient(
        "test-key", base_url=emulated.base_url, agent_id=emulated.agent_id, poll=POLL
    ) as client:
        wait: Callable[[Run | str], Coroutine[Any, Any, Run]] = (
            client.wait_for_run if way == "shared" else lambda run: _plain(client, run)
        )

        async def one(run_id: str) -> None:
            run = await wait(run_id if bare_ids else _just_started(emulated, run_id))
            returned[run_id] = time.time()
            if not run.settled:
                raise AssertionError(f"{run_id} was returned unsettled")

        watcher = asyncio.create_task(_watch_lag(lags))
        with spent() as it:
            await asyncio.gather(*(one(run_id) for run_id in emulated.run_ids))
        watcher.cancel()
    return returned, lags, it.cpu


async def _plain(client: KognitosClient, run: Run | str) -> Run:
    """A hand-written wait: one GET per poll, on the same schedule."""
    chance = random.Random()
    poll = 0
    while True:
        if isinstance(run, Run) or poll:
            await asyncio.sleep(POLL.delay(poll if isinstance(run, Run) else poll - 1, chance))
        poll += 1
        read = await client.runs.get(run if isinstance(run, str) else run.id)
        if read.settled:
            return read


async def _watch_lag(lags: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        lags.append(time.perf_counter() - began - 0.005)


def _just_started(emulated: Emulated, run_id: str) -> Run:
    return Run(
        id=run_id,
        name="a run",
        agent_id=emulated.agent_id,
        process_id=emulated.process_id,
        stage=Stage.PUBLISHED,
        status=RunStatus.CREATED,
        created_at=datetime.now(UTC),
    )
