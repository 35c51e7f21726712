"""Waiting for one run, for several and for those of a bulk job, whichever API they are of."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import msgspec

from kognitos_async import checks
from kognitos_async.errors import KognitosError
from kognitos_async.waiting.policy import NOT_FOUND_GRACE, PollPolicy
from kognitos_async.waiting.reader import RunReader, Waitable, Waited
from kognitos_async.waiting.shared_polls import Coalescer
from kognitos_async.waiting.watch import Watch
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
    )
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.sender import Sender

Q = TypeVar("Q")
S = TypeVar("S")
R = TypeVar("R", bound=Waitable)


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
        raise TypeError(f"until must be a collection of status words, got {type(until).__name__}")
    if not until:
        raise ValueError("until must be at least one status word, got none: the wait would never end")
    if poll is not None and not isinstance(poll, PollPolicy):
        raise TypeError(f"poll must be a PollPolicy or None, got {type(poll).__name__}")
    return Patience(checks.seconds_or_none(name, timeout), until, poll)


class RaisingStream(WorkStream["R | KognitosError"], Generic[R]):
    """Raises the errors among what is emitted."""

    async def __anext__(self) -> R:
        item = await super().__anext__()
        if isinstance(item, KognitosError):
            raise item
        return item


class Waits(Generic[R]):
    """All the waits of one client, which share their polls."""

    def __init__(
        self, reader: RunReader[R], sender: Sender, *, ended: Collection[object], policy: PollPolicy
    ) -> None:
        self._reader = reader
        self._sender = sender
        self._ended = ended
        self._policy = policy
        self._coalescer: Coalescer[R] = Coalescer(reader, sender.chance)

    async def close(self) -> None:
        """End all waits with `ClientClosedError`."""
        await self._coalescer.close()

    async def one(
        self, waited: Waited[R], patience: Patience, on_update: Callable[[R], object] | None = None
    ) -> R:
        """The run once its status is one that is waited for, or one that it never leaves."""
        known = waited.run
        over = known is not None and (known.status in patience.until or known.status in self._ended)
        if known is not None and over and not self._reader.incomplete(known):
            return known
        watch = Watch(
            run_id=waited.key,
            until=patience.until,
            ended=self._ended,
            policy=patience.poll or self._policy,
            on_update=on_update,
            patient_until=asyncio.get_running_loop().time() + NOT_FOUND_GRACE - waited.age,
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
