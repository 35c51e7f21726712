"""Fast policies, and a plain server that only writes down what it is sent."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


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
