"""The runs that are waited for: by id, by list, and by the time of the next poll."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Any

from kognitos_async.event_loop import due_by
from kognitos_async.waiting.poll_plan import Plan, plan_sweep
from kognitos_async.waiting.stale_list import StaleCheck

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime
    from random import Random

    from kognitos_async.waiting.watch import Watch

_LONGEST_HOLD = 5.0
"""Maximum seconds for which a due run is held for a sweep."""


class Waiter:
    """One wait: its watch, its deadline, and the last reading not consumed yet."""

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
        """The next reading: a run or an error. Readings delivered meanwhile are replaced by later ones."""
        while self._reading is None:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        reading, self._reading = self._reading, None
        return reading

    def deliver(self, reading: Any) -> None:
        """Wake the wait, unless the reading is a run without a change."""
        if not isinstance(reading, BaseException):
            status = reading.status
            if status == self.last_status and status.known and not self.watch.over(reading):
                self.watch.strays, self.watch.problem = 0, None
                return
            self.last_status = status
        self._reading = reading
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def next_due(self, now: float, random: Random, problem: Exception | None) -> float:
        """The loop time of the next poll after a reading at `now`.

        An early reading, from a page read for other runs, postpones the next poll. It counts as a step of
        this wait's own schedule only after half the interval.
        """
        self.watch.readings += 1
        early = now - self.read_at < 0.5 * self.interval
        self.read_at = now
        self.interval = self.watch.next_delay(random, problem, again=early)
        return now + self.interval


class Pending:
    """A run with at least one wait."""

    __slots__ = (
        "checks",
        "created_at",
        "due",
        "found_settled",
        "group",
        "listed",
        "missed",
        "owed",
        "page",
        "reading",
        "recheck_at",
        "run_id",
        "tried",
        "waiters",
    )

    def __init__(self, run_id: str, group: Group | None) -> None:
        self.run_id: str = run_id
        self.group: Group | None = group
        self.waiters: list[Waiter] = []
        self.created_at: datetime | None = None  # by the server's clock, if known
        self.due: float = float("inf")
        self.owed: bool = False  # due, and not read yet
        self.recheck_at: float = float("inf")  # when a run held for a sweep is checked again
        self.reading: bool = False  # a single read is in flight
        self.page: int | None = None  # where the last sweep found it, counted from the group's start
        self.listed: object = None  # the status that the last sweep found
        self.checks: int = 0  # single reads made to check the list
        self.missed: int = 0  # sweeps in a row that did not find it
        self.found_settled: bool = False  # by one of its waits
        self.tried: set[Hashable] | None = None  # groups searched for a run of unknown group

    def held_until(self) -> float:
        """The loop time until which a sweep may hold the run; earlier if one of its waits ends soon."""
        if not self.waiters:
            return self.due
        slowest = max(waiter.watch.policy.maximum for waiter in self.waiters)
        deadline = min(waiter.deadline for waiter in self.waiters)
        hold = min(_LONGEST_HOLD, 2 * slowest, (deadline - self.due) / 2)
        # A list that does not answer delays a run only once.
        silent_since = self.group.asked_at if self.group is not None else self.due
        return max(self.due, min(self.due, silent_since) + hold)


class Group:
    """The pending runs of one list, and the state of that list."""

    __slots__ = (
        "asked_at",
        "banned_until",
        "failures",
        "key",
        "members",
        "owed",
        "stale",
        "start",
        "sweeping",
    )

    def __init__(self, key: Hashable) -> None:
        self.key: Hashable = key
        self.members: dict[str, Pending] = {}
        self.owed: deque[Pending] = deque()
        self.sweeping: bool = False
        self.asked_at: float = float("inf")  # when the page in flight was requested
        # The token of the first page worth reading, and the time filter it belongs to.
        self.start: tuple[str | None, datetime | None] | None = None
        self.failures: int = 0  # sweeps in a row that failed
        self.banned_until: float = float("-inf")
        self.stale: StaleCheck = StaleCheck()

    def earliest(self) -> datetime | None:
        """When the oldest member was created; None unless known for all members."""
        times = [pending.created_at for pending in self.members.values()]
        return min((time for time in times if time is not None), default=None) if None not in times else None

    def plan(self, others: int) -> Plan | None:
        """The sweep worth making now, None if there is none; `others` runs may be members too."""
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
        self.ungrouped: dict[str, Pending] = {}  # bare ids, whose list is unknown
        self._due: list[tuple[float, int, Pending]] = []
        self._sequence = 0

    def add(self, run_id: str, key: Hashable | None) -> Pending:
        """The pending run with this id, created if there is none."""
        pending = self.by_id.get(run_id)
        if pending is None:
            group = None if key is None else self.group(key)
            pending = self.by_id[run_id] = Pending(run_id, group)
            (self.ungrouped if group is None else group.members)[run_id] = pending
        return pending

    def remove(self, pending: Pending) -> None:
        """Drop a run without waits."""
        del self.by_id[pending.run_id]
        self.ungrouped.pop(pending.run_id, None)
        if pending.group is not None:
            del pending.group.members[pending.run_id]
            self.forget_if_empty(pending.group)

    def group(self, key: Hashable) -> Group:
        """The group with this key, created if there is none."""
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group(key)
        return group

    def assign(self, pending: Pending, key: Hashable) -> None:
        """Assign a bare id to the group of its run."""
        self.ungrouped.pop(pending.run_id, None)
        pending.group = self.group(key)
        pending.group.members[pending.run_id] = pending
        pending.missed = 1 if pending.tried and key in pending.tried else 0

    def forget_if_empty(self, group: Group) -> None:
        """Drop a group without members, unless bare ids may still be searched for in its list."""
        idle = not group.members and not group.sweeping and not self.ungrouped
        if idle and self.groups.get(group.key) is group:
            del self.groups[group.key]

    def schedule(self, pending: Pending, when: float) -> bool:
        """Make a run due at `when`; return whether it is first in the queue."""
        pending.due = when
        pending.owed = False
        pending.recheck_at = float("inf")
        return self._push(pending, when)

    def hold(self, pending: Pending, until: float) -> bool:
        """Hold a due run until `until`; return whether it is first in the queue."""
        pending.recheck_at = until
        return self._push(pending, until)

    def _push(self, pending: Pending, when: float) -> bool:
        self._sequence += 1
        heapq.heappush(self._due, (when, self._sequence, pending))
        return self._due[0][2] is pending

    def next_time(self) -> float | None:
        """The loop time of the next entry in the queue, None if it is empty."""
        return self._due[0][0] if self._due else None

    def take_due(self, now: float) -> list[Pending]:
        """Remove and return the runs that are due, or whose hold has ended, by now."""
        by = due_by(now)
        found = []
        while self._due and self._due[0][0] <= by:
            when, _, pending = heapq.heappop(self._due)
            if not pending.waiters or pending.reading:
                continue
            if when == (pending.recheck_at if pending.owed else pending.due):
                found.append(pending)
        return found

    def clear(self) -> None:
        """Drop the groups and the queue, after polling has ended."""
        self.groups.clear()
        self._due.clear()
