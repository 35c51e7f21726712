"""Many browsers, each with an event stream of one run, served by one client in one process.

    python -m benchmarks.event_streams [STREAMS]

A Starlette application behind uvicorn serves `GET /runs/{id}/events` as server-sent events, each stream on
`client.watch_run` of one client. The browsers are in the same process, the emulator is in another. Prints
requests to the API for each run, and the lag of the event loop. Needs the `dev` extra.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from benchmarks.emulator import emulator
from kognitos_async import SETTLED, KognitosClient
from kognitos_async.observers import Observer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

MOST_REQUESTS_A_RUN = 0.3
MOST_LAG = 0.05
_TICK = 0.005


class Measured(NamedTuple):
    """The result; `lags` are delays of a timer of the event loop, in seconds."""

    streams: int
    requests_a_run: float
    lags: list[float]

    @property
    def lag_p99(self) -> float:
        return quantiles(self.lags, n=100)[-1]


class ApiRequests(Observer):
    """Counts the requests of a client."""

    def __init__(self) -> None:
        self.count = 0

    def request_began(self, request: object) -> None:  # noqa: ARG002 - each counts
        self.count += 1


def application(client: KognitosClient) -> Starlette:
    """The web service: one client for all streams."""

    async def events(request: Request) -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            async with client.watch_run(request.path_params["run_id"]) as changes:
                async for run in changes:
                    yield f"event: status\ndata: {run.status}\n\n".encode()

        return StreamingResponse(lines(), media_type="text/event-stream")

    return Starlette(routes=[Route("/runs/{run_id}/events", events)])


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """Serve the application in this event loop; yields its address."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())  # noqa: SLF001 - `serve` takes the process's signals
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await serving


async def lag(lags: list[float]) -> None:
    """Record the delay of each tick of the loop."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        lags.append(max(0.0, loop.time() - due))


async def browse(browser: aiohttp.ClientSession, url: str) -> str:
    """Read a stream to its end and return the last status."""
    last = ""
    async with browser.get(url) as answer:
        async for line in answer.content:
            if line.startswith(b"data: "):
                last = line[6:].decode().strip()
    return last


async def measure(streams: int, durations: tuple[float, float]) -> Measured:
    """Open all streams concurrently and read each to its end."""
    lags: list[float] = []
    with emulator(runs=streams, durations=durations) as api:
        async with (
            KognitosClient("test-key", base_url=api.base_url, agent_id=api.agent_id) as client,
            served(application(client)) as address,
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            ) as browser,
        ):
            requests = ApiRequests()
            client.observe(requests)
            ticking = asyncio.create_task(lag(lags))
            ended = await asyncio.gather(
                *(browse(browser, f"{address}/runs/{run_id}/events") for run_id in api.run_ids)
            )
            ticking.cancel()
        api.finish()
    if not set(ended) <= SETTLED:
        raise RuntimeError(f"streams ended with {set(ended)}")
    return Measured(streams, requests.count / streams, lags)


def main() -> int:
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    began = time.perf_counter()
    found = asyncio.run(measure(streams, (10.0, 30.0)))
    print(
        f"{found.streams} streams in {time.perf_counter() - began:.0f} s: "
        f"{found.requests_a_run:.3f} requests a run (at most {MOST_REQUESTS_A_RUN}), "
        f"event loop lag p99 {found.lag_p99 * 1000:.1f} ms (at most {MOST_LAG * 1000:.0f})"
    )
    return 0 if found.requests_a_run <= MOST_REQUESTS_A_RUN and found.lag_p99 <= MOST_LAG else 1


if __name__ == "__main__":
    sys.exit(main())
