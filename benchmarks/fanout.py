"""Many runs through `run_many`: with and without a journal, and against a rate limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.emulator import emulator
from benchmarks.measuring import forget_peak, memory_now, peak_memory, run, spent
from kognitos_async import KognitosClient, PollPolicy, RunRequest

if TYPE_CHECKING:
    from benchmarks.emulator import Emulated


def measure(*, runs: int, journal: bool) -> dict[str, float]:
    """Throughput with runs that settle almost immediately, so that the client is the bottleneck."""
    with emulator(durations=(0.05, 0.05)) as emulated, tempfile.TemporaryDirectory() as folder:
        memory = memory_now()
        forget_peak()
        took, cpu = run(_run_all(emulated, runs, Path(folder) / "job" if journal else None))
        report = emulated.finish()
        return {
            "runs a second": runs / took,
            "CPU ms a run": 1000 * cpu / runs,
            "CPU % of the time": 100 * cpu / took,
            "memory MB": peak_memory() - memory,
            "requests a run": report["requests"] / runs,
            "duplicates": report["duplicates"],
        }


def measure_rate_limit(*, runs: int, rate: float) -> dict[str, float]:
    """Shares of a server's rate limit that are used and exceeded."""
    with emulator(durations=(0.5, 0.5), rate_limit=rate) as emulated:
        took, _ = run(_run_all(emulated, runs, None))
        report = emulated.finish()
        return {
            "share answered 429": report["throttled"] / report["requests"],
            "share of the limit used": (report["requests"] - report["throttled"]) / took / rate,
            "duplicates": report["duplicates"],
        }


def measure_full(*, runs: int, capacity: int) -> dict[str, float]:
    """Cost of starting runs in an organization that is usually at capacity."""
    with emulator(durations=(1.0, 3.0), capacity=capacity) as emulated:
        took, _ = run(_run_all(emulated, runs, None))
        report = emulated.finish()
        return {
            "starts sent a run": report["starts"] / runs,
            "share of the capacity used": runs * 2.0 / took / capacity,
            "duplicates": report["duplicates"],
        }


async def _run_all(emulated: Emulated, runs: int, journal: Path | None) -> tuple[float, float]:
    requests = (RunRequest(process_id=emulated.process_id, name=f"run {n}") for n in range(runs))
    poll = PollPolicy(initial=0.1, maximum=0.5)
    async with KognitosClient(
        "test-key", base_url=emulated.base_url, agent_id=emulated.agent_id, poll=poll
    ) as client:
        settled = 0
        with spent() as it:
            async with client.run_many(requests, journal=journal) as outcomes:
                async for outcome in outcomes:
                    if outcome.error is not None:
                        raise outcome.error
                    settled += 1
        if settled != runs:
            raise AssertionError(f"{settled} outcomes of {runs} requests")
        return it.seconds, it.cpu
