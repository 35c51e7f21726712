"""An ordered list of keys, read page by page."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing.tokens import Key


class Shelf:
    """Keys in order, read page by page from either end."""

    __slots__ = ("_backwards", "_keys")

    def __init__(self, *, backwards: bool) -> None:
        self._keys: list[Key] = []
        self._backwards = backwards

    def put(self, key: Key) -> None:
        """Keep one more key."""
        insort(self._keys, key)

    def after(self, key: Key | None, limit: int) -> tuple[list[Key], bool]:
        """Up to `limit` keys behind `key` (None: from the start), and whether more follow."""
        keys = self._keys
        if self._backwards:
            end = len(keys) if key is None else bisect_left(keys, key)
            start = max(0, end - limit)
            return keys[start:end][::-1], start > 0
        start = 0 if key is None else bisect_right(keys, key)
        return keys[start : start + limit], start + limit < len(keys)
