"""Readings of a list of runs that many look-ups share: one at a time for each list, from its first page."""

from __future__ import annotations

import asyncio
import copy
from contextvars import Context
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kognitos_async.errors import KognitosError, PaginationError
from kognitos_async.event_loop import ended
from kognitos_async.paging import PartialPage
from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Iterable
    from datetime import datetime

    from kognitos_async.errors import DecodeError
    from kognitos_async.waiting.reader import RunReader

R = TypeVar("R", bound=Waitable)
T = TypeVar("T")
E = TypeVar("E", bound=KognitosError)

_MIN_SORTED = 100
"""Runs in descending order after which a list counts as sorted newest first."""


class Reading(Generic[R]):
    """One reading of one list: the keys sought, and the runs found."""

    def __init__(self) -> None:
        self.began: float = 0.0
        """Monotonic time of the request for its first page."""
        self.ended: float = 0.0
        """Monotonic time after its last page."""
        self.met: set[str] = set()
        """Ids of the listed runs that this client started."""
        self.newest: datetime | None = None
        """The latest `created_at` in the list."""
        self.undecoded: DecodeError | None = None
        """The error with the listed items that could not be decoded."""
        self.cache: dict[str, Any] = {}
        """Values computed from runs, by key, for all look-ups that share the reading."""
        self._found: dict[Hashable, dict[str, R]] = {}
        self._earliest: datetime | None = None
        self._lacking: set[str] | None = None

    def look_for(self, key: Hashable, earliest: datetime) -> None:
        """Collect runs with this key; the list is needed back to `earliest`."""
        self._found.setdefault(key, {})
        self._earliest = earliest if self._earliest is None else min(self._earliest, earliest)

    @property
    def earliest(self) -> datetime | None:
        """The earliest time that any look-up needs."""
        return self._earliest

    def see(self, key: Hashable, run_id: str, created: datetime, run: R) -> None:
        """Record a listed run."""
        if self.newest is None or created > self.newest:
            self.newest = created
        if key in self._found:
            self._found[key][run_id] = run

    def miss(self, error: DecodeError) -> None:
        """Record the items of a page that could not be decoded; any may be a run sought."""
        if self.undecoded is not None:
            error = copy.copy(error)
            error.undecoded = (*self.undecoded.undecoded, *error.undecoded)
        self.undecoded = error

    def lacking(self, expected: Callable[[Hashable, float], set[str]], group: Hashable) -> set[str]:
        """Expected runs missing from the list; computed once for all look-ups that share the reading."""
        if self._lacking is None:
            self._lacking = expected(group, self.began) - self.met
        return self._lacking

    def found(self, key: Hashable) -> list[R]:
        """The runs with this key, each once, in the order of the list."""
        return list(self._found[key].values())


class Readings(Generic[R]):
    """The readings of one client.

    A look-up joins the next reading, never one in progress, whose pages may be older than the look-up. All
    look-ups that arrive during a reading share the next one.
    """

    def __init__(
        self,
        reader: RunReader[R],
        *,
        key_of: Callable[[R], Hashable],
        observe: Callable[[R], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._key_of = key_of
        self._observe = observe
        self._monotonic = monotonic
        self._next: dict[Hashable, _Walk[R]] = {}
        self._current: dict[Hashable, _Walk[R]] = {}

    async def through(self, group: Hashable, key: Hashable, earliest: datetime) -> Reading[R]:
        """A reading of the group's list that begins after this call and collects the runs with this key.

        It may stop early once the list proves to be sorted newest first and is older than `earliest`. Raises
        the error of the reading.
        """
        walk = self._next.get(group)
        if walk is None:
            walk = self._next[group] = _Walk()
            # Shared work runs in an empty context, not in that of the first caller.
            walk.task = asyncio.get_running_loop().create_task(
                self._walk(group, walk), name="kognitos_async look-up", context=Context()
            )
        walk.reading.look_for(key, earliest)
        walk.readers += 1
        task = walk.task
        try:
            await asyncio.wait([task])
        finally:
            walk.readers -= 1
            if not walk.readers and not task.done():
                if self._next.get(group) is walk:
                    del self._next[group]
                task.cancel()
                await ended(task)
        outcome = task.result()
        if isinstance(outcome, KognitosError):
            raise twin(outcome)
        return outcome

    async def _walk(self, group: Hashable, walk: _Walk[R]) -> Reading[R] | KognitosError:
        """The reading or its error, returned so that an abandoned task has no unretrieved exception."""
        before = self._current.get(group)
        if before is not None:
            await asyncio.wait([before.task])
        del self._next[group]
        self._current[group] = walk
        try:
            await self._read(group, walk.reading)
        except KognitosError as error:
            return error
        finally:
            if self._current.get(group) is walk:
                del self._current[group]
        return walk.reading

    async def _read(self, group: Hashable, reading: Reading[R]) -> None:
        reader = self._reader
        reading.began = self._monotonic()
        earliest = reading.earliest
        order = Order()
        seen: set[str | None] = set()
        token: str | None = None
        while True:
            seen.add(token)
            page = await reader.read_page(group, token, earliest)
            reading.ended = self._monotonic()
            for run in page.items:
                if self._observe(run):
                    reading.met.add(reader.key(run))
                reading.see(self._key_of(run), reader.key(run), reader.created(run), run)
            if isinstance(page, PartialPage):
                reading.miss(page.error)
            token = page.continuation_token
            if token is None:
                return
            if token in seen:
                raise PaginationError(
                    f"the API repeated a continuation token after {len(seen)} pages: the list cannot be read "
                    "to its end. Report this to Kognitos"
                )
            order.add(reader.created(run) for run in page.items)
            past = order.last is not None and earliest is not None and order.last < earliest
            if past and order.newest_first and order.read >= _MIN_SORTED:
                return


class _Walk(Generic[R]):
    def __init__(self) -> None:
        self.reading: Reading[R] = Reading()
        self.readers = 0
        self.task: asyncio.Task[Reading[R] | KognitosError]


async def gathered(look_ups: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order. The first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(look_up) for look_up in look_ups]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await ended(*tasks)


def twin(error: E) -> E:
    """A copy of the error for one look-up: a shared one would accumulate tracebacks."""
    copied = copy.copy(error)
    copied.__cause__, copied.__suppress_context__ = error.__cause__, True
    return copied
