"""The emulator's clock: that of the event loop, plus what tests advance it by."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A monotonic clock in seconds: the loop's time plus what `advance` added."""

    def __init__(self) -> None:
        self._time: Callable[[], float] = time.monotonic
        self._base = 0.0
        self._advanced = 0.0

    def follow(self, source: Callable[[], float]) -> None:
        """Read `source` from now on, without a jump: runs added earlier keep their age."""
        self._base += self._time() - source()
        self._time = source

    def now(self) -> float:
        """Seconds since an arbitrary moment."""
        return self._time() + self._base + self._advanced

    @property
    def origin(self) -> float:
        """The current estimate of the Unix time at which `now` was 0."""
        return time.time() - self.now()

    def resume(self, origin: float) -> None:
        """Set `now` to what it would be had the clock of this `origin` kept running."""
        self._base += time.time() - origin - self.now()

    def wall(self) -> datetime:
        """The current time in UTC plus what `advance` added."""
        return datetime.now(UTC) + timedelta(seconds=self._advanced)

    def advance(self, seconds: float) -> None:
        """Add `seconds`. Raises `ValueError` for a negative number."""
        if not seconds >= 0:
            message = f"seconds must be at least 0, got {seconds!r}"
            raise ValueError(message)
        self._advanced += seconds
