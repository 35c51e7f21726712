"""One wait for a run: when to poll, what a reading means, when to stop."""

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
from kognitos_async.waiting.policy import PollPolicy, is_transient
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from random import Random

_UNKNOWN_POLLS = 3
"""After this many polls in a row that found an unknown status the wait ends."""


def _occurrence(run: Waitable) -> tuple[object, str | None]:
    return run.status, None


class Watch(msgspec.Struct):
    """One wait: what ends it and what it has seen so far. Pure: given each reading, it says what follows.

    `after` is the occurrence of a settled state that does not end the wait: a status, and the exception that
    it is about if there is one. None if every settled state ends it. `readings` counts the polls that looked
    for the run; `observed` is what observers know the wait by.
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
    readings: int = 0
    observed: Wait | None = None

    def over(self, run: Waitable) -> bool:
        """Whether the wait ends with `run`.

        It also does for a run that has ended in a status not waited for: it will never leave it.
        """
        if run.status in self.ended:
            return True
        return run.status in self.until and (self.after is None or self.occurrence(run) != self.after)

    def found(self, run: Waitable) -> bool:
        """Take in what a poll found; whether the wait is over.

        Raises `UnknownStatusError` on the third unknown status in a row, and what `on_update` raises.
        """
        changed = self.run is None or self.run.status != run.status
        self.run, self.problem = run, None
        if changed and self.on_update is not None:
            self.on_update(run)
        if self.over(run):
            return True
        if self.after is not None and self.after[1] is None and run.status != self.after[0]:
            self.after = None  # the run has moved on: whichever state it settles in is a new one
        self.unknown_polls = 0 if run.status.known else self.unknown_polls + 1
        if self.unknown_polls >= _UNKNOWN_POLLS and self.policy.unknown_status == "raise":
            raise UnknownStatusError(
                f"run {self.run_id} is in status {str(run.status)!r}, which this version of kognitos-async "
                "does not know: name it in until=, or poll on with PollPolicy(unknown_status='wait')",
                run=run,
            )
        return False

    def failed(self, error: KognitosError, now: float) -> None:
        """Take in a poll that failed. Raises `error` if polling again cannot help."""
        if not is_transient(error) and not (isinstance(error, NotFoundError) and now < self.grace_until):
            raise error
        self.problem = error

    def next_delay(self, random: Random, problem: KognitosError | None, *, again: bool = False) -> float:
        """Seconds until the next poll, never less than the API asked for in `problem`.

        `again` repeats the last step of the schedule instead of taking the next.
        """
        self.polls += not again or self.polls == 0
        delay = self.policy.delay(self.polls - 1, random)
        asked = getattr(problem, "retry_after", None)
        return delay if asked is None else max(delay, asked)

    def timed_out(self, timeout: float) -> WaitTimeoutError:
        """The error of a wait that took `timeout` seconds."""
        seen = f"last seen {self.run.status!s}" if self.run is not None else "never seen"
        trouble = f"; the last poll failed: {self.problem}" if self.problem is not None else ""
        error = WaitTimeoutError(
            f"run {self.run_id} has not settled within {timeout:g} s ({seen}){trouble}. "
            "The run itself goes on: wait again",
            run=self.run,
        )
        error.__cause__ = self.problem
        return error
