"""The body of an upload on its way: how much of it the connection has taken, and when nothing moves."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_CHECKS = 16
"""Checks of the progress within the time limit."""
_LONGEST_CHECK_INTERVAL = 1.0
_SHORTEST_MARK, _LONGEST_MARK = 8, 64
"""Bytes of a body by which an echo of it is recognized; longer than what many files begin with."""


class BodyWriter(Protocol):
    """What aiohttp gives to write a body with."""

    @property
    def transport(self) -> asyncio.Transport | None: ...  # noqa: D102

    async def write(self, chunk: bytes | memoryview, /) -> None: ...  # noqa: D102

    async def drain(self) -> None: ...  # noqa: D102


class UploadBody:
    """A body of `size` bytes, written piece by piece, once. `boundary` separates the parts of a form."""

    def __init__(
        self, pieces: AsyncGenerator[bytes | memoryview], size: int, boundary: bytes | None = None
    ) -> None:
        self.size = size
        self.source_error: Exception | None = None
        """What reading the pieces raised."""
        self.complete: bool = size == 0
        """Whether all of it has left for the socket."""
        self._pieces = pieces
        self._mark = boundary
        self._written = 0
        self._task: asyncio.Task[Any] | None = None
        self._transport: asyncio.Transport | None = None

    async def write(self, writer: BodyWriter) -> None:
        """Write all pieces. They cannot be written twice: aiohttp may try where it repeats a request."""
        if self._task is not None:
            raise ConnectionError("the body of this request was sent before")
        self._task = asyncio.current_task()
        self._transport = writer.transport
        while (piece := await self._next()) is not None:
            if self._mark is None and len(piece) >= _SHORTEST_MARK:
                self._mark = bytes(piece[:_LONGEST_MARK])
            await writer.write(piece)
            self._written += len(piece)
            if self._written == self.size and (transport := writer.transport) is not None:
                # Until nothing is left in the transport's buffer, which `drain` alone does not wait for.
                transport.set_write_buffer_limits(high=0)
                await writer.drain()
                transport.set_write_buffer_limits()
                self.complete = True

    def without_echo(self, answer: bytes) -> bytes:
        """A refusal, cut where it repeats this body: gateways may echo what they refuse, file and all."""
        at = -1 if self._mark is None else answer.find(self._mark)
        return answer if at < 0 else answer[:at] + b"[redacted]"

    async def _next(self) -> bytes | memoryview | None:
        try:
            return await anext(self._pieces, None)
        except Exception as error:  # whatever the user's source raises, to be raised as it is
            self.source_error = error
            raise

    @property
    def started(self) -> bool:
        """Whether there is a connection for it."""
        return self._task is not None

    def taken(self) -> int:
        """Bytes that have gone out: those the peer has acknowledged, where the system tells."""
        if (transport := self._transport) is None:
            return 0
        queued = _queued_in_kernel(transport.get_extra_info("socket"))
        return self._written - transport.get_write_buffer_size() - queued

    @asynccontextmanager
    async def watched(self, limit: float, extend: Callable[[float], None]) -> AsyncGenerator[None]:
        """Call `extend` with a new deadline, `limit` seconds from now, whenever bytes have moved.

        While there is no connection yet, nothing could move: the deadline is extended too.
        """
        loop = asyncio.get_running_loop()
        before = -1
        timer: asyncio.TimerHandle | None = None

        def check() -> None:
            nonlocal before, timer
            now = self.taken() if self.started else -1
            if now != before or not self.started:
                before = now
                extend(loop.time() + limit)
            timer = loop.call_later(min(limit / _CHECKS, _LONGEST_CHECK_INTERVAL), check)

        check()
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()

    async def aclose(self) -> None:
        """End the writing and close the source, even when this is cancelled."""
        await asyncio.shield(asyncio.ensure_future(self._aclose()))

    async def _aclose(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._pieces.aclose()


def _queued_in_kernel(sock: Any) -> int:
    """Bytes in the send queue of a socket, 0 where the system does not say."""
    if sock is None:
        return 0
    try:
        import fcntl  # noqa: PLC0415 - not on every system
        import termios  # noqa: PLC0415

        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except (ImportError, AttributeError, OSError, ValueError):
        return 0
