"""The runs that are waited for, by the list they share, and which way of reading them is cheaper."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from kognitos_async.waiting.poll_plan import Plan, plan_sweep
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime
    from random import Random

    from kognitos_async.errors import KognitosError
    from kognitos_async.waiting.watch import Watch

R = TypeVar("R", bound=Waitable)


class Waiter:
    """One wait: its watch, and what was read for it since it last looked."""

    __slots__ = ("_future", "_mail", "interval", "last_status", "read_at", "watch")

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.last_status: object = watch.run.status if watch.run is not None else None
        self.read_at = float("-inf")
        self.interval = 0.0
        self._mail: Any = None
        self._future: asyncio.Future[None] | None = None

    async def next_reading(self) -> Any:
        """What was read last: a run or an error."""
        while self._mail is None:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        mail, self._mail = self._mail, None
        return mail

    def tell(self, reading: Any) -> None:
        """Wake the wait, unless the reading is a run that says nothing new."""
        if not isinstance(reading, BaseException):
            status = reading.status
            if status == self.last_status and status.known and not self.watch.over(reading):
                return
            self.last_status = status
        self._mail = reading
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def next_due(self, now: float, random: Random, problem: KognitosError | None) -> float:
        """When to read again after a reading at `now`.

        One that came early, on a page read for others, puts the next one off; only after half an interval
        does it count as a poll of this wait's own schedule.
        """
        early = now - self.read_at < 0.5 * self.interval
        self.read_at = now
        self.interval = self.watch.next_delay(random, problem, again=early)
        return now + self.interval


class Pending:
    """A run that somebody waits for."""

    __slots__ = (
        "born",
        "due",
        "group",
        "missed",
        "owed",
        "page",
        "reading",
        "run_id",
        "sweep",
        "tried",
        "waiters",
    )

    def __init__(self, run_id: str, group: Group | None) -> None:
        self.run_id = run_id
        self.group = group
        self.waiters: list[Waiter] = []
        self.born: datetime | None = None  # when it was created, where that is known
        self.due = float("inf")
        self.owed = False  # due, and not answered yet
        self.reading = False
        self.page: int | None = None  # where the last sweep met it, counted from the group's start
        self.missed = 0
        self.sweep = 0  # the number of the last sweep that met it
        self.tried: set[Hashable] | None = None  # groups searched for a run of unknown group


class Group:
    """The pending runs that one list may answer for, and what is known of that list."""

    __slots__ = ("banned_until", "failures", "key", "members", "owed", "start", "sweeping")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.members: dict[str, Pending] = {}
        self.owed: deque[Pending] = deque()
        self.sweeping = False
        # The token of the first page worth reading, and the time that the list begins at.
        self.start: tuple[str | None, datetime | None] | None = None
        self.failures = 0  # sweeps in a row that failed
        self.banned_until = float("-inf")

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
