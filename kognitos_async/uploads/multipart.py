"""The form that the file store takes: what goes before and after the file, and what its refusals say."""

from __future__ import annotations

import mimetypes
import secrets
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from kognitos_async.uploads.sources import Source

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


class Form(msgspec.Struct, frozen=True):
    """A multipart body around a file: `head`, the file's bytes, `tail`."""

    content_type: str
    head: bytes
    tail: bytes


def encode_form(
    fields: Mapping[str, str], file_name: str, boundary: str | None = None, *, part: str = "file"
) -> Form:
    """The form: every field in the order given, then the file as its last part, of the name `part`."""
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
    content: Source, head: bytes, tail: bytes, on_progress: Callable[[int, int | None], object] | None
) -> AsyncGenerator[bytes]:
    """`head`, the content and `tail`; `on_progress` is told how much of the content has been sent."""
    if head:
        yield head
    sent = 0
    if on_progress is not None:
        on_progress(0, content.size)
    async for piece in content.pieces():
        yield piece
        sent += len(piece)
        if on_progress is not None:
            on_progress(sent, content.size)
    if tail:
        yield tail
