"""What a mirror keeps of a run and of a pass over the history. Pure values."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Iterable


class MirrorError(KognitosError):
    """A mirror cannot be used: the file is none, is of the other API, or cannot be written."""


class MirroredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of either API as a mirror keeps it."""

    key: str
    """What the run is read by: its id (REST API v2) or its full name (platform API)."""
    id: str
    name: str
    """The name it was started with; on the platform API its full resource name."""
    parent: str
    """The process or automation."""
    stage: str
    status: str
    settled: bool
    """Whether it does not go on by itself."""
    ended: bool
    """Whether its status will never change: such a run is not read again."""
    needed_person: bool
    """Whether it needed a person when it was read; a mirror remembers that for good."""
    created_at: datetime
    settled_at: datetime | None
    """When the status was entered, where the API says so (platform API, settled runs)."""
    outputs: dict[str, Any]
    """The outputs by name, JSON-ready."""
    content: bytes
    """The whole run as JSON."""


_LARGEST_SLACK = 600.0
"""Inversions beyond this many seconds: the list is not sorted."""
_PROOF = 200
"""Items whose order proves that a list is sorted: more than one page of either API's smaller limit."""


class ListSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass has seen of a list, in its order: how far it is from being sorted."""

    from_start: bool = False
    """Whether the pass began with the first page."""
    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    rise: float = 0.0
    """The most seconds by which an item was newer than one before it."""
    fall: float = 0.0
    """The most seconds by which an item was older than one before it."""

    def after(self, times: Iterable[datetime]) -> ListSeen:
        """The same with the times of the next items."""
        count, oldest, newest, rise, fall = self.count, self.oldest, self.newest, self.rise, self.fall
        for time in times:
            count += 1
            if oldest is None or newest is None:
                oldest = newest = time
                continue
            rise = max(rise, (time - oldest).total_seconds())
            fall = max(fall, (newest - time).total_seconds())
            oldest, newest = min(oldest, time), max(newest, time)
        return ListSeen(
            from_start=self.from_start, count=count, oldest=oldest, newest=newest, rise=rise, fall=fall
        )

    @property
    def slack(self) -> float | None:
        """Seconds of inversion in a list sorted newest first; None if that is not proven."""
        sorted_enough = self.rise <= min(_LARGEST_SLACK, 0.1 * self.fall)
        return self.rise if self.fall > 0 and self.count > _PROOF and sorted_enough else None

    @property
    def oldest_first(self) -> bool:
        """Whether times only rose."""
        return self.rise > 0 and self.fall == 0 and self.count > _PROOF


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the history of one list has been mirrored."""

    horizon: datetime | None = None
    """The newest `created_at` of the last complete pass; None before the first."""
    slack: float | None = None
    """The list is sorted newest first, up to inversions of this many seconds; None where it is not."""
    tail: str | None = None
    """The token of the last page, where the list is sorted oldest first."""
    number: int = 0
    """The number of the pass that this progress belongs to."""
    resume: str | None = None
    """The token that an interrupted pass goes on with."""
    seen: ListSeen = ListSeen()
    """What an interrupted pass has seen of the list."""
    complete: bool = True
    """Whether that pass has read all it had to."""


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one `runs.sync` did."""

    new: int = 0
    """Runs that the mirror did not have."""
    changed: int = 0
    """Runs whose content differed from the mirror's."""
    missing: int = 0
    """Runs that had not ended and that the API no longer has; the mirror keeps them as they were."""
    pages: int = 0
    """List pages read."""
    reads: int = 0
    """Runs read one by one."""

    def __add__(self, other: SyncResult) -> SyncResult:
        return SyncResult(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            missing=self.missing + other.missing,
            pages=self.pages + other.pages,
            reads=self.reads + other.reads,
        )
