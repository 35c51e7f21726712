"""Estimates of the clock that stamps `created_at`, and the time window of a start.

Three clocks matter. The local wall clock may be set at any moment; the monotonic clock only counts. `Date`
comes from a gateway whose clock may differ from the service's. The service stamps `created_at`, possibly in
local time without an offset, and its clock may be corrected too. The only evidence about the stamping clock
are runs known to be ours: each was stamped between its request and its answer.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kognitos_async.http_date import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Callable

MARGIN = 5.0
"""Tolerance in seconds between clocks that are taken as equal."""
PROCESSING = 60.0
"""Seconds after the end of an attempt during which the service may still process it."""
_PROVEN_MARGIN = 1.0
"""Tolerance where runs known to be ours give the offset of the stamping clock."""
_STEP = 1.0
_CALENDAR = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_TWO_DAYS = timedelta(days=2)
_FIRST, _LAST = (end.timestamp() for end in _CALENDAR)
_OBSERVATIONS = 64
_POSSIBILITIES = 8
_DATE_RESOLUTION = 2.0
"""Date has 1 s resolution plus latency; smaller differences are ignored."""


class StartWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The time in which a start can have been processed, as known when it was sent. JSON-ready.

    All but `moment` are POSIX seconds. `sent_at` and `until` are by the local clock. The others are by the
    clock that stamps `created_at`, None where its offset was unknown: the run of this start is stamped
    between `stamped_from` and `stamped_until` if that clock is steady, and never before `possible_from`.
    `contradiction` is evidence against the echo of names and times. `attempts` are the ids of its attempts,
    empty where only their time is known.
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
        """Time of sending by the local clock."""
        return at(self.sent_at)

    def joined(self, earlier: StartWindow | None) -> StartWindow:
        """The union with the window of an earlier start of the same request that is also in doubt."""
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
            attempts=tuple(dict.fromkeys((*earlier.attempts, *self.attempts))),
        )


class Span(NamedTuple):
    """The range of `created_at` that the run of one start can have, in POSIX seconds.

    `possible_from` is the lower bound whatever the clocks did. `likely_from` to `likely_until` is the best
    estimate for the stamping clock; the interval is empty when the clocks contradict each other. `proven`
    means that it rests on runs known to be ours.
    """

    possible_from: float
    likely_from: float
    likely_until: float
    proven: bool


class ServerClock:
    """One client's observations of the clocks. Pure apart from reading the two local clocks it is given."""

    def __init__(
        self,
        *,
        request_timeout: float = 30.0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.request_timeout = request_timeout
        """Maximum duration of one attempt, in seconds."""
        self.monotonic = monotonic
        self.contradiction: str | None = None
        """Evidence that answers do not echo the names or times sent; None without any."""
        self._wall = wall
        self._identity = secrets.token_hex(8)
        self._attempts = itertools.count(1)
        # Each is "that clock minus the monotonic one", constant while both are steady.
        self._ours = self._lowest = self._highest = wall() - monotonic()
        self._noted: tuple[str, float] | None = None
        self._difference_of_date: float | None = None
        # Bounds of that difference for the stamping clock, from each run of ours; a step of the local clock
        # leaves two possible bounds for earlier observations.
        self._stamps: deque[list[tuple[float, float]]] = deque(maxlen=_OBSERVATIONS)

    def note_date(self, date: str | None, *, age: str | None = None) -> None:
        """Record the Date of an answer just received, unless it came from a cache (Age)."""
        if date and (age is None or age.strip() == "0"):
            self._noted = date, self.monotonic()

    @property
    def _date(self) -> float | None:
        """The last Date minus the monotonic time of its receipt; parsed lazily, as few are needed."""
        if self._noted is not None:
            (date, received), self._noted = self._noted, None
            if (there := parse_http_date(date)) is not None:
                self._difference_of_date = there.timestamp() - received
        return self._difference_of_date

    def note_stamp(self, created: datetime, *, sent: float, received: float) -> None:
        """Record the stamp of a run known to be ours, started between two times of the monotonic clock."""
        self._notice_steps()
        stamp = created.timestamp()
        resolution = 0.001 if created.microsecond else 1.0
        least, most = stamp - received, stamp + resolution - sent
        for seen in self._stamps:
            if len(seen) > 1:
                # Keep the possibilities that agree with a run seen after the step.
                agreeing = [one for one in seen if one[0] <= most + _STEP and least <= one[1] + _STEP]
                seen[:] = agreeing or seen
        self._stamps.append([(least, most)])
        if least - self._highest > MARGIN or self._lowest - most > MARGIN:
            off = abs(least - self._ours)
            self.contradict(f"a run of ours was stamped {off:.0f} s off this machine's clock")

    def contradict(self, what: str) -> None:
        """Record that answers do not echo what was sent; from now on no list proves absence."""
        self.contradiction = self.contradiction or what

    def difference(self) -> timedelta:
        """Estimated lead of the server's clock over the local one, for pacing and display only."""
        self._notice_steps()
        if self._stamps:
            least, most = self._stamps[-1][0]
            return timedelta(seconds=min(max(self._ours, least), most) - self._ours)
        seconds = 0.0 if self._date is None else self._date - self._ours
        return timedelta(seconds=seconds if abs(seconds) > _DATE_RESOLUTION else 0.0)

    def now(self) -> datetime:
        """Estimated current time of the server."""
        return bounded(at(self._wall() + self.difference().total_seconds()))

    def window(self) -> StartWindow:
        """The window of a start that is sent next."""
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
        """The window of a start known only by its time of sending on the local clock."""
        sent = since.timestamp()
        return StartWindow(sent_at=sent, until=sent + self.request_timeout + PROCESSING)

    def span(self, window: StartWindow) -> Span:
        """The range of `created_at` for the run of this start, by all observations so far."""
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
            # All observations hold at once; an empty intersection means that the stamping clock was set.
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
        """Time of sending by the monotonic clock: exact for a start of this client, else an estimate."""
        return window.moment if window.clock == self._identity else window.sent_at - self._ours

    def moment_at(self, since: float) -> float:
        """The monotonic time of a POSIX time that has passed, as far as the local clock was steady."""
        return min(since - self._ours, self.monotonic())

    def within(self, moment: float, window: StartWindow) -> bool:
        """Whether a request sent at `moment` of the monotonic clock can be the start of this window."""
        sent = self.moment_of(window)
        first = sent if window.clock == self._identity else sent - MARGIN
        return first <= moment <= sent + (window.until - window.sent_at) + MARGIN

    def not_before(self, span: Span, window: StartWindow, newest: float, read_at: float) -> Span:
        """The span narrowed by a list read at `read_at` that held a run stamped `newest`."""
        moment = self.moment_of(window)
        return span._replace(likely_from=max(span.likely_from, moment + newest - read_at - MARGIN))

    def earliest(self, since: datetime) -> datetime:
        """The lower bound of `created_at` for a run started at `since` by the local clock."""
        window = StartWindow(sent_at=since.timestamp(), until=since.timestamp())
        return at(self.span(window).possible_from)

    def _notice_steps(self) -> None:
        """Detect steps of the local clock, and suspensions, by comparing it with the monotonic clock."""
        ours = self._wall() - self.monotonic()
        step = ours - self._ours
        if abs(step) < _STEP:
            return
        self._ours = ours
        self._lowest, self._highest = min(self._lowest, ours), max(self._highest, ours)
        # Either the wall clock was set or the monotonic clock stood still; it is not known which.
        for seen in self._stamps:
            shifted = [(least + step, most + step) for least, most in seen]
            seen[:] = [*shifted, *seen][:_POSSIBILITIES]


def at(posix: float) -> datetime:
    """The aware time of POSIX seconds, at most the calendar's first or last: a service may stamp year 1."""
    if posix <= _FIRST:
        return _CALENDAR[0]
    return datetime.fromtimestamp(posix, UTC) if posix < _LAST else _CALENDAR[1]


def bounded(time: datetime) -> datetime:
    """The time, kept two days off the calendar's ends: margins around it do not overflow."""
    return min(max(time, _CALENDAR[0] + _TWO_DAYS), _CALENDAR[1] - _TWO_DAYS)


def _both(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else choose(one, other)


def _either(choose: Callable[[float, float], float], one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
