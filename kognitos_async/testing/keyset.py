"""Keyset pagination: sorted keys, and the page after a key."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kognitos_async.testing.tokens import Key

Order = Literal["newest", "oldest", "shuffled"]
"""Sort order of run lists. `shuffled` is one random order for all pages, determined by the seed."""


class Keyset:
    """Sorted keys, read page by page from either end."""

    __slots__ = ("_descending", "_keys")

    def __init__(self, *, descending: bool) -> None:
        self._keys: list[Key] = []
        self._descending = descending

    def add(self, key: Key) -> None:
        """Insert a key."""
        insort(self._keys, key)

    def after(self, key: Key | None, limit: int) -> tuple[list[Key], bool]:
        """Up to `limit` keys after `key` (None: from the start), and whether more follow."""
        keys = self._keys
        if self._descending:
            end = len(keys) if key is None else bisect_left(keys, key)
            start = max(0, end - limit)
            return keys[start:end][::-1], start > 0
        start = 0 if key is None else bisect_right(keys, key)
        return keys[start : start + limit], start + limit < len(keys)


class Ranking:
    """The rank by which runs are sorted.

    `jitter` shifts each run by up to that many seconds in an order by time, so that neighbours may be
    swapped. The shift of a run is constant.
    """

    def __init__(self, order: Order, *, jitter: float, seed: int) -> None:
        self.descending: bool = order == "newest"
        self.by_time: bool = order == "newest" and not jitter
        """Whether an older run always comes after a newer one."""
        self._shuffled = order == "shuffled"
        self._jitter = jitter
        self._seed = seed

    def rank(self, run_id: str, created: float) -> float:
        """The rank of a run created at `created`, in seconds."""
        if not self._shuffled and not self._jitter:
            return created
        digest = hashlib.blake2b(f"{self._seed}:{run_id}".encode(), digest_size=6).digest()
        number = int.from_bytes(digest)
        return float(number) if self._shuffled else created + self._jitter * (number / 2**47 - 1)
