"""Waiting for runs to settle: when to poll, what to make of an answer, when to stop."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import msgspec

from kognitos_async.errors import (
    KognitosError,
    NotFoundError,
    UnknownStatusError,
    WaitTimeoutError,
)
from kognitos_async.waiting.policy import PollPolicy, is_transient
from kognitos_async.waiting.reader import Waitable

if TYPE_CHECKING:
    from random import Random

_UNKNOWN_POLLS = 3


class Watch(msgspec.Struct):
    """One wait: what ends it and what it has seen so far. Pure: told of each poll, it says what follows."""

    run_id: str
    until: Collection[object]
    ended: Collection[object]
    policy: PollPolicy
    on_update: Callable[..., object] | None = None
    patient_until: float = float("-inf")
    run: Waitable | None = None
    problem: KognitosError | None = None
    polls: int = 0
    unknown_polls: int = 0

    def over(self, run: Waitable) -> bool:
        """Whether the wait ends with `run`.

        It also does for a run that has ended in a status not waited for: it will never leave it.
        """
        return run.status in self.until or run.status in self.ended

    def found(self, run: Waitable) -> bool:
        """Note what a poll found; whether the wait is over.

        Raises `UnknownStatusError` on the third unknown word in a row, and what `on_update` raises.
        """
        changed = self.run is None or self.run.status != run.status
        self.run, self.problem = run, None
        if changed and self.on_update is not None:
            self.on_update(run)
        if self.over(run):
            return True
        self.unknown_polls = 0 if run.status.known else self.unknown_polls + 1
        if self.unknown_polls >= _UNKNOWN_POLLS and self.policy.unknown_status == "raise":
            raise UnknownStatusError(
                f"run {self.run_id} is in status {str(run.status)!r}, which this version of kognitos-async "
                "does not know: name it in until=, or poll on with PollPolicy(unknown_status='wait')",
                run=run,
            )
        return False

    def failed(self, error: KognitosError, now: float) -> None:
        """Note a poll that failed; raises `error` if polling on cannot help."""
        if not is_transient(error) and not (isinstance(error, NotFoundError) and now < self.patient_until):
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
            "It goes on: wait again",
            run=self.run,
        )
        error.__cause__ = self.problem
        return error
