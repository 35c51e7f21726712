"""Multipart forms that upload a file."""

from __future__ import annotations

import mimetypes
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from kognitos_async.uploads.sources import Source

_SLICE = 64 * 1024
_ESCAPES = str.maketrans({chr(code): f"%{code:02X}" for code in (*range(32), ord('"'), 127)})
"""Escapes of quotes and line breaks as in browsers, and of all other control characters."""


class Form(msgspec.Struct, frozen=True):
    """The parts of a body before and after the file. Presigned fields stay out of its reprs."""

    content_type: str | None = None
    head: bytes = b""
    tail: bytes = b""

    def size_with(self, content: Source) -> int:
        """The size of the whole body in bytes."""
        return len(self.head) + content.size + len(self.tail)

    def __repr__(self) -> str:
        return f"Form(content_type={self.content_type!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("content_type", self.content_type)]


def encode_form(
    fields: Mapping[str, str], file_name: str, boundary: str | None = None, *, part: str = "file"
) -> Form:
    """The form with every field in the given order and the file as the last part, named `part`."""
    boundary = boundary or secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"\r\n\r\n'
        f"{value}\r\n"
        for name, value in fields.items()
    ]
    kind = fields.get("Content-Type") or mimetypes.guess_type(file_name)[0] or "application/octet-stream"
    if not kind.isprintable():
        kind = "application/octet-stream"
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{part}"; '
        f'filename="{file_name.translate(_ESCAPES)}"\r\nContent-Type: {kind}\r\n\r\n'
    )
    return Form(
        f"multipart/form-data; boundary={boundary}",
        "".join(parts).encode(),
        f"\r\n--{boundary}--\r\n".encode(),
    )


async def framed(
    content: Source, form: Form, on_progress: Callable[[int, int | None], object] | None
) -> AsyncGenerator[bytes | memoryview]:
    """The body in pieces; `on_progress` gets the bytes of the content sent so far and its size."""
    if form.head:
        yield form.head
    sent = 0
    if on_progress is not None:
        on_progress(0, content.size)
    async with aclosing(content.pieces()) as pieces:
        async for piece in pieces:
            whole = memoryview(piece)
            for start in range(0, len(whole), _SLICE):
                part = whole[start : start + _SLICE]
                yield part
                sent += len(part)
                if on_progress is not None:
                    on_progress(sent, content.size)
    if form.tail:
        yield form.tail
