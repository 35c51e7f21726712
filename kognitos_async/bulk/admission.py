"""When the next start may go out: a few at a time at first, single probes while the API refuses them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from kognitos_async.errors import CapacityError, KognitosError, NotSentError, RateLimitError

if TYPE_CHECKING:
    from random import Random

logger: logging.Logger = logging.getLogger("kognitos_async")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between probes while starts are refused; each refused probe doubles the pause."""
_FIRST_LIMIT = 2.0
_GROWTH = 0.125


class StartsEndedError(Exception):
    """No more starts: the job is ending. The start certainly was not sent."""


class Ticket(NamedTuple):
    """An admitted start: how it was admitted, and what was known then."""

    probe: bool
    settled: int
    cuts: int


class Admission:
    """Admits the starts of one job.

    At most `_limit` starts are under way: two at first, one more for every eight that succeed, half after a
    429; a burst would be refused by a rate limit that nothing is known of yet. While the organization is
    full, a start goes out for each run of the job that settles, and one probe at a time after a pause: runs
    of others end unseen. While the API cannot be reached, only the probe goes out.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._limit = _FIRST_LIMIT
        self._active = 0
        self._waiting: deque[asyncio.Future[Ticket]] = deque()
        self._full = self._unreachable = False
        self._settled = 0
        self._vacancies = 0  # runs that settled while the organization was full, each good for one start
        self._pause = SHORTEST_PAUSE
        self._probe_due = self._probing = False
        self._timer: asyncio.TimerHandle | None = None
        self._cuts = 0
        self._ended: Exception | None = None
        self.reached: bool = False
        """Whether the API has answered a start at all."""

    def check(self) -> None:
        """Raise `StartsEndedError`, or what `end` was given, once that was called."""
        if self._ended is not None:
            raise _copy(self._ended)

    def enter_now(self) -> Ticket | None:
        """A ticket as from `enter`, None where one has to be waited for."""
        self.check()
        return None if self._waiting else self._admitted()

    async def enter(self) -> Ticket:
        """Wait until one more start may go out; each needs one `leave`.

        Raises `StartsEndedError` once `end` was called.
        """
        ticket = self.enter_now()
        if ticket is not None:
            return ticket
        turn: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave(turn.result(), None, cuts=self._cuts, sent=False)
            raise

    def leave(self, ticket: Ticket, refusal: KognitosError | None, *, cuts: int, sent: bool = True) -> None:
        """Note how a start ended: `refusal` if the API certainly did not carry it out but may do so later.

        `cuts` is how often the client was slowed down by a 429 so far; `sent` is False for a start that was
        cancelled before it went out.
        """
        self._active -= 1
        if ticket.probe:
            self._probing = False
        if cuts > max(ticket.cuts, self._cuts):
            self._limit = max(1.0, self._limit / 2)
        self._cuts = max(self._cuts, cuts)
        if sent and not isinstance(refusal, NotSentError):
            self.reached = True
        if not sent:
            self._probe_due = self._probe_due or ticket.probe
        elif refusal is None:
            self._answered(ticket)
        elif isinstance(refusal, RateLimitError):
            self._probe_due = self._probe_due or ticket.probe  # the whole client pauses by itself
        else:
            self._refused(ticket, refusal)
        self._admit()

    def run_settled(self) -> None:
        """Note that a run of the job has settled: its slot at the API is free."""
        self._settled += 1
        if self._full:
            self._vacancies += 1
            self._admit()

    def end(self, error: Exception | None = None) -> None:
        """Admit no more starts: who waits or comes later gets `error`, by default `StartsEndedError`."""
        self._ended = self._ended or error or StartsEndedError()
        self._stop_timer()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(_copy(self._ended))

    def _answered(self, ticket: Ticket) -> None:
        self._unreachable = False
        self._limit += _GROWTH
        if ticket.probe:
            # Nothing of ours had ended: there is capacity that others left, or the outage is over.
            self._full = False
            self._vacancies = 0
            self._pause = SHORTEST_PAUSE
            self._stop_timer()

    def _refused(self, ticket: Ticket, refusal: KognitosError) -> None:
        blocked = self._full or self._unreachable
        if isinstance(refusal, CapacityError):
            self._full, self._unreachable = True, False
            # What settled before the refused start was sent is taken, evidently.
            self._vacancies = min(self._vacancies, self._settled - ticket.settled)
            self._limit = _FIRST_LIMIT
        else:
            self._unreachable = True
            self._limit = max(1.0, self._limit / 2)
        if ticket.probe:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if self._timer is None:
            asked = getattr(refusal, "retry_after", None) or 0.0
            delay = max(asked, self._pause * self._chance.uniform(0.5, 1.5))
            self._timer = asyncio.get_running_loop().call_later(delay, self._probe)
            if not blocked:
                logger.warning("%s; starts wait, the next one is tried in %.1f s", refusal, delay)

    def _probe(self) -> None:
        self._timer = None
        self._probe_due = True
        self._admit()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._probe_due = False

    def _admit(self) -> None:
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                self._waiting.popleft()
            elif (ticket := self._admitted()) is not None:
                self._waiting.popleft().set_result(ticket)
            else:
                return

    def _admitted(self) -> Ticket | None:
        """A ticket if one more start may go out now."""
        probe = False
        if not (self._full or self._unreachable):
            if self._active >= int(self._limit):
                return None
        elif self._full and not self._unreachable and self._vacancies > 0:
            self._vacancies -= 1
        elif self._probe_due and not self._probing:
            self._probe_due, self._probing, probe = False, True, True
        else:
            return None
        self._active += 1
        return Ticket(probe, self._settled, self._cuts)


def _copy(error: Exception) -> Exception:
    """An error of its own for each caller: a shared one would collect everybody's tracebacks."""
    return type(error)(*error.args)
