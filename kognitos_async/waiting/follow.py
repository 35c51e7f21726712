"""Following a list of runs: what appears, and whose status changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from kognitos_async.errors import KognitosError, NotFoundError
from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.policy import is_transient
from kognitos_async.waiting.reader import RunReader, Waitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from random import Random

    from kognitos_async.server_clock import ServerClock
    from kognitos_async.waiting.policy import PollPolicy

R = TypeVar("R", bound=Waitable)
T = TypeVar("T")

_MARGIN = timedelta(seconds=60)
"""How long after its creation a run may take to show in the list."""
_FEW_SECONDS = timedelta(seconds=5)
_MOST_OPEN = 10_000
"""So many runs that have not ended are followed; of more, the oldest are let go."""


class Clock(Protocol):
    """How a client tells and passes time."""

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


class Follower(Generic[R]):
    """Reads a list again and again and emits each run that is new or has another status.

    It remembers the runs that have not ended, and those that have for as long as they are young enough to
    be taken for new: what is older than the last complete reading, less a minute, is known.
    """

    def __init__(
        self,
        reader: RunReader[R],
        group: Any,
        *,
        since: datetime | None,
        ended: Collection[object],
        policy: PollPolicy,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._group = group
        self._horizon = since
        self._ended = ended
        self._policy = policy
        self._clock = clock
        self._open: dict[str, object] = {}
        self._closed: dict[str, datetime] = {}
        self._start: str | None = None

    async def work(self, emit: Callable[[R], Awaitable[None]]) -> None:
        """Emit runs until cancelled. Raises what reading raises and waiting cannot mend."""
        if self._horizon is None:
            await self._patiently(lambda: self._reader.read_page(self._group, None))
            self._horizon = self._now() - _FEW_SECONDS
        quiet = 0
        while True:
            quiet = 0 if await self._read_through(emit, self._horizon) else quiet + 1
            await self._clock.sleep(self._policy.delay(quiet, self._clock.chance))

    async def _read_through(self, emit: Callable[[R], Awaitable[None]], horizon: datetime) -> int:
        """Read what may have changed once; how many runs were emitted."""
        began = self._now()
        emitted = 0
        missing = set(self._open)
        order = Order()
        token = self._start
        while True:
            page = await self._patiently(partial(self._reader.read_page, self._group, token))
            for run in page.items:
                missing.discard(self._reader.key(run))
                emitted += await self._see(run, emit, horizon)
            order.go_on(self._reader.created(run) for run in page.items)
            if page.continuation_token is None:
                break
            old = order.last is not None and order.last < horizon
            if old and order.newest_first:
                break
            if old and order.oldest_first and not missing:
                # What lies before this point will not be needed again.
                self._start = page.continuation_token
            token = page.continuation_token
        for run_id in missing:
            emitted += await self._ask_for(run_id, emit, horizon)
        self._horizon = max(horizon, began - _MARGIN)
        self._forget()
        return emitted

    async def _ask_for(self, run_id: str, emit: Callable[[R], Awaitable[None]], horizon: datetime) -> int:
        """Read a run that has not ended and was not met in the list."""
        try:
            run = await self._patiently(lambda: self._reader.read(run_id))
        except NotFoundError:  # deleted
            self._open.pop(run_id, None)
            return 0
        return await self._see(run, emit, horizon)

    async def _see(self, run: R, emit: Callable[[R], Awaitable[None]], horizon: datetime) -> int:
        key = self._reader.key(run)
        known = self._open.get(key)
        created = self._reader.created(run)
        if known == run.status or (known is None and (created < horizon or key in self._closed)):
            return 0
        await emit(run)
        if run.status in self._ended:
            self._open.pop(key, None)
            self._closed[key] = created
        else:
            self._open[key] = run.status
        return 1

    def _forget(self) -> None:
        horizon = self._horizon
        if horizon is not None:
            self._closed = {key: created for key, created in self._closed.items() if created >= horizon}
        while len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]

    async def _patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` returns, once it does: a broken network only delays."""
        tries = 0
        while True:
            try:
                return await read()
            except KognitosError as error:
                if not is_transient(error):
                    raise
                asked = getattr(error, "retry_after", None) or 0.0
            await self._clock.sleep(max(asked, self._policy.delay(tries, self._clock.chance)))
            tries += 1

    def _now(self) -> datetime:
        return self._clock.clock.now()
