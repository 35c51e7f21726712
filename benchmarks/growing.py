"""Growth of the cost of jobs: sizes, fitted exponent, verdict, and charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.figures import OURS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.figures import Raw

GROWING = "growth: "
"""Prefix of the subjects of growth."""
COST, MEMORY = "CPU µs an item", "memory MB"
MOST = 1.2
"""n log n has the exponent 1.11 from 1,000 to 100,000; the rest is tolerance for noise."""
FLAT_MB = 24.0
"""Tolerated growth from the middle to the largest size, in MB, for caches of a fixed size."""


class Job(NamedTuple):
    """A job: its function in `benchmarks.growth`, its sizes, and whether its memory must be constant."""

    title: str
    function: str
    sizes: tuple[int, ...]
    quick: tuple[int, ...]
    flat: bool


JOBS = (
    Job("wait_for_run, so many at once", "waiters", (200, 2_000, 20_000), (), False),
    Job("run_many with a journal", "bulk", (1_000, 10_000, 100_000), (300, 3_000), True),
    Job("a history to Parquet", "export", (10_000, 100_000, 1_000_000), (10_000, 100_000), True),
    Job("following a process", "follow", (1_000, 10_000, 100_000), (1_000, 10_000), True),
)


class Growth(NamedTuple):
    """The result of a job: cost per item and memory at each size."""

    job: Job
    sizes: tuple[int, ...]
    cost: tuple[float, ...]
    memory: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """The exponent of the total cost as a power of n, by least squares on logarithms."""
        xs = [math.log(size) for size in self.sizes]
        ys = [math.log(size * cost) for size, cost in zip(self.sizes, self.cost, strict=True)]
        middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
        return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / sum(
            (x - middle_x) ** 2 for x in xs
        )

    @property
    def too_fast(self) -> bool:
        """Whether the cost grows faster than n log n, by the fit and from the middle to the largest size."""
        last = math.log(self.sizes[-1] * self.cost[-1] / (self.sizes[-2] * self.cost[-2]))
        return max(self.exponent, last / math.log(self.sizes[-1] / self.sizes[-2])) > MOST

    @property
    def swells(self) -> bool:
        """Whether memory grows that should be constant."""
        return self.job.flat and self.memory[-1] - self.memory[-2] > FLAT_MB

    @property
    def verdict(self) -> str:
        faults = [
            *(["faster than n log n"] if self.too_fast else []),
            *(["memory not flat"] if self.swells else []),
        ]
        return ", ".join(faults) or "as it should"


def growing(job: Job, size: int) -> str:
    """The subject under which a job of this size is recorded."""
    return f"{GROWING}{job.title}, {size:,}"


def growths(raw: Raw) -> list[Growth]:
    """The results of all jobs in `raw`, from the least of each measure: noise only adds."""
    found = []
    for job in JOBS:
        measured = {
            size: raw[growing(job, size)][OURS]
            for size in sorted({*job.sizes, *job.quick})
            if growing(job, size) in raw
        }
        if len(measured) > 1:
            found.append(
                Growth(
                    job,
                    tuple(measured),
                    tuple(min(numbers[COST]) for numbers in measured.values()),
                    tuple(min(numbers[MEMORY]) for numbers in measured.values()),
                )
            )
    return found


def draw(found: Sequence[Growth], path: Path) -> None:
    """Write the charts as SVG: cost per item on the left, memory on the right."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasSVG(figure)
    cost, memory = figure.subplots(1, 2)
    for growth in found:
        label = f"{growth.job.title} (n to the {growth.exponent:.2f})"
        cost.plot(growth.sizes, growth.cost, marker="o", label=label)
        memory.plot(growth.sizes, growth.memory, marker="o", label=growth.job.title)
    for axes, title in ((cost, "CPU µs an item"), (memory, "memory growth, MB")):
        axes.set(xscale="log", xlabel="items", title=title, ylim=(0, None))
        axes.grid(visible=True, alpha=0.3)
    cost.legend(fontsize="small")
    figure.savefig(path, format="svg", metadata={"Date": None})
