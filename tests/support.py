"""What tests of all rooms share: fast policies, and waiting for what no event announces."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kognitos_async import PollPolicy, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY = RetryPolicy(base_delay=0.01, max_delay=0.05)
POLL = PollPolicy(initial=0.02, factor=1.2, maximum=0.05)
FAST: dict[str, Any] = {"retry": RETRY, "poll": POLL}
"""Arguments of a client that retries and polls fast."""


async def eventually(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; the test's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a server, without an event
        await asyncio.sleep(0.002)
