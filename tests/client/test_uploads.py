"""Uploads: all kinds of sources, retries with new forms, and what is not sent to the file store."""

from __future__ import annotations

import asyncio
import io
import os

import msgspec
import pytest

from kognitos_async import NotFoundError, UploadError
from kognitos_async.testing import faults
from tests.client.support import recording

CONTENT = os.urandom(300_000)


@pytest.fixture(autouse=True)
def _no_key_leaks(nothing_left, server):
    yield
    assert server.leaks == 0


async def stream(*pieces):
    for piece in pieces:
        yield piece


class Pipe(io.RawIOBase):
    """Readable once, not seekable."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def read(self, size=-1):
        return self._file.read(size)


def form_for(url, **fields):
    """A create_file answer that leads to `url`."""
    form = {"id": "f-1", "file_name": "a.bin", "upload_url": url, "upload_fields": {}}
    form |= {"upload_http_headers": {}, "upload_http_method": "POST"}
    return faults.answer(201, msgspec.json.encode({**form, **fields}), {"Content-Type": "application/json"})


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "file", "stream", "pipe", "sized", "sized pipe"])
async def test_every_source_arrives_whole(client, server, tmp_path, kind):
    """And its id can be given to a start."""
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    options = {"file_name": "a.bin"}
    if "sized" in kind:
        options["size"] = len(CONTENT)
    with path.open("rb") as opened:
        source = {
            "path": path,
            "str": str(path),
            "bytes": CONTENT,
            "file": opened,
            "stream": stream(CONTENT[:10], CONTENT[10:]),
            "pipe": Pipe(CONTENT),
            "sized": stream(CONTENT),
            "sized pipe": Pipe(CONTENT),
        }[kind]
        file = await client.files.upload(source, **options)
    assert (file.file_name, file.size) == ("a.bin", len(CONTENT))
    assert server.files[file.id].content == CONTENT
    assert (await client.runs.start(server.process.id, name="n", file_ids=[file.id])).file_ids == (file.id,)


@pytest.mark.parametrize("source", [b"", b"x", stream()], ids=["empty", "one byte", "empty stream"])
async def test_the_smallest_files(client, server, source):
    """Including an empty one."""
    file = await client.files.upload(source, file_name="a")
    assert server.files[file.id].content_length == file.size


async def test_progress_counts_from_0_to_the_size(client, server):
    """In bytes of the file; a retry starts again from 0."""
    heard = []
    content = bytes(2_500_000)
    server.misbehave("upload_file", faults.server_error(503))
    await client.files.upload(
        content, file_name="a", on_progress=lambda sent, size: heard.append((sent, size))
    )
    assert {size for _, size in heard} == {len(content)}
    assert [sent for sent, _ in heard].count(0) == 2
    assert heard[0][0] == 0
    assert heard[-1][0] == len(content)
    last = heard[len(heard) - heard[::-1].index((0, len(content))) - 1 :]
    assert [sent for sent, _ in last] == sorted({sent for sent, _ in last})


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error(500),
        faults.proxy_error(502),
        faults.unavailable(),
        faults.reset(after_work=False),
        faults.reset(after_work=True),
        faults.answer(400, b"<Error><Code>RequestTimeout</Code></Error>"),
        faults.answer(403, b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"),
    ],
)
async def test_a_retry_takes_a_fresh_form(client, server, fault):
    """The old one may have expired; the source is rewound."""
    server.misbehave("upload_file", fault, times=2)
    file = await client.files.upload(CONTENT, file_name="a")
    assert server.files[file.id].content == CONTENT
    assert server.count("upload_file") == server.count("create_file") == 3


async def test_a_form_that_expired_meanwhile_is_replaced(client, server):
    """They live five minutes; a slow source may take longer."""
    late = []

    def on_progress(sent, _size):
        if not late:
            late.append(sent)
            server.advance(400)

    file = await client.files.upload(CONTENT, file_name="a", on_progress=on_progress)
    assert server.files[file.id].content == CONTENT
    assert server.count("create_file") == 2
    assert server.count("upload_file", status=403) == 1


@pytest.mark.parametrize("make", [lambda: stream(CONTENT), lambda: Pipe(CONTENT)])
async def test_what_cannot_be_rewound_is_not_retried(client, server, make):
    """Part of it has been read: UploadError instead of a truncated file."""
    server.misbehave("upload_file", faults.server_error(500), times=None)
    with pytest.raises(UploadError) as caught:
        await client.files.upload(make(), file_name="a", size=len(CONTENT))
    assert caught.value.status == 500
    assert server.count("upload_file") == 1
    assert not server.files


async def test_retries_are_bounded(client, server):
    """Four attempts, then the last failure."""
    server.misbehave("upload_file", faults.reset(after_work=False), times=None)
    with pytest.raises(UploadError, match="upload of 'a'") as caught:
        await client.files.upload(CONTENT, file_name="a")
    assert caught.value.status is None
    assert server.count("upload_file") == 4


async def test_a_permanent_refusal_has_the_stores_error(serve, connect):
    """Code and message of S3's XML; no retry."""
    server = await serve(max_file_size=1000)
    client = await connect(server)
    with pytest.raises(UploadError, match=r"400.*EntityTooLarge.*maximum") as caught:
        await client.files.upload(bytes(60_000), file_name="a")
    assert (caught.value.status, caught.value.code) == (400, "EntityTooLarge")
    assert b"<Code>EntityTooLarge</Code>" in caught.value.body
    assert server.count("upload_file") == 1


async def test_an_error_of_the_form_request_is_raised(client, server):
    """Nothing is sent to the store."""
    server.misbehave("create_file", faults.server_error(500), times=None)
    with pytest.raises(Exception, match="POST /files: 500"):
        await client.files.upload(b"x", file_name="a")
    assert server.count("upload_file") == 0


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_any_2xx_of_the_store_is_success(client, server, status):
    """204 is usual, others can be configured."""
    async with recording(status=status) as store:
        server.misbehave("create_file", form_for(store.url + "/b"))
        assert (await client.files.upload(b"abc", file_name="a.bin")).id == "f-1"


async def test_the_form_as_it_is_on_the_wire(client, server):
    """Fields in the order given, the file last, a length, the form's headers, and no key."""
    fields = {"zeta": "1", "key": "k/ü", "alpha": "2"}
    async with recording(status=204) as store:
        headers = {"x-amz-acl": "private", "Content-Length": "7", "Transfer-Encoding": "chunked"}
        server.misbehave(
            "create_file",
            form_for(store.url + "/b?sig=a%2Fb", upload_fields=fields, upload_http_headers=headers),
        )
        await client.files.upload(b"CONTENT", file_name="a.bin")
        (seen,) = store.seen
    assert (seen.method, seen.path, seen.query) == ("POST", "/b", "sig=a%2Fb")
    assert int(seen.headers["Content-Length"]) == len(seen.body)
    assert "Transfer-Encoding" not in seen.headers
    assert seen.headers["x-amz-acl"] == "private"
    assert seen.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    places = [seen.body.index(f'name="{name}"'.encode()) for name in (*fields, "file")]
    assert places == sorted(places)
    assert seen.body.count(b"CONTENT") == 1
    assert "x-api-key" not in {name.lower() for name in seen.headers}
    assert "test-key" not in str(seen)


async def test_a_presigned_put(client, server):
    """It sends the content alone, with its content type."""
    async with recording() as store:
        server.misbehave(
            "create_file",
            form_for(
                store.url, upload_http_method="PUT", upload_http_headers={"content-type": "application/x-own"}
            ),
        )
        await client.files.upload(b"CONTENT", file_name="a.bin")
        (seen,) = store.seen
    assert (seen.method, seen.body) == ("PUT", b"CONTENT")
    assert seen.headers["Content-Type"] == "application/x-own"
    assert seen.headers["Content-Length"] == "7"


@pytest.mark.parametrize(
    "fields",
    [
        {"upload_url": "http://store.example/x"},
        {"upload_url": "ftp://127.0.0.1/x"},
        {"upload_url": "file:///etc/passwd"},
        {"upload_url": "https://"},
        {"upload_url": "https://[::1"},
        {"upload_url": "https://host:99999/x"},
        {"upload_url": ""},
        {"upload_http_method": "DELETE"},
        {"upload_http_method": "PO ST\r\nX: 1"},
        {"upload_http_headers": {"X-Evil": "a\r\nX-Other: b"}},
        {"upload_http_headers": {"X Evil\n": "a"}},
    ],
)
async def test_an_invalid_form_is_refused(client, server, fields):
    """Other schemes, methods, and invalid headers: UploadError, and nothing is sent."""
    fields = dict(fields)
    async with recording() as store:
        server.misbehave("create_file", form_for(fields.pop("upload_url", store.url), **fields))
        with pytest.raises(UploadError):
            await client.files.upload(b"x", file_name="a.bin")
        assert store.seen == []


async def test_redirects_of_the_store_are_not_followed(client, server):
    """The file is sent only to the address the API named."""
    async with recording() as other, recording(status=307, headers={"Location": other.url}) as store:
        server.misbehave("create_file", form_for(store.url))
        with pytest.raises(UploadError) as caught:
            await client.files.upload(b"x", file_name="a")
        assert caught.value.status == 307
        assert other.seen == []


@pytest.mark.parametrize(
    ("source", "size", "error"),
    [
        (b"abc", 4, ValueError),
        (stream(b"abc"), 4, ValueError),
        (stream(b"abc"), 2, ValueError),
        (stream("abc"), 3, TypeError),
        ("/no/such/file", None, FileNotFoundError),
        (7, None, TypeError),
        (io.StringIO("abc"), None, TypeError),
    ],
)
async def test_an_error_of_a_source_is_raised(client, server, source, size, error):
    """No truncated file is stored."""
    with pytest.raises(error):
        await client.files.upload(source, file_name="a", size=size)
    assert not server.files


@pytest.mark.parametrize("kind", [ZeroDivisionError, TimeoutError, OSError])
async def test_errors_of_the_callers_code_are_raised_as_they_are(client, server, kind):
    """Those of the source and the progress callback, even if they are of a network error's type."""

    async def broken():
        yield b"abc"
        raise kind("the caller's own")

    def on_progress(sent, _size):
        if sent:
            raise kind("the caller's own")

    with pytest.raises(kind, match="the caller's own"):
        await client.files.upload(broken(), file_name="a", size=6)
    with pytest.raises(kind, match="the caller's own"):
        await client.files.upload(b"abc", file_name="a", on_progress=on_progress)
    assert not server.files


async def test_a_store_that_hangs_times_out(server, connect):
    """`request_timeout` bounds the time without progress."""
    client = await connect(server, request_timeout=0.5)
    server.misbehave("upload_file", faults.hang(), times=None)
    async with asyncio.timeout(5):
        with pytest.raises(UploadError, match="request_timeout"):
            await client.files.upload(CONTENT, file_name="a")
    assert server.count("upload_file") == 4


async def test_a_slow_upload_may_take_longer_than_the_request_timeout(server, connect):
    """As long as there is progress."""
    client = await connect(server, request_timeout=0.5)

    async def slow():
        for _ in range(10):
            await asyncio.sleep(0.08)
            yield b"x" * 1000

    file = await client.files.upload(slow(), file_name="a", size=10_000)
    assert server.files[file.id].content_length == 10_000


async def test_an_upload_is_stored_under_the_name_that_the_api_makes_safe(client, server):
    """With a type guessed from the name."""
    file = await client.files.upload(CONTENT, file_name="my report.pdf")
    assert (file.file_name, server.files[file.id].content_type) == ("my_report.pdf", "application/pdf")


async def test_a_name_with_quotes_breaks_and_control_characters(client, server):
    """Form and request stay valid; the API gets the original name."""
    name = 'a"b\r\nContent-Type: x\r\n\r\n--c\x00\x1b.txt'
    file = await client.files.upload(b"x", file_name=name)
    assert server.files[file.id].content == b"x"
    assert server.log[0].body["file_name"] == name


async def test_an_error_that_quotes_the_form_is_redacted(client, server):
    """No text, body or attribute of the error holds presigned values."""
    fields = {"key": "a-key-of-S3", "policy": "cG9saWN5LTEyMw==", "signature": "sig&nature"}
    quoted = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    body = f"<Error><Code>AccessDenied</Code><Message>{fields['policy']}</Message>{quoted}</Error>"
    async with recording(status=403, body=body.encode()) as store:
        server.misbehave("create_file", form_for(store.url + "/?X-Amz-Sig=s3cr3t-sig", upload_fields=fields))
        with pytest.raises(UploadError, match="AccessDenied") as caught:
            await client.files.upload(b"x", file_name="a.txt")
    shown = f"{caught.value!s} {caught.value!r} {caught.value.body!r} {vars(caught.value)}"
    for secret in (*fields.values(), "s3cr3t-sig"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("source", "options", "kind", "word"),
    [
        (io.StringIO("text"), {"file_name": "a"}, TypeError, "text"),
        (5, {"file_name": "a"}, TypeError, "source"),
        (None, {"file_name": "a"}, TypeError, "source"),
        (b"x", {}, ValueError, "file_name"),
        (b"x", {"file_name": ""}, ValueError, "file_name"),
        (b"x", {"file_name": "a", "size": -1}, ValueError, "size"),
        (b"x", {"file_name": "a", "size": "1"}, TypeError, "size"),
        (b"x", {"file_name": "a", "on_progress": 5}, TypeError, "on_progress"),
        ([b"x"], {"file_name": "a"}, TypeError, "source"),
    ],
)
async def test_arguments_are_checked(client, server, source, options, kind, word):
    """By name, before anything is sent."""
    with pytest.raises(kind, match=word):
        await client.files.upload(source, **options)
    assert server.count() == 0


async def test_what_making_the_form_raises_is_raised_by_the_upload(client, server):
    """Nothing is sent to the store."""
    with pytest.raises(NotFoundError):
        await client.files.upload(b"x", file_name="a.txt", agent_id="nobody")
    assert server.count("upload_file") == 0


async def test_concurrent_uploads(client, server):
    """Twenty at once are stored each with its own content."""
    contents = [bytes([n]) * 5000 for n in range(20)]
    files = await asyncio.gather(
        *(client.files.upload(content, file_name=f"{n}.bin") for n, content in enumerate(contents))
    )
    assert [server.files[file.id].content for file in files] == contents
