"""What can be uploaded, read piece by piece: paths, bytes, open files, async iterators."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import AsyncIterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import anyio.to_thread

from kognitos_async import checks

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

PIECE = 1024 * 1024

FileSource = str | os.PathLike[str] | bytes | BinaryIO | AsyncIterable[bytes]


class Source:
    """A file's content of known size. `rewindable` sources may be read more than once."""

    def __init__(self, size: int, read: Callable[[], AsyncIterator[bytes]], *, rewindable: bool) -> None:
        self.size = size
        self.rewindable = rewindable
        self.touched = False
        self._read = read

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content from its start, at most 1 MiB at a time.

        Raises `ValueError` when it turns out longer or shorter than `size`, `OSError` when it cannot be
        read.
        """
        self.touched = True
        sent = 0
        async for piece in self._read():
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise TypeError(f"source must yield bytes, got {type(piece).__name__}")
            sent += len(piece)
            if sent > self.size:
                raise ValueError(f"source must be {self.size} bytes, got more")
            if piece:
                yield bytes(piece) if isinstance(piece, bytearray) else piece
        if sent < self.size:
            raise ValueError(f"source must be {self.size} bytes, got {sent}")


def name_of(source: FileSource, file_name: str | None) -> str:
    """The file name given, or else the source's own; `ValueError` if it has none."""
    if file_name is None:
        own = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
        if not isinstance(own, str | os.PathLike):
            raise ValueError("file_name must be given: the source has no name of its own")
        file_name = Path(own).name
    return checks.text("file_name", file_name, longest=256)


@asynccontextmanager
async def open_source(source: FileSource, size: int | None) -> AsyncGenerator[Source]:
    """A `Source` for the length of the block.

    A file object is read from where it stands, and left open. What has no known size goes to a temporary
    file first. Raises `TypeError` for what cannot be read as bytes, `OSError` for a path that cannot be
    opened.
    """
    if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
        raise TypeError(f"size must be an int or None, got {type(size).__name__}")
    if size is not None and size < 0:
        raise ValueError(f"size must be 0 or more bytes, got {size}")
    if isinstance(source, bytes | bytearray | memoryview):
        content = memoryview(source).cast("B")
        yield Source(_agreed(size, len(content)), lambda: _slices(content), rewindable=True)
    elif isinstance(source, str | os.PathLike):
        with await anyio.to_thread.run_sync(Path(source).open, "rb") as opened:
            yield _seekable(cast("BinaryIO", opened), 0, size)
    elif isinstance(source, AsyncIterable):
        if size is not None:
            yield Source(size, source.__aiter__, rewindable=False)
        else:
            with tempfile.TemporaryFile() as spool:
                await _spool(source, spool)
                yield _seekable(spool, 0, None)
    elif isinstance(source, io.TextIOBase):
        raise TypeError("source must be a binary file, got one opened in text mode: open it with 'rb'")
    elif callable(getattr(source, "read", None)):
        file: BinaryIO = source
        if _can_seek(file):
            yield _seekable(file, await anyio.to_thread.run_sync(file.tell), size)
        elif size is not None:
            yield Source(size, lambda: _file_pieces(file), rewindable=False)
        else:
            with tempfile.TemporaryFile() as spool:
                await _spool(_file_pieces(file), spool)
                yield _seekable(spool, 0, None)
    else:
        raise TypeError(
            "source must be a path, bytes, a binary file or an async iterable of bytes, "
            f"got {type(source).__name__}"
        )


def _agreed(size: int | None, actual: int) -> int:
    if size is not None and size != actual:
        raise ValueError(f"size must be the source's {actual} bytes, got {size}")
    return actual


def _can_seek(file: BinaryIO) -> bool:
    seekable = getattr(file, "seekable", None)
    return bool(seekable is not None and seekable())


def _seekable(file: BinaryIO, start: int, size: int | None) -> Source:
    actual = max(0, file.seek(0, os.SEEK_END) - start)
    file.seek(start)

    async def read() -> AsyncIterator[bytes]:
        await anyio.to_thread.run_sync(file.seek, start)
        async for piece in _file_pieces(file):
            yield piece

    return Source(_agreed(size, actual), read, rewindable=True)


async def _file_pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await anyio.to_thread.run_sync(file.read, PIECE):
        yield piece


async def _slices(content: memoryview) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE):
        yield bytes(content[start : start + PIECE])


async def _spool(pieces: AsyncIterable[bytes], spool: BinaryIO) -> None:
    async for piece in pieces:
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise TypeError(f"source must yield bytes, got {type(piece).__name__}")
        await anyio.to_thread.run_sync(spool.write, piece)
