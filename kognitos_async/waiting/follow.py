"""Following a list of runs: which appear, and whose status changes."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from kognitos_async.errors import PaginationError
from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.patient_reader import ExpiredTokenError, PatientReader, Place
from kognitos_async.waiting.reader import RunReader, Waitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from kognitos_async.paging import Page
    from kognitos_async.waiting.patient_reader import Pace
    from kognitos_async.waiting.policy import PollPolicy

R = TypeVar("R", bound=Waitable)

logger: logging.Logger = logging.getLogger("kognitos_async")

_MARGIN = timedelta(seconds=60)
"""How late after its creation a run may show in the list, and how far the list may be out of order."""
_JUST_STARTED = timedelta(seconds=5)
"""A run created this shortly before the follower began counts as new: clocks differ."""
_BY_DEFAULT = timedelta(days=1)
_MOST_OPEN = 100_000
"""Follow at most this many runs that have not ended; the oldest are dropped, with a warning."""
_FRUITLESS_RESTARTS = 5
"""Raise a refused token after this many walks in a row that it ended before anything was emitted."""


class OpenRun(msgspec.Struct):
    """A run that has not ended, as last seen, and its place in the list, None if that is not known."""

    status: object
    created: datetime
    place: Place | None


class Follower(Generic[R]):
    """Reads a list again and again, and emits each run that is new or has another status.

    It remembers the runs that have not ended with the page on which each was met, and those that have ended
    only while they are young enough to be taken for new. A pass reads the pages that may hold new runs, then
    the other pages that held open runs: together if they are few, else in one walk. Open runs that no page
    showed are read singly.
    """

    def __init__(
        self,
        reader: RunReader[R],
        group: Any,
        *,
        since: datetime | None,
        ended: Collection[object],
        policy: PollPolicy,
        pace: Pace,
    ) -> None:
        self._reader = reader
        self._pages: PatientReader[R] = PatientReader(reader, group, policy=policy, pace=pace)
        self._ended = ended
        self._policy = policy
        self._pace = pace
        now = pace.clock.now()
        self._since = now - _BY_DEFAULT if since is None else since
        self._new_from = now - _JUST_STARTED if since is None else since
        """What is older and was met in the first pass is remembered, but not emitted."""
        self._horizon = self._since
        """Runs that are older and not remembered had ended, or are too old."""
        self._newest: datetime | None = None
        self._first_pass = True
        self._open: dict[str, OpenRun] = {}
        self._closed: dict[str, datetime] = {}
        self._missing: set[str] = set()
        self._emitted = 0
        self._entry: str | None = None  # the first page worth reading, where a list is oldest first
        self._depth = 0  # how many pages the last walk through all open runs took
        self._emit: Callable[[R], Awaitable[None]] | None = None

    async def work(self, emit: Callable[[R], Awaitable[None]]) -> None:
        """Emit runs until cancelled. Raises what reading raises and trying again cannot help."""
        self._emit = emit
        quiet = 0
        while True:
            began = self._pace.clock.now()
            self._emitted = 0
            await self._pass()
            self._first_pass = False
            if self._newest is not None:
                self._horizon = max(self._horizon, min(self._newest, began) - _MARGIN)
            self._forget()
            quiet = 0 if self._emitted else quiet + 1
            await self._pace.sleep(self._policy.delay(quiet, self._pace.chance))

    async def _pass(self) -> None:
        """Read what may have changed, once."""
        fruitless = 0
        while True:
            before = self._emitted
            self._missing = set(self._open)
            try:
                await self._walk()
                await self._revisit()
            except ExpiredTokenError as expired:
                self._entry = None
                for run in self._open.values():
                    run.place = None  # found again by the next walk
                fruitless = fruitless + 1 if self._emitted == before else 0
                if fruitless >= _FRUITLESS_RESTARTS and expired.__cause__ is not None:
                    raise expired.__cause__ from None
                if fruitless:
                    await self._pace.sleep(self._policy.delay(fruitless, self._pace.chance))
            else:
                return

    async def _walk(self) -> None:
        """Read the pages from the beginning that may hold new runs.

        It goes on through all open runs where that takes fewer pages than reading them place by place.
        """
        deep = self._first_pass or self._places() > self._depth + 1
        since = (self._since if deep else self._horizon) if self._reader.filters_by_time else None
        order = Order()
        place, pages, seen = Place(since, self._entry), 0, set[str | None]()
        while True:
            page = await self._read(place)
            pages += 1
            seen.add(place.token)
            order.go_on(self._reader.created(run) for run in page.items)
            token = page.continuation_token
            if token is not None and token in seen:
                raise PaginationError(
                    f"the API repeated a continuation token after {pages} pages; following it would never "
                    "end. Report this to Kognitos"
                )
            if token is None or self._is_enough(order, deep=deep):
                break
            if order.nothing_newer_than(self._horizon, inversions=_MARGIN):
                self._entry = token
            place = Place(since, token)
        if deep:
            self._depth = pages

    def _places(self) -> int:
        """How many requests it takes to read all open runs place by place."""
        places = [run.place for run in self._open.values()]
        return len(set(places) - {None}) + places.count(None)

    def _is_enough(self, order: Order, *, deep: bool) -> bool:
        """Whether the rest of the list holds nothing to look for."""
        if not order.only_older_than(self._horizon, inversions=_MARGIN):
            return False
        if not deep or not self._missing:
            return True
        oldest = min(self._open[key].created for key in self._missing)
        return order.only_older_than(oldest, inversions=_MARGIN)

    async def _revisit(self) -> None:
        """Read the open runs that the walk did not meet, by pages where a page may hold several."""
        places: defaultdict[Place | None, list[str]] = defaultdict(list)
        for key in self._missing:
            places[self._open[key].place].append(key)
        for place, keys in places.items():
            at, left = place, [key for key in keys if key in self._missing]
            for _ in range(2):  # a page, and the next, onto which newer runs may have pushed some
                if at is None or len(left) < 2:
                    break
                page = await self._read(at)
                left = [key for key in left if key in self._missing]
                at = None if page.continuation_token is None else Place(at.since, page.continuation_token)
            for key in left:
                if key in self._missing:
                    await self._read_singly(key, at)

    async def _read_singly(self, key: str, place: Place | None) -> None:
        """Read an open run that no page showed; the next pass looks for it at `place`."""
        self._missing.discard(key)
        run = await self._pages.run(key)
        if run is None:
            self._open.pop(key, None)
        else:
            await self._see(key, run, place)

    async def _read(self, place: Place) -> Page[R]:
        page = await self._pages.page(place)
        for run in page.items:
            key = self._reader.key(run)
            self._missing.discard(key)
            await self._see(key, run, place)
        return page

    async def _see(self, key: str, run: R, place: Place | None) -> None:
        created = self._reader.created(run)
        if self._newest is None or created > self._newest:
            self._newest = created
        known = self._open.get(key)
        if known is None:
            if created < self._horizon or key in self._closed:
                return
            news = not self._first_pass or created >= self._new_from
        else:
            news = known.status != run.status
        if run.status in self._ended:
            self._open.pop(key, None)
            self._closed[key] = created
        else:
            self._open[key] = OpenRun(run.status, created, place)
        if news and self._emit is not None:
            self._emitted += 1
            await self._emit(run)

    def _forget(self) -> None:
        """Keep memory small."""
        horizon = self._horizon
        self._closed = {key: created for key, created in self._closed.items() if created >= horizon}
        surplus = len(self._open) - _MOST_OPEN
        if surplus > 0:
            logger.warning(
                "%d of the oldest runs that have not ended are not followed any more: there are over %d",
                surplus,
                _MOST_OPEN,
            )
            by_age = sorted(self._open, key=lambda key: self._open[key].created)
            self._horizon = max(horizon, self._open[by_age[surplus]].created)  # they are not new next time
            for key in by_age[:surplus]:
                del self._open[key]
