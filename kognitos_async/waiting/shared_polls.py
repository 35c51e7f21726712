"""Many waits share polls: one list page answers for up to a page of runs, single reads for the rest.

Every pending run has a time when it is due, set by the schedules of those who wait for it. When one is due,
its group (the runs of one agent and process) is served by the cheaper way: a sweep over list pages, which
answers for every pending run it meets, or one read for each run due. A sweep remembers on which page it met
whom; what it expected and did not meet is read singly. So a list that is stale, in whatever order, or
endless costs requests at worst, and never leaves a run unread.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from kognitos_async.errors import BadRequestError, ClientClosedError, KognitosError
from kognitos_async.event_loop import due_by
from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.pending import Group, Pending, Waiter
from kognitos_async.waiting.policy import is_transient
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime
    from random import Random

    from anyio.abc import TaskGroup

    from kognitos_async.paging import Page
    from kognitos_async.waiting.poll_plan import Plan
    from kognitos_async.waiting.reader import RunReader
    from kognitos_async.waiting.watch import Watch

R = TypeVar("R", bound=Waitable)

_FEW = 3
"""So many ids of unknown process are read singly at once: guessing would save nothing."""
_FRUITLESS_LEADERS = 3
_SINGLE_EVERY = 3
"""During a long sweep, one read of a run overdue for so many pages."""
_LONGEST_HOLD = 5.0
_BAN = 60.0
"""Seconds without sweeps after the API refused a group's list; fewer at first where it only fails."""


class Coalescer(Generic[R]):
    """The waits of one client. Its single task begins with the first and ends with the last."""

    def __init__(self, reader: RunReader[R], random: Random) -> None:
        self._reader = reader
        self._random = random
        self._pending: dict[str, Pending] = {}
        self._groups: dict[Hashable, Group] = {}
        self._bare: dict[str, Pending] = {}  # runs of unknown group
        self._locating = False  # a single read or a sweep that tells where bare runs belong is under way
        self._fruitless = 0
        self._due: list[tuple[float, int, Pending]] = []
        self._sequence = 0
        self._sweeps = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._tasks: TaskGroup | None = None
        self._closed = False

    async def wait(
        self,
        watch: Watch,
        group: Hashable | None,
        *,
        delay: float,
        timeout: float | None,
        born: datetime | None = None,
    ) -> R:
        """The run once `watch` is over; first read after `delay` seconds. `born` bounds the list if known.

        Raises `WaitTimeoutError` after `timeout` seconds, `ClientClosedError`, and what the watch raises.
        """
        if self._closed:
            raise ClientClosedError("the client is closed")
        waiter = Waiter(watch)
        pending = self._add(waiter, group, delay, born)
        loop = asyncio.get_running_loop()
        settled: R | None = None
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                while settled is None:
                    reading = await waiter.next_reading()
                    if isinstance(reading, KognitosError):
                        watch.failed(reading, loop.time())
                    elif isinstance(reading, BaseException):
                        raise RuntimeError("the shared polls failed") from reading  # noqa: TRY004 - a bug, not a wrong type
                    elif watch.found(reading):
                        settled = reading
        except TimeoutError:
            if not deadline.expired():
                raise
        finally:
            self._remove(pending, waiter)
        await self._settle()
        if settled is None:
            raise watch.timed_out(timeout or 0.0)
        return settled

    async def close(self) -> None:
        """End all waits with `ClientClosedError`."""
        self._closed = True
        self._tell_all(ClientClosedError("the client was closed while a run was waited for"))
        self._end()
        await self._settle()

    def _end(self) -> None:
        """Let go of the task: nobody needs it any more."""
        if self._task is not None:
            self._ending, self._task = self._task, None
            self._ending.cancel()
        self._groups.clear()
        self._due.clear()
        self._locating = False
        self._fruitless = 0

    async def _settle(self) -> None:
        """Wait until a task let go of has ended."""
        if self._ending is not None and not self._ending.done():
            await asyncio.wait([self._ending])

    # Who is waited for

    def _add(self, waiter: Waiter, key: Hashable | None, delay: float, born: datetime | None) -> Pending:
        run_id = waiter.watch.run_id
        pending = self._pending.get(run_id)
        if pending is None:
            group = None if key is None else self._group(key)
            pending = self._pending[run_id] = Pending(run_id, group)
            (self._bare if group is None else group.members)[run_id] = pending
        pending.born = pending.born or born
        pending.waiters.append(waiter)
        when = asyncio.get_running_loop().time() + delay
        if when < pending.due:
            self._schedule(pending, when)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="kognitos_async shared polls")
            self._task.add_done_callback(self._ended)
        return pending

    def _remove(self, pending: Pending, waiter: Waiter) -> None:
        pending.waiters.remove(waiter)
        if pending.waiters:
            return
        del self._pending[pending.run_id]
        self._bare.pop(pending.run_id, None)
        if (group := pending.group) is not None:
            del group.members[pending.run_id]
            if not group.members and not group.sweeping and not self._bare:
                self._groups.pop(group.key, None)
        if not self._pending:
            self._end()

    def _group(self, key: Hashable) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
        return group

    def _schedule(self, pending: Pending, when: float) -> None:
        pending.due = when
        pending.owed = False
        self._sequence += 1
        heapq.heappush(self._due, (when, self._sequence, pending))
        if self._due[0][2] is pending:
            self._wake.set()

    # The one task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            while True:
                self._wake.clear()
                self._serve_due(loop.time())
                with suppress(TimeoutError):
                    # Not a scope of anyio: one that runs out as the task is cancelled loses the cancellation.
                    async with asyncio.timeout_at(self._due[0][0] if self._due else None):
                        await self._wake.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            if self._task is task:
                self._task = None
            self._tell_all(problem)

    def _tell_all(self, problem: BaseException) -> None:
        for pending in self._pending.values():
            for waiter in pending.waiters:
                waiter.tell(problem)

    def _serve_due(self, now: float) -> None:
        touched: dict[int, Group] = {}
        by = due_by(now)
        while self._due and self._due[0][0] <= by:
            when, _, pending = heapq.heappop(self._due)
            if pending.due != when or pending.owed or pending.reading or not pending.waiters:
                continue
            pending.owed = True
            if pending.group is not None:
                pending.group.owed.append(pending)
                touched[id(pending.group)] = pending.group
        for group in touched.values():
            if not group.sweeping:
                self._serve(group, now)
        if self._bare:
            self._serve_bare(now)

    def _serve(self, group: Group, now: float) -> None:
        """Read what the group owes, the cheaper way."""
        plan = group.plan(others=0) if now >= group.banned_until else None
        held: deque[Pending] = deque()
        while group.owed:
            pending = group.owed.popleft()
            if not pending.owed or not pending.waiters:
                continue
            if plan is not None and not pending.missed and (pending.page or 0) < max(1, plan.depth):
                held.append(pending)
            else:
                self._read_soon(pending)
        group.owed = held
        if plan is not None and held:
            self._sweep_soon(group, plan, ())

    def _serve_bare(self, now: float) -> None:
        """Find out where runs of unknown process belong: read one, then search its list for the others."""
        owed = [pending for pending in self._bare.values() if pending.owed and not pending.reading]
        if not owed or self._locating:
            return
        if len(owed) > _FEW and self._fruitless < _FRUITLESS_LEADERS:
            for group in list(self._groups.values()):
                untried = [p for p in owed if p.tried is None or group.key not in p.tried]
                if len(untried) > 1 and not group.sweeping and group.banned_until <= now:
                    plan = group.plan(others=len(untried))
                    if plan is not None:
                        self._locating = True
                        self._sweep_soon(group, plan, untried)
                        return
            self._locating = True
            self._fruitless += 1
            owed = owed[:1]
        for pending in owed:
            self._read_soon(pending)

    # Single reads

    def _read_soon(self, pending: Pending) -> None:
        if not pending.reading and self._tasks is not None:
            pending.reading = True
            self._tasks.start_soon(self._read, pending)

    async def _read(self, pending: Pending) -> None:
        bare = pending.group is None
        try:
            run = await self._reader.read(pending.run_id)
        except KognitosError as error:
            self._failed(pending, error)
        else:
            self._answer(pending, run)
        finally:
            pending.reading = False
            if bare:
                self._locating = False
                self._wake.set()

    def _answer(self, pending: Pending, run: R) -> None:
        """Pass a reading on and set when the next is due."""
        if pending.group is None and pending.waiters:
            self._bare.pop(pending.run_id, None)
            pending.group = self._group(self._reader.group_of(run))
            pending.group.members[pending.run_id] = pending
            pending.missed = 1 if pending.tried and pending.group.key in pending.tried else 0
            self._fruitless = 0 if pending.page is not None else self._fruitless
        self._pass_on(pending, run, None)

    def _failed(self, pending: Pending, error: KognitosError) -> None:
        self._pass_on(pending, error, error)

    def _pass_on(self, pending: Pending, reading: R | KognitosError, problem: KognitosError | None) -> None:
        now = asyncio.get_running_loop().time()
        soonest = float("inf")
        for waiter in pending.waiters:
            waiter.tell(reading)
            soonest = min(soonest, waiter.next_due(now, self._random, problem))
        if pending.waiters:
            self._schedule(pending, soonest)

    # Sweeps

    def _sweep_soon(self, group: Group, plan: Plan, others: Iterable[Pending]) -> None:
        if self._tasks is not None:
            group.sweeping = True
            self._tasks.start_soon(self._sweep, group, plan, list(others))

    async def _sweep(self, group: Group, plan: Plan, others: list[Pending]) -> None:
        self._sweeps += 1
        number = self._sweeps
        sought = [p for p in (*group.members.values(), *others) if not p.reading]
        for pending in sought:
            pending.sweep = -number
        failure: KognitosError | None = None
        try:
            await self._read_pages(group, plan, number, sought, others)
        except KognitosError as error:
            failure = error
        finally:
            group.sweeping = False
            if others:
                self._locating = False
            self._wake.set()
        now = asyncio.get_running_loop().time()
        group.failures = 0 if failure is None else group.failures + 1
        lasting = failure is not None and (group.failures > 1 or not is_transient(failure))
        for pending in sought:
            if pending.sweep == number or not pending.waiters:
                continue
            if failure is None:
                pending.page = None
                pending.missed += 1
                if pending.group is None:
                    pending.tried = (pending.tried or set()) | {group.key}
            elif pending.owed and not lasting and not pending.reading:
                self._failed(pending, failure)
        if failure is not None and lasting:
            # Whatever is wrong with the list need not be wrong with the runs: they are read singly.
            if group.start is None or not isinstance(failure, BadRequestError):
                group.banned_until = now + (min(_BAN, 2.0**group.failures) if is_transient(failure) else _BAN)
            group.start = None
        if group.members:
            self._serve(group, now)
        elif self._groups.get(group.key) is group and not self._bare:
            del self._groups[group.key]

    async def _read_pages(
        self, group: Group, plan: Plan, number: int, sought: list[Pending], others: list[Pending]
    ) -> None:
        loop = asyncio.get_running_loop()
        left = len(sought)
        token, since = group.start or (None, group.earliest() if not others else None)
        tokens: list[str | None] = []
        first_met: int | None = None
        fruitless = 0
        order = Order()
        while True:
            page = await self._reader.read_page(group.key, token, since)
            index = len(tokens)
            tokens.append(token)
            met, found = self._meet(page, index, number)
            left -= found
            if met and first_met is None:
                first_met = index
            fruitless = 0 if met else fruitless + 1
            if page.items:
                order.go_on(self._reader.created(run) for run in (page.items[0], page.items[-1]))
            token = page.continuation_token
            far = index + 1 >= plan.depth and (fruitless >= plan.explore or left <= 0)
            if token is None or far:
                break
            self._read_overdue(group, index, loop.time())
        if order.oldest_first and first_met:
            # What lies before the first pending run will never be needed again.
            group.start = (tokens[first_met], since)
            for pending in group.members.values():
                if pending.page is not None:
                    pending.page = max(0, pending.page - first_met)

    def _meet(self, page: Page[R], index: int, number: int) -> tuple[int, int]:
        """Answer for the pending runs on a page: how many were met, and how many of those sought, anew."""
        met = found = 0
        for run in page.items:
            pending = self._pending.get(self._reader.key(run))
            if pending is None:
                continue
            if pending.sweep != number:
                met += 1
                found += pending.sweep == -number
                pending.sweep = number
            pending.page = index
            pending.missed = 0
            if self._reader.incomplete(run) and any(w.watch.over(run) for w in pending.waiters):
                pending.owed = True
                self._read_soon(pending)
            else:
                self._answer(pending, run)
        return met, found

    def _read_overdue(self, group: Group, index: int, now: float) -> None:
        """Read singly, now and then, the run that the sweep keeps waiting longest, and any held too long."""
        spare = index % _SINGLE_EVERY == _SINGLE_EVERY - 1
        while group.owed:
            pending = group.owed[0]
            if pending.owed and not pending.reading and pending.waiters:
                hold = min(_LONGEST_HOLD, 2 * max(w.watch.policy.maximum for w in pending.waiters))
                if not spare and now - pending.due < hold:
                    return
                spare = False
                self._read_soon(pending)
            group.owed.popleft()
