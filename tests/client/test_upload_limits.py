"""Limits of uploads: how many at once, how long, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import threading
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import msgspec
import pytest
from aiohttp.abc import AbstractResolver

from kognitos_async import (
    ClientClosedError,
    KognitosClient,
    OutcomeUnknownError,
    PlatformClient,
    RetryPolicy,
    UploadError,
)
from tests.hostile.raw_server import answer, read_request, serving
from tests.support import eventually

pytestmark = pytest.mark.usefixtures("nothing_left")

MIB = 1 << 20
ONCE = RetryPolicy(max_attempts=1)
STORED = {"metadata": {"name": "organizations/o/files/f", "filename": "x"}}


class Store:
    """A server whose every upload runs through `take(reader, length)`; it makes forms that lead to itself.

    `take` returns the status to answer with: negative to hang up after it, None to hang up without one.
    """

    def __init__(self, take):
        self.take = take
        self.forms = self.uploads = self.now = self.most = 0
        self.url = ""
        self.tasks = set()

    async def serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].split("\r\n")[0] or 0)
                if head.split(" ")[1] == "/v2/files":
                    await reader.readexactly(length)
                    self.forms += 1
                    form = {
                        "id": "f",
                        "file_name": "x",
                        "upload_url": f"{self.url}/s",
                        "upload_fields": {"k": "v"},
                    }
                    status, body = 201, msgspec.json.encode(form)
                else:
                    self.uploads += 1
                    self.now += 1
                    self.most = max(self.most, self.now)
                    try:
                        status = await self.take(reader, length)
                        body = b"" if status in (204, -204) else msgspec.json.encode(STORED)
                    finally:
                        self.now -= 1
                    if status is None:
                        break
                answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s"
                writer.write(answer % (abs(status), len(body), body))
                await writer.drain()
                if status < 0:
                    await asyncio.sleep(0.1)
                    break
        writer.transport.abort()


@pytest.fixture
async def open_store():
    async with contextlib.AsyncExitStack() as stack:

        async def start(take):
            store = Store(take)
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            listener.bind(("127.0.0.1", 0))
            store.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = await asyncio.start_server(store.serve, sock=listener, limit=16384)

            async def stop():
                server.close()
                for task in store.tasks:
                    task.cancel()
                await asyncio.gather(*store.tasks, return_exceptions=True)

            stack.push_async_callback(stop)
            return store

        yield start


@pytest.fixture(params=["v2", "platform", "presigned"])
async def upload_to(request):
    """Opens a client of a store and returns its way to upload; `close` closes the client."""
    closers = []
    async with contextlib.AsyncExitStack() as stack:

        async def connect(store, **options):
            settings = {"base_url": store.url, "retry": ONCE, **options}
            if request.param == "v2":
                client = await stack.enter_async_context(KognitosClient("k", agent_id="a", **settings))
                upload = client.files.upload
            else:
                client = PlatformClient("kgn_pat_x", organization_id="o", **settings)
                await stack.enter_async_context(client)
                upload = client.files.upload
            if request.param == "presigned":

                def upload(source, *, file_name=None, **options):
                    return client.files.upload_presigned(f"{store.url}/p", source, **options)

            closers.append(client.aclose)
            return upload

        async def close():
            await closers.pop()()

        connect.close = close
        yield connect


async def take_all(reader, length):
    await reader.readexactly(length)
    return 200


def stream(*, pieces=32, begun=None, closed=None, pause=0.0):
    async def generate():
        if begun is not None:
            begun.set()
        try:
            for _ in range(pieces):
                await asyncio.sleep(pause)
                yield bytes(MIB)
        finally:
            if closed is not None:
                closed.set()

    return generate()


def open_below(folder):
    """How many files in a folder this process has open; 0 where the system does not say."""
    links = [entry.readlink() for entry in Path("/proc/self/fd").glob("*") if entry.is_symlink()]
    return sum(link.parent == folder for link in links)


async def test_uploads_beyond_the_limit_are_queued(open_store, upload_to, tmp_path):
    """For however long; their sources are opened only then."""
    paths = [tmp_path / f"{number}.bin" for number in range(6)]
    for path in paths:
        path.write_bytes(b"content")
    opened = []

    async def take(reader, length):
        await reader.readexactly(length)
        await asyncio.sleep(0.25)  # more than the time to connect
        opened.append(open_below(tmp_path))
        return 200

    store = await open_store(take)
    upload = await upload_to(store, max_connections=2, request_timeout=0.4)
    await asyncio.gather(*(upload(path) for path in paths))
    assert store.uploads == 6
    assert store.most == 2
    assert max(opened) <= 2


async def test_uploads_do_not_block_requests(open_store):
    """They have separate slots."""
    release = asyncio.Event()

    async def take(reader, length):
        await release.wait()
        return await take_all(reader, length)

    store = await open_store(take)
    async with PlatformClient(
        "kgn_pat_x", organization_id="o", base_url=store.url, max_connections=1
    ) as client:
        uploading = asyncio.create_task(client.files.upload(b"x", file_name="x"))
        await eventually(lambda: store.uploads == 1)
        store.take = take_all
        async with asyncio.timeout(2):
            await client.request("GET", "/organizations/o")
        release.set()
        await uploading


@contextlib.asynccontextmanager
async def anyio_timeout(seconds):
    with anyio.fail_after(seconds):
        yield


@pytest.mark.parametrize("limit", [asyncio.timeout, anyio_timeout])
async def test_a_cancelled_upload_waits_for_the_end_of_its_source(open_store, upload_to, limit):
    """What a generator awaits in `finally` is not interrupted, even where each await is cancelled."""
    closed = []

    async def generate():
        try:
            yield b"x"
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
            closed.append(True)

    upload = await upload_to(await open_store(take_all))
    with pytest.raises(TimeoutError):
        async with limit(0.2):
            await upload(generate(), file_name="x", size=100)
    assert closed


async def test_a_cancelled_upload_waits_for_the_thread_that_reads(open_store, upload_to):
    """Its caller may close the file at once; also where each await is cancelled."""
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.BytesIO):
        def read(self, size=-1):
            reading.set()
            go_on.wait(5)
            reading.clear()
            return super().read(size)

    upload = await upload_to(await open_store(take_all))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(upload, Slow(b"content"), file_name="x"))
            await eventually(reading.is_set)
            scope.cancel()
            asyncio.get_running_loop().call_later(0.1, go_on.set)
    assert not reading.is_set()


async def test_a_cancelled_upload_releases_its_slot(open_store, upload_to):
    """Whether it is queued or sending."""
    store = await open_store(lambda reader, length: asyncio.sleep(60))
    upload = await upload_to(store, max_connections=1)
    under_way, waiting = (asyncio.create_task(upload(b"x", file_name="x")) for _ in range(2))
    await eventually(lambda: store.uploads == 1)
    for task in (waiting, under_way):
        task.cancel()
    await asyncio.wait({waiting, under_way})
    store.take = take_all
    await upload(b"x", file_name="x")


def small_buffer(info):
    made = socket.socket(*info[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    return made


@pytest.mark.parametrize("where", ["transport", "kernel"])
async def test_a_slow_upload_with_progress_does_not_time_out(open_store, upload_to, where):
    """Bytes count as progress, whether they are in the transport's buffer or the kernel's."""
    size = 600_000

    async def take(reader, length):
        while length > 0:
            piece = await reader.read(min(length, 8000))
            if not piece:
                return None
            length -= len(piece)
            await asyncio.sleep(len(piece) / 400_000)
        return 200

    store = await open_store(take)
    connector = aiohttp.TCPConnector(socket_factory=small_buffer if where == "transport" else None)
    async with aiohttp.ClientSession(connector=connector) as session:
        upload = await upload_to(store, request_timeout=0.5, session=session)
        began = asyncio.get_running_loop().time()
        await upload(bytes(size), file_name="x")
        assert asyncio.get_running_loop().time() - began > 1.0


async def test_an_upload_without_progress_times_out(open_store, upload_to):
    """After request_timeout, in the middle of the file."""

    async def take(reader, length):
        await reader.readexactly(200_000)
        await asyncio.sleep(60)

    store = await open_store(take)
    upload = await upload_to(store, request_timeout=0.3)
    async with asyncio.timeout(3):
        with pytest.raises((UploadError, OutcomeUnknownError), match="request_timeout"):
            await upload(bytes(32 * MIB), file_name="x")


class _SilentResolver(AbstractResolver):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        await asyncio.sleep(60)

    async def close(self):
        pass


@pytest.mark.parametrize("way", ["proxy", "resolver"])
async def test_an_upload_that_gets_no_connection_times_out(way):
    """A proxy of the user's session that does not answer CONNECT, and a resolver that does not answer."""

    async def program(reader, writer):
        while (request := await read_request(reader)) is not None:
            if request[0] == "CONNECT":
                await asyncio.sleep(60)
            form = {"id": "f", "file_name": "x", "upload_url": "https://store.example/s"}
            writer.write(answer({**form, "upload_fields": {}}, 201))

    async with serving(program) as url:
        resolver = _SilentResolver() if way == "resolver" else None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver), proxy=url if way == "proxy" else None
        )
        client = KognitosClient("k", base_url=url, session=session, request_timeout=0.3, retry=ONCE)
        async with session, client, asyncio.timeout(3):
            with pytest.raises(UploadError, match=r"no connection .* nothing was sent"):
                await client.files.upload(b"x", file_name="x")


async def test_an_upload_waits_for_a_users_pool(open_store):
    """Longer than request_timeout, while another user of the session has its only connection."""
    release = asyncio.Event()

    async def take(reader, length):
        await release.wait()
        return await take_all(reader, length)

    store = await open_store(take)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        PlatformClient(
            "kgn_pat_x", organization_id="o", base_url=store.url, session=session, request_timeout=0.2
        ) as client,
    ):
        first = asyncio.create_task(session.post(f"{store.url}/first", data=b"x"))
        await eventually(lambda: store.uploads == 1)
        upload = asyncio.create_task(client.files.upload_presigned(f"{store.url}/second", b"x"))
        assert await asyncio.wait({upload}, timeout=0.8) == (set(), {upload})
        release.set()
        (await first).close()
        await upload


@pytest.mark.parametrize("status", [200, 204])
async def test_a_2xx_before_the_whole_file_is_not_success(open_store, upload_to, status):
    """The store cannot have stored what it has not read."""

    async def take(reader, length):
        await reader.read(1000)
        return -status

    store = await open_store(take)
    upload = await upload_to(store)
    with pytest.raises((UploadError, OutcomeUnknownError), match="before the whole"):
        await upload(stream(pause=0.01), file_name="x", size=32 * MIB)


async def test_a_file_answered_too_early_is_sent_again(open_store):
    """With a fresh form, from its start."""
    taken = []

    async def take(reader, length):
        if not taken:
            taken.append(await reader.read(1000))
            return -204
        taken.append(await reader.readexactly(length))
        return 204

    store = await open_store(take)
    policy = RetryPolicy(base_delay=0.01, max_delay=0.01)
    async with KognitosClient("k", agent_id="a", base_url=store.url, retry=policy) as client:
        await client.files.upload(b"x" * 32 * MIB, file_name="x")
    assert store.forms == 2
    assert taken[1].count(b"x" * MIB) == 32


async def reset(reader, _):
    await reader.read(100_000)


async def refuse(reader, _):
    await reader.read(100_000)
    return -403


async def fall_silent(reader, _):
    await reader.read(100_000)
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    "take", [reset, refuse, fall_silent, None], ids=["reset", "refused", "silent", "cancelled"]
)
async def test_a_source_is_closed_when_the_upload_is_over(open_store, upload_to, take):
    """So that a generator releases its lock or connection at once."""
    closed = asyncio.Event()
    store = await open_store(take or fall_silent)
    upload = await upload_to(store, request_timeout=0.5 if take is fall_silent else 5)
    uploading = asyncio.create_task(upload(stream(closed=closed), file_name="x", size=32 * MIB))
    if take is None:
        await eventually(lambda: store.uploads == 1)
        await asyncio.sleep(0.05)
        uploading.cancel()
    await asyncio.wait({uploading})
    assert uploading.cancelled() or uploading.exception() is not None
    assert closed.is_set()


async def test_closing_the_client_ends_an_upload_that_is_still_being_spooled(open_store, upload_to):
    """Its source is closed; a queued upload ends too."""
    begun, closed = asyncio.Event(), asyncio.Event()
    store = await open_store(take_all)
    upload = await upload_to(store, max_connections=1)
    source = stream(pieces=10**9, begun=begun, closed=closed, pause=0.005)
    endless = asyncio.create_task(upload(source, file_name="x"))
    waiting = asyncio.create_task(upload(b"x", file_name="y"))
    await begun.wait()
    await upload_to.close()
    await asyncio.wait({endless, waiting}, timeout=3)
    assert isinstance(endless.exception(), ClientClosedError)
    assert isinstance(waiting.exception(), ClientClosedError)
    assert closed.is_set()
    assert store.uploads == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("size", [None, 3 * MIB])
async def test_a_fifo_is_uploaded(open_store, upload_to, tmp_path, size):
    """By its path, also before its writer is there."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    taken = []

    async def take(reader, length):
        taken.append(await reader.readexactly(length))
        return 200

    store = await open_store(take)
    upload = await upload_to(store)
    uploading = asyncio.create_task(upload(path, size=size))
    await asyncio.sleep(0.05)
    await asyncio.to_thread(path.write_bytes, b"x" * 3 * MIB)
    await uploading
    assert taken[0].count(b"x" * MIB) == 3
