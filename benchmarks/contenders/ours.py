"""kognitos-async."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kognitos_async import KognitosClient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path


class Contender:
    """The library itself."""

    def __init__(self, client: KognitosClient) -> None:
        self._client = client

    async def get(self, run_id: str) -> object:
        return await self._client.runs.get(run_id)

    async def history(self, process_id: str, after_page: Callable[[], Awaitable[None]] | None) -> int:
        count = 0
        pager = self._client.runs.list(process_id)
        if after_page is None:
            async for run in pager:
                count += run.created_at is not None
            return count
        async for page in pager.pages():
            count += len(page.items)
            await after_page()
        return count

    async def wait(self, run_id: str) -> None:
        await self._client.wait_for_run(run_id)

    async def upload(self, path: Path) -> None:
        await self._client.files.upload(path)


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:
    async with KognitosClient("test-key", base_url=base_url, agent_id=agent_id) as client:
        yield Contender(client)
