"""The retry loop: attempts counted, charged to the retry quota, logged and spaced in one place."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from kognitos_async import retry
from kognitos_async.errors import APIStatusError, KognitosError, TransportError
from kognitos_async.messages import run_id_of

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kognitos_async.observers import Observers

logger: logging.Logger = logging.getLogger("kognitos_async")


class Retries:
    """What all requests of a client share: policy, quota, randomness, sleep, observer."""

    __slots__ = ("chance", "observers", "policy", "quota", "sleep")

    def __init__(
        self,
        policy: retry.RetryPolicy,
        quota: retry.RetryQuota,
        chance: random.Random,
        sleep: Callable[[float], Awaitable[None]],
        observers: Observers,
    ) -> None:
        self.policy: retry.RetryPolicy = policy
        self.quota: retry.RetryQuota = quota
        self.chance: random.Random = chance
        self.sleep: Callable[[float], Awaitable[None]] = sleep
        self.observers: Observers = observers


class Attempts:
    """The attempts of one call: counts, charges, logs and spaces them.

    Each request has its own. A call that takes several requests (a resumed download, an upload with its
    form, an event stream that reconnects) passes one object to all of them, so that `max_attempts` bounds
    the call as a whole and every retry is logged and charged once.
    """

    __slots__ = ("_began_at", "_charged", "_retries", "number")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._charged = 0
        self._began_at = 0.0
        self.number: int = 0
        """Number of the current attempt, from 1; 0 before the first."""

    def begin(self, at: float) -> None:
        """Begin the next attempt, at loop time `at`."""
        self.number += 1
        self._began_at = at

    def restart_timer(self) -> None:
        """Time the next step of the current attempt separately, such as a file after its form."""
        self._began_at = asyncio.get_running_loop().time()

    def record(self, what: object, result: int | str | KognitosError) -> None:
        """Log the result of the current attempt, a status, an error or a word, and notify observers."""
        observer = self._retries.observers.current
        if observer is None and not logger.isEnabledFor(logging.DEBUG):
            return
        elapsed = asyncio.get_running_loop().time() - self._began_at
        if observer is not None:
            observer.attempt_ended(what, self.number, elapsed, result)
        shown = type(result).__name__ if isinstance(result, KognitosError) else result
        logger.debug(
            "%s: %s in %.3f s, attempt %d",
            what,
            shown,
            elapsed,
            self.number,
            extra=_fields(what, self.number),
        )

    async def back_off(self, failure: KognitosError, *, retryable: bool, what: object) -> None:
        """Sleep until the next attempt of `what` is due, or raise `failure`.

        It is raised when it is not `retryable`, after `max_attempts`, when Retry-After exceeds the policy's
        limit, and when the retry quota is spent.
        """
        if isinstance(failure, APIStatusError | TransportError):
            failure.attempts = self.number
        shared = self._retries
        delay = retry.decide(shared.policy, failure, self.number, retryable=retryable, random=shared.chance)
        if delay is None or not (charged := shared.quota.take(failure)):
            raise failure
        self._charged = charged
        if (observer := shared.observers.current) is not None:
            observer.retry_planned(failure, self.number, delay)
        logger.warning(
            "%s; sending again in %.2f s, attempt %d of %d",
            failure,
            delay,
            self.number + 1,
            shared.policy.max_attempts,
            extra=_fields(what, self.number),
        )
        await shared.sleep(delay)

    def succeeded(self) -> None:
        """Refund what the last retry was charged; call once, when the call has succeeded."""
        self._retries.quota.give_back(self._charged)
        self._charged = 0

    def start_over(self) -> None:
        """Record progress: refund the last retry, and count the current attempt as the first."""
        self.succeeded()
        self.number = 1


def _fields(what: object, attempt: int) -> dict[str, object]:
    """The fields of a log record beside its message."""
    fields: dict[str, object] = {"operation": str(what), "attempt": attempt}
    if (run_id := run_id_of(what)) is not None:
        fields["run_id"] = run_id
    return fields
