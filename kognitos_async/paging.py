"""Pagination by continuation tokens, with one page of prefetch."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

import msgspec

from kognitos_async.errors import DecodeError, KognitosError, PaginationError
from kognitos_async.notebook import Collected, items_html
from kognitos_async.web_models import WebModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

T = TypeVar("T")


class Page(WebModel, msgspec.Struct, Generic[T], frozen=True):
    """One page of a listing."""

    items: tuple[T, ...]
    """The items, in the order of the API."""
    continuation_token: str | None = None
    """The token of the next page; None on the last page."""
    total_size: int | None = None
    """The number of items on all pages; None if the API does not return it."""

    def _repr_html_(self) -> str:
        more = "there is another page" if self.continuation_token else "the last page"
        return items_html(f"Page of {len(self.items)} items, {more}", self.items)


class PartialPage(Page[T], Generic[T], frozen=True, kw_only=True):
    """A page with items that could not be decoded; `items` holds the others, `error` describes them."""

    error: DecodeError


class Pager(Generic[T]):
    """A lazy listing.

    `async for item in pager` iterates over all items, `pager.pages()` over pages, `await pager` returns the
    first page, `await pager.collect()` a list. While a page is consumed the next one is fetched, never more
    than one ahead; leaving the loop cancels that request. Each iteration begins at the start.

    Cancelling a step of an iteration, for instance by a timeout, loses nothing: the next step of the same
    iterator continues from there, also after an exception.

    Raises the errors of the requests, with `continuation_token` set to resume from. Raises `DecodeError`
    after the decoded items of a page with items that cannot be decoded: they are in `undecoded`, and the
    token is that of the next page (None if it was the last). Raises `PaginationError` when the API repeats
    a token.
    """

    def __init__(
        self, fetch: Callable[[str | None], Awaitable[Page[T]]], continuation_token: str | None
    ) -> None:
        self._fetch = fetch
        self._start = continuation_token
        self.continuation_token = continuation_token
        """The token of the first page not fully yielded: pass it to `list(...)` to resume later.

        Within a page it is that page's own, so no item is skipped and the first items of the page repeat.
        None before the first page and after the last."""

    def __repr__(self) -> str:
        where = "" if self.continuation_token is None else ", begun"
        return (
            f"<{type(self).__name__}: a listing not fetched yet{where}. Iterate with `async for`, await it "
            "for the first page, or `await pager.collect()` for a list>"
        )

    def __await__(self) -> Generator[Any, None, Page[T]]:
        return self._first().__await__()

    async def _first(self) -> Page[T]:
        """The first page, without prefetch."""
        walk = _Walk(self._fetch, self._start)
        self.continuation_token = self._start
        page = _whole(await walk.fetch())
        self.continuation_token = page.continuation_token
        return page

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self, self._fetch, self._start)

    def pages(self) -> AsyncIterator[Page[T]]:
        """An async iterator over the pages, including empty ones."""
        return _Pages(self, self._fetch, self._start)

    async def collect(self, max_items: int | None = None) -> list[T]:
        """The items as a list, at most `max_items` (default all); no further page is fetched.

        Raises what iterating raises, `TypeError` or `ValueError` for an invalid `max_items`.
        """
        if max_items is not None and (isinstance(max_items, bool) or not isinstance(max_items, int)):
            raise TypeError(f"max_items must be an int or None, got {type(max_items).__name__}")
        if max_items is not None and max_items < 0:
            raise ValueError(f"max_items must be 0 or more, got {max_items}")
        items = cast("list[T]", Collected())
        # Without prefetch: nothing runs between two pages that it could overlap with.
        walk = _Walk(self._fetch, self._start)
        while not walk.ended and (max_items is None or len(items) < max_items):
            self.continuation_token = walk.token
            page = await walk.fetch()
            wanted = None if max_items is None else max_items - len(items)
            if wanted is not None and len(page.items) >= wanted + (not isinstance(page, PartialPage)):
                # The rest of the page, items that cannot be decoded included, is still to come.
                items.extend(page.items[:wanted])
                break
            items.extend(_whole(page).items)
            self.continuation_token = page.continuation_token
        return items


class _Walk(Generic[T]):
    """The position of one iteration: the token of the next page, and the tokens used so far."""

    def __init__(self, fetch: Callable[[str | None], Awaitable[Page[T]]], start: str | None) -> None:
        self._fetch = fetch
        self._trail = TokenTrail()
        self._ahead: asyncio.Task[Page[T] | KognitosError] | None = None
        self.token = start
        self.ended = False

    async def fetch(self) -> Page[T]:
        """The next page, fetched in the caller's task."""
        self._trail.check(self.token)
        return self._advance(await _outcome(self._fetch, self.token))

    async def fetch_in_task(self) -> Page[T]:
        """The next page, fetched in a task that survives a cancellation of this call."""
        self._trail.check(self.token)
        if self._ahead is None:
            self.fetch_ahead()
        while self._ahead is not None:
            await asyncio.wait([self._ahead])
            task, self._ahead = self._ahead, None
            if not task.cancelled():
                return self._advance(task.result())
            self.fetch_ahead()  # the task was cancelled from outside
        raise AssertionError("fetch_ahead always starts a task")  # pragma: no cover

    def fetch_ahead(self) -> bool:
        """Begin to fetch the next page; return whether there is one."""
        if self.ended or self.token in self._trail:
            return False
        if self._ahead is None:
            self._ahead = asyncio.create_task(_outcome(self._fetch, self.token))
        return True

    def close(self) -> None:
        """Cancel the request in flight, if any. Callable from any thread."""
        if self._ahead is not None and not self._ahead.done():
            with suppress(RuntimeError):  # the loop is closed and has ended its tasks
                self._ahead.get_loop().call_soon_threadsafe(self._ahead.cancel)
        self._ahead = None

    def _advance(self, outcome: Page[T] | KognitosError) -> Page[T]:
        if isinstance(outcome, KognitosError):
            outcome.continuation_token = self.token
            raise outcome
        self._trail.add(self.token)
        self.token = outcome.continuation_token or None
        self.ended = self.token is None
        if isinstance(outcome, PartialPage):
            outcome.error.continuation_token = self.token
        if outcome.continuation_token == "":
            outcome = msgspec.structs.replace(outcome, continuation_token=None)
        return outcome


class _PageIterator(Generic[T]):
    """Base of the two iterators. Garbage collection cancels the request in flight.

    The task of that request must not reference the iterator, which would keep it alive.
    """

    def __init__(
        self, pager: Pager[T], fetch: Callable[[str | None], Awaitable[Page[T]]], start: str | None
    ) -> None:
        self._pager = pager
        self._walk = _Walk(fetch, start)
        self._error: DecodeError | None = None
        self._reading = False

    def __aiter__(self) -> Self:
        return self

    def __del__(self) -> None:
        self._walk.close()

    async def aclose(self) -> None:
        """End the iteration and cancel the request in flight."""
        self._walk.close()
        self._walk.ended = True
        self._error = None

    async def _next_page(self) -> Page[T]:
        """The next page; `StopAsyncIteration` after the last. The caller must store it before awaiting."""
        if self._reading:
            raise RuntimeError("another task waits for the next page of this iterator")
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._walk.ended:
            raise StopAsyncIteration
        self._pager.continuation_token = self._walk.token
        self._reading = True
        try:
            page = await self._walk.fetch_in_task()
        finally:
            self._reading = False
        if isinstance(page, PartialPage):
            self._error = page.error
            return Page(page.items, page.continuation_token, page.total_size)
        return page


class _Items(_PageIterator[T]):
    """The iterator over items."""

    def __init__(
        self, pager: Pager[T], fetch: Callable[[str | None], Awaitable[Page[T]]], start: str | None
    ) -> None:
        super().__init__(pager, fetch, start)
        self._most: Iterator[T] = iter(())
        self._last: tuple[T, ...] = ()

    async def __anext__(self) -> T:
        for item in self._most:
            return item
        while not self._last:
            page = await self._next_page()
            self._most, self._last = iter(page.items[:-1]), page.items[-1:]
            if not page.items:
                self._pager.continuation_token = self._walk.token
            if self._walk.fetch_ahead():
                # Lets the request be sent now, even if the reader never awaits.
                await asyncio.sleep(0)
            for item in self._most:
                return item
        # With its last item the page is complete: the token moves on.
        [item], self._last = self._last, ()
        self._pager.continuation_token = self._walk.token
        return item

    async def aclose(self) -> None:
        await super().aclose()
        self._most, self._last = iter(()), ()


class _Pages(_PageIterator[T]):
    """The iterator over pages."""

    _page: Page[T] | None = None

    async def __anext__(self) -> Page[T]:
        if self._page is None:
            self._page = await self._next_page()
            if self._walk.fetch_ahead():
                await asyncio.sleep(0)
        page, self._page = self._page, None
        self._pager.continuation_token = self._walk.token
        return page

    async def aclose(self) -> None:
        await super().aclose()
        self._page = None


async def _outcome(
    fetch: Callable[[str | None], Awaitable[Page[T]]], token: str | None
) -> Page[T] | KognitosError:
    """The page or its error, returned so that an abandoned task has no unretrieved exception."""
    try:
        return await fetch(token)
    except KognitosError as error:
        return error


def _whole(page: Page[T]) -> Page[T]:
    """The page. Raises its `DecodeError` if some items could not be decoded."""
    if isinstance(page, PartialPage):
        raise page.error
    return page


class TokenTrail:
    """The tokens followed in one walk through a list; None is that of the first page."""

    def __init__(self) -> None:
        self._used: set[bytes] = set()

    def __contains__(self, token: str | None) -> bool:
        return _fingerprint(token) in self._used

    def add(self, token: str | None) -> None:
        """Record a token that was followed."""
        self._used.add(_fingerprint(token))

    def check(self, token: str | None) -> None:
        """Raise `PaginationError` for a token that was followed before."""
        if token in self:
            error = PaginationError(
                f"the API repeated a continuation token after {len(self._used)} pages: an endless listing. "
                "The items read so far are valid; report this to Kognitos"
            )
            error.continuation_token = token
            raise error

    def follow(self, token: str | None) -> None:
        """`check` and `add`."""
        self.check(token)
        self.add(token)


def _fingerprint(token: str | None) -> bytes:
    """A 16-byte hash of a token, which bounds the memory of long listings."""
    return hashlib.blake2b((token or "").encode("utf-8", "replace"), digest_size=16).digest()
