"""When the next start may be sent: slow start, then single probes while the API refuses starts."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from kognitos_async.errors import CapacityError, KognitosError, NotSentError, RateLimitError

if TYPE_CHECKING:
    from random import Random

logger: logging.Logger = logging.getLogger("kognitos_async")

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds between probes while starts are refused; each refused probe doubles the pause."""
_FIRST_LIMIT = 2.0
_GROWTH = 0.125


class StartsEndedError(Exception):
    """The job is ending and admits no more starts; this one was certainly not sent."""


class Ticket(NamedTuple):
    """An admitted start."""

    probe: bool
    """Whether the start probes for capacity."""
    settled: int
    """Runs of the job that had settled at admission."""
    cuts: int
    """Rate cuts seen at admission."""


class Admission:
    """Admits the starts of one job.

    At most `_limit` starts are in flight: two at first, one more for every eight that succeed, half after a
    429. Slow start avoids a burst into a rate limit that is not known yet. While the organization is at
    capacity, one start is admitted for each run of the job that settles, and one probe at a time after a
    pause, because runs started elsewhere settle unseen. While the API is unreachable, only probes are sent.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._limit = _FIRST_LIMIT
        self._active = 0
        self._waiting: deque[asyncio.Future[Ticket]] = deque()
        self._paused: set[asyncio.Future[None]] = set()
        self._full = self._unreachable = False
        self._settled = 0
        self._vacancies = 0  # slots freed by runs that settled while the organization was at capacity
        self._pause = SHORTEST_PAUSE
        self._probe_due = self._probing = False
        self._timer: asyncio.TimerHandle | None = None
        self._cuts = 0
        self._ended: Exception | None = None
        self.reached: bool = False
        """Whether the API has answered any start."""

    def check(self) -> None:
        """Raise the error given to `end`, by default `StartsEndedError`, once `end` was called."""
        if self._ended is not None:
            raise _copy(self._ended)

    def enter_now(self) -> Ticket | None:
        """A ticket as from `enter`, or None when the start has to wait."""
        self.check()
        return None if self._waiting else self._admitted()

    async def enter(self) -> Ticket:
        """Wait until one more start may be sent. Each `enter` that returns needs one `leave`.

        Raises the error given to `end`, by default `StartsEndedError`, once `end` was called.
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

    async def pause_uploads(self, refusal: KognitosError, tries: int) -> None:
        """Wait before the next attempt at an upload that was not processed in `tries` attempts so far.

        Raises what `enter` raises, as soon as `end` is called.
        """
        self.check()
        loop = asyncio.get_running_loop()
        delay = self._delay(refusal, min(SHORTEST_PAUSE * 2.0 ** min(tries - 1, 10), LONGEST_PAUSE))
        if not self._paused:
            logger.warning("%s; uploads wait, next attempt in %.1f s", refusal, delay)
        over: asyncio.Future[None] = loop.create_future()
        self._paused.add(over)
        timer = loop.call_later(delay, _wake, over)
        try:
            await over
        finally:
            timer.cancel()
            self._paused.discard(over)

    def leave(self, ticket: Ticket, refusal: KognitosError | None, *, cuts: int, sent: bool = True) -> None:
        """Record the result of a start; `refusal` is the error of one certainly not processed, if transient.

        `cuts` is the number of 429s that have slowed down the client so far. `sent` is False for a start
        cancelled before it was sent.
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
            self._probe_due = self._probe_due or ticket.probe  # the gate pauses the whole client
        else:
            self._refused(ticket, refusal)
        self._admit()

    def run_settled(self) -> None:
        """Record that a run of the job has settled and freed its slot at the API."""
        self._settled += 1
        if self._full:
            self._vacancies += 1
            self._admit()

    def end(self, error: Exception | None = None) -> None:
        """Admit no more starts: those waiting and later ones raise `error`, by default `StartsEndedError`."""
        self._ended = self._ended or error or StartsEndedError()
        self._stop_timer()
        ended: list[asyncio.Future[Any]] = [*self._waiting, *self._paused]
        for turn in ended:
            if not turn.done():
                turn.set_exception(_copy(self._ended))
        self._waiting.clear()

    def _delay(self, refusal: KognitosError, pause: float) -> float:
        asked = getattr(refusal, "retry_after", None) or 0.0
        return max(asked, pause * self._chance.uniform(0.5, 1.5))

    def _answered(self, ticket: Ticket) -> None:
        self._unreachable = False
        self._limit += _GROWTH
        if ticket.probe:
            # A probe used no vacancy of the job: capacity was freed elsewhere, or the outage is over.
            self._full = False
            self._vacancies = 0
            self._pause = SHORTEST_PAUSE
            self._stop_timer()

    def _refused(self, ticket: Ticket, refusal: KognitosError) -> None:
        blocked = self._full or self._unreachable
        if isinstance(refusal, CapacityError):
            self._full, self._unreachable = True, False
            # Slots freed before the refused start was sent are evidently taken.
            self._vacancies = min(self._vacancies, self._settled - ticket.settled)
            self._limit = _FIRST_LIMIT
        else:
            self._unreachable = True
            self._limit = max(1.0, self._limit / 2)
        if ticket.probe:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        if self._timer is None:
            delay = self._delay(refusal, self._pause)
            self._timer = asyncio.get_running_loop().call_later(delay, self._probe)
            if not blocked:
                logger.warning("%s; starts wait, next attempt in %.1f s", refusal, delay)

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
        """A ticket if one more start may be sent now."""
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


def _wake(pause: asyncio.Future[None]) -> None:
    if not pause.done():
        pause.set_result(None)


def _copy(error: Exception) -> Exception:
    """A copy for each caller: a shared error would accumulate tracebacks."""
    return type(error)(*error.args)
