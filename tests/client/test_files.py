"""Uploads of every kind of source to a store that checks form, signature, order and length."""

from __future__ import annotations

import asyncio
import io
import os

import pytest

from kognitos_async import NotFoundError, RetryPolicy, UploadError
from kognitos_async.testing import faults

CONTENT = os.urandom(64) * 40_000  # 2.56 MB: more than one piece


class Unseekable(io.RawIOBase):
    """A pipe-like file."""

    def __init__(self, content):
        self._inner = io.BytesIO(content)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._inner.readinto(buffer)

    def seekable(self):
        return False


async def _pieces(content=CONTENT, step=100_000):
    for start in range(0, len(content), step):
        yield content[start : start + step]


@pytest.fixture
async def server(serve):
    """A server that keeps what is uploaded, up to 4 MiB."""
    return await serve(keep_content_limit=4 * 1024 * 1024)


@pytest.fixture(autouse=True)
def _no_key_leaks(server):
    yield
    assert server.leaks == 0


def _stored(server, file):
    return server.files[file.id]


async def test_bytes(client, server):
    """Bytes are stored under the name given, made safe by the API; the id starts a run."""
    file = await client.files.upload(CONTENT, file_name="my report.pdf")
    assert (file.file_name, file.size) == ("my_report.pdf", len(CONTENT))
    assert (_stored(server, file).content, _stored(server, file).content_type) == (CONTENT, "application/pdf")
    run = await client.runs.start(server.process.id, name="x", file_ids=[file.id])
    assert run.file_ids == (file.id,)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
async def test_bytes_like(client, server, kind):
    """A bytearray or memoryview is taken as bytes are."""
    file = await client.files.upload(kind(b"abc"), file_name="a.txt")
    assert _stored(server, file).content == b"abc"


@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["str", "Path"])
async def test_paths(client, server, tmp_path, kind):
    """A path gives content and name."""
    path = tmp_path / "invoice.csv"
    path.write_bytes(CONTENT)
    file = await client.files.upload(kind(path))
    assert (file.file_name, _stored(server, file).content) == ("invoice.csv", CONTENT)


async def test_an_open_file_from_where_it_stands(client, server, tmp_path):
    """An open file is read from its position and stays open."""
    path = tmp_path / "half.bin"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        opened.seek(1000)
        file = await client.files.upload(opened)
        assert not opened.closed
    assert (file.file_name, file.size) == ("half.bin", len(CONTENT) - 1000)
    assert _stored(server, file).content == CONTENT[1000:]


async def test_an_async_iterator(client, server):
    """An async iterable of unknown size is stored whole, with a Content-Length."""
    file = await client.files.upload(_pieces(), file_name="s.bin")
    assert (file.size, _stored(server, file).content) == (len(CONTENT), CONTENT)
    assert "Content-Length" in server.log[-1].headers
    assert "Transfer-Encoding" not in server.log[-1].headers


async def test_an_async_iterator_of_known_size(client, server):
    """With `size` an async iterable is streamed."""
    file = await client.files.upload(_pieces(), file_name="s.bin", size=len(CONTENT))
    assert _stored(server, file).content == CONTENT


@pytest.mark.parametrize("size", [None, len(CONTENT)])
async def test_a_file_that_cannot_seek(client, server, size):
    """A pipe is stored whole, its size known or not."""
    file = await client.files.upload(Unseekable(CONTENT), file_name="p.bin", size=size)
    assert _stored(server, file).content == CONTENT


async def test_an_empty_file(client, server):
    """A file of no bytes can be uploaded."""
    file = await client.files.upload(b"", file_name="empty.txt")
    assert (file.size, _stored(server, file).content) == (0, b"")


async def test_a_name_with_quotes_and_breaks(client, server):
    """A name full of quotes and line breaks breaks neither form nor request."""
    name = 'a"b\r\nContent-Type: x\r\n\r\n--c.txt'
    file = await client.files.upload(b"x", file_name=name)
    assert _stored(server, file).content == b"x"
    assert server.log[0].body["file_name"] == name


async def test_progress(client, server):
    """on_progress starts at 0, never goes back without a retry, and ends at the size."""
    told = []
    await client.files.upload(CONTENT, file_name="a.bin", on_progress=lambda *seen: told.append(seen))
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [sent for sent, _ in told] == sorted(sent for sent, _ in told)


RETRIED = {
    "503": faults.unavailable(),
    "500": faults.server_error(500),
    "reset": faults.reset(after_work=False),
    "reset after": faults.reset(after_work=True),
    "proxy 502": faults.proxy_error(502),
}


@pytest.mark.parametrize("fault", RETRIED.values(), ids=RETRIED)
async def test_a_retry_takes_a_fresh_form(client, server, fault):
    """A failure that may pass is tried again with a new form and the content from its start."""
    handle = server.misbehave("upload_file", fault, times=1)
    told = []
    file = await client.files.upload(
        _pieces(), file_name="a.bin", on_progress=lambda sent, _: told.append(sent)
    )
    assert handle.hits == 1
    assert (server.count("create_file"), _stored(server, file).content) == (2, CONTENT)
    assert told.count(0) == 2


async def test_a_form_that_expired(client, server):
    """A form that expires before the store sees it is replaced by a fresh one."""
    told = []

    def expire(sent, _):
        if sent == 0 and not told:
            server.advance(301)
        told.append(sent)

    file = await client.files.upload(b"abc", file_name="a.txt", on_progress=expire)
    assert server.count("upload_file", status=403) == 1
    assert server.count("create_file") == 2
    assert _stored(server, file).content == b"abc"


@pytest.mark.parametrize("source", [_pieces, lambda: Unseekable(CONTENT)], ids=["iterator", "pipe"])
async def test_what_cannot_be_read_twice_is_not_retried(client, server, source):
    """A streamed source that was touched is sent once; the failure is raised."""
    server.misbehave("upload_file", faults.unavailable(), times=1)
    with pytest.raises(UploadError) as caught:
        await client.files.upload(source(), file_name="a.bin", size=len(CONTENT))
    assert (caught.value.status, server.count("create_file")) == (503, 1)
    assert not server.files


async def test_a_store_that_stays_away(client, server):
    """After max_attempts the store's last word is raised."""
    server.misbehave("upload_file", faults.unavailable(), times=None)
    with pytest.raises(UploadError) as caught:
        await client.files.upload(b"x", file_name="a.txt")
    assert (caught.value.status, server.count("upload_file")) == (503, 4)


async def test_a_store_that_hangs(server, connect):
    """A store that takes the file and says nothing ends the attempt after request_timeout."""
    client = await connect(server, request_timeout=0.1, retry=RetryPolicy(max_attempts=1))
    server.misbehave("upload_file", faults.hang(), times=None)
    with pytest.raises(UploadError) as caught:
        await client.files.upload(b"x", file_name="a.txt")
    assert caught.value.status is None


async def test_the_stores_own_words(serve, connect):
    """The code and message of the store's XML are in the error, which is not retried."""
    server = await serve(max_file_size=10)
    client = await connect(server)
    with pytest.raises(UploadError, match=r"EntityTooLarge.*exceeds the maximum") as caught:
        await client.files.upload(b"x" * 11, file_name="a.txt")
    assert (caught.value.status, caught.value.code) == (400, "EntityTooLarge")
    assert b"<Code>EntityTooLarge</Code>" in caught.value.body
    assert (server.count("upload_file"), server.leaks) == (1, 0)


async def test_an_error_that_quotes_the_form(client, server):
    """Presigned values that the store's error quotes are taken out of text, body and arguments."""
    form = {}
    create = client.files._create

    async def remember(*args, **kwargs):
        made = await create(*args, **kwargs)
        form.update(made.upload_fields)
        quoted = "".join(f"<{n}>{v}</{n}>" for n, v in form.items())
        body = f"<Error><Code>AccessDenied</Code><Message>{form['policy']}</Message>{quoted}</Error>"
        server.misbehave("upload_file", faults.answer(403, body.encode()))
        return made

    client.files._create = remember
    with pytest.raises(UploadError) as caught:
        await client.files.upload(b"x", file_name="a.txt")
    shown = f"{caught.value!s} {caught.value!r} {caught.value.body!r} {vars(caught.value)}"
    for name in ("policy", "signature", "x-amz-security-token", "key"):
        assert form[name] not in shown, name


@pytest.mark.parametrize("size", [len(CONTENT) + 1, len(CONTENT) - 1])
async def test_a_wrong_size(client, server, size):
    """A source that is longer or shorter than `size` is a ValueError, nothing is stored."""
    with pytest.raises(ValueError, match="source"):
        await client.files.upload(_pieces(), file_name="a.bin", size=size)
    with pytest.raises(ValueError, match="size"):
        await client.files.upload(CONTENT, file_name="a.bin", size=size)
    assert not server.files


async def test_a_source_that_raises(client, server):
    """What the source raises in the middle is raised as it is."""

    async def broken():
        yield b"abc"
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await client.files.upload(broken(), file_name="a.bin", size=10)
    assert not server.files
    assert (await client.health()).ok


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
    """A wrong argument is refused by name before anything is sent."""
    with pytest.raises(kind, match=word):
        await client.files.upload(source, **options)
    assert server.count() == 0


async def test_a_path_there_is_not(client, server, tmp_path):
    """A path that cannot be opened is an OSError before anything is sent."""
    with pytest.raises(FileNotFoundError):
        await client.files.upload(tmp_path / "none.pdf")
    assert server.count() == 0


async def test_an_unknown_agent(client, server):
    """What creating the form raises is raised by the upload."""
    with pytest.raises(NotFoundError):
        await client.files.upload(b"x", file_name="a.txt", agent_id="nobody")
    assert server.count("upload_file") == 0


async def test_uploads_side_by_side(client, server):
    """Twenty uploads at once are stored each with its own content."""
    contents = [bytes([n]) * 5000 for n in range(20)]
    files = await asyncio.gather(
        *(client.files.upload(content, file_name=f"{n}.bin") for n, content in enumerate(contents))
    )
    assert [_stored(server, file).content for file in files] == contents
