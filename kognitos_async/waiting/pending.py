"""The runs that are waited for: by id, by the list that may answer for them, and by when they are due."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Any

from kognitos_async.event_loop import due_by
from kognitos_async.waiting.poll_plan import Plan, plan_sweep

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime
    from random import Random

    from kognitos_async.errors import KognitosError
    from kognitos_async.waiting.watch import Watch

_LONGEST_HOLD = 5.0
"""Seconds that a run which is due waits for a sweep, at most."""


class Waiter:
    """One wait: its watch, its deadline, and the last reading it has not looked at yet."""

    __slots__ = ("_future", "_reading", "deadline", "interval", "last_status", "read_at", "watch")

    def __init__(self, watch: Watch, deadline: float = float("inf")) -> None:
        self.watch: Watch = watch
        self.deadline: float = deadline
        self.last_status: object = watch.run.status if watch.run is not None else None
        self.read_at: float = float("-inf")
        self.interval: float = 0.0
        self._reading: Any = None
        self._future: asyncio.Future[None] | None = None

    async def next_reading(self) -> Any:
        """The last reading: a run or an error."""
        while self._reading is None:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        reading, self._reading = self._reading, None
        return reading

    def deliver(self, reading: Any) -> None:
        """Wake the wait, unless the reading is a run without news."""
        if not isinstance(reading, BaseException):
            status = reading.status
            if status == self.last_status and status.known and not self.watch.over(reading):
                return
            self.last_status = status
        self._reading = reading
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def next_due(self, now: float, random: Random, problem: KognitosError | None) -> float:
        """When to read again after a reading at `now`.

        An early reading, from a page read for others, postpones the next one; only after half an interval
        does it count as a poll of this wait's own schedule.
        """
        self.watch.readings += 1
        early = now - self.read_at < 0.5 * self.interval
        self.read_at = now
        self.interval = self.watch.next_delay(random, problem, again=early)
        return now + self.interval


class Pending:
    """A run that somebody waits for."""

    __slots__ = (
        "born",
        "due",
        "found_settled",
        "group",
        "looks_again",
        "missed",
        "owed",
        "page",
        "reading",
        "run_id",
        "tried",
        "waiters",
    )

    def __init__(self, run_id: str, group: Group | None) -> None:
        self.run_id: str = run_id
        self.group: Group | None = group
        self.waiters: list[Waiter] = []
        self.born: datetime | None = None  # when it was created, where that is known
        self.due: float = float("inf")
        self.owed: bool = False  # due, and not read yet
        self.looks_again: float = float("inf")  # when a run held for a sweep is looked at again
        self.reading: bool = False  # a single read is under way
        self.page: int | None = None  # where the last sweep met it, counted from the group's start
        self.missed: int = 0  # sweeps in a row that looked for it in vain
        self.found_settled: bool = False  # by one of its waits
        self.tried: set[Hashable] | None = None  # groups searched for a run of unknown group

    def held_until(self) -> float:
        """When a sweep has kept this run waiting for too long; sooner if one of its waits ends soon."""
        if not self.waiters:
            return self.due
        slowest = max(waiter.watch.policy.maximum for waiter in self.waiters)
        deadline = min(waiter.deadline for waiter in self.waiters)
        hold = min(_LONGEST_HOLD, 2 * slowest, (deadline - self.due) / 2)
        # A list that does not answer keeps nobody waiting twice.
        silent_since = self.group.asked_at if self.group is not None else self.due
        return max(self.due, min(self.due, silent_since) + hold)


class Group:
    """The pending runs that one list may answer for, and what is known of that list."""

    __slots__ = ("asked_at", "banned_until", "failures", "key", "members", "owed", "start", "sweeping")

    def __init__(self, key: Hashable) -> None:
        self.key: Hashable = key
        self.members: dict[str, Pending] = {}
        self.owed: deque[Pending] = deque()
        self.sweeping: bool = False
        self.asked_at: float = float("inf")  # when the page under way was asked for
        # The token of the first page worth reading, and the time that the list begins at.
        self.start: tuple[str | None, datetime | None] | None = None
        self.failures: int = 0  # sweeps in a row that failed
        self.banned_until: float = float("-inf")

    def earliest(self) -> datetime | None:
        """When the oldest member was created; None unless that is known of all."""
        born = [pending.born for pending in self.members.values()]
        return min((time for time in born if time is not None), default=None) if None not in born else None

    def plan(self, others: int) -> Plan | None:
        """The sweep worth making now, for the members and `others` that may turn out to be some."""
        located: list[int] = []
        unlocated = float(others)
        for pending in self.members.values():
            if pending.page is not None:
                located.append(pending.page)
            else:
                unlocated += 0.25**pending.missed
        return plan_sweep(located, unlocated)


class PendingRuns:
    """All pending runs of a client."""

    def __init__(self) -> None:
        self.by_id: dict[str, Pending] = {}
        self.groups: dict[Hashable, Group] = {}
        self.ungrouped: dict[str, Pending] = {}  # bare ids, whose list is not known yet
        self._due: list[tuple[float, int, Pending]] = []
        self._sequence = 0

    def add(self, run_id: str, key: Hashable | None) -> Pending:
        """The pending run of that id, made if there is none."""
        pending = self.by_id.get(run_id)
        if pending is None:
            group = None if key is None else self.group(key)
            pending = self.by_id[run_id] = Pending(run_id, group)
            (self.ungrouped if group is None else group.members)[run_id] = pending
        return pending

    def remove(self, pending: Pending) -> None:
        """Forget a run that nobody waits for any more."""
        del self.by_id[pending.run_id]
        self.ungrouped.pop(pending.run_id, None)
        if pending.group is not None:
            del pending.group.members[pending.run_id]
            self.forget_if_empty(pending.group)

    def group(self, key: Hashable) -> Group:
        """The group of that key, made if there is none."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key)
        return group

    def assign(self, pending: Pending, key: Hashable) -> None:
        """Put a bare id into the group that it turned out to belong to."""
        self.ungrouped.pop(pending.run_id, None)
        pending.group = self.group(key)
        pending.group.members[pending.run_id] = pending
        pending.missed = 1 if pending.tried and key in pending.tried else 0

    def forget_if_empty(self, group: Group) -> None:
        """Drop a group without members, unless bare ids may still be looked for in its list."""
        idle = not group.members and not group.sweeping and not self.ungrouped
        if idle and self.groups.get(group.key) is group:
            del self.groups[group.key]

    def schedule(self, pending: Pending, when: float) -> bool:
        """Make a run due at `when`; whether nothing else is to be done before."""
        pending.due = when
        pending.owed = False
        pending.looks_again = float("inf")
        return self._push(pending, when)

    def hold(self, pending: Pending, until: float) -> bool:
        """Look at a run that is due again at `until`, if it was not read by then."""
        pending.looks_again = until
        return self._push(pending, until)

    def _push(self, pending: Pending, when: float) -> bool:
        self._sequence += 1
        heapq.heappush(self._due, (when, self._sequence, pending))
        return self._due[0][2] is pending

    def next_time(self) -> float | None:
        """When something is to be done next."""
        return self._due[0][0] if self._due else None

    def take_due(self, now: float) -> list[Pending]:
        """The runs to be looked at by now: those due, and those held until now."""
        by = due_by(now)
        found = []
        while self._due and self._due[0][0] <= by:
            when, _, pending = heapq.heappop(self._due)
            if not pending.waiters or pending.reading:
                continue
            if when == (pending.looks_again if pending.owed else pending.due):
                found.append(pending)
        return found

    def clear(self) -> None:
        """Forget what was only needed to poll."""
        self.groups.clear()
        self._due.clear()
