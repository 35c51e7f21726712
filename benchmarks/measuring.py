"""Tools for measurements: time, CPU, memory, percentiles, and a CPU profile by package.

Imports next to nothing, so that it does not count in what is measured.
"""

from __future__ import annotations

import resource
import signal
import sys
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Coroutine, Iterator, Sequence
    from types import FrameType
    from typing import Any, TypeVar

    T = TypeVar("T")

SAMPLE_EVERY = 0.001


class Settings:
    """Settings of this process, made by `benchmarks.measure`."""

    loop = "asyncio"
    samples: Counter[str] | None = None
    """CPU samples by package, if requested."""


class Spent:
    """Wall and CPU seconds of a block, set at its end."""

    seconds = 0.0
    cpu = 0.0


@contextmanager
def spent() -> Iterator[Spent]:
    """Measure and sample the block."""
    result = Spent()
    if Settings.samples is not None:
        signal.signal(signal.SIGPROF, _sample)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_EVERY, SAMPLE_EVERY)
    began, cpu = time.perf_counter(), time.process_time()
    try:
        yield result
    finally:
        result.seconds, result.cpu = time.perf_counter() - began, time.process_time() - cpu
        if Settings.samples is not None:
            signal.setitimer(signal.ITIMER_PROF, 0)


def _sample(_signal: int, frame: FrameType | None) -> None:
    assert Settings.samples is not None
    while frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    name = "?" if frame is None else str(frame.f_globals.get("__name__", "?"))
    Settings.samples[name.partition(".")[0]] += 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on the event loop under test."""
    import asyncio  # noqa: PLC0415 - it would be measured as well

    if Settings.loop == "asyncio":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 - not a dependency

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def percentile(values: Sequence[float], share: float) -> float:
    """The `share` percentile of `values`."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def memory_now() -> float:
    """Memory of this process in MB; the peak if /proc is missing."""
    return _status("VmRSS")


def forget_peak() -> None:
    """Reset `peak_memory`."""
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - pathlib would be measured as well
            file.write("5")
    except OSError:
        return


def peak_memory() -> float:
    """Peak memory of this process since `forget_peak`, in MB.

    Not `ru_maxrss` where it can be helped: a process inherits that from the one that started it.
    """
    return _status("VmHWM")


def _status(field: str) -> float:
    try:
        with open("/proc/self/status") as file:  # noqa: PTH123
            line = next(line for line in file if line.startswith(field))
    except OSError:
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return int(line.split()[1]) / 1024
