"""The emulator with a client, and a bare server on loopback whose every answer a test writes itself."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from kognitos_async import PlatformClient
from kognitos_async.testing import KognitosServer, Schedule
from tests.support import FAST, RETRY


@pytest.fixture
async def server():
    """The emulator; runs succeed after 30 ms."""
    async with KognitosServer(schedule=Schedule.fixed(0.03), organization_id="o", workspace_id="w") as server:
        yield server


@pytest.fixture
async def client(server):
    """A client of it that is fast."""
    async with server.platform_client(**FAST) as client:
        yield client


@pytest.fixture
async def answers():
    """Starts a server that answers with the handler given; the URL of its API."""
    async with AsyncExitStack() as stack:

        async def start(handler):
            runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1"

        yield start


@pytest.fixture
async def platform(answers):
    """Opens a client of a server with that handler."""
    async with AsyncExitStack() as stack:

        async def connect(handler, **options):
            settings = {
                "base_url": await answers(handler),
                "organization_id": "o",
                "workspace_id": "w",
                "retry": RETRY,
                **options,
            }
            return await stack.enter_async_context(PlatformClient("kgn_pat_secret", **settings))

        yield connect
