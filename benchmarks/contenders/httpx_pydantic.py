"""httpx with pydantic: the common choice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING

import httpx
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path


ENDED = frozenset({"Succeeded", "Exception", "Stopped"})


class Output(BaseModel):
    name: str
    value: str | int | float


class Run(BaseModel):
    id: str
    name: str
    agent_id: str
    process_id: str
    stage: str
    status: str
    created_at: datetime
    file_ids: list[str] | None = None
    outputs: list[Output] | None = None


class Page(BaseModel):
    items: list[Run] | None
    continuation_token: str | None = None


class Contender:
    """A client and a few lines."""

    def __init__(self, client: httpx.AsyncClient, agent_id: str) -> None:
        self._client = client
        self._agent_id = agent_id

    async def get(self, run_id: str) -> object:
        answer = await self._client.get(f"/runs/{run_id}")
        answer.raise_for_status()
        return Run.model_validate_json(answer.content)

    async def history(self, process_id: str, after_page: Callable[[], Awaitable[None]] | None) -> int:
        count = 0
        query = {"process_id": process_id, "agent_id": self._agent_id, "limit": "100"}
        while True:
            answer = await self._client.get("/runs", params=query)
            answer.raise_for_status()
            page = Page.model_validate_json(answer.content)
            if after_page is None:
                for run in page.items or ():
                    count += run.created_at is not None
            else:
                count += len(page.items or ())
                await after_page()
            if not page.continuation_token:
                return count
            query["continuation_token"] = page.continuation_token

    async def wait(self, run_id: str) -> None:
        while True:
            answer = await self._client.get(f"/runs/{run_id}")
            answer.raise_for_status()
            if Run.model_validate_json(answer.content).status in ENDED:
                return
            await asyncio.sleep(1.0)

    async def upload(self, path: Path) -> None:
        answer = await self._client.post("/files", json={"file_name": path.name, "agent_id": self._agent_id})
        form = answer.raise_for_status().json()
        with path.open("rb") as file:
            async with httpx.AsyncClient(timeout=120) as store:
                stored = await store.post(
                    form["upload_url"], data=form["upload_fields"], files={"file": (path.name, file)}
                )
                stored.raise_for_status()


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:
    async with httpx.AsyncClient(
        base_url=base_url, headers={"x-api-key": "test-key"}, limits=httpx.Limits(max_connections=100)
    ) as client:
        yield Contender(client, agent_id)
