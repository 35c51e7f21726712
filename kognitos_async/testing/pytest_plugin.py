"""pytest fixtures: `kognitos_server` and `kognitos_client`.

pytest imports this module in every run of whoever installed the package, so it imports next to nothing;
the server and the client are imported inside the fixtures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pytest_asyncio import fixture as _fixture

    from kognitos_async import KognitosClient
    from kognitos_async.testing.server import KognitosServer
else:
    try:
        from pytest_asyncio import fixture as _fixture
    except ImportError:
        _fixture = pytest.fixture  # which anyio's plugin drives


@_fixture
async def kognitos_server() -> AsyncIterator[KognitosServer]:
    """A started KognitosServer, stopped after the test."""
    from kognitos_async.testing.server import KognitosServer  # noqa: PLC0415 - see the module

    async with KognitosServer() as server:
        yield server


@_fixture
async def kognitos_client(kognitos_server: KognitosServer) -> AsyncIterator[KognitosClient]:
    """An open KognitosClient of `kognitos_server` that polls and retries fast, closed after the test."""
    from kognitos_async import PollPolicy, RetryPolicy  # noqa: PLC0415 - see the module

    client = kognitos_server.client(
        poll=PollPolicy(initial=0.02, factor=1.5, maximum=0.2),
        retry=RetryPolicy(base_delay=0.01, max_delay=0.1),
    )
    async with client:
        yield client
