"""Faults for `KognitosServer.misbehave`.

Each function documents whether the API does its work first: a run may have been created even though its
answer never arrives.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kognitos_async.testing.fault_kinds import (
    Afterwards,
    Answer,
    Asked,
    Cut,
    Delay,
    Drip,
    Endless,
    Fault,
    Hang,
    Headers,
    MoreHeaders,
    Refusal,
    Reset,
    Rewrite,
    Stream,
)
from kognitos_async.testing.rewriting import (
    of_items,
    set_state,
    with_extra,
    with_null_lists,
    with_wrong_type,
    without_defaults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CAPACITY_MESSAGE = (
    "Resource Not Available: the organization has reached its maximum of {capacity} concurrent runs. "
    "Try again when a run has finished."
)
_HTML = b"""<!DOCTYPE html>
<html><head><title>%(status)d %(reason)s</title></head>
<body><center><h1>%(status)d %(reason)s</h1></center><hr><center>proxy</center></body></html>
"""
_REASONS = {200: b"OK", 500: b"Internal Server Error", 502: b"Bad Gateway", 503: b"Service Unavailable"}
_MIB = 1024 * 1024

# Refusals, in the form of the requested API


def refused(
    status: int, message: str, headers: Mapping[str, str] | None = None, *, after_work: bool = False
) -> Fault:
    """Any error, before or after the work."""
    return Refusal("refused", status, message, tuple((headers or {}).items()), after_work)


def rate_limited(retry_after: float | datetime | str | None = None) -> Fault:
    """429, with Retry-After in seconds, as a date, or as the given text. The work is not done.

    For a 429 in another form, as gateways send it, use `answer`.
    """
    return Refusal("rate_limited", 429, "Too many requests: rate limit exceeded", _retry_after(retry_after))


def capacity_reached(capacity: int = 150, *, message: str = CAPACITY_MESSAGE, status: int = 403) -> Fault:
    """The refusal of a start because the organization is at capacity. The work is not done.

    `{capacity}` in the message is replaced by the number.
    """
    return Refusal("capacity_reached", status, message.format(capacity=capacity))


def unavailable(retry_after: float | datetime | str | None = None) -> Fault:
    """503 as JSON. The work is not done."""
    return Refusal("unavailable", 503, "Service unavailable", _retry_after(retry_after))


def server_error(status: int = 500, *, after_work: bool = False) -> Fault:
    """An error as JSON, before or after the work."""
    return Refusal("server_error", status, "Internal error", after_work=after_work)


def not_found() -> Fault:
    """404, as just after a start. The work is not done."""
    return Refusal("not_found", 404, "Not found")


# Fixed answers


def answer(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, after_work: bool = False
) -> Fault:
    """Exactly these bytes, before or after the work.

    Before the work, an upload is answered without reading its body.
    """
    return Answer("answer", status, body, tuple((headers or {}).items()), after_work)


def proxy_error(status: int = 502, *, after_work: bool = False) -> Fault:
    """A gateway's HTML error page, before or after the work."""
    return Answer("proxy_error", status, _html(status), (("Content-Type", "text/html"),), after_work)


def html_page(status: int = 200) -> Fault:
    """An HTML page, such as a login form. The work is not done."""
    return Answer("html_page", status, _html(status), (("Content-Type", "text/html; charset=utf-8"),))


def redirect(location: str, status: int = 307) -> Fault:
    """A redirect to `location`. The work is not done."""
    return Answer("redirect", status, b"", (("Location", location),))


def wrong_json(body: bytes = b'{"id": 1') -> Fault:
    """200 with an invalid body declared as JSON. The work is done."""
    return Answer("wrong_json", 200, body, (("Content-Type", "application/json"),), after_work=True)


def gzip_bomb(size: int = 200 * _MIB) -> Fault:
    """A small gzip body that decompresses to `size` bytes of JSON. The work is done."""
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    return Answer("gzip_bomb", 200, lambda: _bomb(size), headers, after_work=True)


# The connection


def reset(*, after_work: bool) -> Fault:
    """A connection reset (TCP RST) without an answer, before or after the work."""
    return Reset("reset", after_work)


def hang(seconds: float = 3600.0, *, after_work: bool = False) -> Fault:
    """No answer for `seconds`, then a reset; earlier if the peer disconnects or the server stops."""
    return Hang("hang", seconds, after_work)


def delay(seconds: float, *, after_work: bool = True) -> Fault:
    """The real answer after `seconds`. The work is done before the delay, or else after it.

    It is done in any case: with `after_work=False` perhaps long after the peer has given up.
    """
    return Delay("delay", seconds, work_last=not after_work)


def close_after(seconds: float = 0.0) -> Fault:
    """The real answer on a persistent connection that is closed after `seconds`."""
    return Afterwards("close_after", seconds)


def unsolicited_answer(
    data: bytes = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", *, seconds: float = 0.0
) -> Fault:
    """The real answer, then after `seconds` an unsolicited one on the idle connection."""
    return Afterwards("unsolicited_answer", seconds, data)


def cut_body() -> Fault:
    """Half of the body announced by Content-Length, then the end of the connection. The work is done."""
    return Cut()


def slow_body(seconds: float, chunks: int = 10) -> Fault:
    """The real answer with its body in `chunks` pieces over `seconds`. The work is done."""
    if chunks < 1:
        message = f"chunks must be at least 1, got {chunks}"
        raise ValueError(message)
    return Drip("slow_body", seconds, chunks)


def endless_body() -> Fault:
    """A body that ends only when the peer disconnects or the server stops. The work is done."""
    return Endless()


def silent_stream(after: int = 0) -> Fault:
    """An event stream that stalls after `after` lines but stays open. Other answers are unaffected."""
    return Stream("silent_stream", limit=after, end="silence")


def cut_stream(after: int = 1) -> Fault:
    """An event stream that is reset after `after` lines. Other answers are unaffected."""
    return Stream("cut_stream", limit=after)


def stream_without_replay() -> Fault:
    """An event stream without the events that existed when it was opened. Other answers are unaffected."""
    return Stream("stream_without_replay", replay=False)


# Changes of the real answer: the work is done. JSON changes apply only to matching successful answers.


def more_headers(headers: Mapping[str, str]) -> Fault:
    """The real answer with these headers added or replaced."""
    return MoreHeaders("more_headers", tuple(headers.items()))


def header_bomb(size: int = 64 * 1024) -> Fault:
    """The real answer with a header of `size` bytes."""
    return MoreHeaders("header_bomb", (("X-Padding", "x" * size),))


def rewritten(change: Callable[[Any], Any]) -> Fault:
    """The real answer with its JSON as returned by `change`; None leaves it unchanged."""
    return Rewrite("rewritten", lambda payload, _asked: change(payload))


def without(*members: str) -> Fault:
    """The real answer without these members in its objects."""

    def change(item: dict[str, Any]) -> bool:
        there = [member for member in members if member in item]
        for member in there:
            del item[member]
        return bool(there)

    return Rewrite("without", of_items(change))


def without_zeros() -> Fault:
    """The real answer without zero, false, empty and null members at any depth, as in proto3 JSON."""
    return Rewrite("without_zeros", lambda payload, _asked: without_defaults(payload))


def null_lists() -> Fault:
    """The real answer with null in place of every list below its objects."""

    def change(item: dict[str, Any]) -> bool:
        changed = with_null_lists(item)
        fits = bool(changed != item)
        item.update(changed)
        return fits

    return Rewrite("null_lists", of_items(change))


def wrong_shape() -> Fault:
    """Valid JSON with a field of the wrong type."""
    return Rewrite("wrong_shape", with_wrong_type)


def status_word(word: str) -> Fault:
    """The real answer with `word` as the status (platform API: state) of every run."""

    def change(item: dict[str, Any]) -> bool:
        if "status" in item:
            item["status"] = word
            return True
        return set_state(item, word, {})

    return Rewrite("status_word", of_items(change))


def new_state(word: str, **members: Any) -> Fault:
    """The real answer with every platform API run in the state `word`, with these members."""
    return Rewrite("new_state", of_items(lambda item: set_state(item, word, members)))


def extra_fields() -> Fault:
    """The real answer with unknown fields in every object."""

    def change(payload: Any, _asked: Asked) -> Any:
        return with_extra(payload)

    return Rewrite("extra_fields", change)


def repeat_token() -> Fault:
    """A page whose token is the one that requested it. Hits the first page requested with a token."""

    def change(payload: Any, asked: Asked) -> Any:
        if asked.page is None or asked.page.asked_with is None:
            return None
        payload[asked.page.token_field] = asked.page.asked_with
        return payload

    return Rewrite("repeat_token", change)


def cyclic_token() -> Fault:
    """A page whose token leads back to an earlier page than the previous one.

    Hits the first page requested with a second token: the third page.
    """

    def change(payload: Any, asked: Asked) -> Any:
        earlier = (
            []
            if asked.page is None
            else [token for token in asked.earlier_tokens if token != asked.page.asked_with]
        )
        if asked.page is None or asked.page.asked_with is None or not earlier:
            return None
        payload[asked.page.token_field] = earlier[0]
        return payload

    return Rewrite("cyclic_token", change)


def empty_page() -> Fault:
    """A page without items whose token continues where it would have started: nothing is lost."""

    def change(payload: Any, asked: Asked) -> Any:
        if asked.page is None:
            return None
        payload[asked.page.items_field] = []
        payload[asked.page.token_field] = asked.page.same_place()
        return payload

    return Rewrite("empty_page", change)


def null_items() -> Fault:
    """A page whose items are null and whose token continues where it would have started: nothing is lost."""

    def change(payload: Any, asked: Asked) -> Any:
        if asked.page is None:
            return None
        if payload[asked.page.items_field]:
            payload[asked.page.token_field] = asked.page.same_place()
        payload[asked.page.items_field] = None
        return payload

    return Rewrite("null_items", change)


def _retry_after(value: float | datetime | str | None) -> Headers:
    if value is None:
        return ()
    if isinstance(value, datetime):
        return (("Retry-After", format_datetime(value.astimezone(UTC), usegmt=True)),)
    if isinstance(value, str):
        return (("Retry-After", value),)
    return (("Retry-After", str(int(value) if float(value).is_integer() else value)),)


def _html(status: int) -> bytes:
    return _HTML % {b"status": status, b"reason": _REASONS.get(status, b"Error")}


@lru_cache(maxsize=4)
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    parts = [packer.compress(b"{}")]
    left = size - 2
    blank = b" " * _MIB
    while left > 0:
        parts.append(packer.compress(blank[:left]))
        left -= _MIB
    parts.append(packer.flush())
    return b"".join(parts)
