"""The file store: its URLs, its headers, its errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kognitos_async.errors import UploadError
from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kognitos_async.messages import Response

_CODE = re.compile(rb"<Code>([^<]{1,200})</Code>")
_MESSAGE = re.compile(rb"<Message>([^<]{1,1000})</Message>")
_SIGNED = re.compile(
    rb"<(AWSAccessKeyId|StringToSign|StringToSignBytes|SignatureProvided|CanonicalRequest(?:Bytes)?|Token-\d+)>.*?</\1>",
    re.DOTALL,
)
_SHORTEST_SECRET = 6
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type"})


def allowed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of a presigned form, without those that the transport sets."""
    return {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}


def unsafe_url(url: str) -> str | None:
    """Why a URL must not be used to send or fetch a file, None if it may be.

    Allowed are https, and http on loopback.
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
        host = parts.hostname or ""
        host.encode("idna")  # as name resolution does
    except ValueError:
        return "an invalid URL"
    if not (parts.scheme == "https" and host) and not (parts.scheme == "http" and is_loopback(host)):
        return f"{parts.scheme}://{host}, not https://"
    return None


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL, which hold no secrets; empty for an invalid URL."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}"


def refused(what: str, answer: Response, presigned: Iterable[str]) -> UploadError:
    """The error for a response of the file store other than 2xx; `what` begins its message."""
    code, message, body = refusal(answer.body, presigned)
    reason = ": ".join(filter(None, (code, message))) or "without an error message"
    return UploadError(f"{what} {answer.status} {reason}", status=answer.status, body=body, code=code)


def refusal(body: bytes, presigned: Iterable[str]) -> tuple[str, str, bytes]:
    """Code, message and body of the file store's XML error, presigned values redacted."""
    import html  # noqa: PLC0415 - a large table, needed for errors only

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
