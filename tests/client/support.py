"""Fast policies, and a plain server that only writes down what it is sent."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from kognitos_async import PollPolicy, RetryPolicy

RETRY = RetryPolicy(base_delay=0.01, max_delay=0.05)
POLL = PollPolicy(initial=0.02, factor=1.2, maximum=0.1)
FAST = {"retry": RETRY, "poll": POLL}


async def until(condition):
    """Return when `condition()` holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the other side has nothing to wait on
            await asyncio.sleep(0.002)


@dataclass
class Seen:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """A server on loopback that answers everything with `status`, `body` and `headers`."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    async def handle(self, request):
        self.seen.append(
            Seen(
                request.method,
                request.path,
                request.rel_url.raw_query_string,
                dict(request.headers),
                await request.read(),
            )
        )
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def recording(**settings):
    """A started recorder."""
    recorder = Recorder(**settings)
    runner = web.ServerRunner(web.Server(recorder.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield recorder
    finally:
        await runner.cleanup()
