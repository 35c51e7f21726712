"""Paging of REST API v2."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from kognitos_async import checks
from kognitos_async.messages import Request, segment, with_query
from kognitos_async.page_decoder import page_decoder, undecoded
from kognitos_async.paging import Page, Pager, PartialPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kognitos_async.sender import Sender

T = TypeVar("T")

LARGEST_PAGE = 100


class _ListResponse(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A page as sent. `items` is required: a body without it is another kind of answer, not an empty page."""

    items: tuple[T, ...] | None
    continuation_token: str | None = None


async def fetch_page(sender: Sender, item: type[T], target: str, token: str | None) -> Page[T]:
    """One page of the list at `target`, which already has a query."""
    page_type: type[_ListResponse[T]] = _ListResponse[item]  # type: ignore[valid-type]  # made at run time
    if token is not None:
        target = f"{target}&continuation_token={segment(token)}"
    request = Request("GET", target)
    answer, bad = await sender.send(request, page_decoder(page_type, "items"))
    items, following = answer.items or (), answer.continuation_token or None
    if bad:
        return PartialPage(items, following, error=undecoded(request, "items", bad, sender.redactor))
    return Page(items, following)


def pager(
    sender: Sender,
    item: type[T],
    path: str,
    query: Mapping[str, str | None],
    limit: int,
    continuation_token: str | None,
) -> Pager[T]:
    """A pager over the list that `query` selects. Raises `TypeError` or `ValueError` for paging arguments."""
    if continuation_token is not None:
        checks.text("continuation_token", continuation_token)
    size = checks.page_limit(limit, largest=LARGEST_PAGE)
    target = with_query(path, {**query, "limit": size})
    return Pager(functools.partial(fetch_page, sender, item, target), continuation_token)
