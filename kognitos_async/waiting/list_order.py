"""What a list that is read page by page proves about its order in time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_NONE = timedelta()


class Order:
    """The order of a list as far as it has been read. Times that are all equal prove nothing."""

    __slots__ = ("_fall", "_rise", "highest", "last", "lowest", "read")

    def __init__(self) -> None:
        self._rise = self._fall = _NONE  # the most that a later time was above, or below, an earlier one
        self.lowest: datetime | None = None
        self.highest: datetime | None = None
        self.last: datetime | None = None
        """The time read last."""
        self.read: int = 0
        """How many times have been read."""

    def go_on(self, times: Iterable[datetime]) -> None:
        """Take in the times of the next items, in the order of the list."""
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
        return self._rise == _NONE and self._fall > _NONE

    @property
    def oldest_first(self) -> bool:
        """Whether the times only rose."""
        return self._fall == _NONE and self._rise > _NONE

    def only_older_than(self, time: datetime, *, inversions: timedelta) -> bool:
        """Whether all that follows is older than `time`: the list falls, but for small `inversions`."""
        falls = self._rise <= inversions < self._fall
        return falls and self.lowest is not None and self.lowest + inversions < time

    def nothing_newer_than(self, time: datetime, *, inversions: timedelta) -> bool:
        """Whether all that was read is older than `time`: the list rises, but for small `inversions`."""
        rises = self._fall <= inversions < self._rise
        return rises and self.highest is not None and self.highest + inversions < time
