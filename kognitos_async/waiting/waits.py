"""Waiting for one run or several, and watching one, for both APIs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import msgspec

from kognitos_async import checks
from kognitos_async.errors import KognitosError
from kognitos_async.observed_work import Wait
from kognitos_async.waiting.policy import NOT_FOUND_GRACE, PollPolicy
from kognitos_async.waiting.reader import RunReader, Waitable, Waited
from kognitos_async.waiting.shared_polls import SharedPolls
from kognitos_async.waiting.watch import Watch
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
    )
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.sender import Sender

Q = TypeVar("Q")
S = TypeVar("S")
R = TypeVar("R", bound=Waitable)


class WaitArguments(msgspec.Struct, frozen=True):
    """The validated arguments of a wait."""

    timeout: float | None
    until: Collection[object]
    poll: PollPolicy | None

    def after(self, seconds: float) -> WaitArguments:
        """The arguments with the timeout reduced by `seconds`, to 0 at least."""
        left = None if self.timeout is None else max(0.0, self.timeout - seconds)
        return WaitArguments(left, self.until, self.poll)


def checked_wait(
    timeout: object, until: object, poll: object, on_update: object, *, name: str = "timeout"
) -> WaitArguments:
    """The validated arguments of a wait. Raises `TypeError` or `ValueError` for invalid ones."""
    checks.callback("on_update", on_update)
    if isinstance(until, str) or not isinstance(until, Collection):
        raise TypeError(f"until must be a collection of statuses, got {type(until).__name__}")
    if not until:
        raise ValueError("until must be at least one status, got none: the wait would never end")
    if poll is not None and not isinstance(poll, PollPolicy):
        raise TypeError(f"poll must be a PollPolicy or None, got {type(poll).__name__}")
    return WaitArguments(checks.seconds_or_none(name, timeout), until, poll)


def several_runs(runs: Iterable[Q]) -> tuple[Q, ...]:
    """The runs to wait for. Raises `TypeError` for a single one: an id would be read letter by letter."""
    if isinstance(runs, str) or not isinstance(runs, Iterable):
        raise TypeError(f"runs must be an iterable of runs, got {type(runs).__name__}")
    return tuple(runs)


class RaisingStream(WorkStream["R | KognitosError"], Generic[R]):
    """A stream that raises emitted errors in their turn."""

    async def __anext__(self) -> R:
        item = await super().__anext__()
        if isinstance(item, KognitosError):
            raise item
        return item


class Waits(Generic[R]):
    """All waits of one client, which share their polls."""

    def __init__(
        self, reader: RunReader[R], sender: Sender, *, ended: Collection[object], policy: PollPolicy
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._ended = ended
        self._policy = policy
        self._polls: SharedPolls[R] = SharedPolls(reader, sender.chance, sender.observers)

    async def close(self) -> None:
        """End all waits with `ClientClosedError`."""
        await self._polls.close()

    async def one(
        self,
        waited: Waited[R],
        arguments: WaitArguments,
        on_update: Callable[[R], object] | None = None,
        *,
        after: R | None = None,
    ) -> R:
        """The run once its status is in `until` or final.

        The settled state of `after` does not end the wait. Raises what the client's `wait_for_run` raises.
        """
        self._sender.lifetime.check()
        known = waited.run
        with Wait(self._sender.observers, waited.key) as observed:
            watch = Watch(
                run_id=waited.key,
                until=arguments.until,
                ended=self._ended,
                policy=arguments.poll or self._policy,
                on_update=observed.notifying(on_update),
                grace_until=asyncio.get_running_loop().time() + NOT_FOUND_GRACE - waited.age,
                run=known,
                after=None if after is None else self._reader.occurrence(after),
                occurrence=self._reader.occurrence,
                observed=None if observed.notifier is None else observed,
            )
            over = known is not None and watch.over(known)
            observed.seen_unsettled = waited.fresh or (known is not None and not over)
            if known is not None and over and not self._reader.incomplete(known):
                self._note_end(observed, watch, known)
                return known
            # A settled run from a list may lack its outputs: only a single read returns them.
            at_once = over or not waited.fresh
            try:
                found = await self._polls.wait(
                    watch,
                    None if over else waited.group,
                    delay=0.0 if at_once else watch.next_delay(self._sender.chance, None),
                    timeout=arguments.timeout,
                    created_at=waited.created_at,
                )
            finally:
                observed.run, observed.polls = watch.run, watch.readings
            self._note_end(observed, watch, found)
            return found

    def _note_end(self, observed: Wait, watch: Watch, run: R) -> None:
        """Notify observers of the run that a wait returns."""
        if (observer := observed.notifier) is None:
            return
        observed.run = run
        if observed.first and observed.seen_unsettled and getattr(run, "settled", False):
            age = self._sender.clock.now() - self._reader.created(run)
            observed.settled_after = max(0.0, age.total_seconds())
        observer.run_settled(run, watch.readings)

    def several(
        self, waited: Iterable[Waited[R]], arguments: WaitArguments
    ) -> AbstractAsyncContextManager[AsyncIterator[R]]:
        """An async context manager over an async iterator: each run as it settles."""
        all_of_them = tuple(waited)

        async def work(emit: Callable[[R | KognitosError], Awaitable[None]]) -> None:
            async def one(run: Waited[R]) -> None:
                try:
                    settled: R | KognitosError = await self.one(run, arguments)
                except KognitosError as error:
                    settled = error
                emit(settled)

            async with anyio.create_task_group() as tasks:
                for run in all_of_them:
                    tasks.start_soon(one, run)

        return RaisingStream(work)

    def watch(
        self, waited: Waited[R], arguments: WaitArguments
    ) -> AbstractAsyncContextManager[AsyncIterator[R]]:
        """An async context manager over an async iterator: the run now, at each change, and once settled."""

        async def work(emit: Callable[[R], Awaitable[None]]) -> None:
            last: R | None = None

            def changed(run: R) -> None:
                nonlocal last
                last = run
                emit(run)

            run = waited.run
            if run is not None and waited.fresh and run.status not in {*arguments.until, *self._ended}:
                changed(run)
                known = waited
            else:  # the caller's run may be outdated: begin with a poll
                known = msgspec.structs.replace(waited, run=None, fresh=False)
            settled = await self.one(known, arguments, changed)
            if settled is not last:
                emit(settled)

        return WorkStream(work)
