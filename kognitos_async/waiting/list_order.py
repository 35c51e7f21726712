"""The order in time of a list that is read page by page."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_ZERO = timedelta()


class Order:
    """The order of the part of a list read so far. Equal times prove no order."""

    __slots__ = ("_fall", "_rise", "highest", "last", "lowest", "read")

    def __init__(self) -> None:
        self._rise = self._fall = _ZERO  # the largest rise and fall from an earlier to a later item
        self.lowest: datetime | None = None
        self.highest: datetime | None = None
        self.last: datetime | None = None
        """The time of the last item."""
        self.read: int = 0
        """Number of items read."""

    def add(self, times: Iterable[datetime]) -> None:
        """Add the times of the next items, in the order of the list."""
        for time in times:
            if self.lowest is None or self.highest is None:
                self.lowest = self.highest = time
            elif time < self.lowest:
                self.lowest = time
                self._fall = max(self._fall, self.highest - time)
            elif time > self.highest:
                self.highest = time
                self._rise = max(self._rise, time - self.lowest)
            else:
                self._fall = max(self._fall, self.highest - time)
                self._rise = max(self._rise, time - self.lowest)
            self.last = time
            self.read += 1

    @property
    def newest_first(self) -> bool:
        """Whether the times only fell."""
        return self._rise == _ZERO and self._fall > _ZERO

    @property
    def oldest_first(self) -> bool:
        """Whether the times only rose."""
        return self._fall == _ZERO and self._rise > _ZERO

    def only_older_than(self, time: datetime, *, inversions: timedelta) -> bool:
        """Whether the rest of a list sorted newest first, up to `inversions`, is older than `time`."""
        falls = self._rise <= inversions < self._fall
        return falls and self.lowest is not None and self.lowest + inversions < time

    def nothing_newer_than(self, time: datetime, *, inversions: timedelta) -> bool:
        """Whether the part read of a list sorted oldest first, up to `inversions`, is older than `time`."""
        rises = self._fall <= inversions < self._rise
        return rises and self.highest is not None and self.highest + inversions < time
