"""What a quick run fails for; a pure function of the measured numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.figures import SLACK, ratios
from benchmarks.growing import growing, growths

if TYPE_CHECKING:
    from benchmarks.figures import Raw


class Failure(NamedTuple):
    """A figure missed by too much, or a cost that grows too fast."""

    subject: str
    """A subject whose measurements show it."""
    reason: str


def failures(raw: Raw) -> list[Failure]:
    """The failures that all measurements of `raw` together show."""
    found = [
        Failure(ratio.figure.subject, f"{ratio.figure.title} is worse than {SLACK:g} times the figure")
        for ratio in ratios(raw)
        if ratio.failed
    ]
    return found + [
        Failure(growing(one.job, one.sizes[-1]), f"{one.job.title}: {one.verdict}")
        for one in growths(raw)
        if one.too_fast or one.swells
    ]
