"""Lists that follow their continuation tokens by themselves, one page ahead of the reader."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from kognitos_async.errors import KognitosError, PaginationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page: its items, and the token of the next page, None on the last.

    `total_size` counts the items of all pages where the API says how many there are.
    """

    items: tuple[T, ...]
    continuation_token: str | None = None
    total_size: int | None = None


class Pager(Generic[T]):
    """A listing that has not been fetched yet.

    `async for item in pager` walks all items, `pager.pages()` all pages, `await pager` fetches the first
    page, `await pager.collect()` makes a list. While one page is consumed the next is fetched, never more
    than one ahead; leaving the loop ends that. It may be iterated again, from the start.

    Whatever the listing's requests raise ends the iteration, with `continuation_token` on the error;
    `PaginationError` when the API repeats a token.
    """

    def __init__(
        self, fetch: Callable[[str | None], Awaitable[Page[T]]], continuation_token: str | None
    ) -> None:
        self._fetch = fetch
        self._start = continuation_token
        self.continuation_token = continuation_token
        """The token that fetches what has not been yielded: pass it to `list(...)` to go on later.

        It moves page by page: inside a page it is that page's own, so nothing is skipped and the page's
        first items come again. None before the first page and after the last."""

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._first().__await__()

    async def _first(self) -> Page[T]:
        walk = _Walk(self, look_ahead=False)
        page = await walk.next_page()
        self.continuation_token = walk.following
        return page

    async def __aiter__(self) -> AsyncIterator[T]:
        walk = _Walk(self)
        try:
            while not walk.ended:
                items = (await walk.next_page()).items
                for item in items[:-1]:
                    yield item
                # With its last item a page has been yielded whole.
                self.continuation_token = walk.following
                if items:
                    yield items[-1]
        finally:
            walk.leave()

    async def pages(self) -> AsyncIterator[Page[T]]:
        """The pages one after the other, empty ones too."""
        walk = _Walk(self)
        try:
            while not walk.ended:
                page = await walk.next_page()
                self.continuation_token = walk.following
                yield page
        finally:
            walk.leave()

    async def collect(self, max_items: int | None = None) -> list[T]:
        """The items as a list, `max_items` at the most; no page is fetched beyond what that needs."""
        if max_items is not None and (isinstance(max_items, bool) or not isinstance(max_items, int)):
            raise TypeError(f"max_items is an int or None, not {type(max_items).__name__}")
        if max_items is not None and max_items < 0:
            raise ValueError(f"max_items is 0 or more, not {max_items}")
        items: list[T] = []
        # Nothing happens between two pages that a page fetched ahead could hide behind.
        walk = _Walk(self, look_ahead=False)
        while not walk.ended and (max_items is None or len(items) < max_items):
            page = await walk.next_page()
            if max_items is not None and len(items) + len(page.items) > max_items:
                items.extend(page.items[: max_items - len(items)])
                break
            items.extend(page.items)
            self.continuation_token = walk.following
        return items


class _Walk(Generic[T]):
    """One way through the pages of a pager: where it is, what it has seen, what it fetches ahead."""

    def __init__(self, pager: Pager[T], *, look_ahead: bool = True) -> None:
        self._pager = pager
        self._fetch = pager._fetch  # noqa: SLF001 - the pager's other half
        self._look_ahead = look_ahead
        self._seen: set[bytes] = set()
        self._ahead: asyncio.Task[Page[T] | KognitosError] | None = None
        self.following: str | None = pager._start  # noqa: SLF001
        self._mark = _fingerprint(self.following)
        self.ended = False

    async def next_page(self) -> Page[T]:
        token = self.following
        self._pager.continuation_token = token
        self._refuse_repetition()
        if self._ahead is None:
            outcome = await self._outcome(token)
        else:
            outcome, self._ahead = await self._ahead, None
        if isinstance(outcome, KognitosError):
            outcome.continuation_token = token
            raise outcome
        self.following = outcome.continuation_token or None
        self.ended = self.following is None
        self._mark = _fingerprint(self.following)
        if self._look_ahead and not self.ended and self._mark not in self._seen:
            self._ahead = asyncio.create_task(self._outcome(self.following))
            # Its request goes out now: a reader that never awaits would keep it waiting.
            await asyncio.sleep(0)
        return outcome

    def leave(self) -> None:
        """End the fetch ahead, if one is under way."""
        if self._ahead is not None:
            self._ahead.cancel()

    async def _outcome(self, token: str | None) -> Page[T] | KognitosError:
        """The page or its error: a task that is abandoned must not end in an exception nobody reads."""
        try:
            return await self._fetch(token)
        except KognitosError as error:
            return error

    def _refuse_repetition(self) -> None:
        if self._mark in self._seen:
            error = PaginationError(
                f"the API repeated a continuation token after {len(self._seen)} pages; following it would "
                "never end. What was yielded is valid; report this to Kognitos"
            )
            error.continuation_token = self.following
            raise error
        self._seen.add(self._mark)


def _fingerprint(token: str | None) -> bytes:
    """16 bytes for a token of any length, so that memory stays small in a long history."""
    return hashlib.blake2b((token or "").encode("utf-8", "replace"), digest_size=16).digest()
