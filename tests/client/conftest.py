"""Servers on loopback and fast clients of them, for the client's tests."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from kognitos_async.testing import KognitosServer, Schedule
from tests.support import FAST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kognitos_async import KognitosClient

    ServerMaker = Callable[..., Awaitable[KognitosServer]]
    ClientMaker = Callable[..., Awaitable[KognitosClient]]

LONGEST = 20.0


def pytest_itemcollected(item: pytest.Item) -> None:
    """Bound each test: one that would hang fails where it hangs, and everything is closed after it."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        marker = item.get_closest_marker("timeout")
        item.obj = _bounded(item.obj, marker.args[0] if marker else LONGEST)


def _bounded(test: Any, seconds: float) -> Any:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **kwargs)

    return bounded


@pytest.fixture
async def serve() -> AsyncIterator[ServerMaker]:
    """Starts servers with settings, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> KognitosServer:
            return await stack.enter_async_context(
                KognitosServer(**{"schedule": Schedule.fixed(0.02), **settings})
            )

        yield start


@pytest.fixture
async def server(serve: ServerMaker) -> KognitosServer:
    """A server whose runs succeed after 20 ms."""
    return await serve()


@pytest.fixture
async def connect(serve: ServerMaker) -> AsyncIterator[ClientMaker]:
    """Opens clients that retry and poll fast, and closes them after the test, before the servers stop."""
    async with AsyncExitStack() as stack:

        async def start(server: KognitosServer, **options: Any) -> KognitosClient:
            return await stack.enter_async_context(server.client(**{**FAST, **options}))

        yield start


@pytest.fixture
async def client(server: KognitosServer, connect: ClientMaker) -> KognitosClient:
    """An open client of `server`."""
    return await connect(server)
