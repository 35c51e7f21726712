"""Common parts of both file stores: S3's errors, bodies read in constant memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from kognitos_async.testing.routing import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from aiohttp import BodyPartReader

CHUNK = 256 * 1024
"""Bytes of a body read at once."""

BROKEN_MULTIPART = (ValueError, AssertionError, web.HTTPException, HttpProcessingError)
"""Exceptions of aiohttp's parser for a malformed body."""

_DRAIN_LIMIT = 64 * 1024 * 1024
_CODES = {400: "InvalidRequest", 404: "NoSuchKey", 405: "MethodNotAllowed", 429: "SlowDown", 503: "SlowDown"}


TOO_LARGE = "Your proposed upload exceeds the maximum allowed size"
"""S3's message for an upload that is too large."""


class TooLargeError(Exception):
    """An upload is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file. `data` is None if it is larger than the server keeps."""

    size: int
    sha256: str
    data: bytes | None


async def read_content(chunks: AsyncIterator[bytes], *, max_size: int, keep_limit: int) -> Content:
    """The content, read in constant memory. Raises `TooLargeError` above `max_size` bytes."""
    digest = hashlib.sha256()
    size = 0
    kept: bytearray | None = bytearray()
    async for chunk in chunks:
        size += len(chunk)
        if size > max_size:
            raise TooLargeError
        digest.update(chunk)
        if kept is not None:
            kept += chunk
            if size > keep_limit:
                kept = None
    return Content(size, digest.hexdigest(), None if kept is None else bytes(kept))


async def chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    """The bytes of a part of a multipart body."""
    while chunk := await part.read_chunk(CHUNK):
        yield chunk


def content_of(data: bytes, *, keep_limit: int) -> Content:
    """The content of a file given as bytes."""
    return Content(len(data), hashlib.sha256(data).hexdigest(), data if len(data) <= keep_limit else None)


def s3_error(status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
    """An error document in S3's form; `details` may hold its `Code`."""
    code = next((value for name, value in details if name == "Code"), "") or _CODES.get(
        status, "InternalError"
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        "<RequestId>EMULATED00000000</RequestId><HostId>emulated</HostId></Error>"
    )
    return Reply(status, body=body.encode(), content_type="application/xml")


async def send_continue(request: web.BaseRequest) -> None:
    """Answer 100 Continue if the peer waits for it before it sends its body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def drain(request: web.BaseRequest) -> bool:
    """Read the rest of the body, since a peer still sending may miss the answer. False if it is too large."""
    read = 0
    while chunk := await request.content.readany():
        read += len(chunk)
        if read > _DRAIN_LIMIT:
            return False
    return True
