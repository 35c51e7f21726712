"""Files over a socket: whole or not at all, in constant memory."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import stat
import tracemalloc
from datetime import timedelta

import aiohttp
import anyio
import pytest
from aiohttp import web
from rich import pretty

from kognitos_async import (
    ClientClosedError,
    DecodeError,
    FileRef,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    ServerError,
    UploadError,
)
from kognitos_async.platform_v1.files import PresignedUrl, file_ref
from tests.support import eventually

CONTENT = os.urandom(300_000)
ONCE = RetryPolicy(max_attempts=1)
METADATA = {"metadata": {"name": "organizations/o/files/f", "filename": "a.txt", "size_bytes": "300000"}}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def storing(got, *, status=201, refusals=()):
    refusals = list(refusals)

    async def handler(request):
        reader = await request.multipart()
        parts = {}
        while part := await reader.next():
            parts[part.name] = (part.filename, bytes(await part.read()))
        got.append((request.path, dict(request.headers), parts))
        if refusals:
            code, headers = refusals.pop(0)
            return web.json_response({"code": 8, "message": "later"}, status=code, headers=headers)
        return web.json_response(METADATA, status=status)

    return handler


@pytest.mark.parametrize("status", [200, 201])
async def test_a_file_is_uploaded_in_one_form(platform, tmp_path, status):
    """The name, then the content, with a length; to be used as an input."""
    got, progress = [], []
    client = await platform(storing(got, status=status))
    path = tmp_path / 'a "b".txt'
    path.write_bytes(CONTENT)
    stored = await client.files.upload(path, on_progress=lambda done, size: progress.append((done, size)))
    [(where, headers, parts)] = got
    assert where == "/api/v1/organizations/o/files:upload"
    assert list(parts) == ["filename", "content"]
    assert parts["filename"][1] == b'a "b".txt'
    assert parts["content"][1] == CONTENT
    assert int(headers["Content-Length"]) > len(CONTENT)
    assert headers["Authorization"] == "Bearer kgn_pat_secret"
    assert progress[0] == (0, 300_000)
    assert progress[-1] == (300_000, 300_000)
    assert stored.size_bytes == 300_000
    assert file_ref(stored) == FileRef("organizations/o/files/f")


@pytest.mark.parametrize(
    "location", ["/api/v1/organizations/o/files/f%20g", "https://x/api/v1/organizations/o/files/f%20g?a=1"]
)
async def test_an_answer_may_say_no_more_than_where_the_file_is(platform, location):
    """Then what is known of it is read."""

    async def handler(request):
        if request.method == "POST":
            await request.read()
            return web.Response(status=201, headers={"Location": location})
        assert request.path == "/api/v1/organizations/o/files/f g/metadata"
        return web.json_response(METADATA["metadata"])

    client = await platform(handler)
    assert (await client.files.upload(b"abc", file_name="a.txt")).filename == "a.txt"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"Created", b'{"metadata": {}}', b'{"metadata": null}', b"\xff", b"[1]"]
)
async def test_a_stored_file_is_found_whatever_the_body_says(platform, body):
    """By the Location of the answer."""

    async def handler(request):
        if request.method == "POST":
            await request.read()
            headers = {"Location": "/api/v1/organizations/o/files/f", "Content-Type": "application/json"}
            return web.Response(status=201, body=body, headers=headers)
        return web.json_response(METADATA["metadata"])

    client = await platform(handler)
    assert (await client.files.upload(b"abc", file_name="a.txt")).name == "organizations/o/files/f"


async def test_a_file_stored_in_another_organization_is_found(platform):
    """The one named by the call, not the client's."""

    async def handler(request):
        if request.method == "POST":
            await request.read()
            return web.Response(status=201, headers={"Location": "/api/v1/organizations/other/files/f"})
        assert request.path == "/api/v1/organizations/other/files/f/metadata"
        return web.json_response(METADATA["metadata"])

    client = await platform(handler)
    stored = await client.files.upload(b"abc", file_name="a.txt", organization_id="other")
    assert stored.filename == "a.txt"


@pytest.mark.parametrize(
    "location",
    ["http://[/organizations/o/files/f", "/organizations/o/files/%2e%2e", "/organizations/o/files/a%0Ab"],
)
async def test_a_location_without_a_name_does_not_name_the_file(platform, location):
    """The error says that the file is stored."""

    async def handler(request):
        await request.read()
        return web.Response(status=201, headers={"Location": location})

    client = await platform(handler)
    with pytest.raises(DecodeError, match="the file is stored"):
        await client.files.upload(b"abc", file_name="a.txt")


async def test_the_metadata_may_come_without_its_wrapping(platform):
    """Nothing else is asked for."""
    got = []

    async def handler(request):
        got.append(await request.read())
        return web.json_response(METADATA["metadata"], status=201)

    client = await platform(handler)
    assert (await client.files.upload(b"abc", file_name="a.txt")).filename == "a.txt"
    assert len(got) == 1


async def test_a_file_that_is_stored_is_named_by_the_error_that_follows(platform):
    """So it can be found or deleted."""

    async def handler(request):
        await request.read()
        if request.method == "POST":
            return web.Response(status=201, headers={"Location": "/api/v1/organizations/o/files/f"})
        return web.json_response({"code": 5, "message": "not yet"}, status=404)

    client = await platform(handler)
    with pytest.raises(NotFoundError) as caught:
        await client.files.upload(b"abc", file_name="a.txt")
    assert any("organizations/o/files/f" in note for note in caught.value.__notes__)


async def test_an_answer_that_does_not_name_the_file_says_so(platform):
    """It is stored all the same, so nothing is sent again."""
    got = []

    async def handler(request):
        got.append(await request.read())
        return web.Response(status=201)

    client = await platform(handler)
    with pytest.raises(DecodeError, match="stored"):
        await client.files.upload(b"abc", file_name="a.txt")
    assert len(got) == 1


async def test_a_refused_upload_is_sent_again_whole(platform):
    """When the refusal says that nothing was done."""
    got = []
    client = await platform(storing(got, refusals=[(429, {"Retry-After": "0"}), (503, {"Retry-After": "0"})]))
    await client.files.upload(CONTENT, file_name="a.txt")
    assert [parts["content"][1] == CONTENT for _, _, parts in got] == [True] * 3


async def test_an_upload_that_may_have_arrived_is_not_sent_again(platform):
    """A bare 500 says nothing."""
    got = []
    client = await platform(storing(got, refusals=[(500, {})]))
    with pytest.raises(ServerError):
        await client.files.upload(CONTENT, file_name="a.txt")
    assert len(got) == 1


async def test_a_source_that_can_be_read_once_is_sent_once(platform):
    """The refusal stays what is raised."""

    async def pieces():
        yield b"abc"

    got = []
    client = await platform(storing(got, refusals=[(429, {"Retry-After": "0"})]))
    with pytest.raises(UploadError, match="cannot be rewound"):
        await client.files.upload(pieces(), file_name="a.txt", size=3)
    assert len(got) == 1


def serving(content=CONTENT, *, breaks=0, headers=None):
    left = [breaks]

    async def handler(request):
        assert request.path == "/api/v1/organizations/o/files/f:download"
        response = web.StreamResponse(headers={"Content-Type": "text/plain", **(headers or {})})
        response.content_length = len(content)
        await response.prepare(request)
        if left[0]:
            left[0] -= 1
            await response.write(content[:1000])
            request.transport.close()
            return response
        await response.write(content)
        await response.write_eof()
        return response

    return handler


async def test_a_file_is_read_piece_by_piece(platform):
    """With its size and type."""
    client = await platform(serving())
    async with client.files.download(FileRef("organizations/o/files/f")) as download:
        assert download.size == len(CONTENT)
        assert download.content_type == "text/plain"
        assert b"".join([piece async for piece in download]) == CONTENT
    async with client.files.download("f"):
        pass  # left without reading
    async with client.files.download("f") as download:
        assert [piece async for piece in download]


async def test_a_file_that_breaks_in_the_middle_says_so(platform):
    """In the loop that reads it; what the block itself raises passes as it is."""
    client = await platform(serving(breaks=1))
    with pytest.raises(OutcomeUnknownError, match="lost"):
        async with client.files.download("f") as download:
            async for _ in download:
                pass
    for error in (TimeoutError("mine"), OSError("mine"), RuntimeError("mine"), OutcomeUnknownError("mine")):
        with pytest.raises(type(error), match="mine"):
            async with client.files.download("f"):
                raise error


async def test_a_file_is_written_whole(platform, tmp_path):
    """A transfer that breaks begins again; nothing but the file is left."""
    progress = []
    client = await platform(serving(breaks=2))
    target = tmp_path / "a.bin"
    target.write_text("what was there before")
    path = await client.files.download_to(
        "f", target, on_progress=lambda done, size: progress.append((done, size))
    )
    assert path == target
    assert target.read_bytes() == CONTENT
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert names_in(tmp_path) == ["a.bin"]
    usual = tmp_path / "usual"
    usual.touch()
    assert path.stat().st_mode == usual.stat().st_mode


async def test_a_link_leads_to_the_file_that_is_replaced(platform, tmp_path):
    """It stays, and so does the mode of the file, which may be a private one."""
    client = await platform(serving())
    (tmp_path / "store").mkdir()
    meant = tmp_path / "store" / "march.bin"
    meant.touch(mode=0o600)
    link = tmp_path / "latest.bin"
    link.symlink_to("store/march.bin")
    assert await client.files.download_to("f", link) == link
    assert link.is_symlink()
    assert meant.read_bytes() == CONTENT
    assert stat.S_IMODE(meant.stat().st_mode) == 0o600
    assert names_in(meant.parent) == ["march.bin"]


async def test_what_is_no_file_is_not_replaced(platform, tmp_path):
    """Before anything is asked for."""
    asked = []

    async def handler(request):
        asked.append(request)
        return web.Response(body=CONTENT)

    client = await platform(handler)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="Not a regular file"):
        await client.files.download_to("f", tmp_path / "fifo")
    with pytest.raises(IsADirectoryError):
        await client.files.download_to("f", tmp_path)
    assert (tmp_path / "fifo").is_fifo()
    assert not asked


async def test_half_a_file_never_appears(platform, tmp_path):
    """Broken for good, not there, or not writable: what was there stays, and nothing beside it."""
    target = tmp_path / "a.bin"
    target.write_text("before")
    client = await platform(serving(breaks=9))
    with pytest.raises(OutcomeUnknownError):
        await client.files.download_to("f", target)
    missing = await platform(lambda request: _json(404, {"code": 5, "message": "no file"}))
    with pytest.raises(NotFoundError, match="no file"):
        await missing.files.download_to("f", target)
    with pytest.raises(FileNotFoundError):
        await client.files.download_to("f", tmp_path / "nowhere" / "a.bin")
    assert target.read_text() == "before"
    assert names_in(tmp_path) == ["a.bin"]


async def test_a_disk_that_is_full_keeps_nothing(platform, tmp_path):
    """The error is the system's; where the last bytes failed, closing fails too."""
    client = await platform(serving(bytes(40_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32_768, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            await client.files.download_to("f", tmp_path / "a.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["書" * 80 + ".bin", "x" * 251 + ".bin", "é" * 127])
async def test_any_name_that_the_file_system_takes_can_be_written(platform, tmp_path, name):
    """The file beside it has a short one."""
    client = await platform(serving())
    await client.files.download_to("f", tmp_path / name)
    assert names_in(tmp_path) == [name]


async def _json(status, body):
    return web.json_response(body, status=status)


async def test_a_cancelled_download_leaves_nothing(platform, tmp_path):
    """No file, no task; and the client goes on."""
    began = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        response.content_length = 10
        await response.prepare(request)
        await response.write(b"12345")
        began.set()
        await asyncio.Event().wait()

    client = await platform(handler)
    task = asyncio.create_task(client.files.download_to("f", tmp_path / "a.bin"))
    await began.wait()
    await eventually(lambda: names_in(tmp_path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert names_in(tmp_path) == []


async def test_a_download_in_a_cancelled_scope_leaves_nothing(platform, tmp_path):
    """A scope of anyio cancels each await, those of the clean-up too."""
    client = await platform(lambda _: asyncio.Event().wait())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.files.download_to, "f", tmp_path / "a.bin")
            await eventually(lambda: names_in(tmp_path))
            scope.cancel()
    assert names_in(tmp_path) == []


async def test_a_file_that_stalls_is_given_up(platform):
    """`request_timeout` bounds each stretch without a byte."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"12345")
        await asyncio.Event().wait()

    client = await platform(handler, request_timeout=0.3, retry=ONCE)
    with pytest.raises(OutcomeUnknownError, match="request_timeout") as caught:
        async with client.files.download("f") as download:
            async for _ in download:
                pass
    assert caught.value.timed_out


async def test_closing_the_client_ends_a_download(platform):
    """With an error that says so."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"12345")
        await asyncio.Event().wait()

    client = await platform(handler)
    with pytest.raises(ClientClosedError):
        async with client.files.download("f") as download:
            async for _ in download:
                await client.aclose()
    with pytest.raises(ClientClosedError):
        async with client.files.download("f"):
            pass


async def test_presigned_addresses_stay_out_of_sight(platform):
    """Whoever has one may use it."""
    bodies = []

    async def handler(request):
        bodies.append(await request.json())
        member = "upload_uri" if "Upload" in request.path else "download_uri"
        return web.json_response({member: "https://store/x?signature=s3cr3t"})

    client = await platform(handler)
    up = await client.files.generate_upload_url(expire=timedelta(minutes=5))
    down = await client.files.generate_download_url("f")
    assert bodies == [{"expire_duration": "300s"}, {}]
    assert up == down == PresignedUrl("https://store/x?signature=s3cr3t")
    assert str(up).endswith("s3cr3t")
    assert "s3cr3t" not in f"{up!r} {pretty.pretty_repr(up)}"
    for wrong in (0.5, -1, "x"):
        with pytest.raises((TypeError, ValueError), match="expire"):
            await client.files.generate_upload_url(expire=wrong)


async def test_files_of_another_organization_are_refused(platform):
    """Before anything is sent, as are files that are not in Kognitos."""
    client = await platform(serving())
    with pytest.raises(ValueError, match="organization 'other'"):
        await client.files.metadata("organizations/other/files/f")
    with pytest.raises(ValueError, match="holds its content itself"):
        await client.files.metadata(FileRef(content=b"x"))


async def test_a_given_session_is_left_open_but_the_download_ends(platform):
    """Closing the client ends what is under way in it."""

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"12345")
        await asyncio.Event().wait()

    async with aiohttp.ClientSession() as session:
        client = await platform(handler, session=session)
        with pytest.raises(ClientClosedError):
            async with client.files.download("f") as download:
                async for _ in download:
                    closing = asyncio.create_task(client.aclose())
        await closing
        assert not session.closed


async def test_memory_does_not_grow_with_the_file(platform, tmp_path):
    """A hundred megabytes there and back within a few."""
    piece, count = bytes(1_000_000), 100

    async def handler(request):
        if request.method == "POST":
            async for _ in request.content.iter_any():
                pass
            return web.json_response(METADATA)
        response = web.StreamResponse()
        response.content_length = len(piece) * count
        await response.prepare(request)
        for _ in range(count):
            await response.write(piece)
        return response

    async def pieces():
        for _ in range(count):
            yield piece

    client = await platform(handler)
    tracemalloc.start()
    try:
        await client.files.upload(pieces(), file_name="zeros", size=len(piece) * count)
        path = await client.files.download_to("f", tmp_path / "zeros")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == len(piece) * count
    assert peak < 20_000_000
