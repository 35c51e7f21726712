"""The pages of a listing, those with items that cannot be decoded too."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kognitos_async.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kognitos_async.paging import Page, Pager

T = TypeVar("T")


async def whole_pages(pager: Pager[T], skipped: Callable[[DecodeError], object]) -> AsyncIterator[Page[T]]:
    """All pages; `skipped` is called with the error for the items that a page lacks, and reading goes on."""
    pages = pager.pages()
    while True:
        try:
            page = await anext(pages)
        except StopAsyncIteration:
            return
        except DecodeError as error:
            if not error.undecoded:
                raise
            skipped(error)
        else:
            yield page
