"""Sources of uploads, and the form body."""

from __future__ import annotations

import email.parser
import hashlib
import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich import pretty

from kognitos_async import FileSource
from kognitos_async.uploads.file_store import allowed_headers, refusal, unsafe_url
from kognitos_async.uploads.multipart import Form, encode_form
from kognitos_async.uploads.sources import name_of, open_source

CONTENT = bytes(range(256)) * 9000  # more than two pieces


async def stream(*pieces):
    for piece in pieces:
        yield piece


class Pipe(io.RawIOBase):
    """Readable once, not seekable."""

    def __init__(self, content):
        self._file = io.BytesIO(content)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._file.read(size)


async def content(source):
    return b"".join([piece async for piece in source.pieces()])


def file_at(path):
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda _: CONTENT,
        lambda _: bytearray(CONTENT),
        lambda _: memoryview(CONTENT),
        file_at,
        lambda path: str(file_at(path)),
        lambda _: io.BytesIO(CONTENT),
        lambda _: stream(CONTENT[:7], b"", CONTENT[7:]),
        lambda _: Pipe(CONTENT),
    ],
    ids=["bytes", "bytearray", "memoryview", "path", "str", "file", "stream", "pipe"],
)
async def test_every_source_can_be_read_twice_in_small_pieces(make, tmp_path):
    """Streams of unknown size too: they are spooled to disk."""
    async with open_source(make(tmp_path / "f"), None) as source:
        assert source.size == len(CONTENT)
        assert source.rewindable
        assert await content(source) == CONTENT
        pieces = [piece async for piece in source.pieces()]
        assert b"".join(pieces) == CONTENT
        assert max(map(len, pieces)) <= 1024 * 1024


@pytest.mark.parametrize("make", [lambda: stream(b"abc", b"def"), lambda: Pipe(b"abcdef")])
async def test_a_source_of_known_size_is_streamed_without_a_file(make, monkeypatch):
    """It can be read only once, and nothing is written to disk."""
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    async with open_source(make(), 6) as source:
        assert not source.rewindable
        assert not source.touched
        assert await content(source) == b"abcdef"
        assert source.touched


async def test_a_file_is_read_from_its_position_and_left_open():
    """A header that was read already is not sent."""
    file = io.BytesIO(b"header|content")
    file.seek(7)
    async with open_source(file, None) as source:
        assert source.size == 7
        assert await content(source) == b"content"
        assert await content(source) == b"content"
    assert not file.closed
    file.seek(100)
    async with open_source(file, None) as source:
        assert source.size == 0


async def test_a_file_whose_seek_returns_nothing():
    """As files of SFTP libraries do."""

    class Remote(io.BytesIO):
        def seek(self, *position):
            super().seek(*position)

    async with open_source(Remote(b"content"), None) as source:
        assert source.size == 7
        assert await content(source) == b"content"


@pytest.mark.parametrize(
    ("make", "size", "words"),
    [
        (lambda: b"abc", 4, "the 3 bytes of the source, got 4"),
        (lambda: io.BytesIO(b"abc"), 2, "the 3 bytes of the source, got 2"),
    ],
)
async def test_a_wrong_size_of_a_sized_source_is_refused_at_once(make, size, words):
    """Before anything is sent."""
    with pytest.raises(ValueError, match=words):
        async with open_source(make(), size):
            pass


@pytest.mark.parametrize(("size", "words"), [(5, "5 bytes, got more"), (7, "7 bytes, got 6")])
@pytest.mark.parametrize("make", [lambda: stream(b"abc", b"def"), lambda: Pipe(b"abcdef")])
async def test_a_wrong_size_of_a_stream_raises(make, size, words):
    """ValueError for too much or too little; no truncated file is stored."""
    async with open_source(make(), size) as source:
        with pytest.raises(ValueError, match=words):
            await content(source)


async def test_a_file_that_shrinks_during_the_upload_raises(tmp_path):
    """A part must not be stored as the whole."""
    path = file_at(tmp_path / "f")
    async with open_source(path, None) as source:
        os.truncate(path, 10)
        with pytest.raises(ValueError, match="bytes, got 10"):
            await content(source)


@pytest.mark.parametrize(
    ("source", "size", "error"),
    [
        (7, None, TypeError),
        (None, None, TypeError),
        ([b"abc"], None, TypeError),
        (io.StringIO("text"), None, TypeError),
        (b"abc", "3", TypeError),
        (b"abc", True, TypeError),
        (b"abc", -1, ValueError),
        ("/no/such/file", None, FileNotFoundError),
    ],
)
async def test_unreadable_sources_are_refused(source, size, error):
    """By type, by size, or by the system."""
    with pytest.raises(error):
        async with open_source(source, size):
            pass


@pytest.mark.parametrize("size", [None, 3])
async def test_text_from_a_stream_is_refused(size):
    """Only bytes can be uploaded."""
    with pytest.raises(TypeError, match="bytes, got str"):
        async with open_source(stream("abc"), size) as source:
            await content(source)


async def test_bytearrays_that_a_reader_reuses_are_copied():
    """A piece must not change while it is sent."""
    buffer = bytearray(b"abc")

    async def reused():
        yield buffer
        buffer[:] = b"xyz"
        yield buffer

    async with open_source(reused(), 6) as source:
        assert [piece async for piece in source.pieces()] == [b"abc", b"xyz"]


@pytest.mark.parametrize(
    ("source", "given_name", "name"),
    [
        ("a/b/c.pdf", None, "c.pdf"),
        (Path("x.csv"), None, "x.csv"),
        (b"", "own.txt", "own.txt"),
        ("a.pdf", "b.pdf", "b.pdf"),
    ],
)
def test_the_file_name_is_given_or_that_of_the_path(source, given_name, name):
    """The last part of a path."""
    assert name_of(source, given_name) == name


def test_an_open_file_is_named_after_its_path(tmp_path):
    """One without a path needs a name."""
    with file_at(tmp_path / "f.bin").open("rb") as file:
        assert name_of(file, None) == "f.bin"
    with tempfile.TemporaryFile() as nameless, pytest.raises(ValueError, match="file_name"):
        name_of(nameless, None)


@pytest.mark.parametrize(
    ("source", "given_name", "error"),
    [
        (b"", None, ValueError),
        (io.BytesIO(), None, ValueError),
        (b"", "", ValueError),
        (b"", "x" * 257, ValueError),
        (b"", 7, TypeError),
        ("x" * 300, None, ValueError),
    ],
)
def test_a_missing_or_wrong_file_name_is_refused(source, given_name, error):
    """Before anything is sent."""
    with pytest.raises(error, match="file_name"):
        name_of(source, given_name)


# FileSource


def test_a_file_source_has_a_name():
    """Given, or that of its path; content needs one."""
    assert FileSource("x/a.pdf").name == "a.pdf"
    assert FileSource(Path("x/a.pdf"), "b.pdf").name == "b.pdf"
    assert FileSource(bytearray(b"abc"), file_name="b.pdf").source == b"abc"


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ((b"abc",), ValueError, "file_name"),
        ((b"abc", ""), ValueError, "file_name"),
        (("a.pdf", 3), TypeError, "file_name"),
        ((io.BytesIO(), "a"), TypeError, "source"),
        ((None, "a"), TypeError, "source"),
    ],
)
def test_a_file_source_is_validated_when_created(arguments, error, word):
    """Its upload may begin hours later."""
    with pytest.raises(error, match=f"{word} must"):
        FileSource(*arguments)


def test_the_content_of_a_file_source_is_not_shown():
    """By repr or rich."""
    source = FileSource(b"s3cr3t content", "a.pdf")
    shown = f"{source!r} {pretty.pretty_repr(source)}"
    assert "s3cr3t" not in shown
    assert shown.count("<14 bytes>") == 2
    assert repr(FileSource("x/a.pdf")) == "FileSource('x/a.pdf', file_name='a.pdf')"


async def test_the_hash_of_a_file_source_is_that_of_its_content(tmp_path):
    """Whether it is a path or bytes; what can be read once only has none."""
    expected = hashlib.sha256(CONTENT).hexdigest()
    assert await FileSource(file_at(tmp_path / "f")).content_hash() == expected
    assert await FileSource(CONTENT, "f").content_hash() == expected
    with pytest.raises(FileNotFoundError):
        await FileSource(tmp_path / "none").content_hash()
    with pytest.raises(ValueError, match="read twice"):
        await FileSource("/dev/null", "f").content_hash()


async def test_a_file_source_opens_its_path_or_content(tmp_path):
    """Content or a path."""
    for found in (FileSource(CONTENT, "f"), FileSource(file_at(tmp_path / "f"))):
        async with open_source(found, None) as source:
            assert await content(source) == CONTENT


# The form

names = st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable())


@given(st.dictionaries(names, st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])), max_size=6))
def test_fields_come_in_their_order_and_the_file_last(fields):
    """A multipart parser reads back the fields and the file."""
    form = encode_form(fields, "invoice.pdf")
    boundary = form.content_type.partition("boundary=")[2]
    raw = form.head + b"FILE" + form.tail
    parts = raw.split(f"--{boundary}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    bodies = [part.partition(b"\r\n\r\n") for part in parts[1:-1]]
    assert [body.removesuffix(b"\r\n").decode() for _, _, body in bodies] == [*fields.values(), "FILE"]
    assert b'name="file"; filename="invoice.pdf"' in bodies[-1][0]
    for name, (head, _, _) in zip(fields, bodies, strict=False):
        assert f'name="{name.replace(chr(34), "%22")}"'.encode() in head


@pytest.mark.parametrize(
    "name",
    ['a"b.pdf', "a\r\nX-Evil: 1\r\n.pdf", 'x"; name="key', "ü.pdf", "a.pdf\x00.txt", "a\x1b[2J\x0b\x7f"],
)
def test_a_file_name_cannot_break_out_of_its_header(name):
    """Quotes and line ends are escaped as browsers do."""
    form = encode_form({}, name)
    head = form.head.partition(b"\r\n\r\n")[0].decode()
    message = email.parser.Parser().parsestr(head.partition("\r\n")[2])
    assert message.keys() == ["Content-Disposition", "Content-Type"]
    assert head.count('name="') == 2
    assert head.replace("\r\n", "").isprintable()


def test_control_characters_of_a_file_name_are_percent_encoded():
    """All of C0, and DEL; other characters stay as they are."""
    head = encode_form({}, "".join(map(chr, range(32))) + "\x7f\x80ü%.txt").head.decode()
    encoded = "".join(f"%{code:02X}" for code in range(32)) + "%7F\x80ü%.txt"
    assert f'filename="{encoded}"' in head


@pytest.mark.parametrize(
    ("fields", "name", "kind"),
    [
        ({"Content-Type": "application/x-own"}, "a.pdf", "application/x-own"),
        ({}, "a.pdf", "application/pdf"),
        ({}, "a.unknown-ending", "application/octet-stream"),
        ({"Content-Type": "text/plain\r\nX-Evil: 1"}, "a", "application/octet-stream"),
    ],
)
def test_the_content_type_is_that_of_the_form_or_guessed(fields, name, kind):
    """Without line breaks."""
    head = encode_form(fields, name).head.rpartition(b"Content-Disposition")[2]
    assert head.endswith(f"Content-Type: {kind}\r\n\r\n".encode())


def test_forms_cannot_set_length_and_host():
    """These headers are set by the HTTP client."""
    asked = {"x-amz-acl": "private", "Host": "evil", "content-LENGTH": "1", "Transfer-Encoding": "chunked"}
    assert allowed_headers(asked) == {"x-amz-acl": "private"}


def test_a_refusal_is_parsed_without_presigned_values():
    """Code and message are the store's; signatures and tokens are removed from the body."""
    body = (
        b"<Error><Code>SignatureDoesNotMatch</Code><Message>not &lt;this&gt; signature-1</Message>"
        b"<AWSAccessKeyId>AKIA123</AWSAccessKeyId><StringToSign>policy-text</StringToSign>"
        b"<Token-0>tok</Token-0><Other>a&amp;b-signed</Other></Error>"
    )
    code, message, shown = refusal(body, ["signature-1", "a&b-signed", "x"])
    assert code == "SignatureDoesNotMatch"
    assert message.startswith("not <this>")
    for secret in (b"AKIA123", b"policy-text", b">tok<", b"signature-1", b"b-signed"):
        assert secret not in shown
    assert b"<Code>" in shown


@pytest.mark.parametrize("body", [b"", b"not xml", b"<html></html>", b"\xff\xfe"])
def test_an_answer_that_is_no_xml_error_has_no_code(body):
    """Such as that of a proxy."""
    assert refusal(body, [])[:2] == ("", "")


def test_the_exact_bytes_of_a_form():
    """As in RFC 7578 and as S3 expects: CRLF, no headers for fields, the file last."""
    form = encode_form({"key": "a/b.pdf", "policy": "cG9s=="}, "b.pdf", boundary="XX")
    assert form.content_type == "multipart/form-data; boundary=XX"
    assert form.head == (
        b'--XX\r\nContent-Disposition: form-data; name="key"\r\n\r\na/b.pdf\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="policy"\r\n\r\ncG9s==\r\n'
        b'--XX\r\nContent-Disposition: form-data; name="file"; filename="b.pdf"\r\n'
        b"Content-Type: application/pdf\r\n\r\n"
    )
    assert form.tail == b"\r\n--XX--\r\n"


def test_every_form_has_a_boundary_of_its_own():
    """No file can contain it on purpose."""
    boundaries = {encode_form({}, "a").content_type for _ in range(50)}
    assert len(boundaries) == 50
    assert min(len(boundary) for boundary in boundaries) >= len("multipart/form-data; boundary=") + 32


def test_a_form_does_not_show_its_fields():
    """They are presigned."""
    form = encode_form({"signature": "s3cr3t"}, "a")
    assert "s3cr3t" not in f"{form!r} {pretty.pretty_repr(form)} {Form()!r}"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://store.example/x?a=b", True),
        ("http://127.0.0.1:9000/x", True),
        ("http://[::1]/x", True),
        ("http://store.example/x", False),
        ("https://foo..bar.example/x", False),
        ("https://.example/x", False),
        (f"https://{'a' * 64}.example/x", False),
        ("https://", False),
        ("https://host:99999/x", False),
        ("ftp://127.0.0.1/x", False),
        ("", False),
    ],
)
def test_files_are_sent_to_https_and_valid_hosts_only(url, safe):
    """Or to loopback."""
    assert (unsafe_url(url) is None) == safe
