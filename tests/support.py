"""Shared by all tests: fast policies, a server with a client, and waiting without an event."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kognitos_async import PollPolicy, RetryPolicy
from kognitos_async.testing import KognitosServer, Schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kognitos_async import KognitosClient

RETRY = RetryPolicy(base_delay=0.001, max_delay=0.02)
POLL = PollPolicy(initial=0.01, factor=1.5, maximum=0.03)
FAST: dict[str, Any] = {"retry": RETRY, "poll": POLL}
"""Arguments of a client that retries and polls fast."""


dbos_on_sqlite = pytest.mark.skipif(
    sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42),
    reason="on Python 3.12 and newer DBOS needs SQLite 3.42",
)


@contextlib.asynccontextmanager
async def site(**options: Any) -> AsyncIterator[tuple[KognitosServer, KognitosClient]]:
    """A server without a capacity, whose runs succeed after 20 ms, and an open client that is fast."""
    settings = {"schedule": Schedule.fixed(0.02), "capacity": None, **options}
    async with KognitosServer(**settings) as server, server.client(**FAST) as client:
        yield server, client


@contextlib.asynccontextmanager
async def answering(handler: Callable[[web.BaseRequest], Any]) -> AsyncIterator[str]:
    """The URL of a server that answers each request with what the handler returns."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def eventually(condition: Callable[[], object]) -> None:
    """Return as soon as the condition holds; the test's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a server, without an event
        await asyncio.sleep(0.002)
