"""Waiting for one run, for several and for those of a bulk job, whichever API they are of."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import anyio
import msgspec

from kognitos_async import checks
from kognitos_async.coalescing import Coalescer
from kognitos_async.errors import KognitosError
from kognitos_async.pending import Reader
from kognitos_async.streams import WorkStream
from kognitos_async.waiting import PATIENCE, PollPolicy, Waitable, Watch

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
    )
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.bulk import Jobs, RunOutcome
    from kognitos_async.sender import Sender

Q = TypeVar("Q")
S = TypeVar("S")
R = TypeVar("R", bound=Waitable)


class Waited(msgspec.Struct, Generic[R], frozen=True):
    """A run that is waited for, as far as it is known: by its key, and perhaps as last read.

    `age` is in seconds since the start, infinity where nothing tells; a `fresh` one was started so short a
    time ago that it is not worth reading at once. `born` is when it was created by the server's clock.
    """

    key: str
    run: R | None
    group: Hashable | None
    age: float
    fresh: bool
    born: datetime | None = None


class Patience(msgspec.Struct, frozen=True):
    """How long, until what and how often a wait polls, checked."""

    timeout: float | None
    until: Collection[object]
    poll: PollPolicy | None

    def after(self, seconds: float) -> Patience:
        """What is left of it when so much time has passed."""
        left = None if self.timeout is None else max(0.0, self.timeout - seconds)
        return Patience(left, self.until, self.poll)


def checked_wait(
    timeout: object, until: object, poll: object, on_update: object, *, name: str = "timeout"
) -> Patience:
    """The arguments of a wait, checked."""
    checks.callback("on_update", on_update)
    if isinstance(until, str) or not isinstance(until, Collection):
        raise TypeError(f"until is a collection of status words, not {type(until).__name__}")
    if not until:
        raise ValueError("until is empty: the wait would never end")
    if poll is not None and not isinstance(poll, PollPolicy):
        raise TypeError(f"poll is a PollPolicy or None, not {type(poll).__name__}")
    return Patience(checks.seconds_or_none(name, timeout), until, poll)


class RaisingStream(WorkStream["R | KognitosError"], Generic[R]):
    """Raises the errors among what is emitted."""

    async def __anext__(self) -> R:
        item = await super().__anext__()
        if isinstance(item, KognitosError):
            raise item
        return item


class Lists(Reader[R], Protocol[R]):
    """How runs of one API are read and told apart."""

    def waited(self, run: R | str) -> Waited[R]:
        """What is known of a run given as a model or by its key."""
        ...


class Waits(Generic[R]):
    """All the waits of one client, which share their polls."""

    def __init__(
        self, lists: Lists[R], sender: Sender, *, ended: Collection[object], policy: PollPolicy
    ) -> None:
        self._lists = lists
        self._sender = sender
        self._ended = ended
        self._policy = policy
        self._coalescer: Coalescer[R] = Coalescer(lists, sender.chance)

    async def close(self) -> None:
        """End all waits with `ClientClosedError`."""
        await self._coalescer.close()

    async def one(
        self, waited: Waited[R], patience: Patience, on_update: Callable[[R], object] | None = None
    ) -> R:
        """The run once its status is one that is waited for, or one that it never leaves."""
        known = waited.run
        over = known is not None and (known.status in patience.until or known.status in self._ended)
        if known is not None and over and not self._lists.incomplete(known):
            return known
        watch = Watch(
            run_id=waited.key,
            until=patience.until,
            ended=self._ended,
            policy=patience.poll or self._policy,
            on_update=on_update,
            patient_until=asyncio.get_running_loop().time() + PATIENCE - waited.age,
            run=known,
        )
        # A run that is over but lacks its outputs comes from a list, and only reading it singly helps.
        at_once = over or not waited.fresh
        return await self._coalescer.wait(
            watch,
            None if over else waited.group,
            delay=0.0 if at_once else watch.next_delay(self._sender.chance, None),
            timeout=patience.timeout,
            born=waited.born,
        )

    def several(
        self, waited: Iterable[Waited[R]], patience: Patience
    ) -> AbstractAsyncContextManager[AsyncIterator[R]]:
        """An async context manager over an async iterator: each run as it settles."""
        all_of_them = tuple(waited)

        async def work(emit: Callable[[R | KognitosError], Awaitable[None]]) -> None:
            async def one(run: Waited[R]) -> None:
                try:
                    settled: R | KognitosError = await self.one(run, patience)
                except KognitosError as error:
                    settled = error
                await emit(settled)

            async with anyio.create_task_group() as tasks:
                for run in all_of_them:
                    tasks.start_soon(one, run)

        return RaisingStream(work, buffered=True)

    def many(
        self,
        jobs: Jobs[Q, S],
        requests: Iterable[Q] | AsyncIterable[Q],
        *,
        max_in_flight: int,
        journal: str | os.PathLike[str] | None,
        absence_delay: float,
    ) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[Q, S]]]:
        """An async context manager over an async iterator of outcomes, in the order of completion."""
        # Loaded with the first bulk job: it brings SQLite.
        from kognitos_async.bulk import BulkJob, check_requests  # noqa: PLC0415

        check_requests(requests, max_in_flight)
        delay = checks.seconds_or_none("absence_delay", absence_delay)
        if delay is None:
            raise ValueError("absence_delay is a finite number of seconds")
        job = BulkJob(
            jobs,
            self._sender,
            requests,
            max_in_flight=max_in_flight,
            journal=journal,
            absence_delay=delay,
        )

        async def work(emit: Callable[[RunOutcome[Q, S]], Awaitable[None]]) -> None:
            self._sender.check_open()
            await job.work(emit)

        return WorkStream(work)
