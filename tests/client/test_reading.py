"""Sources are read outside the event loop, to their end, and always closed."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import os
import threading
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from kognitos_async.uploads import reading as reading_module
from kognitos_async.uploads.sources import name_of, open_source
from tests.support import answering

CONTENT = bytes(range(256)) * 9000  # more than two pieces


async def stream(*pieces):
    for piece in pieces:
        yield piece


async def content(source):
    return b"".join([piece async for piece in source.pieces()])


def file_at(path):
    path.write_bytes(CONTENT)
    return path


def open_files():
    """What this process has open, where the system says so, but for the listing itself."""
    return sorted(str(entry.readlink()) for entry in Path("/proc/self/fd").glob("*") if entry.is_symlink())


class Pipe(io.RawIOBase):
    """Readable once, not seekable."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._file.read(size)


class Noting(io.BytesIO):
    """Notes the threads in which it is used."""

    def __init__(self, content):
        super().__init__(content)
        self.threads = set()

    def read(self, *args):
        self.threads.add(threading.get_ident())
        return super().read(*args)

    def seek(self, *args):
        self.threads.add(threading.get_ident())
        return super().seek(*args)

    def tell(self):
        self.threads.add(threading.get_ident())
        return super().tell()


async def test_a_file_is_never_used_in_the_thread_of_the_loop():
    """Neither to measure nor to rewind it: a gzip file is read from its start for both."""
    file = Noting(CONTENT)
    async with open_source(file, None) as source:
        assert await content(source) == CONTENT
        assert await content(source) == CONTENT
    assert file.threads
    assert threading.get_ident() not in file.threads


async def test_a_gzip_file_is_uploaded_decompressed(tmp_path):
    """Its size is that of the content."""
    path = tmp_path / "f.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(CONTENT)
    with gzip.open(path) as opened:
        async with open_source(opened, None) as source:
            assert source.size == len(CONTENT)
            assert await content(source) == CONTENT


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
@pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize("size", [None, 8])
async def test_a_pipe_is_read_to_its_end(pipe, buffering, blocking, size):
    """A read without data is not the end."""
    reading, writing = pipe
    os.set_blocking(reading, blocking)
    os.write(writing, b"abc")

    def write_more():
        os.write(writing, b"defgh")
        os.close(writing)

    asyncio.get_running_loop().call_later(0.05, write_more)
    with open(reading, "rb", buffering=buffering) as file:  # noqa: ASYNC230, PTH123 - open already
        async with open_source(file, size) as source:
            assert await content(source) == b"abcdefgh"
            assert source.size == 8


async def test_reading_a_silent_pipe_can_be_cancelled(pipe):
    """No thread remains blocked."""
    threads = threading.active_count()
    with open(pipe[0], "rb") as file, pytest.raises(TimeoutError):  # noqa: ASYNC230, PTH123 - open already
        async with asyncio.timeout(0.05), open_source(file, None):
            pass
    assert threading.active_count() <= threads + 1  # the one that measured it is kept idle


async def test_reads_that_return_none_are_repeated():
    """As io.RawIOBase allows."""

    class Slow(Pipe):
        waits = 3

        def read(self, size=-1):
            if self.waits:
                self.waits -= 1
                return None
            return super().read(size)

    async with open_source(Slow(b"abc"), None) as source:
        assert await content(source) == b"abc"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
async def test_opening_a_fifo_without_a_writer_can_be_cancelled(tmp_path):
    """And it is closed."""
    os.mkfifo(tmp_path / "fifo")
    before = open_files()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), open_source(tmp_path / "fifo", None):
            pass
    assert open_files() == before


async def test_a_path_is_closed_when_opening_it_is_cancelled(tmp_path, monkeypatch):
    """The thread that opens it continues; the file is closed afterwards."""
    path = file_at(tmp_path / "f")
    opened, may_open = [], threading.Event()
    real = reading_module.open_path

    def slowly(path):
        may_open.wait(5)
        opened.append(real(path))
        return opened[0]

    monkeypatch.setattr(reading_module, "open_path", slowly)

    async def use():
        async with open_source(path, None):
            pass

    using = asyncio.create_task(use())
    await asyncio.sleep(0.02)
    using.cancel()
    asyncio.get_running_loop().call_later(0.02, may_open.set)
    with pytest.raises(asyncio.CancelledError):
        await using
    assert opened[0].closed


@pytest.mark.parametrize("size", [None, 100])
async def test_an_async_generator_is_closed_with_its_source(size):
    """Also when only a part was read."""
    closed = []

    async def generate():
        try:
            for _ in range(10):
                yield bytes(10)
        finally:
            closed.append(True)

    async with open_source(generate(), size) as source:
        async for _ in source.pieces():
            break
    assert closed == [True]


async def test_the_last_piece_is_held_back_until_the_source_ends():
    """A source longer than its size never makes a complete file."""
    given = []
    async with open_source(stream(b"abc", b"def", b"too much"), 6) as source:
        with pytest.raises(ValueError, match="6 bytes, got more"):
            async for piece in source.pieces():
                given.append(piece)  # noqa: PERF401 - what came before the error counts
    assert given == [b"abc"]


# Async files


class AsyncFile:
    """As Starlette's UploadFile is."""

    def __init__(self, content, filename):
        self._file = io.BytesIO(content)
        self.filename = filename
        self.sizes = []

    async def read(self, size=-1):
        self.sizes.append(size)
        return self._file.read(size)


@pytest.mark.parametrize("filename", ["a.pdf", "C:\\scans\\a.pdf", "../a.pdf"])
async def test_an_async_file_is_read_in_pieces(filename):
    """Its name is the last part of what the browser sent."""
    file = AsyncFile(CONTENT, filename)
    async with open_source(file, None) as source:
        assert await content(source) == CONTENT
        assert await content(source) == CONTENT
    assert name_of(file, None) == "a.pdf"
    assert 0 < max(file.sizes) <= 1024 * 1024


async def test_starlettes_upload_file():
    """The real one."""
    starlette = pytest.importorskip("starlette.datastructures")
    file = starlette.UploadFile(io.BytesIO(CONTENT), filename="a.pdf")
    async with open_source(file, None) as source:
        assert await content(source) == CONTENT
    assert name_of(file, None) == "a.pdf"


async def test_a_part_of_aiohttps_multipart_reader():
    """Streamed as received, under the name that its sender gave."""
    got = []

    async def handler(request):
        part = await (await request.multipart()).next()
        async with open_source(part, None) as source:
            got.append((name_of(part, None), await content(source)))
        return web.Response()

    async with answering(handler) as url, aiohttp.ClientSession() as session:
        form = aiohttp.FormData()
        form.add_field("f", io.BytesIO(CONTENT), filename="a.pdf")
        await session.post(url, data=form)
    assert got == [("a.pdf", CONTENT)]
