"""Ways to misbehave, for `KognitosServer.misbehave`.

Each constructor says whether the real work is done before the fault bites: a run that is created although
its answer never arrives is another matter than one that is not.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.routing import PageMarks

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

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer in the form of the API that was asked."""

    name: str
    status: int
    message: str
    headers: Headers = ()
    after_work: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Fixed bytes instead of the answer."""

    name: str
    status: int
    body: bytes | Callable[[], bytes]
    headers: Headers = ()
    after_work: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks (TCP RST) without an answer."""

    name: str
    after_work: bool


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing is answered for `seconds`, then the connection breaks."""

    name: str
    seconds: float
    after_work: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """The real answer, broken off half way."""

    name: str = "cut_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Drip:
    """The real answer, its body spread over `seconds` in `chunks` pieces."""

    name: str
    seconds: float
    chunks: int
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Endless:
    """A body without an end."""

    name: str = "endless_body"
    after_work: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rewrite may look at beside the payload."""

    page: PageMarks | None
    earlier_tokens: tuple[str, ...]
    """Tokens this listing was asked for with before, oldest first."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The real answer with its JSON changed. `change` returns None where the change does not fit."""

    name: str
    change: Callable[[Any, Asked], Any]
    after_work: bool = True


Fault = Refusal | Answer | Reset | Hang | Cut | Drip | Endless | Rewrite


# Refusals: the work is not done, unless `after_work` says so.


def rate_limited(retry_after: float | datetime | str | None = None) -> Fault:
    """429, with Retry-After in seconds, as a date, or as the very text given. The work is not done."""
    return Refusal("rate_limited", 429, "Too many requests: rate limit exceeded", _retry_after(retry_after))


def capacity_reached(capacity: int = 150) -> Fault:
    """The 403 of an organization that runs as many runs as it may. The work is not done."""
    return Refusal("capacity_reached", 403, CAPACITY_MESSAGE.format(capacity=capacity))


def unavailable(retry_after: float | datetime | str | None = None) -> Fault:
    """503 as JSON. The work is not done."""
    return Refusal("unavailable", 503, "Service unavailable", _retry_after(retry_after))


def server_error(status: int = 500, *, after_work: bool = False) -> Fault:
    """An error as JSON, before or after the work is done."""
    return Refusal("server_error", status, "Internal error", after_work=after_work)


def not_found() -> Fault:
    """404, as just after a start. The work is not done."""
    return Refusal("not_found", 404, "Not found")


# Fixed answers


def answer(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, after_work: bool = False
) -> Fault:
    """These very bytes, before or after the work is done."""
    return Answer("answer", status, body, tuple((headers or {}).items()), after_work)


def proxy_error(status: int = 502, *, after_work: bool = False) -> Fault:
    """A gateway's HTML error page, before or after the work is done."""
    return Answer("proxy_error", status, _html(status), (("Content-Type", "text/html"),), after_work)


def html_page(status: int = 200) -> Fault:
    """An HTML page, such as a login form in between. The work is not done."""
    return Answer("html_page", status, _html(status), (("Content-Type", "text/html; charset=utf-8"),))


def redirect(location: str, status: int = 307) -> Fault:
    """A redirect to `location`. The work is not done."""
    return Answer("redirect", status, b"", (("Location", location),))


def wrong_json(body: bytes = b'{"id": 1') -> Fault:
    """200 and a body that calls itself JSON and is not. The work is done."""
    return Answer("wrong_json", 200, body, (("Content-Type", "application/json"),), after_work=True)


def gzip_bomb(size: int = 200 * _MIB) -> Fault:
    """A small gzip body that unpacks to `size` bytes of JSON. The work is done."""
    headers = (("Content-Type", "application/json"), ("Content-Encoding", "gzip"))
    return Answer("gzip_bomb", 200, lambda: _bomb(size), headers, after_work=True)


# The connection


def reset(*, after_work: bool) -> Fault:
    """The connection breaks (TCP RST) without an answer, before or after the work is done."""
    return Reset("reset", after_work)


def hang(seconds: float = 3600.0, *, after_work: bool = False) -> Fault:
    """No answer for `seconds`, then a broken connection; sooner when the peer goes or the server stops."""
    return Hang("hang", seconds, after_work)


def cut_body() -> Fault:
    """Half a body, less than its Content-Length says, then the end of the connection. The work is done."""
    return Cut()


def slow_body(seconds: float, chunks: int = 10) -> Fault:
    """The real answer, its body sent in `chunks` pieces over `seconds`. The work is done."""
    if chunks < 1:
        message = f"chunks is at least 1, not {chunks}"
        raise ValueError(message)
    return Drip("slow_body", seconds, chunks)


def endless_body() -> Fault:
    """A body that goes on until the peer goes or the server stops. The work is done."""
    return Endless()


# Changes of the real answer: the work is done. They bite successful answers that they fit; others pass.


def wrong_shape() -> Fault:
    """Valid JSON in which a field has the wrong type."""
    return Rewrite("wrong_shape", _wrong_shape)


def status_word(word: str) -> Fault:
    """Every run in the answer carries `word` as its status, or as its state in the platform API."""

    def change(item: dict[str, Any]) -> bool:
        if "status" in item:
            item["status"] = word
            return True
        return _in_state(item, word, {})

    return Rewrite("status_word", _of_items(change))


def new_state(word: str, **members: Any) -> Fault:
    """Every run of the platform API in the answer is in the state `word`, with these members below it."""
    return Rewrite("new_state", _of_items(lambda item: _in_state(item, word, members)))


def extra_fields() -> Fault:
    """Every object carries fields that no schema knows."""

    def change(payload: Any, _asked: Asked) -> Any:
        return _with_extra(payload)

    return Rewrite("extra_fields", change)


def repeat_token() -> Fault:
    """A page whose token is the one it was asked for with. Bites the first page asked for with one."""

    def change(payload: Any, asked: Asked) -> Any:
        if asked.page is None or asked.page.asked_with is None:
            return None
        payload[asked.page.token_field] = asked.page.asked_with
        return payload

    return Rewrite("repeat_token", change)


def cyclic_token() -> Fault:
    """A page whose token leads back to an earlier page of this listing than the one before.

    Bites the first page that was asked for with a second token: the third page.
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
    """No items, and a token that goes on where this page would have started: nothing is lost."""

    def change(payload: Any, asked: Asked) -> Any:
        if asked.page is None:
            return None
        payload[asked.page.items_field] = []
        payload[asked.page.token_field] = asked.page.same_place()
        return payload

    return Rewrite("empty_page", change)


def null_items() -> Fault:
    """`items` is null, and the token goes on where this page would have started: nothing is lost."""

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


def _items(payload: Any, asked: Asked) -> list[dict[str, Any]]:
    """The objects an answer is about: the items of a page, or the answer itself."""
    if not isinstance(payload, dict):
        return []
    found = cast("dict[str, Any]", payload)
    if asked.page is None:
        return [found]
    return found[asked.page.items_field] or []


def _of_items(change: Callable[[dict[str, Any]], bool]) -> Callable[[Any, Asked], Any]:
    """A rewrite that fits answers with at least one object that `change` fits."""

    def changed(payload: Any, asked: Asked) -> Any:
        fitting = [change(item) for item in _items(payload, asked)]
        return payload if any(fitting) else None

    return changed


def _in_state(item: dict[str, Any], word: str, members: Mapping[str, Any]) -> bool:
    state = item.get("state")
    if not isinstance(state, dict):
        return False
    entered = {name: value for name, value in cast("dict[str, Any]", state).items() if name == "update_time"}
    item["state"] = {word: dict(members), **entered}
    return True


def _wrong_shape(payload: Any, asked: Asked) -> Any:
    if not isinstance(payload, dict):
        return None
    found = cast("dict[str, Any]", payload)
    name = asked.page.items_field if asked.page else "id" if "id" in found else next(iter(found), "id")
    found[name] = "wrong" if asked.page else {"wrong": True}
    return found


def _with_extra(value: Any) -> Any:
    if isinstance(value, dict):
        found = {name: _with_extra(inner) for name, inner in cast("dict[str, Any]", value).items()}
        return {**found, "x_added_later": {"nested": [1, None, "text"]}}
    if isinstance(value, list):
        return [_with_extra(inner) for inner in value]
    return value
