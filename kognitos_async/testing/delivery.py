"""Delivery of answers, intact or as faults alter it."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from kognitos_async.testing.fault_kinds import Stream
    from kognitos_async.testing.routing import Reply

_WATCH = 0.05
"""Interval in seconds at which a waiting handler checks its connection."""
_GAP = 0.02
"""Interval in seconds at which a stream checks for more to send."""
_NO_LINGER = struct.pack("ii", 1, 0)
_BLANKS = b" " * 65536


class Delivery:
    """Sends answers. Everything that waits ends as soon as the server stops."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every wait and every slow body."""
        self._stopping.set()

    async def pause(self, seconds: float, request: web.BaseRequest) -> bool:
        """Wait `seconds`; False if the server stops or the peer disconnects first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._stopping.is_set() and _is_open(request):
            left = deadline - loop.time()
            if left <= 0:
                return True
            try:
                async with asyncio.timeout(min(left, _WATCH)):
                    await self._stopping.wait()
            except TimeoutError:
                continue
        return False

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds`, or until the server stops, even if the peer disconnects."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def stream(
        self, request: web.BaseRequest, reply: Reply, fault: Stream | None = None
    ) -> web.StreamResponse:
        """Stream the body until it ends, the peer disconnects, the server stops, or the fault ends it."""
        response = _stream(reply)
        response.enable_chunked_encoding()
        await response.prepare(request)
        left = math.inf if fault is None or fault.limit is None else fault.limit
        skipping = fault is not None and not fault.replay
        if reply.stream is not None:
            async with aclosing(reply.stream()) as pieces:
                async for piece in pieces:
                    if not piece:
                        skipping = False
                        if not await self.pause(_GAP, request):
                            break_connection(request)
                            return response
                    elif left > 0 and not skipping:
                        await response.write(piece)
                        left -= 1
                    if left <= 0:
                        break
        if left <= 0 and fault is not None:
            if fault.end == "silence":
                await self.pause(math.inf, request)
            break_connection(request)
            return response
        await response.write_eof()
        return response

    async def send_and_then(
        self, request: web.BaseRequest, reply: Reply, seconds: float, data: bytes
    ) -> web.StreamResponse:
        """Send the answer; `seconds` later write `data` to its connection, or close it if there is none."""
        response = plain(reply)
        await response.prepare(request)
        await response.write_eof()
        transport = request.transport
        if transport is None:
            return response

        def afterwards() -> None:
            if transport.is_closing():
                return
            if data:
                transport.write(data)
            else:
                transport.close()

        if seconds > 0:
            asyncio.get_running_loop().call_later(seconds, afterwards)
        else:
            afterwards()
        return response

    async def cut(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send half of the body, then close the connection."""
        body = body_of(reply)
        response = _stream(reply)
        response.content_length = len(body) + 1
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _close(request)
        return response

    async def drip(
        self, request: web.BaseRequest, reply: Reply, seconds: float, chunks: int
    ) -> web.StreamResponse:
        """Send the body in `chunks` pieces over `seconds`."""
        body = body_of(reply)
        response = _stream(reply)
        response.content_length = len(body)
        await response.prepare(request)
        step = max(1, -(-len(body) // chunks))
        for start in range(0, max(1, len(body)), step):
            if not await self.pause(seconds / chunks, request):
                break_connection(request)
                return response
            await response.write(body[start : start + step])
        await response.write_eof()
        return response

    async def endless(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send spaces without end. JSON allows them: only the size of the body is wrong."""
        response = _stream(reply)
        response.enable_chunked_encoding()
        await response.prepare(request)
        while not self._stopping.is_set() and _is_open(request):
            await response.write(_BLANKS)
            await asyncio.sleep(0)
        break_connection(request)
        return response


def body_of(reply: Reply) -> bytes:
    """The encoded body of an answer."""
    if reply.body is not None:
        return reply.body
    return b"" if reply.payload is None else msgspec.json.encode(reply.payload)


def plain(reply: Reply) -> web.Response:
    """The answer, unaltered."""
    headers = {**reply.headers}
    body = body_of(reply)
    if body:
        headers.setdefault("Content-Type", reply.content_type)
    return web.Response(status=reply.status, body=body or None, headers=headers)


def break_connection(request: web.BaseRequest) -> None:
    """Drop the connection with a TCP RST."""
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # SO_LINGER with 0 seconds sends a RST instead of a FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def _close(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


def _is_open(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _stream(reply: Reply) -> web.StreamResponse:
    return web.StreamResponse(
        status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers}
    )
