"""The decisions of one wait: when to poll, what a reading means, when to end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.errors import (
    KognitosError,
    NotFoundError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.observed_work import Wait
from kognitos_async.waiting.policy import MOST_STRAYS, PollPolicy, is_stray, is_transient
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from random import Random

_UNKNOWN_POLLS = 3
"""Polls in a row with an unknown status after which the wait ends."""


def _occurrence(run: Waitable) -> tuple[object, str | None]:
    return run.status, None


class Watch(msgspec.Struct):
    """The state of one wait: what ends it, and what it has seen so far.

    `after` identifies a settled state that does not end the wait, by its status and its exception if any;
    None if every settled state does. `strays` counts the answers about another run since the last about this
    one. `readings` counts the polls for the run; `observed` is the wait as observers see it.
    """

    run_id: str
    until: Collection[object]
    ended: Collection[object]
    policy: PollPolicy
    on_update: Callable[..., object] | None = None
    grace_until: float = float("-inf")
    run: Waitable | None = None
    after: tuple[object, str | None] | None = None
    occurrence: Callable[[Any], tuple[object, str | None]] = _occurrence
    problem: KognitosError | None = None
    polls: int = 0
    unknown_polls: int = 0
    strays: int = 0
    readings: int = 0
    observed: Wait | None = None

    def over(self, run: Waitable) -> bool:
        """Whether the wait ends with `run`: its status is in `until` or final."""
        if run.status in self.ended:
            return True
        return run.status in self.until and (self.after is None or self.occurrence(run) != self.after)

    def found(self, run: Waitable) -> bool:
        """Record the result of a poll; return whether the wait is over.

        Raises `UnknownStatusError` on the third unknown status in a row, and what `on_update` raises.
        """
        changed = self.run is None or self.run.status != run.status
        self.run, self.problem, self.strays = run, None, 0
        if changed and self.on_update is not None:
            self.on_update(run)
        if self.over(run):
            return True
        if self.after is not None and self.after[1] is None and run.status != self.after[0]:
            self.after = None  # the status has changed: the next settled state is a new one
        self.unknown_polls = 0 if run.status.known else self.unknown_polls + 1
        if self.unknown_polls >= _UNKNOWN_POLLS and self.policy.unknown_status == "raise":
            raise UnknownStatusError(
                f"run {self.run_id} is in status {str(run.status)!r}, which this version of kognitos-async "
                "does not know: name it in until=, or poll on with PollPolicy(unknown_status='wait')",
                run=run,
            )
        return False

    def failed(self, error: KognitosError, now: float) -> None:
        """Record a failed poll. Raises `error` if it is not transient, or the third stray answer in a row."""
        self.strays += is_stray(error)
        if self.strays >= MOST_STRAYS:
            raise error
        if not is_transient(error) and not (isinstance(error, NotFoundError) and now < self.grace_until):
            raise error
        self.problem = error

    def next_delay(self, random: Random, problem: Exception | None, *, again: bool = False) -> float:
        """Seconds until the next poll, at least the Retry-After of `problem`.

        `again` repeats the last step of the schedule instead of advancing.
        """
        self.polls += not again or self.polls == 0
        delay = self.policy.delay(self.polls - 1, random)
        asked = getattr(problem, "retry_after", None)
        return delay if asked is None else max(delay, asked)

    def timed_out(self, timeout: float) -> WaitTimeoutError:
        """The error of a wait that ended after `timeout` seconds."""
        seen = f"last seen {self.run.status!s}" if self.run is not None else "never seen"
        trouble = f"; the last poll failed: {self.problem}" if self.problem is not None else ""
        error = WaitTimeoutError(
            f"run {self.run_id} has not settled within {round(timeout, 3):g} s ({seen}){trouble}. "
            "The run itself continues: wait again",
            run=self.run,
            run_id=self.run_id,
        )
        error.__cause__ = self.problem
        return error
