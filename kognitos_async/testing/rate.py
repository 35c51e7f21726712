"""The rate limit: one token bucket per key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing.clock import Clock


class TokenBucket:
    """`rate` requests per second on average, up to `burst` at once."""

    def __init__(self, clock: Clock, rate: float, burst: float) -> None:
        if not (rate > 0 and burst >= 1):
            message = f"rate_limit must be above 0 and rate_burst at least 1, got {rate} and {burst}"
            raise ValueError(message)
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._read = clock.now()

    def take(self) -> bool:
        """Take a token; False if there is none."""
        now = self._clock.now()
        self._left = min(self._burst, self._left + (now - self._read) * self._rate)
        self._read = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
