"""Reading for a follower: failures that may pass only delay, pages that are too large become smaller."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from kognitos_async.errors import APIStatusError, KognitosError, NotFoundError, OutcomeUnknownError
from kognitos_async.paging import PartialPage
from kognitos_async.waiting.policy import is_transient
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from random import Random

    from kognitos_async.paging import Page
    from kognitos_async.server_clock import ServerClock
    from kognitos_async.waiting.policy import PollPolicy
    from kognitos_async.waiting.reader import RunReader

R = TypeVar("R", bound=Waitable)
T = TypeVar("T")

logger: logging.Logger = logging.getLogger("kognitos_async")

_EXPIRED = frozenset({400, 404, 410, 422})
"""Statuses that refuse a token; without a token they refuse the request."""
_REPORTED = 1000
"""At most this many items that cannot be decoded are logged."""


class Place(NamedTuple):
    """Where a page is found: the filter by time that it belongs to, and its token."""

    since: datetime | None
    token: str | None


class ExpiredTokenError(Exception):
    """A token does not lead anywhere any more; its `__cause__` is the refusal. Never leaves a follower."""


class Pace(Protocol):
    """How a client passes and tells time."""

    @property
    def chance(self) -> Random:
        """What jitter is drawn from."""
        ...

    @property
    def clock(self) -> ServerClock:
        """What is known of the server's clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep until then, or until the client is closed."""
        ...


class PatientReader(Generic[R]):
    """Reads pages of one list, and single runs, until it succeeds or trying again cannot help."""

    def __init__(self, reader: RunReader[R], group: Any, *, policy: PollPolicy, pace: Pace) -> None:
        self._reader = reader
        self._group = group
        self._policy = policy
        self._pace = pace
        self._size: int | None = None
        self._reported: set[bytes] = set()

    async def page(self, place: Place) -> Page[R]:
        """The page at `place`.

        Raises `ExpiredTokenError` when its token is refused, or belongs to pages of a larger size than the
        API could deliver, and what reading raises and trying again cannot help.
        """
        while True:
            read = partial(self._reader.read_page, self._group, place.token, place.since, size=self._size)
            try:
                page = await self._until_read(read)
            except OutcomeUnknownError as error:
                size = self._size or self._reader.largest_page
                if not error.too_large or size == 1:
                    raise
                self._size = max(1, size // 4)
                if place.token is not None:  # tokens belong to pages of one size
                    raise ExpiredTokenError from error
            except APIStatusError as error:
                if place.token is None or error.status not in _EXPIRED:
                    raise
                raise ExpiredTokenError from error
            else:
                if isinstance(page, PartialPage):
                    self._report(page)
                return page

    async def run(self, run_id: str) -> R | None:
        """The run, None if it was deleted."""
        try:
            return await self._until_read(partial(self._reader.read, run_id))
        except NotFoundError:
            return None

    async def _until_read(self, read: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await read()
            except KognitosError as error:
                if not is_transient(error):
                    raise
                asked = getattr(error, "retry_after", None) or 0.0
            await self._pace.sleep(max(asked, self._policy.delay(tries, self._pace.chance)))
            tries += 1

    def _report(self, page: PartialPage[R]) -> None:
        new = set(page.error.undecoded) - self._reported
        if new and len(self._reported) < _REPORTED:
            self._reported |= new
            logger.warning("Runs that cannot be decoded are not followed: %s", page.error)
