"""What all resources of the platform API have in common: how they ask and how they list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from kognitos_async import checks
from kognitos_async.errors import DecodeError
from kognitos_async.messages import Request, decoder_for, with_query
from kognitos_async.page_decoder import page_decoder, undecoded
from kognitos_async.paging import Page, Pager, PartialPage
from kognitos_async.platform_v1.arguments import page_size_or_none

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from kognitos_async.messages import QueryValue
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.sender import Sender

T = TypeVar("T")


_encode = msgspec.json.Encoder().encode


class ListResponse(Protocol):
    """A page as sent, beside its items."""

    @property
    def next_page_token(self) -> str | None: ...  # noqa: D102


class Resource:
    """The sender and the scope of a client, and the two ways in which every method uses them."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    def _send(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, QueryValue] | None = None,
        body: object = None,
        repeatable: bool | None = None,
        confidential: bool = False,
    ) -> Coroutine[Any, Any, T]:
        """The answer decoded. Sent again after a lost answer if `repeatable`, which a GET is by itself.

        Not a coroutine function: one frame less on the way to the socket.
        """
        return self._sender.send(
            Request(
                method,
                with_query(path, query) if query else path,
                None if body is None else _encode(body),
                repeatable=method == "GET" if repeatable is None else repeatable,
                confidential=confidential,
            ),
            decoder_for(answer, strict=False),
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
        """A pager over a list whose pages are `response`, with their items in the member of that name."""
        fixed = {**(query or {}), "page_size": page_size_or_none(page_size)}
        if page_token is not None:
            checks.text("page_token", page_token)

        async def fetch(token: str | None) -> Page[Any]:
            request = Request(
                "GET", with_query(path, {**fixed, "page_token": token}), confidential=confidential
            )
            answer, bad = await self._sender.send(request, page_decoder(response, items, strict=False))
            found = tuple(getattr(answer, items) or ())
            following, total = answer.next_page_token or None, getattr(answer, "total_size", None)
            if bad:
                error = undecoded(request, items, bad, self._sender.redactor)
                return PartialPage(found, following, total, error=error)
            return Page(found, following, total)

        return Pager(fetch, page_token)


def given(member: T | None, name: str) -> T:
    """A member that the answer has to hold; `DecodeError` if it does not."""
    if member is None:
        raise DecodeError(f"the answer holds no {name}", path=f"$.{name}", body=b"")
    return member
