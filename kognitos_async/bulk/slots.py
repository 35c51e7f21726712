"""How many requests of a job may be unsettled at a time, which may change while it runs."""

from __future__ import annotations

import asyncio


class Slots:
    """Slots for `limit` holders. A lower limit takes none away: new ones are given once enough are free."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = asyncio.Event()

    @property
    def limit(self) -> int:
        """At most so many are held."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._changed.set()

    async def acquire(self) -> None:
        """Wait for a slot; each needs one `release`. One task at a time may wait."""
        while self._taken >= self._limit:
            self._changed.clear()
            await self._changed.wait()
        self._taken += 1

    def release(self) -> None:
        """Give a slot back."""
        self._taken -= 1
        self._changed.set()
