"""The attempts of one piece of work: counted, charged, logged and spaced in one place."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NamedTuple

from kognitos_async import retry
from kognitos_async.errors import APIStatusError, TransportError

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kognitos_async.errors import KognitosError

logger = logging.getLogger("kognitos_async")


class Retries(NamedTuple):
    """What the retries of all requests of a client have in common."""

    policy: retry.RetryPolicy
    quota: retry.RetryQuota
    chance: random.Random
    sleep: Callable[[float], Awaitable[None]]


class Attempts:
    """Counts, charges, logs and spaces the attempts of one piece of work.

    Each request has its own. Work that takes several requests (a download that begins again, an upload with
    its form, an event stream that reconnects) passes one object to all of them, so that `max_attempts` bounds
    the work as a whole and every retry is logged and charged once.
    """

    __slots__ = ("_began_at", "_charged", "_retries", "number")

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self._charged = 0
        self._began_at = 0.0
        self.number = 0
        """The attempt under way, from 1; 0 before the first."""

    def begin(self, at: float) -> None:
        """Count an attempt that begins at loop time `at`."""
        self.number += 1
        self._began_at = at

    def record(self, what: object, result: object) -> None:
        """Log at DEBUG what came of the attempt under way: a status or an error."""
        if logger.isEnabledFor(logging.DEBUG):
            elapsed = asyncio.get_running_loop().time() - self._began_at
            logger.debug("%s: %s in %.3f s, attempt %d", what, result, elapsed, self.number)

    async def back_off(self, failure: KognitosError, *, retryable: bool) -> None:
        """Sleep until the next attempt is due, or raise `failure` if there is to be none.

        There is none when the failure is not `retryable`, after `max_attempts`, when the API asks for a
        longer pause than the policy allows, and when the retry quota is spent.
        """
        if isinstance(failure, APIStatusError | TransportError):
            failure.attempts = self.number
        policy, quota, chance, sleep = self._retries
        delay = retry.decide(policy, failure, self.number, retryable=retryable, random=chance)
        if delay is None or not (charged := quota.take(failure)):
            raise failure
        self._charged = charged
        logger.warning(
            "%s; sending again in %.2f s, attempt %d of %d",
            failure,
            delay,
            self.number + 1,
            policy.max_attempts,
        )
        await sleep(delay)

    def succeeded(self) -> None:
        """Give back what the last retry was charged; call it once, when the work is done."""
        self._retries.quota.give_back(self._charged)
        self._charged = 0

    def start_over(self) -> None:
        """Note progress: the retries so far paid off, and the attempt under way counts as the first."""
        self.succeeded()
        self.number = 1
