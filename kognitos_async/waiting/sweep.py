"""A sweep: one walk over the pages of a list that serves many pending runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kognitos_async.paging import Page
    from kognitos_async.waiting.pending import Group, Pending
    from kognitos_async.waiting.poll_plan import Plan
    from kognitos_async.waiting.reader import RunReader

R = TypeVar("R", bound=Waitable)


class Sweep(Generic[R]):
    """The state of a sweep: the runs sought, the runs met, and whether another page is worth reading.

    `sought` are the members of the group, and `others` that may belong to it.
    """

    def __init__(
        self, reader: RunReader[R], group: Group, plan: Plan, others: Collection[Pending] = ()
    ) -> None:
        self._reader = reader
        self._plan = plan
        self.group = group
        self.others = others
        candidates: Iterable[Pending] = (*group.members.values(), *others)
        self.sought: set[Pending] = {pending for pending in candidates if not pending.reading}
        self.met: set[Pending] = set()
        self._left = len(self.sought)
        self.asked_at: float = 0.0
        """Loop time of the request for the last page."""
        self.changed: bool = False
        """Whether a run met has another status than in the sweep before."""
        self.fruitless: int = 0
        """Number of pages in a row that met no further pending run."""
        self._token, self._since = group.start or (None, None if others else group.earliest())
        self._tokens: list[str | None] = []
        self._first_met: int | None = None
        self._order = Order()
        self._finished = False

    @property
    def index(self) -> int:
        """The index of the last page read, from 0."""
        return len(self._tokens) - 1

    @property
    def missed(self) -> set[Pending]:
        """The runs sought and not met so far."""
        return self.sought - self.met

    def note_missed(self) -> None:
        """Record for the runs that were missed that this list did not show them."""
        for pending in self.missed:
            pending.page = None
            pending.missed += 1
            if pending.group is None:
                pending.tried = (pending.tried or set()) | {self.group.key}

    async def next_page(self) -> Page[R] | None:
        """The next page worth reading, None if there is none. Raises what reading it raises."""
        if self._finished:
            return None
        self.asked_at = self.group.asked_at = asyncio.get_running_loop().time()
        try:
            page = await self._reader.read_page(self.group.key, self._token, self._since)
        finally:
            self.group.asked_at = float("inf")
        self._tokens.append(self._token)
        self._token = page.continuation_token
        return page

    def record_page(self, page: Page[R], met: Collection[Pending]) -> None:
        """Record a page with the pending runs `met` on it, and decide whether to read another."""
        news = [pending for pending in met if pending not in self.met]
        self.met.update(news)
        self._left -= sum(pending in self.sought for pending in news)
        if news and self._first_met is None:
            self._first_met = self.index
        self.fruitless = 0 if news else self.fruitless + 1
        if page.items:
            self._order.add(self._reader.created(run) for run in (page.items[0], page.items[-1]))
        enough = self.fruitless >= self._plan.explore or self._left <= 0
        self._finished = self._token is None or (len(self._tokens) >= self._plan.depth and enough)

    def remember_start(self) -> None:
        """In a list sorted oldest first, let later sweeps skip the pages before the first pending run."""
        if not self._order.oldest_first or not self._first_met:
            return
        self.group.start = (self._tokens[self._first_met], self._since)
        for pending in self.group.members.values():
            if pending.page is not None:
                pending.page = max(0, pending.page - self._first_met)
