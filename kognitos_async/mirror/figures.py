"""The figures of a report, computed in one pass over the runs of a mirror."""

from __future__ import annotations

import heapq
from array import array
from collections import Counter, deque
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kognitos_async.mirror.rows import MirroredRun

_SUCCESS = frozenset({"Succeeded", "completed"})
_SHOWN = 10


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A run listed in a report."""

    id: str
    name: str
    parent: str
    status: str
    created_at: datetime
    seconds: float | None
    """Seconds from creation to settling; None if the API does not return the latter."""


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of the seconds from creation to settling."""

    median: float
    p90: float
    p99: float


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one process or automation, or the total."""

    name: str
    runs: int
    succeeded: int
    failed: int
    """Runs that ended without success."""
    going: int
    """Runs that have not ended, including those that wait for a person."""
    needed_person: int
    settling: Settling | None
    """None if no run has settled, or if the API does not return when."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a report."""

    total: Group
    groups: tuple[Group, ...]
    """By process or automation, the one with the most runs first."""
    statuses: dict[str, int]
    """Number of runs by status, most frequent first."""
    days: dict[date, dict[str, int]]
    """Number of runs by day of creation (UTC) and status; days without runs are left out."""
    longest: tuple[Listed, ...]
    """The runs that took longest to settle, at most 10."""
    latest_failures: tuple[Listed, ...]
    """The latest runs that failed or wait for a person, at most 10."""
    read_at: datetime
    """When the figures were computed."""


def figures_of(rows: Iterable[MirroredRun], *, now: datetime | None = None) -> Figures:
    """The figures of the runs, given oldest first. Memory grows by one float for each settled run."""
    total = _Tally("all")
    groups: dict[str, _Tally] = {}
    statuses: Counter[str] = Counter()
    days: dict[date, Counter[str]] = {}
    longest: list[tuple[float, int, Listed]] = []
    failures: deque[Listed] = deque(maxlen=_SHOWN)
    for number, run in enumerate(rows):
        group = groups.get(run.parent)
        if group is None:
            group = groups[run.parent] = _Tally(run.parent)
        seconds = None
        if run.settled_at is not None:
            seconds = max(0.0, (run.settled_at - run.created_at).total_seconds())
        for tally in (total, group):
            tally.add(run, seconds)
        statuses[run.status] += 1
        day = run.created_at.astimezone(UTC).date()
        days.setdefault(day, Counter())[run.status] += 1
        failed = run.settled and run.status not in _SUCCESS
        if seconds is None and not failed:
            continue
        listed = Listed(
            id=run.id,
            name=run.name,
            parent=run.parent,
            status=run.status,
            created_at=run.created_at,
            seconds=seconds,
        )
        if failed:
            failures.append(listed)
        if seconds is not None:
            heapq.heappush(longest, (seconds, number, listed))
            if len(longest) > _SHOWN:
                heapq.heappop(longest)
    return Figures(
        total=total.group(),
        groups=tuple(
            tally.group() for tally in sorted(groups.values(), key=lambda tally: (-tally.runs, tally.name))
        ),
        statuses=dict(statuses.most_common()),
        days={day: dict(counts) for day, counts in sorted(days.items())},
        longest=tuple(listed for _, _, listed in sorted(longest, reverse=True)),
        latest_failures=tuple(reversed(failures)),
        read_at=now or datetime.now(UTC),
    )


class _Tally:
    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0
        self._succeeded = self._failed = self._needed_person = 0
        self._seconds = array("d")

    def add(self, run: MirroredRun, seconds: float | None) -> None:
        self.runs += 1
        self._succeeded += run.status in _SUCCESS
        self._failed += run.ended and run.status not in _SUCCESS
        self._needed_person += run.needed_person
        if seconds is not None:
            self._seconds.append(seconds)

    def group(self) -> Group:
        ordered = sorted(self._seconds)
        return Group(
            name=self.name,
            runs=self.runs,
            succeeded=self._succeeded,
            failed=self._failed,
            going=self.runs - self._succeeded - self._failed,
            needed_person=self._needed_person,
            settling=Settling(
                median=_quantile(ordered, 0.5), p90=_quantile(ordered, 0.9), p99=_quantile(ordered, 0.99)
            )
            if ordered
            else None,
        )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values: the smallest value that at least `share` of them do not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]
