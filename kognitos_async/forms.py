"""The form that the file store takes: what goes before and after the file, and what its refusals say."""

from __future__ import annotations

import mimetypes
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
_CODE = re.compile(rb"<Code>([^<]{1,200})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,1000})</Message>")
_SIGNED = re.compile(
    rb"<(AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest(?:Bytes)?|Token-\d+)>.*?</\1>",
    re.DOTALL,
)
_SHORTEST_SECRET = 6
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})


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


def allowed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers a presigned form asks for, less those that only the sender of the body can know."""
    return {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}


def objection_to(url: str) -> str | None:
    """Why no file goes to or comes from this address; None if it may: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        return "what is not a URL"
    host = parts.hostname or ""
    if not (parts.scheme == "https" and host) and not (parts.scheme == "http" and is_loopback(host)):
        return f"{parts.scheme}://{host}: files go to https:// only"
    return None


def refusal(body: bytes, presigned: Iterable[str]) -> tuple[str, str, bytes]:
    """Code, message and body of the file store's XML error, with what is presigned taken out."""
    import html  # noqa: PLC0415 - a large table that only an error needs

    shown = _SIGNED.sub(rb"<\1>[redacted]</\1>", body)
    for value in presigned:
        if len(value) >= _SHORTEST_SECRET:
            shown = shown.replace(value.encode(), b"[redacted]")
            shown = shown.replace(html.escape(value).encode(), b"[redacted]")
    code, message = (
        " ".join(html.unescape(found[1].decode("utf-8", "replace")).split()) if found else ""
        for found in (_CODE.search(shown), _MESSAGE.search(shown))
    )
    return code, message, shown
