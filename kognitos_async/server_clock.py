"""What is known of the clocks around a start: ours, which may be set, and the one that stamps runs.

Three clocks take part. Ours tells the time of day and may be set at any moment; the monotonic clock only
counts. A gateway writes `Date`, and need not agree with anybody. The service stamps `created_at`, possibly
in local time without an offset, and its clock may be corrected too. The only evidence about the stamping
clock are runs that are known to be ours: each was stamped between its sending and its answer.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 5.0
"""Seconds by which clocks that count as equal may differ."""
PROCESSING = 60.0
"""Seconds after the end of an attempt within which the service may still carry it out."""
_PROVEN_MARGIN = 1.0
"""The same as MARGIN, where runs known to be ours show how the stamping clock goes."""
_STEP = 1.0
_OBSERVATIONS = 64
_POSSIBILITIES = 8
_DATE_RESOLUTION = 2.0
"""Date has whole seconds and some latency: differences below this say nothing."""


class StartWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a start can have been processed, as far as it was known when it was sent. JSON-ready.

    All but `moment` are POSIX seconds. `sent_at` and `until` are by this machine's clock. The others are by
    the clock that stamps `created_at`, None where nothing was known of it: a run made by this start carries
    a time between `stamped_from` and `stamped_until` for certain if the clock is steady, and none before
    `possible_from`. `contradiction` says what the answers of the service had shown against them.
    `attempts` are marks of the attempts in it, none where only their time is known.
    """

    sent_at: float
    until: float
    stamped_from: float | None = None
    stamped_until: float | None = None
    possible_from: float | None = None
    contradiction: str | None = None
    clock: str = ""
    moment: float = 0.0
    attempts: tuple[str, ...] = ()

    @property
    def since(self) -> datetime:
        """When the start was sent, by this machine's clock."""
        return datetime.fromtimestamp(self.sent_at, UTC)

    def joined(self, earlier: StartWindow | None) -> StartWindow:
        """The window of this start and of an earlier one of the same request that is in doubt too."""
        if earlier is None:
            return self
        same = self.clock == earlier.clock
        return StartWindow(
            sent_at=min(self.sent_at, earlier.sent_at),
            until=max(self.until, earlier.until),
            stamped_from=_both(min, self.stamped_from, earlier.stamped_from),
            stamped_until=_both(max, self.stamped_until, earlier.stamped_until),
            possible_from=_either(min, self.possible_from, earlier.possible_from),
            contradiction=self.contradiction or earlier.contradiction,
            clock=self.clock if same else "",
            moment=min(self.moment, earlier.moment) if same else 0.0,
            attempts=(*earlier.attempts, *self.attempts),
        )


class Span(NamedTuple):
    """The stamps that a run made by one start can carry, in POSIX seconds.

    Any from `possible_from` on, whatever the clocks did; one from `likely_from` to `likely_until` by the
    best that is known of the stamping clock. Clocks that contradict each other leave that interval empty.
    `proven` says that runs known to be ours show how the clock goes.
    """

    possible_from: float
    likely_from: float
    likely_until: float
    proven: bool


class ServerClock:
    """What one client has seen of the clocks. Pure: reads the two clocks that it is given, does nothing."""

    def __init__(
        self,
        *,
        request_timeout: float = 30.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request_timeout = request_timeout
        """Seconds that one attempt may take."""
        self.monotonic = monotonic
        self.contradiction: str | None = None
        """What an answer showed against the times or names that were sent, None if nothing did."""
        self._wall = wall
        self._identity = secrets.token_hex(8)
        self._attempts = itertools.count(1)
        # All of these are "that clock less the monotonic one", which is constant while both are steady.
        self._ours = self._lowest = self._highest = wall() - monotonic()
        self._noted: tuple[str, float] | None = None
        self._difference_of_date: float | None = None
        # Between which two values the stamping clock's is, by each run of ours; after a step there are two
        # possibilities for those seen before.
        self._stamps: deque[list[tuple[float, float]]] = deque(maxlen=_OBSERVATIONS)

    def note_date(self, date: str | None, *, age: str | None = None) -> None:
        """Take in the Date of an answer just received; a cached answer (Age) says nothing."""
        if date and (age is None or age.strip() == "0"):
            self._noted = date, self.monotonic()

    @property
    def _date(self) -> float | None:
        """The last Date less the monotonic time of its receipt; read when asked for, as few ever are."""
        if self._noted is not None:
            (date, received), self._noted = self._noted, None
            try:
                there = parsedate_to_datetime(date)
            except ValueError:
                return self._difference_of_date
            if there.tzinfo is None:
                there = there.replace(tzinfo=UTC)
            self._difference_of_date = there.timestamp() - received
        return self._difference_of_date

    def note_stamp(self, created: datetime, *, sent: float, received: float) -> None:
        """Take in the stamp of a run known to be ours, started between two moments of the monotonic clock."""
        self._notice_steps()
        stamp = created.timestamp()
        resolution = 0.001 if created.microsecond else 1.0
        least, most = stamp - received, stamp + resolution - sent
        for seen in self._stamps:
            if len(seen) > 1:
                # The possibility that agrees with a run seen after the step is the right one.
                agreeing = [one for one in seen if one[0] <= most + _STEP and least <= one[1] + _STEP]
                seen[:] = agreeing or seen
        self._stamps.append([(least, most)])
        if least - self._highest > MARGIN or self._lowest - most > MARGIN:
            off = abs(least - self._ours)
            self.contradict(f"a run of ours was stamped {off:.0f} s off this machine's clock")

    def contradict(self, what: str) -> None:
        """Note that answers do not echo what was sent: from now on no list proves absence."""
        self.contradiction = self.contradiction or what

    def difference(self) -> timedelta:
        """How far the server's clock is probably ahead of ours: a guess, for pacing and for display."""
        self._notice_steps()
        if self._stamps:
            least, most = self._stamps[-1][0]
            return timedelta(seconds=min(max(self._ours, least), most) - self._ours)
        seconds = 0.0 if self._date is None else self._date - self._ours
        return timedelta(seconds=seconds if abs(seconds) > _DATE_RESOLUTION else 0.0)

    def now(self) -> datetime:
        """The server's time, as well as it can be guessed."""
        return datetime.fromtimestamp(self._wall(), UTC) + self.difference()

    def window(self) -> StartWindow:
        """The window of a start that is the next thing to be sent."""
        self._notice_steps()
        moment, sent = self.monotonic(), self._wall()
        until = sent + self.request_timeout + PROCESSING
        window = StartWindow(
            sent_at=sent,
            until=until,
            contradiction=self.contradiction,
            clock=self._identity,
            moment=moment,
            attempts=(f"{self._identity}-{next(self._attempts)}",),
        )
        span = self.span(window)
        return msgspec.structs.replace(
            window,
            stamped_from=span.likely_from if span.proven else None,
            stamped_until=span.likely_until if span.proven else None,
            possible_from=span.possible_from,
        )

    def window_at(self, since: datetime) -> StartWindow:
        """The window of a start of which only the time of sending is known, by this machine's clock."""
        sent = since.timestamp()
        return StartWindow(sent_at=sent, until=sent + self.request_timeout + PROCESSING)

    def span(self, window: StartWindow) -> Span:
        """The stamps that a run made by this start can carry, by all that is known now."""
        self._notice_steps()
        here = window.clock == self._identity
        moment = self.moment_of(window)
        length = window.until - window.sent_at
        clocks = [self._lowest, self._highest]
        if self._date is not None:
            clocks.append(self._date)
        stamps = [one for seen in self._stamps for one in seen]
        clocks += [least for least, _ in stamps]
        possible = [window.sent_at, *(moment + clock for clock in clocks)]
        if window.possible_from is not None:
            possible.append(window.possible_from + MARGIN)
        if stamps and (here or window.stamped_from is None):
            # Each observation holds; where they leave nothing, the stamping clock was set meanwhile.
            begin = moment + max(least for least, _ in stamps) - _PROVEN_MARGIN
            end = moment + length + min(most for _, most in stamps) + _PROVEN_MARGIN
            proven = True
        elif window.stamped_from is not None and window.stamped_until is not None:
            begin, end, proven = window.stamped_from, window.stamped_until, True
        else:
            begin = max(window.sent_at, moment + self._highest) - MARGIN
            end = min(window.until, moment + length + self._lowest) + MARGIN
            proven = False
        return Span(min(possible) - MARGIN, begin, end, proven)

    def moment_of(self, window: StartWindow) -> float:
        """When the start was sent, by the monotonic clock.

        Where this client sent it that is known, whatever our clock was set to since.
        """
        return window.moment if window.clock == self._identity else window.sent_at - self._ours

    def within(self, moment: float, window: StartWindow) -> bool:
        """Whether something sent at a moment of the monotonic clock can be the start of this window."""
        first = self.moment_of(window) - (0.0 if window.clock == self._identity else MARGIN)
        return first <= moment <= first + (window.until - window.sent_at) + MARGIN

    def not_before(self, span: Span, window: StartWindow, newest: float, read_at: float) -> Span:
        """The span, once a list read at `read_at` held a run stamped `newest`: the clock had come so far."""
        moment = self.moment_of(window)
        return span._replace(likely_from=max(span.likely_from, moment + newest - read_at - MARGIN))

    def earliest(self, since: datetime) -> datetime:
        """The earliest stamp of a run started at `since` by our clock, whatever the clocks did."""
        window = StartWindow(sent_at=since.timestamp(), until=since.timestamp())
        try:
            return datetime.fromtimestamp(self.span(window).possible_from, UTC)
        except (OverflowError, ValueError):  # within seconds of the calendar's first day
            return since

    def _notice_steps(self) -> None:
        """Compare our clock with the monotonic one: who sets it, or suspends the machine, parts them."""
        ours = self._wall() - self.monotonic()
        step = ours - self._ours
        if abs(step) < _STEP:
            return
        self._ours = ours
        self._lowest, self._highest = min(self._lowest, ours), max(self._highest, ours)
        # Ours was set, or the monotonic clock stood still: which of the two is not known.
        for seen in self._stamps:
            shifted = [(least + step, most + step) for least, most in seen]
            seen[:] = [*shifted, *seen][:_POSSIBILITIES]


def _both(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else choose(one, other)


def _either(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
