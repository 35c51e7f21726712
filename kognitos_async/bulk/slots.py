"""A semaphore whose limit may change while it is in use."""

from __future__ import annotations

import asyncio


class Slots:
    """Slots for `limit` holders. Lowering the limit revokes none; new ones wait until enough are free."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = asyncio.Event()

    @property
    def limit(self) -> int:
        """Maximum number of slots held at a time."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._changed.set()

    async def acquire(self) -> None:
        """Wait for a slot. Each `acquire` needs one `release`; only one task may wait at a time."""
        while self._taken >= self._limit:
            self._changed.clear()
            await self._changed.wait()
        self._taken += 1

    def release(self) -> None:
        """Release a slot."""
        self._taken -= 1
        self._changed.set()
