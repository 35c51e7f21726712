"""Starts, whichever API they are of: when one is in doubt, and which runs were started just now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from kognitos_async.errors import APIStatusError, DecodeError, OutcomeUnknownError, StartUncertainError
from kognitos_async.retry import certainly_not_done

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

_REFUSED_LATE = frozenset({303, 408, 460, 499})
"""Statuses below 500 after which the work may have been done all the same."""


async def started(sending: Awaitable[T], what: str, request: Any) -> T:
    """What `sending` a start returns; `StartUncertainError` where the run may exist all the same."""
    since = datetime.now(UTC)
    try:
        return await sending
    except (OutcomeUnknownError, APIStatusError, DecodeError) as problem:
        if not _may_have_started(problem):
            raise
        raise StartUncertainError(
            f"the start of {what} was sent, but whether it runs is not known ({problem}). "
            "Look it up with runs.find_started(error.request, since=error.since) before starting again",
            request=request,
            since=since,
        ) from problem


def _may_have_started(problem: OutcomeUnknownError | APIStatusError | DecodeError) -> bool:
    if isinstance(problem, APIStatusError):
        if certainly_not_done(problem):
            return False
        return problem.status >= 500 or problem.status in _REFUSED_LATE
    return True
