"""Admission of starts: how many are under way, and waiting for capacity."""

from __future__ import annotations

import asyncio
from collections import deque

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between tries of a start while the organization is full, unless a run of ours settles first."""


class Ramp:
    """How many starts may be under way: few at first, one more for every eight sent, half after a 429.

    A burst would have most of itself refused by a rate limit that nothing is known of yet.
    """

    def __init__(self) -> None:
        self._limit = 2.0
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Wait until one more start may be under way; each needs one `leave`."""
        if self._active < int(self._limit) and not self._waiting:
            self._active += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._active -= 1
                self._admit()
            raise

    def leave(self, *, slower: bool) -> None:
        """Note that a start has ended; `slower` halves the limit."""
        self._active -= 1
        self._limit = max(1.0, self._limit / 2) if slower else self._limit + 0.125
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._active < int(self._limit):
            place = self._waiting.popleft()
            if not place.done():
                self._active += 1
                place.set_result(None)
