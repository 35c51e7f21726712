"""Reading of files and async sources in pieces, without blocking the event loop."""

from __future__ import annotations

import asyncio
import io
import os
import select
import stat
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import anyio
import anyio.to_thread

from kognitos_async.event_loop import ended, finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable

T = TypeVar("T")

READ_SIZE = 1024 * 1024
"""Bytes read from a source at a time."""
_SHORTEST_WAIT = 0.005
_LONGEST_WAIT = 0.1
"""Seconds between polls of a source that has no data yet, from the first to the longest."""


class ThreadedFile:
    """A file whose calls run in threads, one at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._running: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """The result of `function`. A cancelled call continues in its thread; `finish` waits for it."""
        running = asyncio.ensure_future(anyio.to_thread.run_sync(function, *args))
        self._running = running
        return await asyncio.shield(running)

    async def finish(self) -> None:
        """Wait for a call whose caller was cancelled, so that no thread uses the file afterwards."""
        running, self._running = self._running, None
        if running is not None:
            try:
                await ended(running)
            finally:
                if not running.cancelled():
                    running.exception()  # raised by the caller, unless it was cancelled

    async def pieces(self, start: int) -> AsyncGenerator[bytes]:
        """The content from position `start` to the end."""
        await self.call(self.file.seek, start)
        while piece := await self.call(self.file.read, READ_SIZE):
            yield piece

    async def close(self) -> None:
        """Close the file; a cancellation is raised only then."""
        await finished(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        await self.finish()
        # In a thread: closing a large temporary file takes long, because it frees its blocks.
        await anyio.to_thread.run_sync(self.file.close)


@asynccontextmanager
async def opened(make: Callable[[], BinaryIO]) -> AsyncGenerator[ThreadedFile]:
    """The file that `make` opens in a thread, closed at the end of the block.

    A cancellation during opening waits for the file, so that it can be closed.
    """
    opening = asyncio.ensure_future(anyio.to_thread.run_sync(make))
    try:
        file = ThreadedFile(await asyncio.shield(opening))
    except asyncio.CancelledError:
        opening.add_done_callback(_close_result)
        await ended(opening)
        raise
    try:
        yield file
    finally:
        await file.close()


def _close_result(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


@asynccontextmanager
async def spooled(pieces: AsyncIterable[bytes]) -> AsyncGenerator[ThreadedFile]:
    """A temporary file with all the pieces, closed at the end of the block."""
    async with opened(lambda: cast("BinaryIO", tempfile.TemporaryFile())) as spool:
        async for piece in pieces:
            await spool.call(spool.file.write, checked_piece(piece))
        await spool.call(spool.file.seek, 0)
        yield spool


def checked_piece(piece: object) -> bytes | memoryview:
    """A piece of a source, copied if it is mutable. Raises `TypeError` unless it is bytes-like."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"source must yield bytes, got {type(piece).__name__}")


def measure(file: BinaryIO) -> tuple[int, int] | None:
    """The position of a file and the number of bytes after it, None if it is not seekable.

    This may block for long: a gzip file is read to its end.
    """
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return None
    start = file.tell()
    file.seek(0, os.SEEK_END)
    end = file.tell()  # files of other libraries may return None from seek
    file.seek(start)
    return start, max(0, end - start)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a FIFO or a character device, whose size is unknown until it has been read."""
    return _is_stream(Path(path).stat().st_mode)


def _is_stream(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_path(path: str | os.PathLike[str]) -> BinaryIO:
    """The opened file. A FIFO is opened without waiting for its writer."""
    if is_stream(path):
        opened = io.FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
        return cast("BinaryIO", opened)
    return cast("BinaryIO", Path(path).open("rb", buffering=0))


async def read_file(file: ThreadedFile) -> AsyncGenerator[bytes]:
    """The rest of a file that is not seekable.

    None from `read` means no data yet. A pipe is read only when it is readable. Any other read blocks in a
    thread of its own, which cannot be interrupted: a cancelled upload does not wait for it.
    """
    pipe = _pipe_of(file.file)
    # read() blocks until it has the full size, read1() until it has any data.
    blocking = pipe is not None and os.get_blocking(pipe)
    read = getattr(file.file, "read1", file.file.read) if blocking else file.file.read
    limiter = anyio.CapacityLimiter(1)
    wait = _SHORTEST_WAIT
    while True:
        piece = None
        if pipe is None:
            piece = await anyio.to_thread.run_sync(read, READ_SIZE, abandon_on_cancel=True, limiter=limiter)
        elif _is_readable(pipe):
            piece = await file.call(read, READ_SIZE)
        if piece is None:
            await asyncio.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 1.5)
            continue
        if not piece:
            return
        wait = _SHORTEST_WAIT
        yield piece


def _pipe_of(file: BinaryIO) -> int | None:
    """The descriptor of a pipe or a terminal, None for any other file, which may have its own buffer."""
    raw = file.raw if isinstance(file, io.BufferedReader) else file
    if not isinstance(raw, io.FileIO) or not hasattr(select, "poll"):
        return None
    descriptor = raw.fileno()
    return descriptor if _is_stream(os.fstat(descriptor).st_mode) else None


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))  # the end of the file counts too


async def read_async(read: Callable[[int], Awaitable[bytes]]) -> AsyncGenerator[bytes]:
    """The pieces returned by an async `read(size)`, until one is empty."""
    while piece := await read(READ_SIZE):
        yield piece


async def read_iterable(source: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """The pieces of an async iterable; its iterator is closed at the end."""
    iterator = aiter(source)
    try:
        async for piece in iterator:
            yield piece
    finally:
        if (close := getattr(iterator, "aclose", None)) is not None:
            await close()


async def read_memory(content: memoryview) -> AsyncGenerator[bytes]:
    """The content in pieces of 1 MiB."""
    for start in range(0, len(content), READ_SIZE):
        yield bytes(content[start : start + READ_SIZE])
