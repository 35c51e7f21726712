"""When runs are polled, and which failures of a poll are transient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from kognitos_async.errors import (
    APIStatusError,
    ConfigurationError,
    DecodeError,
    KognitosError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    TransportError,
)
from kognitos_async.retry import check_seconds

if TYPE_CHECKING:
    from random import Random


NOT_FOUND_GRACE = 5.0
"""Seconds after a start during which a 404 means that the run is not visible yet."""


MOST_STRAYS = 3
"""Answers about another run, in a row, after which no answer about the right one is expected."""
EXPIRED = frozenset({400, 404, 410, 422})
"""Statuses that mean an expired token if the request has one."""
_REQUEST_TIMEOUT = 408


class PollPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The interval between polls of a run that is waited for.

    Between poll n and n + 1 (n from 0, the start) the wait sleeps

        min(maximum, initial * factor ** n) * uniform(1 - jitter, 1 + jitter)

    seconds. A status unknown to this version raises `UnknownStatusError` after three polls in a row that
    find one, unless `unknown_status` is "wait". Raises `ConfigurationError` for values out of range.
    """

    initial: float = 1.0
    """Seconds before the first poll after a start, above 0."""
    factor: float = 1.5
    """Factor by which the interval grows from poll to poll, at least 1."""
    maximum: float = 15.0
    """Upper bound of the interval in seconds, before jitter; at least `initial`."""
    jitter: float = 0.2
    """Fraction by which each interval varies at random, from 0 to below 1."""
    unknown_status: Literal["raise", "wait"] = "raise"
    """Whether three polls in a row with an unknown status end the wait ("raise") or not ("wait")."""

    def __post_init__(self) -> None:
        for name in ("initial", "factor", "maximum", "jitter"):
            check_seconds(f"PollPolicy.{name}", getattr(self, name))
        if self.initial == 0 or self.factor < 1 or self.maximum < self.initial or self.jitter >= 1:
            raise ConfigurationError(
                "PollPolicy must have initial > 0, factor >= 1, maximum >= initial and 0 <= jitter < 1, "
                f"got {self!r}"
            )
        if self.unknown_status not in ("raise", "wait"):
            raise ConfigurationError(
                f"PollPolicy.unknown_status must be 'raise' or 'wait', got {self.unknown_status!r}"
            )

    def delay(self, poll: int, random: Random) -> float:
        """Seconds to sleep after `poll` polls."""
        try:
            grown = self.initial * self.factor**poll
        except OverflowError:  # far beyond the maximum
            grown = self.maximum
        return min(self.maximum, grown) * random.uniform(1.0 - self.jitter, 1.0 + self.jitter)


def is_stray(error: KognitosError) -> bool:
    """Whether the answer was about another run: transient, unless it happens again and again."""
    return isinstance(error, DecodeError) and error.other_resource


def is_transient(error: KognitosError) -> bool:
    """Whether polling again may help: after lost connections, 5xx, 408, 429, or a proxy's page.

    An answer that is too large is not transient.
    """
    if isinstance(error, OutcomeUnknownError):
        return not error.too_large
    if isinstance(error, APIStatusError):
        return isinstance(error, RateLimitError | ServerError) or error.status == _REQUEST_TIMEOUT
    return isinstance(error, TransportError) or (isinstance(error, DecodeError) and error.malformed)


def smaller_page(error: OutcomeUnknownError, size: int) -> int:
    """The size to ask for after `error` for a page of `size`. Raises `error` unless that was too large."""
    if not error.too_large or size == 1:
        raise error
    return max(1, size // 4)
