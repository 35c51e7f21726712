"""openai-python: batches, listed with its pager and polled as in its guide."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from openai import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


class Contender:
    """The client with its default pool of 1,000 connections."""

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    async def get(self, run_id: str) -> object:
        return await self._client.batches.retrieve(run_id)

    async def history(self, process_id: str, after_page: None) -> int:  # noqa: ARG002 - as the others
        count = 0
        async for batch in self._client.batches.list(limit=100):
            count += batch.created_at is not None
        return count

    async def wait(self, run_id: str) -> None:
        while (await self._client.batches.retrieve(run_id)).status not in ENDED:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(1.0)  # what its own polling helpers sleep

    async def upload(self, path: Path) -> None:
        await self._client.files.create(file=path, purpose="batch")


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:  # noqa: ARG001 - as the others
    async with AsyncOpenAI(api_key="test-key", base_url=f"{base_url}/v1") as client:
        yield Contender(client)
