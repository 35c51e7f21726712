"""The body of an upload: how much the connection has sent, and whether it makes progress."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from kognitos_async.event_loop import finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_CHECKS = 16
"""Progress checks within the time limit."""
_LONGEST_CHECK_INTERVAL = 1.0
_SHORTEST_MARK, _LONGEST_MARK = 8, 64
"""Bytes of the body that identify an echo of it; more than the common header of many file formats."""


class BodyWriter(Protocol):
    """The writer that aiohttp passes to a body."""

    @property
    def transport(self) -> asyncio.Transport | None: ...  # noqa: D102

    async def write(self, chunk: bytes | memoryview, /) -> None: ...  # noqa: D102

    async def drain(self) -> None: ...  # noqa: D102


class UploadBody:
    """A body of `size` bytes, written once, in pieces. `boundary` separates the parts of a form."""

    def __init__(
        self, pieces: AsyncGenerator[bytes | memoryview], size: int, boundary: bytes | None = None
    ) -> None:
        self.size = size
        self.source_error: Exception | None = None
        """The error raised by the source of the pieces."""
        self.complete: bool = size == 0
        """Whether all of it was written to the socket."""
        self._pieces = pieces
        self._mark = boundary
        self._written = 0
        self._task: asyncio.Task[Any] | None = None
        self._transport: asyncio.Transport | None = None

    async def write(self, writer: BodyWriter) -> None:
        """Write all pieces. Raises `ConnectionError` if aiohttp repeats the request: they are sent once."""
        if self._task is not None:
            raise ConnectionError("the body of this request was already sent")
        self._task = asyncio.current_task()
        self._transport = writer.transport
        while (piece := await self._next()) is not None:
            if self._mark is None and len(piece) >= _SHORTEST_MARK:
                self._mark = bytes(piece[:_LONGEST_MARK])
            await writer.write(piece)
            self._written += len(piece)
            if self._written == self.size and (transport := writer.transport) is not None:
                # Wait until the transport's buffer is empty, which `drain` alone does not.
                transport.set_write_buffer_limits(high=0)
                await writer.drain()
                transport.set_write_buffer_limits()
                self.complete = True

    def without_echo(self, answer: bytes) -> bytes:
        """The response to a refused upload, cut where it echoes the body, as gateways may do."""
        at = -1 if self._mark is None else answer.find(self._mark)
        return answer if at < 0 else answer[:at] + b"[redacted]"

    async def _next(self) -> bytes | memoryview | None:
        try:
            return await anext(self._pieces, None)
        except Exception as error:  # an error of the user's source is later raised unchanged
            self.source_error = error
            raise

    @property
    def started(self) -> bool:
        """Whether a connection has begun to send the body."""
        return self._task is not None

    def taken(self) -> int:
        """Number of bytes sent, or acknowledged by the peer on systems that tell."""
        if (transport := self._transport) is None:
            return 0
        queued = _queued_in_kernel(transport.get_extra_info("socket"))
        return self._written - transport.get_write_buffer_size() - queued

    @asynccontextmanager
    async def watched(
        self, limit: float, extend: Callable[[float], None], queued: Callable[[], bool]
    ) -> AsyncGenerator[None]:
        """Call `extend` with a new deadline, `limit` seconds from now, whenever bytes were sent.

        The deadline is also extended while the request is `queued` for a connection.
        """
        loop = asyncio.get_running_loop()
        before: int | None = None
        timer: asyncio.TimerHandle | None = None

        def check() -> None:
            nonlocal before, timer
            now = self.taken() if self.started else -1
            if now != before or (not self.started and queued()):
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
        """Stop writing and close the source; a cancellation is raised only then."""
        await finished(asyncio.ensure_future(self._aclose()))

    async def _aclose(self) -> None:
        if self._task is not None and not self._task.done():
            if not self._task.cancelling():  # a second time would interrupt what the source does in `finally`
                self._task.cancel()
            await asyncio.wait({self._task})
        await self._pieces.aclose()


def _queued_in_kernel(sock: Any) -> int:
    """Bytes in the send queue of a socket, 0 if the system does not tell."""
    if sock is None:
        return 0
    try:
        import fcntl  # noqa: PLC0415 - not on every system
        import termios  # noqa: PLC0415

        return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"), sys.byteorder)
    except (ImportError, AttributeError, OSError, ValueError):
        return 0
