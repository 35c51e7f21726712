"""The values of a mirror: its runs, and the progress of a pass over the history."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Iterable


class MirrorError(KognitosError):
    """A mirror cannot be used: the file is not a mirror, is of the other API, or is not writable."""


class MirrorBusyError(MirrorError):
    """Another process has the mirror open; a later try may succeed."""


class MirrorChangedError(MirrorError):
    """A mirror was written to while it was read; what was read does not count."""


class MirroredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of either API, as stored in a mirror."""

    key: str
    """The key for reading the run: its id (REST API v2) or its full name (platform API)."""
    id: str
    name: str
    """The name given at the start; on the platform API the full resource name."""
    parent: str
    """The process (REST API v2) or the automation (platform API)."""
    stage: str
    status: str
    settled: bool
    """Whether the run has settled; a person may still continue it unless it has `ended`."""
    ended: bool
    """Whether the status is final; such a run is not read again."""
    needed_person: bool
    """Whether the run needed a person at any reading."""
    created_at: datetime
    settled_at: datetime | None
    """When the run settled; None if it has not, and on REST API v2."""
    outputs: dict[str, Any]
    """The outputs by name, JSON-ready: plain values, on the platform API as sent, `{"number": {…}}`."""
    content: bytes
    """The complete run as JSON."""


_LARGEST_SLACK = 600.0
"""Inversions in seconds beyond which a list does not count as sorted."""
_MIN_SORTED = 200
"""A list must have more items than this to count as sorted: more than one page of 100."""


class ListSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a list that a pass has read, and how well it is sorted."""

    from_start: bool = False
    """Whether the pass began with the first page."""
    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    rise: float = 0.0
    """The largest number of seconds by which an item was newer than an earlier one."""
    fall: float = 0.0
    """The largest number of seconds by which an item was older than an earlier one."""

    def after(self, times: Iterable[datetime]) -> ListSeen:
        """A copy with the times of the next items added."""
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
        """The inversions in seconds of a list sorted newest first; None if that order is not proven."""
        sorted_enough = self.rise <= min(_LARGEST_SLACK, 0.1 * self.fall)
        return self.rise if self.fall > 0 and self.count > _MIN_SORTED and sorted_enough else None

    @property
    def oldest_first(self) -> bool:
        """Whether times only rose."""
        return self.rise > 0 and self.fall == 0 and self.count > _MIN_SORTED


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of mirroring one list."""

    horizon: datetime | None = None
    """Until when the last complete pass has read all runs: their newest `created_at`, but not later than the
    pass began by any clock. None before the first.
    """
    slack: float | None = None
    """The inversions in seconds of a list sorted newest first; None if it is not."""
    tail: str | None = None
    """The token of the last page of a list sorted oldest first; else None."""
    number: int = 0
    """The number of the pass."""
    began: datetime | None = None
    """When the pass began, by the local clock."""
    resume: str | None = None
    """The token to resume an interrupted pass from."""
    seen: ListSeen = ListSeen()
    """The part of the list that an interrupted pass has read."""
    complete: bool = True
    """Whether the pass is complete."""
    omits_outputs: bool = False
    """Whether the list is known to leave out outputs."""


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one `runs.sync`. Results can be added."""

    new: int = 0
    """Runs added to the mirror."""
    changed: int = 0
    """Runs updated in the mirror."""
    missing: int = 0
    """Runs that had not ended and that the API no longer has; the mirror keeps their last state."""
    undecoded: int = 0
    """Runs that this version cannot decode; the mirror keeps the last state of those that it holds."""
    pages: int = 0
    """List pages read."""
    reads: int = 0
    """Runs read singly."""

    def __add__(self, other: SyncResult) -> SyncResult:
        return SyncResult(
            new=self.new + other.new,
            changed=self.changed + other.changed,
            missing=self.missing + other.missing,
            undecoded=self.undecoded + other.undecoded,
            pages=self.pages + other.pages,
            reads=self.reads + other.reads,
        )
