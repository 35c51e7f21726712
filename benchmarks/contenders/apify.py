"""apify-client, asynchronous: runs of an actor; waiting is a long poll of each run."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from apify_client import ApifyClientAsync

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


class Contender:
    """The client as in its README."""

    def __init__(self, client: ApifyClientAsync) -> None:
        self._client = client

    async def get(self, run_id: str) -> object:
        return await self._client.run(run_id).get()

    async def history(self, process_id: str, after_page: None) -> int:  # noqa: ARG002 - as the others
        count = 0
        async for run in self._client.actor(process_id).runs().iterate(chunk_size=100):
            count += run.started_at is not None
        return count

    async def wait(self, run_id: str) -> None:
        await self._client.run(run_id).wait_for_finish()

    async def upload(self, path: Path) -> None:
        with path.open("rb") as file:
            await self._client.key_value_store("store").set_record(
                path.name, file, content_type="application/octet-stream"
            )


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:  # noqa: ARG001 - as the others
    yield Contender(ApifyClientAsync("test-key", api_url=base_url))
