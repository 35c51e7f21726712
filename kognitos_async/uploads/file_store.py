"""The file store: which addresses are acceptable, and what its refusals say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_CODE = re.compile(rb"<Code>([^<]{1,200})</Code>")


_MESSAGE = re.compile(rb"<Message>([^<]{1,1000})</Message>")


_SIGNED = re.compile(
    rb"<(AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest(?:Bytes)?|Token-\d+)>.*?</\1>",
    re.DOTALL,
)


_SHORTEST_SECRET = 6


_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})


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
