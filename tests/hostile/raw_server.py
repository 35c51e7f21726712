"""A server of raw bytes: each test programs what it reads, writes and when it closes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress

RUN = {
    "id": "r1",
    "name": "n",
    "agent_id": "a",
    "process_id": "p",
    "stage": "Published",
    "status": "Created",
    "created_at": "2026-01-01T00:00:00",
    "run_id": "r1",
}


async def read_request(reader):
    """Method, path and body of the next request; None at the end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except asyncio.IncompleteReadError:
        return None
    lengths = [line.split(":")[1] for line in head.split("\r\n") if line.startswith("content-length:")]
    body = await reader.readexactly(int(lengths[0])) if lengths else b""
    method, path = head.split(" ")[:2]
    return method.upper(), path, body


def answer(value, status=200, *headers):
    """An answer's bytes."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [
        f"HTTP/1.1 {status} X",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def serving(program):
    """The URL of a server that runs `program(reader, writer)` for each connection."""
    tasks = set()

    async def connected(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await program(reader, writer)
        finally:
            writer.close()
            tasks.discard(asyncio.current_task())

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
