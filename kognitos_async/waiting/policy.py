"""How often a run is polled, and which failures polling on can outlast."""

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
"""Seconds after a start in which a 404 means that the run is not visible yet."""


_REQUEST_TIMEOUT = 408


class PollPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often a run is read while it is waited for.

    Between poll n and n + 1 (n from 0, the start) the wait sleeps

        min(maximum, initial * factor ** n) * uniform(1 - jitter, 1 + jitter)

    seconds. A status word unknown to this version raises `UnknownStatusError` when three polls in a row
    find one; `unknown_status="wait"` polls on. Raises `ConfigurationError` for values that cannot be.
    """

    initial: float = 1.0
    """Seconds before the first poll after a start, above 0."""
    factor: float = 1.5
    """By how much each pause is longer than the one before, at least 1."""
    maximum: float = 15.0
    """The longest pause in seconds."""
    jitter: float = 0.2
    """The share of a pause by which it varies at random, from 0 to below 1."""
    unknown_status: Literal["raise", "wait"] = "raise"
    """What three polls in a row with an unknown status do: "raise" or "wait"."""

    def __post_init__(self) -> None:
        for name in ("initial", "factor", "maximum", "jitter"):
            check_seconds(f"PollPolicy.{name}", getattr(self, name))
        if self.initial == 0 or self.factor < 1 or self.maximum < self.initial or self.jitter >= 1:
            raise ConfigurationError(
                "PollPolicy must be initial > 0, factor >= 1, maximum >= initial and 0 <= jitter < 1, "
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


def is_transient(error: KognitosError) -> bool:
    """Whether polling again may help: lost connections, 5xx, 408, 429, a page that is not the API's.

    An answer that is too large will be no smaller the next time.
    """
    if isinstance(error, OutcomeUnknownError):
        return not error.too_large
    if isinstance(error, APIStatusError):
        return isinstance(error, RateLimitError | ServerError) or error.status == _REQUEST_TIMEOUT
    return isinstance(error, TransportError) or (isinstance(error, DecodeError) and error.malformed)
