"""Reading for a follower: transient failures are retried, pages that are too large are made smaller."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from kognitos_async.errors import (
    APIStatusError,
    DecodeError,
    KognitosError,
    NotFoundError,
    OutcomeUnknownError,
)
from kognitos_async.paging import PartialPage
from kognitos_async.waiting.policy import EXPIRED, MOST_STRAYS, is_stray, is_transient, smaller_page
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

_MAX_REPORTED = 1000
"""Maximum items that cannot be decoded to log."""


class Place(NamedTuple):
    """The position of a page: its token, and the time filter that the token belongs to."""

    since: datetime | None
    token: str | None


class ExpiredTokenError(Exception):
    """A continuation token is no longer valid; `__cause__` is the refusal. Handled within the follower."""


class Pace(Protocol):
    """The clock, the sleep and the randomness of a client."""

    @property
    def chance(self) -> Random:
        """The source of jitter."""
        ...

    @property
    def clock(self) -> ServerClock:
        """The estimate of the server's clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep, at most until the client is closed."""
        ...


class PatientReader(Generic[R]):
    """Reads pages of one list, and single runs, and retries transient failures without limit."""

    def __init__(self, reader: RunReader[R], group: Any, *, policy: PollPolicy, pace: Pace) -> None:
        self._reader = reader
        self._group = group
        self._policy = policy
        self._pace = pace
        self._size: int | None = None
        self._reported: set[bytes] = set()

    async def page(self, place: Place) -> Page[R]:
        """The page at `place`.

        Raises `ExpiredTokenError` when its token is refused, or belongs to a page size that turned out too
        large, and errors of the request that are not transient.
        """
        while True:
            read = partial(self._reader.read_page, self._group, place.token, place.since, size=self._size)
            try:
                page = await self._until_read(read)
            except OutcomeUnknownError as error:
                self._size = smaller_page(error, self._size or self._reader.largest_page)
                if place.token is not None:  # a token is valid for one page size
                    raise ExpiredTokenError from error
            except APIStatusError as error:
                if place.token is None or error.status not in EXPIRED:
                    raise
                raise ExpiredTokenError from error
            else:
                if isinstance(page, PartialPage):
                    self._report(page)
                return page

    async def run(self, run_id: str) -> R | None:
        """The run, None if it does not exist or cannot be decoded."""
        try:
            return await self._until_read(partial(self._reader.read, run_id))
        except NotFoundError:
            return None
        except DecodeError as error:
            logger.warning("A run that cannot be decoded is no longer followed: %s", error)
            return None

    async def _until_read(self, read: Callable[[], Awaitable[T]]) -> T:
        tries = strays = 0
        while True:
            try:
                return await read()
            except KognitosError as error:
                strays += is_stray(error)
                if not is_transient(error) or strays >= MOST_STRAYS:
                    raise
                asked = getattr(error, "retry_after", None) or 0.0
            await self._pace.sleep(max(asked, self._policy.delay(tries, self._pace.chance)))
            tries += 1

    def _report(self, page: PartialPage[R]) -> None:
        new = set(page.error.undecoded) - self._reported
        if new and len(self._reported) < _MAX_REPORTED:
            self._reported |= new
            logger.warning("Runs that cannot be decoded are not followed: %s", page.error)
