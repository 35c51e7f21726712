"""Runs started recently, for the 404 grace of a wait."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kognitos_async.waiting.policy import NOT_FOUND_GRACE

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecentStarts:
    """The start times of runs, kept for the grace period."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}

    def note(self, key: str) -> None:
        """Record that this run was started now."""
        now = asyncio.get_running_loop().time()
        while self._moments and now - next(iter(self._moments.values())) > NOT_FOUND_GRACE:
            del self._moments[next(iter(self._moments))]
        self._moments[key] = now

    def recall(self, ages: Mapping[str, float]) -> None:
        """Record runs that an earlier process started so many seconds ago, oldest first."""
        now = asyncio.get_running_loop().time()
        recent = {key: now - age for key, age in ages.items() if age <= NOT_FOUND_GRACE}
        self._moments = {**recent, **self._moments}

    def age(self, key: str) -> float | None:
        """Seconds since the start of the run, None if it is not recorded."""
        moment = self._moments.get(key)
        return None if moment is None else asyncio.get_running_loop().time() - moment
