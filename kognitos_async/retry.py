"""Whether and when to retry. Pure: no clock, no I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from kognitos_async.errors import (
    APIStatusError,
    CapacityError,
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
)
from kognitos_async.http_date import parse_http_date

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from kognitos_async.errors import KognitosError

RETRYABLE_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
SERVICE_UNAVAILABLE = 503


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Number and spacing of the attempts of a request.

    Before attempt n + 1 the client sleeps

        max(Retry-After, uniform(0, min(max_delay, base_delay * 2 ** (n - 1))))

    seconds: exponential backoff with full jitter. A Retry-After above `retry_after_limit` is not waited for;
    the error is raised at once. Repeatable requests (every GET, and creating an upload form) are retried
    after connection errors, timeouts and 408, 429, 500, 502, 503, 504. All others, starts above all, are
    retried only when the API certainly did not process them: the connection was never made, 429, 503 with
    Retry-After, or the 403 that means capacity.

    Raises `ConfigurationError` for values out of range.
    """

    max_attempts: int = 4
    """Maximum attempts of one call, at least 1; 1 disables retries."""
    base_delay: float = 0.5
    """Upper bound of the first backoff in seconds; doubles with each attempt."""
    max_delay: float = 20.0
    """Upper bound of every backoff in seconds; Retry-After may exceed it."""
    retry_after_limit: float = 120.0
    """Longest Retry-After in seconds to wait for; after a longer one the error is raised."""

    def __post_init__(self) -> None:
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ConfigurationError(
                f"RetryPolicy.max_attempts must be an int of at least 1, got {self.max_attempts!r}"
            )
        for name in ("base_delay", "max_delay", "retry_after_limit"):
            check_seconds(f"RetryPolicy.{name}", getattr(self, name))


def check_seconds(name: str, value: object) -> None:
    """Raise `ConfigurationError` unless `value` is a finite number of seconds, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"{name} must be a finite number of seconds, 0 or more, got {value!r}")


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` that a Retry-After header asks for, None if it is absent or malformed.

    Accepts both forms of RFC 9110, seconds (fractions too) and an HTTP date; a date in the past is 0.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    date = parse_http_date(value)
    return None if date is None else max(0.0, (date - now).total_seconds())


def backoff(policy: RetryPolicy, attempt: int, random: Random) -> float:
    """Seconds to sleep after attempt number `attempt` (from 1): exponential backoff with full jitter."""
    # 2.0 ** 1024 overflows; max_delay applies long before.
    ceiling = min(policy.max_delay, policy.base_delay * 2.0 ** min(attempt - 1, 64))
    return random.uniform(0.0, ceiling)


def decide(
    policy: RetryPolicy, failure: KognitosError, attempt: int, *, retryable: bool, random: Random
) -> float | None:
    """Seconds to sleep after attempt number `attempt` (from 1), or None to give up.

    `retryable` is the result of `is_retryable`.
    """
    if not retryable or attempt >= policy.max_attempts:
        return None
    delay = backoff(policy, attempt, random)
    if isinstance(failure, APIStatusError) and failure.retry_after is not None:
        if failure.retry_after > policy.retry_after_limit:
            return None
        return max(failure.retry_after, delay)
    return delay


def is_retryable(failure: KognitosError, *, repeatable: bool) -> bool:
    """Whether a failed request may be sent again.

    A `repeatable` one after any transient failure, another only when it certainly was not processed.
    """
    if not repeatable:
        return certainly_not_done(failure)
    if isinstance(failure, APIStatusError):
        return failure.status in RETRYABLE_STATUSES or isinstance(failure, CapacityError)
    if isinstance(failure, OutcomeUnknownError):
        return not failure.too_large  # the next answer would be as large
    return isinstance(failure, NotSentError)


def certainly_not_done(failure: KognitosError) -> bool:
    """Whether `failure` proves that the API did not process the request, but may do so later."""
    if isinstance(failure, NotSentError | RateLimitError | CapacityError):
        return True
    return (
        isinstance(failure, APIStatusError)
        and failure.status == SERVICE_UNAVAILABLE
        and failure.retry_after is not None
    )


class RetryQuota:
    """Token bucket for the retries of a client, so that an outage does not multiply the load.

    It holds 500 tokens. A retry costs 5, or 10 after a timeout. A success refunds the cost of its last
    retry, or 1 if it needed none. Without enough tokens, failures are raised at once.
    """

    __slots__ = ("_capacity", "_tokens")

    def __init__(self, capacity: int = 500) -> None:
        self._capacity = capacity
        self._tokens = capacity

    @property
    def tokens(self) -> int:
        """Tokens left."""
        return self._tokens

    def take(self, failure: KognitosError) -> int:
        """Charge a retry after `failure`: the tokens taken, 0 when there are not enough."""
        cost = 10 if _timed_out(failure) or _timed_out(failure.__cause__) else 5
        if cost > self._tokens:
            return 0
        self._tokens -= cost
        return cost

    def give_back(self, taken: int) -> None:
        """Record a success whose last retry took `taken` tokens."""
        if self._tokens < self._capacity:
            self._tokens = min(self._capacity, self._tokens + (taken or 1))


def _timed_out(failure: BaseException | None) -> bool:
    return isinstance(failure, OutcomeUnknownError) and failure.timed_out
