"""Hand on settled runs to the function of the user."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any

from kognitos_async.integrations.dbos.handles import OnSettledError

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("kognitos_async")

_ATTEMPTS = 7
"""Calls with pauses of 1, 2, 4 … seconds between them: about a minute in all."""
_PAUSE = 1.0
"""Seconds until the second call."""


async def hand_on(on_settled: Callable[[Any], object], run: Any) -> None:
    """Call the function with the run, again if it raises. Raises `OnSettledError` after the last attempt."""
    for attempt in range(_ATTEMPTS):
        try:
            if inspect.iscoroutinefunction(on_settled):
                await on_settled(run)
            else:
                await asyncio.to_thread(on_settled, run)
        except Exception as problem:
            # Not the error itself: others that read the outcome may be unable to import its class.
            failed = f"on_settled failed for run {run.id}: {type(problem).__name__}: {problem}"
            if attempt + 1 == _ATTEMPTS:
                raise OnSettledError(failed, run_id=run.id) from problem
            _logger.warning("%s; retrying", failed)
        else:
            return
        await asyncio.sleep(_PAUSE * 2**attempt)
