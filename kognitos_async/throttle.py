"""Client-wide gate: concurrent requests, requests per second, the pause after a 429."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from kognitos_async.errors import ClientClosedError, ConfigurationError
from kognitos_async.event_loop import due_by

logger: logging.Logger = logging.getLogger("kognitos_async")

_STARTS_IN_A_ROW = 9
"""After this many starts in a row one other request is admitted, so that polls do not starve."""
_CATCH_UP = 0.25
"""Seconds of timer latency made up for by sending closer together."""
_LONG_WAIT = 10.0
"""Seconds in the queue after which a warning is logged."""
_WARNING_INTERVAL = 60.0
_RECOVERY = 6.0
"""Recovery steps after which the learned rate no longer applies."""
_LOWEST_RATE = 1.0
_RATE_WHEN_IDLE = 5.0
"""Requests a second assumed to be allowed when an almost idle client is answered 429."""


def recovery_step(rate: float) -> float:
    """Seconds of one recovery step: 10 from 50 requests a second up, fewer below."""
    return min(10.0, max(2.0, rate / 5.0))


def recovering_rate(rate: float, since: float) -> float:
    """Requests a second allowed `since` seconds after a 429 that came at `rate` requests a second.

    rate * (0.95 + 0.05 * (since / recovery_step(rate) - 1) ** 3), a cubic as in TCP CUBIC: from 90 % it
    rises fast to 95 %, levels off, passes 100 % after two steps and accelerates from there. A constant limit
    of 50 a second is hit three times a minute; a transient one is forgotten within a minute.
    """
    return rate * (0.95 + 0.05 * (since / recovery_step(rate) - 1.0) ** 3)


_Waiter = tuple[asyncio.Future[None], float]
"""A queued request and the loop time at which it joined the queue."""


class Gate:
    """Admits requests: at most `max_concurrent` at once, spaced by the rate, none during a pause.

    Starts are admitted first. `requests_per_second` spaces requests evenly; with None only the rate learned
    from 429s applies. The time in the queue is not limited; a long one is logged. Belongs to one event loop.
    """

    def __init__(
        self, *, max_concurrent: int, requests_per_second: float | None, what: str = "requests"
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots = self._free = max_concurrent
        self._what = what
        self._fixed_rate = requests_per_second
        self._next = 0.0  # loop time of the next admission
        self._learned_rate: float | None = None
        self._cut_at = float("-inf")
        self._resumes_at = float("-inf")
        self._pauses = 0
        self._limited = False
        self._least_rate = _RATE_WHEN_IDLE
        self.cuts: int = 0
        """Number of pauses begun by a 429."""
        self._window_start = self._loop.time()
        self._successes = 0
        self._successes_before = 0
        self._span_before = 0.0
        self._waiting: tuple[deque[_Waiter], deque[_Waiter]] = (deque(), deque())
        self._watchdog: asyncio.TimerHandle | None = None
        self._starts_in_a_row = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False

    async def enter(self, *, starts_run: bool) -> float:
        """Wait for a slot; return the loop time of admission. Each `enter` that returns needs one `leave`.

        Raises `ClientClosedError` when the client is closed first.
        """
        now = self._loop.time()
        if self._loop is not asyncio.get_running_loop():
            raise ConfigurationError(
                "the client was opened in another event loop: open a client of its own in each loop"
            )
        if self._closed:
            raise ClientClosedError("the client is closed")
        starts, others = self._waiting
        if self._free and now >= self._next and not starts and not others:
            self._admit(now, late=0.0)
            return now
        admitted = self._loop.create_future()
        self._waiting[0 if starts_run else 1].append((admitted, now))
        if self._watchdog is None:
            self._watchdog = self._loop.call_later(_LONG_WAIT, self._warn)
        self._pump()
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                self.leave()  # admitted and cancelled in the same iteration of the loop
            raise
        return self._loop.time()

    def leave(self) -> None:
        """Release the slot after an attempt."""
        self._free += 1
        if self._waiting[0] or self._waiting[1]:
            self._pump()

    def succeeded(self) -> None:
        """Record an answer other than 429; it counts towards the measured rate."""
        self._successes += 1
        now = self._loop.time()
        age = now - self._window_start
        if age >= 1.0:
            self._successes_before, self._span_before = (self._successes, age) if age < 2.0 else (0, 0.0)
            self._successes = 0
            self._window_start = now
        if self._pauses and now > self._resumes_at:
            self._pauses = 0

    def throttled(self, sent_at: float, retry_after: float | None) -> float | None:
        """Record a 429 to a request admitted at `sent_at`: pause all requests, then recover in steps.

        Returns the seconds of the pause that begins, None while one is under way.

        The pause lasts `retry_after` seconds; without it 0.25, 0.5, 1 and at most 2 for consecutive 429s.
        A 429 to a request sent before the pause began extends the pause and is not counted as another one.
        """
        now = self._loop.time()
        begins = sent_at >= self._resumes_at
        if begins:
            # A second 429 during recovery: the rate measured since the first is reliable however low.
            self._least_rate = _LOWEST_RATE if self._limited else _RATE_WHEN_IDLE
            self._limited = True
            self._pauses += 1
            self.cuts += 1
            self._cut_at = now
            self._learned_rate = None  # measured after the pause, when all answers have arrived
        pause = 0.25 * 2 ** min(self._pauses - 1, 3) if retry_after is None else retry_after
        self._resumes_at = max(self._resumes_at, now + pause)
        self._next = max(self._next, self._resumes_at)
        self._pump()
        return pause if begins else None

    def close(self) -> None:
        """Fail every queued request with `ClientClosedError`."""
        self._closed = True
        for timer in (self._timer, self._watchdog):
            if timer is not None:
                timer.cancel()
        for queue in self._waiting:
            while queue:
                admitted, _ = queue.popleft()
                if not admitted.done():
                    admitted.set_exception(ClientClosedError("the client was closed while a request waited"))

    def _admit(self, now: float, late: float) -> None:
        self._free -= 1
        interval = self._interval(now)
        if interval:
            self._next = max(self._next, now - late) + interval

    def _interval(self, now: float) -> float:
        """Seconds between requests under the fixed and the learned rate; 0 for no limit."""
        rate = self._fixed_rate
        since = now - self._cut_at
        if self._learned_rate is None and self._limited:
            self._learned_rate = self._measured_rate()
        if self._learned_rate is not None:
            if since >= _RECOVERY * recovery_step(self._learned_rate):
                self._learned_rate, self._limited = None, False
                return 1.0 / rate if rate else 0.0
            learned = recovering_rate(self._learned_rate, since)
            rate = learned if rate is None else min(rate, learned)
        return 1.0 / rate if rate else 0.0

    def _measured_rate(self) -> float:
        """Successes a second in the one or two seconds before the last 429 and since."""
        span = max(1.0, self._cut_at - self._window_start + self._span_before)
        return max(self._least_rate, (self._successes + self._successes_before) / span)

    def _pump(self) -> None:
        now = self._loop.time()
        starts, others = self._waiting
        while self._free and (starts or others):
            if due_by(now) < self._next:
                self._wake_at(self._next)
                return
            first = starts and (not others or self._starts_in_a_row < _STARTS_IN_A_ROW)
            admitted, _ = starts.popleft() if first else others.popleft()
            if admitted.done():  # cancelled while it waited
                continue
            self._starts_in_a_row = self._starts_in_a_row + 1 if first else 0
            self._admit(now, late=_CATCH_UP)
            admitted.set_result(None)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        # Kept here, because a handle of uvloop may lack `when()`.
        self._timer, self._timer_at = self._loop.call_at(when, self._on_timer), when

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _warn(self) -> None:
        self._watchdog = None
        waiting = [since for queue in self._waiting for admitted, since in queue if not admitted.done()]
        if not waiting or self._closed:
            return
        longest = self._loop.time() - min(waiting)
        pause = _LONG_WAIT - longest
        if pause <= 0:
            pause = _WARNING_INTERVAL
            busy = f"all {self._slots} slots are taken" if not self._free else "the rate allows no more"
            logger.warning(
                "%d %s wait to be sent, the longest for %.0f s: %s", len(waiting), self._what, longest, busy
            )
        self._watchdog = self._loop.call_later(pause, self._warn)
