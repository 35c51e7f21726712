"""What the emulator's tests share: a started server and bare aiohttp to talk to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest

from kognitos_async.testing import KognitosServer, Schedule


@dataclass
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Api:
    """Sends requests with the right key."""

    def __init__(self, server: KognitosServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"x-api-key": self.server.api_key, **options.pop("headers", {})}
        async with self.session.request(
            method, self.server.url + path, headers=headers, allow_redirects=False, **options
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **params: Any) -> Answer:
        return await self.send("GET", path, params={k: str(v) for k, v in params.items()})

    async def run(self, run_id: str) -> Any:
        return (await self.get(f"/v2/runs/{run_id}")).json

    async def start(self, name: str = "Invoice 42", **changes: Any) -> Answer:
        body = {
            "name": name,
            "agent_id": self.server.agent_id,
            "process_id": self.server.process.id,
            "stage": "Published",
        }
        return await self.send("POST", "/v2/runs", json={**body, **changes})

    async def list(self, **params: Any) -> Answer:
        known = {"agent_id": self.server.agent_id, "process_id": self.server.process.id}
        return await self.get("/v2/runs", **{**known, **params})

    async def walk(self, **params: Any) -> list[str]:
        """The names of all runs, page by page."""
        names: list[str] = []
        token: str | None = None
        while True:
            extra = {} if token is None else {"continuation_token": token}
            page = (await self.list(**params, **extra)).json
            names += [item["name"] for item in page["items"] or ()]
            token = page["continuation_token"]
            if token is None:
                return names


@pytest.fixture
async def session():
    # A fresh connection per request: on a kept one, aiohttp sends a GET again by itself when it breaks.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


@pytest.fixture
async def make(session):
    """Starts servers with settings, and stops them after the test."""
    servers: list[KognitosServer] = []

    async def start(**settings: Any) -> Api:
        server = KognitosServer(**{"schedule": Schedule.fixed(10), **settings})
        await server.start()
        servers.append(server)
        return Api(server, session)

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def api(make):
    return await make()
