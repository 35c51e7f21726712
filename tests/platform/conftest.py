"""A bare server on loopback whose every answer a test writes itself, and clients of it."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from aiohttp import web

from kognitos_async import PlatformClient, RetryPolicy


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
                "retry": RetryPolicy(base_delay=0.001, max_delay=0.01),
                **options,
            }
            return await stack.enter_async_context(PlatformClient("kgn_pat_secret", **settings))

        yield connect
