"""Open files and async readers, read piece by piece without blocking the event loop."""

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

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable

T = TypeVar("T")

READ_SIZE = 1024 * 1024
"""Bytes read from a source at a time."""
_SHORTEST_WAIT = 0.005
_LONGEST_WAIT = 0.1
"""Seconds between two looks at a source that has nothing yet."""


class ThreadedFile:
    """A file whose calls run in threads, one at a time."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._running: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """What `function` returns. A cancelled call goes on in its thread; `finish` waits for it."""
        running = asyncio.ensure_future(anyio.to_thread.run_sync(function, *args))
        self._running = running
        return await asyncio.shield(running)

    async def finish(self) -> None:
        """Wait for a call whose caller was cancelled, so that no thread uses the file any more."""
        running, self._running = self._running, None
        if running is not None:
            await asyncio.wait({running})
            if not running.cancelled():
                running.exception()  # its caller has it, or was cancelled

    async def pieces(self, start: int) -> AsyncGenerator[bytes]:
        """The content from position `start` to the end."""
        await self.call(self.file.seek, start)
        while piece := await self.call(self.file.read, READ_SIZE):
            yield piece

    async def close(self) -> None:
        """Close the file, even when this is cancelled."""
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        await self.finish()
        # Closing a temporary file frees its blocks, which takes long for a large one.
        await anyio.to_thread.run_sync(self.file.close)


@asynccontextmanager
async def opened(make: Callable[[], BinaryIO]) -> AsyncGenerator[ThreadedFile]:
    """The file that `make` opens in a thread, closed at the end of the block.

    A cancellation while it opens waits until it is open and can be closed.
    """
    opening = asyncio.ensure_future(anyio.to_thread.run_sync(make))
    try:
        file = ThreadedFile(await asyncio.shield(opening))
    except asyncio.CancelledError:
        opening.add_done_callback(_close_result)
        await asyncio.wait({opening})
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
    """A temporary file on disk that holds all the pieces."""
    async with opened(lambda: cast("BinaryIO", tempfile.TemporaryFile())) as spool:
        async for piece in pieces:
            await spool.call(spool.file.write, checked_piece(piece))
        await spool.call(spool.file.seek, 0)
        yield spool


def checked_piece(piece: object) -> bytes | memoryview:
    """A piece of a source, copied if its reader may change it; `TypeError` unless it is bytes."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"source must yield bytes, got {type(piece).__name__}")


def measure(file: BinaryIO) -> tuple[int, int] | None:
    """Where a file stands and how many bytes follow, None if it cannot seek.

    It blocks: the size of a gzip file is known once all of it has been read.
    """
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable():
        return None
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    return start, max(0, end - start)


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a FIFO, a terminal or the like, whose size is known once it has been read."""
    return _is_stream(Path(path).stat().st_mode)


def _is_stream(mode: int) -> bool:
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def open_path(path: str | os.PathLike[str]) -> BinaryIO:
    """The file at a path; a FIFO without waiting for its writer."""
    if is_stream(path):
        opened = io.FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
        return cast("BinaryIO", opened)
    return cast("BinaryIO", Path(path).open("rb", buffering=0))


async def read_file(file: ThreadedFile) -> AsyncGenerator[bytes]:
    """The rest of a file that cannot seek.

    None from `read` means that there is nothing yet. A pipe is read only once it has something; any other
    read waits in a thread of its own, which nothing can end: a cancelled upload does not wait for it.
    """
    pipe = _pipe_of(file.file)
    # read() waits until it has all it was asked for, read1() until it has anything.
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
    """The descriptor of a pipe or a terminal, None for a file that may hold back bytes it has read ahead."""
    raw = file.raw if isinstance(file, io.BufferedReader) else file
    if not isinstance(raw, io.FileIO) or not hasattr(select, "poll"):
        return None
    descriptor = raw.fileno()
    return descriptor if _is_stream(os.fstat(descriptor).st_mode) else None


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))  # an end counts too


async def read_async(read: Callable[[int], Awaitable[bytes]]) -> AsyncGenerator[bytes]:
    """What an async `read(size)` gives, until it gives nothing."""
    while piece := await read(READ_SIZE):
        yield piece


async def read_iterable(source: AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """What an async iterable gives; its iterator is closed at the end."""
    iterator = aiter(source)
    try:
        async for piece in iterator:
            yield piece
    finally:
        if (close := getattr(iterator, "aclose", None)) is not None:
            await close()


async def read_memory(content: memoryview) -> AsyncGenerator[bytes]:
    """Bytes in pieces."""
    for start in range(0, len(content), READ_SIZE):
        yield bytes(content[start : start + READ_SIZE])
