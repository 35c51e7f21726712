"""The emulator's clock: that of the event loop, which tests may advance."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A monotonic clock in seconds: that of the loop plus what `advance` has added."""

    def __init__(self) -> None:
        self._time: Callable[[], float] = time.monotonic
        self._base = 0.0
        self._advanced = 0.0

    def follow(self, source: Callable[[], float]) -> None:
        """Read `source` from now on, without a jump, so that runs added earlier keep their age."""
        self._base += self._time() - source()
        self._time = source

    def now(self) -> float:
        """The time in seconds since an arbitrary moment."""
        return self._time() + self._base + self._advanced

    @property
    def origin(self) -> float:
        """The Unix time at which `now` was 0, as it seems now."""
        return time.time() - self.now()

    def resume(self, origin: float) -> None:
        """Let `now` be what it would be had the clock of this `origin` run on."""
        self._base += time.time() - origin - self.now()

    def wall(self) -> datetime:
        """The time of day, in UTC, ahead of the machine's by what `advance` has added."""
        return datetime.now(UTC) + timedelta(seconds=self._advanced)

    def advance(self, seconds: float) -> None:
        """Add `seconds`; raises ValueError when they are negative."""
        if not seconds >= 0:
            message = f"seconds must be at least 0, for a clock only goes forward, got {seconds!r}"
            raise ValueError(message)
        self._advanced += seconds
