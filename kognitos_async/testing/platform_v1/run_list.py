"""All runs of a workspace, and their list pages."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.testing.keyset import Keyset, Ranking
from kognitos_async.testing.live_view import LiveView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.platform_v1.model import EmulatedPlatformRun
    from kognitos_async.testing.tokens import Key


class RunList:
    """Runs by id and by number. A run is listed once it is `lag` seconds old."""

    def __init__(self, clock: Clock, ranking: Ranking, *, lag: float) -> None:
        self._clock = clock
        self._ranking = ranking
        self._lag = lag
        self._by_id: dict[str, EmulatedPlatformRun] = {}
        self._by_number: list[EmulatedPlatformRun] = []
        self._keysets: dict[str, Keyset] = {}
        self.by_id: Mapping[str, EmulatedPlatformRun] = LiveView(self._by_id)

    def __len__(self) -> int:
        return len(self._by_number)

    def __getitem__(self, number: int) -> EmulatedPlatformRun:
        return self._by_number[number]

    def add(self, run: EmulatedPlatformRun) -> None:
        """Add the run with the next number."""
        self._by_id[run.id] = run
        self._by_number.append(run)
        self._keyset(run.automation_id).add((self._ranking.rank(run.id, run.created_ns / 1e9), run.number))

    def page(
        self, automation_id: str, after: Key | None, limit: int, matches: Callable[[Any], bool], least: int
    ) -> tuple[list[EmulatedPlatformRun], Key | None]:
        """A page of matching runs and the key after which the next one continues (None at the end).

        No matching run was created before `least`.
        """
        found: list[EmulatedPlatformRun] = []
        keyset = self._keyset(automation_id)
        latest = self._clock.now() - self._lag if self._lag else math.inf
        more = True
        while more:
            keys, more = keyset.after(after, limit + 1)
            for key in keys:
                run = self._by_number[key[1]]
                if run.created_ns < least and self._ranking.by_time:
                    return found, None
                if run.started <= latest and matches(run):
                    if len(found) == limit:
                        return found, after
                    found.append(run)
                after = key
        return found, None

    def duplicates(self) -> dict[str, int]:
        """Number of runs by their inputs as JSON, for inputs of more than one run."""
        texts = (msgspec.json.encode(run.inputs, order="sorted").decode() for run in self._by_number)
        return {text: count for text, count in Counter(texts).items() if count > 1}

    def _keyset(self, automation_id: str) -> Keyset:
        return self._keysets.setdefault(automation_id, Keyset(descending=self._ranking.descending))
