"""Bare aiohttp with msgspec: the lower bound for a library on top of them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path


ENDED = frozenset({"Succeeded", "Exception", "Stopped"})


class Output(msgspec.Struct):
    name: str
    value: str | int | float


class Run(msgspec.Struct):
    id: str
    name: str
    agent_id: str
    process_id: str
    stage: str
    status: str
    created_at: datetime
    file_ids: list[str] | None = None
    outputs: list[Output] | None = None


class Page(msgspec.Struct):
    items: list[Run] | None
    continuation_token: str | None = None


class Form(msgspec.Struct):
    upload_url: str
    upload_fields: dict[str, str]


_run = msgspec.json.Decoder(Run)
_page = msgspec.json.Decoder(Page)
_form = msgspec.json.Decoder(Form)


class Contender:
    """A session and a few lines."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, agent_id: str) -> None:
        self._session = session
        self._base_url = base_url
        self._agent_id = agent_id

    async def get(self, run_id: str) -> object:
        async with self._session.get(f"{self._base_url}/runs/{run_id}") as answer:
            answer.raise_for_status()
            return _run.decode(await answer.read())

    async def history(self, process_id: str, after_page: Callable[[], Awaitable[None]] | None) -> int:
        count = 0
        query = {"process_id": process_id, "agent_id": self._agent_id, "limit": "100"}
        while True:
            async with self._session.get(f"{self._base_url}/runs", params=query) as answer:
                answer.raise_for_status()
                page = _page.decode(await answer.read())
            if after_page is None:
                for run in page.items or ():
                    count += run.created_at.replace(tzinfo=UTC) is not None
            else:
                count += len(page.items or ())
                await after_page()
            if not page.continuation_token:
                return count
            query["continuation_token"] = page.continuation_token

    async def wait(self, run_id: str) -> None:
        while (await self._status(run_id)) not in ENDED:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(1.0)

    async def _status(self, run_id: str) -> str:
        async with self._session.get(f"{self._base_url}/runs/{run_id}") as answer:
            answer.raise_for_status()
            return _run.decode(await answer.read()).status

    async def upload(self, path: Path) -> None:
        async with self._session.post(
            f"{self._base_url}/files", json={"file_name": path.name, "agent_id": self._agent_id}
        ) as answer:
            form = _form.decode(await answer.read())
        body = aiohttp.FormData()
        for name, value in form.upload_fields.items():
            body.add_field(name, value)
        with path.open("rb") as file:
            body.add_field("file", file, filename=path.name)
            async with aiohttp.ClientSession() as store, store.post(form.upload_url, data=body) as answer:
                answer.raise_for_status()


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:
    async with aiohttp.ClientSession(headers={"x-api-key": "test-key"}) as session:
        yield Contender(session, base_url, agent_id)
