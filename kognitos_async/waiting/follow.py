"""Following a list of runs: new runs and changes of status."""

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
"""How long after its creation a run may first be listed, and how far the list may be out of order."""
_CLOCK_TOLERANCE = timedelta(seconds=5)
"""Runs created up to this long before the follower began count as new, because clocks differ."""
_DEFAULT_SINCE = timedelta(days=1)
_MAX_OPEN = 100_000
"""Maximum open runs to follow; beyond it the oldest are dropped with a warning."""
_FRUITLESS_RESTARTS = 5
"""Raise the error of an expired token after this many restarts in a row without progress."""


class OpenRun(msgspec.Struct):
    """A run that has not ended, as last seen; `place` is its page, None if unknown."""

    status: object
    created: datetime
    place: Place | None


class Follower(Generic[R]):
    """Polls a list and emits each run that is new or has changed its status.

    It remembers open runs with the page where each was last found, and ended runs while they are recent
    enough to be mistaken for new ones. A pass reads the pages that may hold new runs, then finds the open
    runs: page by page where each was found, or in one walk, whichever takes fewer requests. Open runs that
    no page holds are read singly.
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
        self._since = now - _DEFAULT_SINCE if since is None else since
        self._new_from = now - _CLOCK_TOLERANCE if since is None else since
        """Older runs found in the first pass are remembered, but not emitted."""
        self._horizon = self._since
        """Older runs that are not remembered have ended or are out of range."""
        self._newest: datetime | None = None
        self._first_pass = True
        self._open: dict[str, OpenRun] = {}
        self._closed: dict[str, datetime] = {}
        self._missing: set[str] = set()
        self._emitted = 0
        self._first_token: str | None = None  # the first page worth reading in a list sorted oldest first
        self._depth = 0  # pages of the last walk through all open runs
        self._emit: Callable[[R], Awaitable[None]] | None = None

    async def work(self, emit: Callable[[R], Awaitable[None]]) -> None:
        """Emit runs until cancelled. Raises the errors of requests that are not transient."""
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
        """Read everything that may have changed, once."""
        fruitless = 0
        while True:
            before = self._emitted
            self._missing = set(self._open)
            try:
                await self._walk()
                await self._revisit()
            except ExpiredTokenError as expired:
                self._first_token = None
                for run in self._open.values():
                    run.place = None  # the next walk finds it
                fruitless = fruitless + 1 if self._emitted == before else 0
                if fruitless >= _FRUITLESS_RESTARTS and expired.__cause__ is not None:
                    raise expired.__cause__ from None
                if fruitless:
                    await self._pace.sleep(self._policy.delay(fruitless, self._pace.chance))
            else:
                return

    async def _walk(self) -> None:
        """Read the first pages, which may hold new runs.

        Continues through all open runs if that takes fewer requests than revisiting their pages.
        """
        deep = self._first_pass or self._revisit_cost() > self._depth + 1
        since = (self._since if deep else self._horizon) if self._reader.filters_by_time else None
        order = Order()
        place, pages, seen = Place(since, self._first_token), 0, set[str | None]()
        while True:
            page = await self._read(place)
            pages += 1
            seen.add(place.token)
            order.add(self._reader.created(run) for run in page.items)
            token = page.continuation_token
            if token is not None and token in seen:
                raise PaginationError(
                    f"the API repeated a continuation token after {pages} pages; following it would never "
                    "end. Report this to Kognitos"
                )
            if token is None or self._is_enough(order, deep=deep):
                break
            if order.nothing_newer_than(self._horizon, inversions=_MARGIN):
                self._first_token = token
            place = Place(since, token)
        if deep:
            self._depth = pages

    def _revisit_cost(self) -> int:
        """Number of requests to read all open runs from their pages, or singly."""
        places = [run.place for run in self._open.values()]
        return len(set(places) - {None}) + places.count(None)

    def _is_enough(self, order: Order, *, deep: bool) -> bool:
        """Whether the rest of the list can hold no run sought."""
        if not order.only_older_than(self._horizon, inversions=_MARGIN):
            return False
        if not deep or not self._missing:
            return True
        oldest = min(self._open[key].created for key in self._missing)
        return order.only_older_than(oldest, inversions=_MARGIN)

    async def _revisit(self) -> None:
        """Read the open runs missing from the walk, by pages where one may hold several."""
        places: defaultdict[Place | None, list[str]] = defaultdict(list)
        for key in self._missing:
            places[self._open[key].place].append(key)
        for place, keys in places.items():
            at, left = place, [key for key in keys if key in self._missing]
            for _ in range(2):  # the page, and the next, to which newer runs may have shifted some
                if at is None or len(left) < 2:
                    break
                page = await self._read(at)
                left = [key for key in left if key in self._missing]
                at = None if page.continuation_token is None else Place(at.since, page.continuation_token)
            for key in left:
                if key in self._missing:
                    await self._read_singly(key, at)

    async def _read_singly(self, key: str, place: Place | None) -> None:
        """Read an open run that no page holds; the next pass looks for it at `place`."""
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
        """Bound the memory used."""
        horizon = self._horizon
        self._closed = {key: created for key, created in self._closed.items() if created >= horizon}
        surplus = len(self._open) - _MAX_OPEN
        if surplus > 0:
            logger.warning(
                "no longer following the %d oldest of the open runs: more than %d are open",
                surplus,
                _MAX_OPEN,
            )
            by_age = sorted(self._open, key=lambda key: self._open[key].created)
            self._horizon = max(horizon, self._open[by_age[surplus]].created)  # not new in the next pass
            for key in by_age[:surplus]:
                del self._open[key]
