"""Base of the platform API's resources: requests, listings, required members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import msgspec

from kognitos_async import checks
from kognitos_async.errors import DecodeError
from kognitos_async.messages import Request, with_query
from kognitos_async.page_decoder import undecoded
from kognitos_async.paging import Page, Pager, PartialPage
from kognitos_async.platform_v1.arguments import page_size_or_none
from kognitos_async.platform_v1.decoding import NOTHING, list_decoder, model_decoder

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from kognitos_async.messages import QueryValue
    from kognitos_async.platform_v1.names import Name, Scope
    from kognitos_async.sender import Sender

T = TypeVar("T")


_encode = msgspec.json.Encoder().encode


class ListResponse(Protocol):
    """A page without its items."""

    @property
    def next_page_token(self) -> str | None: ...  # noqa: D102


class Resource:
    """Base of all resources: the client's sender and scope."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    def _send(
        self,
        method: str,
        path: str,
        answer: type[T] | None,
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: object = None,
        repeatable: bool | None = None,
        confidential: bool = False,
        name: Name | None = None,
    ) -> Coroutine[Any, Any, T]:
        """The decoded answer, or None without `answer`. `repeatable` requests, by default GETs, are retried.

        Raises `DecodeError` if the answer is about another resource than `name`. Not a coroutine function, to
        save a frame on the way to the socket.
        """
        decoder = NOTHING if answer is None else model_decoder(answer, may_be_empty=method == "DELETE")
        return self._sender.send(
            Request(
                method,
                with_query(path, query) if query else path,
                None if body is None else _encode(body),
                repeatable=method == "GET" if repeatable is None else repeatable,
                confidential=confidential,
                identity=None if name is None else ("name", str(name)),
            ),
            cast("msgspec.json.Decoder[T]", decoder),
        )

    def _list(
        self,
        path: str,
        response: type[ListResponse],
        items: str,
        *,
        page_size: int | None,
        page_token: str | None,
        query: Mapping[str, QueryValue] | None = None,
        confidential: bool = False,
    ) -> Pager[Any]:
        """A pager over a list whose pages are `response`, with items in the member `items`."""
        fixed = {**(query or {}), "page_size": page_size_or_none(page_size)}
        if page_token is not None:
            checks.text("page_token", page_token)

        async def fetch(token: str | None) -> Page[Any]:
            request = Request(
                "GET", with_query(path, {**fixed, "page_token": token}), confidential=confidential
            )
            answer, bad = await self._sender.send(request, list_decoder(response, items))
            found = tuple(getattr(answer, items) or ())
            following, total = answer.next_page_token or None, getattr(answer, "total_size", None)
            if bad:
                error = undecoded(request, items, bad, self._sender.redactor)
                return PartialPage(found, following, total, error=error)
            return Page(found, following, total)

        return Pager(fetch, page_token)


def given(member: T | None, name: str) -> T:
    """A required member of the answer. Raises `DecodeError` if it is missing."""
    if member is None:
        raise DecodeError(f"the answer lacks {name}", path=f"$.{name}", body=b"")
    return member
