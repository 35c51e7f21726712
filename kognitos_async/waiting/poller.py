"""Shared polls: one list page serves many pending runs, single reads the rest.

Every pending run has a due time, set by the schedules of its waits. When one is due, its group (the pending
runs of one list) is polled by the cheaper method: a sweep over list pages, which serves every pending run it
finds, or one read for each due run. A sweep records the page on which it found a run. Runs that it did not
find, or that it would delay for too long, are read singly. A list that is stale, endless, slow or unordered
therefore costs requests at worst; every run is still polled.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from kognitos_async.errors import BadRequestError, KognitosError
from kognitos_async.event_loop import due_by
from kognitos_async.observed_work import Poll
from kognitos_async.waiting.policy import is_transient
from kognitos_async.waiting.reader import Waitable
from kognitos_async.waiting.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random

    from anyio.abc import TaskGroup

    from kognitos_async.observers import Observers
    from kognitos_async.paging import Page
    from kognitos_async.waiting.pending import Group, Pending, PendingRuns
    from kognitos_async.waiting.poll_plan import Plan
    from kognitos_async.waiting.reader import RunReader

R = TypeVar("R", bound=Waitable)

_FEW = 3
"""Up to this many bare ids are read one by one; a sweep would save nothing."""
_FRUITLESS_LEADERS = 3
"""After this many bare ids whose lists held none of the others, bare ids are read one by one."""
_SINGLE_EVERY = 3
"""During a sweep that finds no run, one due run is read singly every this many pages."""
_SLOW = 5.0
"""Seconds after which even a transient failure of a sweep bans the list."""
_LONGEST_BAN = 60.0
"""Seconds without sweeps after the API refused a group's list; the maximum after transient failures."""


class Poller(Generic[R]):
    """Polls the runs that are due by the cheaper method, and delivers the readings."""

    def __init__(
        self,
        reader: RunReader[R],
        random: Random,
        runs: PendingRuns,
        wake: asyncio.Event,
        observers: Observers,
    ) -> None:
        self._reader = reader
        self._observers = observers
        self._random = random
        self._runs = runs
        self._wake = wake
        self._locating = False  # a request that locates bare ids is in flight
        self._fruitless = 0
        self.tasks: TaskGroup | None = None
        """The task group in which requests run."""

    def reset(self) -> None:
        """Reset the state after the task group has ended."""
        self._locating = False
        self._fruitless = 0

    def schedule(self, pending: Pending, when: float) -> None:
        """Schedule the next poll of a run."""
        if self._runs.schedule(pending, when):
            self._wake.set()

    # Choice of the method

    def serve_due(self, now: float) -> None:
        """Begin to poll the runs that are due."""
        touched: dict[int, Group] = {}
        for pending in self._runs.take_due(now):
            group = pending.group
            if pending.owed:
                self._end_hold(pending, now)
                continue
            pending.owed = True
            if group is not None:
                group.owed.append(pending)
            if group is None or group.sweeping:
                self._runs.hold(pending, pending.held_until())
            else:
                touched[id(group)] = group
        for group in touched.values():
            self._serve(group, now)
        if self._runs.ungrouped:
            self._serve_ungrouped(now)

    def _serve(self, group: Group, now: float) -> None:
        """Poll the due runs of a group by the cheaper method."""
        plan = group.plan(others=0) if now >= group.banned_until else None
        held: list[Pending] = []
        singly = 0
        while group.owed:
            pending = group.owed.popleft()
            if not pending.owed or not pending.waiters:
                continue
            if plan is not None and not pending.missed and (pending.page or 0) < max(1, plan.depth):
                held.append(pending)
            else:
                singly += 1
                self._read_soon(pending)
        self._note_choice("single", singly)
        if plan is None or not held:
            return
        self._note_choice("list", len(group.members))
        group.owed.extend(held)
        self._sweep_soon(group, plan)
        for pending in held:
            self._runs.hold(pending, pending.held_until())

    def _end_hold(self, pending: Pending, now: float) -> None:
        """Read a run singly if it was held for too long."""
        until = pending.held_until()
        if until > due_by(now):  # the list has answered since
            self._runs.hold(pending, until)
        else:
            self._read_soon(pending)

    def _serve_ungrouped(self, now: float) -> None:
        """Locate bare ids: read one of them, then search its list for the others."""
        owed = [pending for pending in self._runs.ungrouped.values() if pending.owed and not pending.reading]
        if not owed or self._locating:
            return
        if len(owed) > _FEW and self._fruitless < _FRUITLESS_LEADERS:
            for group in list(self._runs.groups.values()):
                untried = [p for p in owed if p.tried is None or group.key not in p.tried]
                if len(untried) > 1 and not group.sweeping and group.banned_until <= now:
                    plan = group.plan(others=len(untried))
                    if plan is not None:
                        self._locating = True
                        self._note_choice("list", len(untried))
                        self._sweep_soon(group, plan, untried)
                        return
            self._locating = True
            self._fruitless += 1
            owed = owed[:1]
        self._note_choice("single", len(owed))
        for pending in owed:
            self._read_soon(pending)

    def _note_choice(self, method: str, pending: int) -> None:
        if pending and (observer := self._observers.current) is not None:
            observer.poll_chosen(method, pending)

    # Single reads

    def _read_soon(self, pending: Pending) -> None:
        if not pending.reading and self.tasks is not None:
            pending.reading = True
            self.tasks.start_soon(self._read, pending)

    async def _read(self, pending: Pending) -> None:
        bare = pending.group is None
        try:
            with Poll(self._observers, "single", (pending,)) as poll:
                run = await self._reader.read(pending.run_id)
                poll.met = 1
        except Exception as error:  # noqa: BLE001 - raised by the waits for this run, unless it is transient
            self._pass_on(pending, error)
        else:
            if pending.group is not None:
                pending.group.stale.read(
                    pending.run_id, run.status, listed=pending.listed, now=asyncio.get_running_loop().time()
                )
            self._answer(pending, run)
        finally:
            pending.reading = False
            if bare:
                self._locating = False
                self._wake.set()

    def _answer(self, pending: Pending, run: R) -> None:
        """Deliver a run to its waits, and assign a bare id to its group."""
        if pending.group is None and pending.waiters:
            self._runs.assign(pending, self._reader.group_of(run))
            self._fruitless = 0 if pending.page is not None else self._fruitless
        self._pass_on(pending, run)

    def _pass_on(self, pending: Pending, reading: R | Exception) -> None:
        problem = reading if isinstance(reading, Exception) else None
        now = asyncio.get_running_loop().time()
        soonest = float("inf")
        for waiter in pending.waiters:
            waiter.deliver(reading)
            soonest = min(soonest, waiter.next_due(now, self._random, problem))
        if pending.waiters:
            self.schedule(pending, soonest)

    # Sweeps

    def _sweep_soon(self, group: Group, plan: Plan, others: Collection[Pending] = ()) -> None:
        if self.tasks is not None:
            group.sweeping = True
            self.tasks.start_soon(self._sweep, group, plan, others)

    async def _sweep(self, group: Group, plan: Plan, others: Collection[Pending]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        sweep = Sweep(self._reader, group, plan, others)
        failure: KognitosError | None = None
        try:
            with Poll(self._observers, "list", sweep.sought) as poll:
                while (page := await sweep.next_page()) is not None:
                    sweep.record_page(page, self._meet(page, sweep))
                    poll.met = len(sweep.met)
                    if sweep.fruitless and sweep.index % _SINGLE_EVERY == _SINGLE_EVERY - 1:
                        self._read_longest_held(group)
            sweep.remember_start()
        except KognitosError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - raised by the waits that the sweep was for
            for pending in sweep.missed:
                self._pass_on(pending, error)
        finally:
            group.sweeping = False
            self._locating = self._locating and not others
            self._wake.set()
        if failure is None:
            group.failures = 0
            sweep.note_missed()
            if group.stale.swept(changed=sweep.changed):
                self._check_list(sweep)
        else:
            self._note_failure(sweep, failure, loop.time() - began)
        if group.members:
            self._serve(group, loop.time())
        else:
            self._runs.forget_if_empty(group)

    def _meet(self, page: Page[R], sweep: Sweep[R]) -> list[Pending]:
        """Deliver the pending runs on a page, and return them."""
        met = []
        stale = sweep.group.stale
        for run in page.items:
            key = self._reader.key(run)
            if key == stale.run_id and stale.is_disproved(run.status, asked_at=sweep.asked_at):
                sweep.group.banned_until = asyncio.get_running_loop().time() + _LONGEST_BAN
            pending = self._runs.by_id.get(key)
            if pending is None:
                continue
            met.append(pending)
            pending.page = sweep.index
            pending.missed = 0
            sweep.changed = sweep.changed or pending.listed != run.status
            pending.listed = run.status
            if self._reader.incomplete(run) and any(w.watch.over(run) for w in pending.waiters):
                pending.owed = True
                self._read_soon(pending)
            else:
                self._answer(pending, run)
        return met

    def _check_list(self, sweep: Sweep[R]) -> None:
        """Read singly one of the runs that the sweep met, in turn, to compare it with what the list shows."""
        met = [pending for pending in sweep.met if pending.waiters and not pending.reading]
        if met:
            checked = min(met, key=lambda pending: pending.checks)
            checked.checks += 1
            self._read_soon(checked)

    def _read_longest_held(self, group: Group) -> None:
        while group.owed:
            pending = group.owed.popleft()
            if pending.owed and not pending.reading and pending.waiters:
                self._read_soon(pending)
                return

    def _note_failure(self, sweep: Sweep[R], failure: KognitosError, took: float) -> None:
        """Count a first, transient failure as a failed poll; after others, ban sweeps for a while."""
        group = sweep.group
        group.failures += 1
        if group.failures == 1 and is_transient(failure) and took < _SLOW:
            for pending in sweep.missed:
                if pending.owed and not pending.reading:
                    self._pass_on(pending, failure)
            return
        if group.start is None or not isinstance(failure, BadRequestError):  # else: its token has expired
            ban = max(took, 2.0**group.failures) if is_transient(failure) else _LONGEST_BAN
            group.banned_until = asyncio.get_running_loop().time() + min(_LONGEST_BAN, ban)
        group.start = None
