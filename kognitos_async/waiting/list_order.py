"""What a list that is read page by page proves about its order in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class Order:
    """The order of a list as far as it has been read. Times that are all equal prove nothing."""

    __slots__ = ("_falls", "_rises", "last", "read")

    def __init__(self) -> None:
        self._rises = self._falls = True
        self.last: datetime | None = None
        """The time read last."""
        self.read = 0
        """How many times have been read."""

    def go_on(self, times: Iterable[datetime]) -> None:
        """Take in the times of the next items, in the order of the list."""
        for time in times:
            if self.last is not None and time != self.last:
                if time > self.last:
                    self._falls = False
                else:
                    self._rises = False
            self.last = time
            self.read += 1

    @property
    def newest_first(self) -> bool:
        """Whether the times only fell."""
        return self._falls and not self._rises

    @property
    def oldest_first(self) -> bool:
        """Whether the times only rose."""
        return self._rises and not self._falls
