"""What several test files use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing import KognitosServer


async def quiet(server: KognitosServer) -> None:
    """Come back once no request has come for the time of many polls; what is under way may still arrive."""
    seen = None
    async with asyncio.timeout(5):
        while server.count() != seen:
            seen = server.count()
            await asyncio.sleep(0.2)
