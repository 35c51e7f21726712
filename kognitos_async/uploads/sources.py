"""Sources of an upload: paths, bytes, open files, async readers and iterables."""

from __future__ import annotations

import hashlib
import inspect
import io
import mimetypes
import os
import re
from collections.abc import AsyncIterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

import anyio.to_thread
import msgspec

from kognitos_async import checks
from kognitos_async.errors import ClientClosedError
from kognitos_async.secret import Secret
from kognitos_async.uploads import reading

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable

    from kognitos_async.sender import Sender

LONGEST_NAME = 256
_HASHED_HERE = 64 * 1024
"""Size in bytes from which a piece is hashed in a thread."""
_SEPARATORS = re.compile(r"[\\/]")


class FileSource(msgspec.Struct, frozen=True):
    """A file to upload for a run. It is opened when its upload begins.

    Raises `TypeError` when `source` is neither a path nor bytes, `ValueError` for an invalid file name, and
    for bytes without a file name.
    """

    source: str | os.PathLike[str] | bytes
    """A path, or the content as bytes."""
    file_name: str | None = None
    """The file name, 1 to 256 characters; by default the last part of the path. Required for bytes."""

    def __post_init__(self) -> None:
        if isinstance(self.source, bytearray | memoryview):
            msgspec.structs.force_setattr(self, "source", bytes(self.source))
        elif not isinstance(self.source, str | os.PathLike | bytes):
            raise TypeError(f"source must be a path or bytes, got {type(self.source).__name__}")
        name_of(self.source, self.file_name)

    @property
    def name(self) -> str:
        """The file name used for the upload."""
        return name_of(self.source, self.file_name)

    async def content_hash(self) -> str:
        """The SHA-256 of the content as hexadecimal digits; the file is read in a thread.

        Raises `OSError` when the file cannot be read, `ValueError` for a FIFO or a device, which can be read
        only once.
        """
        return await anyio.to_thread.run_sync(_hash, self.source)

    def __repr__(self) -> str:
        shown = f"<{len(self.source)} bytes>" if isinstance(self.source, bytes) else repr(self.source)
        return f"FileSource({shown}, file_name={self.name!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        shown = _Size(len(self.source)) if isinstance(self.source, bytes) else self.source
        return [("source", shown), ("file_name", self.name)]


class HashedFile(FileSource, frozen=True, kw_only=True):
    """A file whose content was hashed: its upload fails if the content is another by then."""

    sha256: str
    """The SHA-256 of the content as hexadecimal digits."""


class _Size(int):
    def __repr__(self) -> str:
        return f"<{int(self)} bytes>"


class AsyncReader(Protocol):
    """An async file, such as Starlette's `UploadFile` or `asyncio.StreamReader`."""

    async def read(self, size: int, /) -> bytes: ...  # noqa: D102


class ChunkReader(Protocol):
    """A part of a multipart request, as in aiohttp's server."""

    async def read_chunk(self, size: int, /) -> bytes: ...  # noqa: D102


UploadSource = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | AsyncIterable[bytes]
    | AsyncReader
    | ChunkReader
    | FileSource
)
"""The types accepted as the source of an upload."""
_KINDS = (FileSource, bytes, bytearray, memoryview, str, os.PathLike, AsyncIterable)


class Source:
    """Content of known size in bytes. A `rewindable` source can be read more than once."""

    def __init__(self, size: int, read: Callable[[], AsyncGenerator[bytes]], *, rewindable: bool) -> None:
        self.size = size
        self.rewindable = rewindable
        self.touched: bool = False
        self.sha256: str | None = None
        """The SHA-256 that the content must have; None for any."""
        self._read = read

    async def pieces(self) -> AsyncGenerator[bytes | memoryview]:
        """The content from its start, in pieces of at most 1 MiB, or of the size that an iterable yields.

        Raises `ValueError` when it is longer or shorter than `size` or has another hash, `TypeError` when it
        is not bytes, `OSError` when it cannot be read.
        """
        self.touched = True
        sent = 0
        hashed = None if self.sha256 is None else hashlib.sha256()
        last = memoryview(b"")  # held back until the source has ended, so that no wrong upload completes
        async with aclosing(self._read()) as pieces:
            async for given in pieces:
                piece = memoryview(reading.checked_piece(given))  # its repr shows no content
                del given
                sent += len(piece)
                if sent > self.size:
                    raise ValueError(f"source must hold {self.size} bytes, got more")
                if hashed is not None and len(piece) < _HASHED_HERE:
                    hashed.update(piece)
                elif hashed is not None:
                    await anyio.to_thread.run_sync(hashed.update, piece)
                if sent == self.size:
                    last = last or piece
                elif piece:
                    yield piece
            if sent < self.size:
                raise ValueError(f"source must hold {self.size} bytes, got {sent}")
            if hashed is not None and hashed.hexdigest() != self.sha256:
                raise ValueError("its content has changed since it was first read")
            if last:
                yield last


def name_of(source: object, file_name: str | None) -> str:
    """The given file name, by default that of the source. Raises `ValueError` if there is none."""
    if file_name is None and isinstance(source, FileSource):
        file_name = source.file_name
        source = source.source
    if file_name is None:
        file_name = _own_name(source)
    if file_name is None:
        raise ValueError("file_name must be given for a source without a name, got None")
    return checks.text("file_name", file_name, longest=LONGEST_NAME)


def _own_name(source: object) -> str | None:
    if isinstance(sent := getattr(source, "filename", None), str):
        return _SEPARATORS.split(sent)[-1]  # the sender's system may use either separator
    own = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(own, str | os.PathLike) or own == "<stdin>":
        return None
    return Path(own).name


def check_source(source: object, size: object) -> None:
    """Raise `TypeError` or `ValueError` for an invalid source or size; nothing is opened."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
        raise TypeError(f"size must be an int or None, got {type(size).__name__}")
    if size is not None and size < 0:
        raise ValueError(f"size must be at least 0 bytes, got {size}")
    if isinstance(source, io.TextIOBase):
        raise TypeError("source must be a binary file, got one in text mode; open it with 'rb'")
    if not isinstance(source, _KINDS) and not any(
        callable(getattr(source, method, None)) for method in ("read", "read_chunk")
    ):
        raise TypeError(
            "source must be a path, bytes, a binary file, an async file or an async iterable of bytes, "
            f"got {type(source).__name__}"
        )


@asynccontextmanager
async def open_source(source: UploadSource, size: int | None) -> AsyncGenerator[Source]:
    """A `Source`, open for the block.

    A file object is read from its current position and left open; an async generator is closed. A source of
    unknown size is spooled to a temporary file first. Raises what `check_source` raises, `ValueError` for a
    wrong `size`, `OSError` for a path that cannot be opened.
    """
    check_source(source, size)
    if isinstance(source, HashedFile):
        async with open_source(source.source, size) as hashed:
            hashed.sha256 = source.sha256
            yield hashed
        return
    if isinstance(source, FileSource):
        source = source.source
    if isinstance(source, bytes | bytearray | memoryview):
        content = memoryview(source).cast("B")
        yield Source(_agreed(size, len(content)), lambda: reading.read_memory(content), rewindable=True)
    elif isinstance(source, str | os.PathLike):
        path = source
        async with reading.opened(lambda: reading.open_path(path)) as file, _from_file(file, size) as found:
            yield found
    elif (pieces := _async_pieces(source)) is not None:
        async with _read_once(pieces, size) as found:
            yield found
    else:
        given = reading.ThreadedFile(cast("BinaryIO", source))
        try:
            async with _from_file(given, size) as found:
                yield found
        finally:
            await given.finish()


@asynccontextmanager
async def _until_closed(sender: Sender) -> AsyncGenerator[None]:
    """Raise `ClientClosedError` in the block as soon as the client is closed."""
    sender.lifetime.check()
    deadline: asyncio.Timeout | None = None
    try:
        async with sender.transport.deadline(None) as deadline:
            yield
    except TimeoutError:
        if deadline is not None and deadline.expired():
            raise ClientClosedError("the client was closed during the call") from None
        raise


@asynccontextmanager
async def opened_in_turn(sender: Sender, source: UploadSource, size: int | None) -> AsyncGenerator[Source]:
    """A `Source`, opened once the upload has one of the client's slots, which it holds for the block.

    Raises what `open_source` raises, and `ClientClosedError` when the client is closed before that.
    """
    check_source(source, size)
    held = Secret(source)
    del source
    async with AsyncExitStack() as stack:
        async with _until_closed(sender):
            if not mimetypes.inited:  # initialization reads files
                await anyio.to_thread.run_sync(mimetypes.init)
            await stack.enter_async_context(sender.upload_slots)
            content = await stack.enter_async_context(open_source(held.reveal(), size))
        yield content


def _async_pieces(source: Any) -> AsyncGenerator[bytes] | None:
    """The content of an async source, None for any other."""
    for method in ("read_chunk", "read"):
        if inspect.iscoroutinefunction(read := getattr(source, method, None)):
            return reading.read_async(read)
    return reading.read_iterable(source) if isinstance(source, AsyncIterable) else None


@asynccontextmanager
async def _from_file(file: reading.ThreadedFile, size: int | None) -> AsyncGenerator[Source]:
    if (span := await file.call(reading.measure, file.file)) is not None:
        start, actual = span
        yield Source(_agreed(size, actual), lambda: file.pieces(start), rewindable=True)
    else:
        async with _read_once(reading.read_file(file), size) as found:
            yield found


@asynccontextmanager
async def _read_once(pieces: AsyncGenerator[bytes], size: int | None) -> AsyncGenerator[Source]:
    """A source that is streamed if its size is known, else spooled to a temporary file."""
    async with aclosing(pieces):
        if size is not None:
            yield Source(size, lambda: pieces, rewindable=False)
        else:
            async with reading.spooled(pieces) as spool, _from_file(spool, None) as found:
                yield found


def _agreed(size: int | None, actual: int) -> int:
    if size is not None and size != actual:
        raise ValueError(f"size must be the {actual} bytes of the source, got {size}")
    return actual


def _hash(source: str | os.PathLike[str] | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if reading.is_stream(source):
        raise ValueError(f"source must be a file that can be read twice, got {os.fspath(source)!r}")
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
