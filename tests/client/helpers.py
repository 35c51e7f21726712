"""What several test files use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.testing import KognitosServer


async def eventually(condition: Callable[[], object]) -> None:
    """Come back as soon as the condition holds; the test's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in the server, without an event
        await asyncio.sleep(0.002)


async def quiet(server: KognitosServer) -> None:
    """Come back once no request has come for the time of many polls; what is under way may still arrive."""
    seen = None
    async with asyncio.timeout(5):
        while server.count() != seen:
            seen = server.count()
            await asyncio.sleep(0.2)
