"""Pages and items of a listing that skip items that cannot be decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kognitos_async.cli.running import FAILED, complain
from kognitos_async.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kognitos_async.paging import Page, Pager

T = TypeVar("T")


class LeftOut:
    """Reports items that cannot be decoded on standard error, and counts them."""

    def __init__(self, what: str) -> None:
        self.count: int = 0
        self._what = what

    def __call__(self, error: DecodeError) -> None:
        """Report the items missing from a page."""
        self.count += len(error.undecoded)
        complain(f"{self._what} skipped: {len(error.undecoded)}. {error}")

    @property
    def exit_code(self) -> int:
        """1 if there were any, else 0."""
        return FAILED if self.count else 0


async def whole_pages(pager: Pager[T], skipped: Callable[[DecodeError], object]) -> AsyncIterator[Page[T]]:
    """All pages; for items that cannot be decoded, call `skipped` with the error and continue."""
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


async def whole_items(pager: Pager[T], skipped: Callable[[DecodeError], object]) -> AsyncIterator[T]:
    """The items of all pages; `skipped` is called as by `whole_pages`."""
    async for page in whole_pages(pager, skipped):
        for item in page.items:
            yield item
