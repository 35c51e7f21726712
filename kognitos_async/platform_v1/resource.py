"""What all resources of the platform API have in common: how they ask and how they list."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from kognitos_async import checks
from kognitos_async.errors import DecodeError
from kognitos_async.messages import NORMAL, Request, decoder_for, with_query
from kognitos_async.paging import Page, Pager

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from kognitos_async.messages import QueryValue
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.words import Word

T = TypeVar("T")

LARGEST_PAGE = 1000

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
        priority: int = NORMAL,
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
                priority=priority,
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
            answer = await self._send(
                "GET", path, response, query={**fixed, "page_token": token}, confidential=confidential
            )
            return Page(
                tuple(getattr(answer, items) or ()),
                answer.next_page_token or None,
                getattr(answer, "total_size", None),
            )

        return Pager(fetch, page_token)


def given(member: T | None, name: str) -> T:
    """A member that the answer has to hold; `DecodeError` if it does not."""
    if member is None:
        raise DecodeError(f"the answer holds no {name}", path=f"$.{name}", body=b"")
    return member


def texts(name: str, values: object) -> list[str]:
    """A list of ids or names; `TypeError` or `ValueError` for anything else."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is several str, not {type(values).__name__}")
    return [checks.text(f"an item of {name}", value) for value in values]


def search_body(query: str, top_k: int | None, max_distance: float | None) -> dict[str, object]:
    """The body of a search: free text, how many results, how far they may be from it."""
    body: dict[str, object] = {"query": checks.text("query", query)}
    if top_k is not None:
        body["top_k"] = checks.page_limit(top_k, largest=10_000, name="top_k")
    if max_distance is not None:
        if isinstance(max_distance, bool) or not isinstance(max_distance, int | float):
            raise TypeError(f"max_distance is a number, not {type(max_distance).__name__}")
        if not math.isfinite(max_distance):
            raise ValueError(f"max_distance is a finite number, not {max_distance}")
        body["max_distance"] = float(max_distance)
    return body


def instance(name: str, value: object, kind: type[T]) -> T:
    """A model of that kind; `TypeError` for anything else."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {kind.__name__}, not {type(value).__name__}")
    return value


def instances(name: str, values: object, kind: type[T]) -> list[T]:
    """Several models of that kind; `TypeError` for anything else."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is several {kind.__name__}, not {type(values).__name__}")
    return [instance(f"each of {name}", value, kind) for value in values]


def known_word(name: str, word: str | None, kind: type[Word]) -> str | None:
    """A word of the API, given in full or without its prefix; `ValueError` for one it does not have."""
    if word is None:
        return None
    if not isinstance(word, str):
        raise TypeError(f"{name} is a str, not {type(word).__name__}")
    for member in kind:
        if str(word) in (member.value, member.name) or str(word).upper() == member.name:
            return member.value
    known = ", ".join(member.name for member in kind if member.name != "UNSPECIFIED")
    raise ValueError(f"{name} is one of {known}, not {str(word)!r}")


def page_size_or_none(page_size: int | None) -> int | None:
    """A page size from 1 to 1000, or None for the API's own choice."""
    return None if page_size is None else checks.page_limit(page_size, largest=LARGEST_PAGE, name="page_size")
