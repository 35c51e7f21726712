"""Pagers over arbitrary sequences of pages, without a network."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import DecodeError, KognitosError, Page, Pager, PaginationError, ServerError
from kognitos_async.paging import PartialPage
from tests.virtual_time import run_virtually


class FakeListing:
    """Pages by token; records the tokens requested."""

    def __init__(self, pages, *, slow=0.0):
        self.tokens = [None, *(f"t{n}" for n in range(1, len(pages)))]
        self.pages = {
            token: Page(tuple(items), self.tokens[n + 1] if n + 1 < len(pages) else None)
            for n, (token, items) in enumerate(zip(self.tokens, pages, strict=True))
        }
        self.asked = []
        self.under_way = 0
        self.most_under_way = 0
        self.slow = slow

    async def fetch(self, token):
        self.asked.append(token)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await asyncio.sleep(self.slow)
        finally:
            self.under_way -= 1
        page = self.pages[token]
        if isinstance(page, KognitosError):
            raise page
        return page

    def pager(self, token=None):
        return Pager(self.fetch, token)


def numbered(sizes):
    """Pages of the given sizes with consecutive numbers as items."""
    pages, n = [], 0
    for size in sizes:
        pages.append(list(range(n, n + size)))
        n += size
    return pages


def tasks():
    return asyncio.all_tasks() - {asyncio.current_task()}


sizes = st.lists(st.integers(0, 4), min_size=1, max_size=8)


@given(sizes)
def test_all_items_come_once_and_in_order(page_sizes):
    """Empty pages are passed over; only a missing token ends a listing."""

    async def main():
        listing = FakeListing(numbered(page_sizes))
        assert [item async for item in listing.pager()] == list(range(sum(page_sizes)))
        assert listing.asked == listing.tokens
        pager = listing.pager()
        assert [page.items async for page in pager.pages()] == [tuple(p) for p in numbered(page_sizes)]
        assert pager.continuation_token is None
        assert await listing.pager().collect() == list(range(sum(page_sizes)))
        assert (await listing.pager()).items == tuple(range(page_sizes[0]))

    run_virtually(main())


@given(sizes, st.integers(0, 40))
def test_a_listing_resumes_from_its_token_without_a_gap(page_sizes, stop):
    """Items yielded plus those that `continuation_token` fetches are all; at most one page is repeated."""

    async def main():
        total = sum(page_sizes)
        listing = FakeListing(numbered(page_sizes))
        pager = listing.pager()
        seen = []
        walk = aiter(pager)
        while len(seen) < min(stop, total):
            seen.append(await anext(walk))
        token = pager.continuation_token
        await walk.aclose()
        finished = len(seen) == total and token is None and stop
        rest = [] if finished else await listing.pager(token).collect()
        assert sorted({*seen, *rest}) == list(range(total))
        assert len(seen) + len(rest) - total <= max(page_sizes)
        assert rest == list(range(total - len(rest), total))

    run_virtually(main())


@given(sizes, st.integers(0, 8))
def test_pages_resume_without_a_gap_or_repetition(page_sizes, stop):
    """Between pages the token is exact."""

    async def main():
        listing = FakeListing(numbered(page_sizes))
        pager = listing.pager()
        seen = []
        walk = pager.pages()
        async for page in walk:
            seen += page.items
            stop_now = len(listing.asked) > stop
            if stop_now:
                break
        await walk.aclose()
        token = pager.continuation_token
        rest = [] if token is None else await listing.pager(token).collect()
        assert seen + rest == list(range(sum(page_sizes)))

    run_virtually(main())


@given(sizes, st.integers(0, 40))
def test_collect_stops_at_max_items(page_sizes, most):
    """No further page is fetched, and the token covers all items not returned."""

    async def main():
        total = sum(page_sizes)
        listing = FakeListing(numbered(page_sizes))
        pager = listing.pager()
        found = await pager.collect(most)
        assert found == list(range(min(most, total)))
        fetched = sum(page_sizes[: len(listing.asked)])
        if listing.asked:
            assert fetched - page_sizes[len(listing.asked) - 1] < most
        if len(found) < total:
            rest = await listing.pager(pager.continuation_token).collect()
            assert sorted({*found, *rest}) == list(range(total))

    run_virtually(main())


@given(st.integers(2, 7), st.data())
def test_a_repeated_token_raises_pagination_error(count, data):
    """At any length of the cycle, all items before it are yielded once."""
    back = data.draw(st.integers(1, count - 1))

    async def main():
        listing = FakeListing(numbered([2] * count))
        last = listing.tokens[-1]
        listing.pages[last] = Page(listing.pages[last].items, listing.tokens[back])
        seen = []
        pager = listing.pager()
        with pytest.raises(PaginationError, match="repeated") as caught:
            async for item in pager:
                seen.append(item)  # noqa: PERF401 - what was seen before the error matters
        assert seen == list(range(2 * count))
        assert listing.asked == listing.tokens
        assert caught.value.continuation_token == listing.tokens[back]
        await asyncio.sleep(0)
        assert not tasks()

    run_virtually(main())


def test_the_initial_token_counts_as_used():
    """A resumed listing must not loop on its own token."""

    async def main():
        listing = FakeListing(numbered([1, 1]))
        listing.pages["t1"] = Page((1,), "t1")
        with pytest.raises(PaginationError):
            await listing.pager("t1").collect()
        assert listing.asked == ["t1"]

    run_virtually(main())


def test_an_empty_token_ends_the_listing_as_null_does():
    """Absent, null and empty are the same."""

    async def main():
        listing = FakeListing([[1, 2]])
        listing.pages[None] = Page((1, 2), "")
        assert await listing.pager().collect() == [1, 2]
        assert [item async for item in listing.pager()] == [1, 2]
        assert (await listing.pager()).continuation_token is None
        assert [page.continuation_token async for page in listing.pager().pages()] == [None]

    run_virtually(main())


@pytest.mark.parametrize("way", ["items", "pages"])
def test_an_iterator_that_was_closed_has_ended(way):
    """Whatever was left of its page."""

    async def main():
        pager = FakeListing(numbered([3, 1])).pager()
        walk = aiter(pager) if way == "items" else pager.pages()
        await anext(walk)
        await walk.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(walk)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not tasks()

    run_virtually(main())


def test_the_next_page_is_fetched_while_this_one_is_consumed():
    """A reader as slow as the API loses no time to fetching; there is one request at a time."""

    async def main():
        loop = asyncio.get_running_loop()
        listing = FakeListing(numbered([1] * 10), slow=1.0)
        began = loop.time()
        async for _ in listing.pager():
            assert len(listing.asked) <= len(listing.tokens)
            await asyncio.sleep(1.0)
        assert loop.time() - began == pytest.approx(11.0)
        assert listing.most_under_way == 1

    run_virtually(main())


def test_never_more_than_one_page_ahead():
    """A reader that stops reading stops the prefetch."""

    async def main():
        listing = FakeListing(numbered([1] * 10))
        consumed = 0
        async for _ in listing.pager():
            consumed += 1
            await asyncio.sleep(100)
            assert len(listing.asked) <= consumed + 1
        assert consumed == 10

    run_virtually(main())


def test_the_next_page_is_requested_before_blocking_work():
    """Even if the reader blocks the event loop between items."""

    async def main():
        listing = FakeListing(numbered([3, 3]))
        async for item in listing.pager():
            if item == 0:
                assert listing.asked == [None, "t1"]

    run_virtually(main())


def test_collect_with_a_maximum_and_await_do_not_prefetch():
    """One page needed is one page fetched."""

    async def main():
        listing = FakeListing(numbered([3, 3, 3]))
        pager = listing.pager()
        page = await pager
        assert (page.items, page.continuation_token) == ((0, 1, 2), "t1")
        assert pager.continuation_token == "t1"
        assert await listing.pager().collect(3) == [0, 1, 2]
        await asyncio.sleep(10)
        assert listing.asked == [None, None]
        assert not tasks()

    run_virtually(main())


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
def test_leaving_early_leaves_no_task(how):
    """The prefetch is cancelled, however the loop is left."""

    async def main():
        listing = FakeListing(numbered([1, 1, 1]), slow=5.0)

        async def read():
            async for _ in listing.pager():
                if how == "break":
                    return
                if how == "raise":
                    raise ZeroDivisionError
                await asyncio.sleep(3600)

        reader = asyncio.create_task(read())
        await asyncio.sleep(6)
        if how == "cancel":
            reader.cancel()
        await asyncio.wait([reader])
        if how == "raise":
            with pytest.raises(ZeroDivisionError):
                await reader
        for _ in range(5):
            await asyncio.sleep(0)
        assert not tasks()
        assert listing.under_way == 0

    run_virtually(main())


def test_cancelling_a_waiting_reader_cancels_the_fetch():
    """Nobody goes on fetching for a reader that is gone."""

    async def main():
        listing = FakeListing(numbered([1, 1]), slow=5.0)
        reader = asyncio.create_task(listing.pager().collect())
        await asyncio.sleep(7)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert listing.under_way == 0
        assert not tasks()

    run_virtually(main())


@pytest.mark.parametrize("way", ["items", "pages", "collect"])
def test_an_error_carries_the_token_to_resume_from(way):
    """The token fetches the page that failed."""

    async def main():
        listing = FakeListing(numbered([2, 2, 2]))
        whole = listing.pages["t1"]
        listing.pages["t1"] = ServerError("down", status=500)
        pager = listing.pager()
        seen = []
        with pytest.raises(ServerError) as caught:
            if way == "collect":
                await pager.collect()
            elif way == "items":
                async for item in pager:
                    seen.append(item)  # noqa: PERF401
            else:
                async for page in pager.pages():
                    seen += page.items
        assert seen == ([] if way == "collect" else [0, 1])
        assert caught.value.continuation_token == pager.continuation_token == "t1"
        assert pickle.loads(pickle.dumps(caught.value)).continuation_token == "t1"
        listing.pages["t1"] = whole
        assert await listing.pager("t1").collect() == [2, 3, 4, 5]

    run_virtually(main())


def test_an_error_of_an_abandoned_prefetch_is_dropped():
    """It is neither raised nor reported as never retrieved."""

    async def main():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        listing = FakeListing(numbered([2, 2]))
        listing.pages["t1"] = ServerError("down", status=500)
        async for item in listing.pager():
            assert item == 0
            await asyncio.sleep(5)
            break
        for _ in range(5):
            await asyncio.sleep(0)
        assert reports == []
        assert not tasks()

    run_virtually(main())


def test_a_pager_may_be_iterated_again_from_its_start():
    """Also after an iteration that was left early, from the token it was created with."""

    async def main():
        listing = FakeListing(numbered([2, 2]))
        pager = listing.pager()
        walk = aiter(pager)
        assert await anext(walk) == 0
        await walk.aclose()
        assert await pager.collect() == [0, 1, 2, 3]
        assert [item async for item in pager] == [0, 1, 2, 3]
        resumed = listing.pager("t1")
        assert resumed.continuation_token == "t1"
        assert [item async for item in resumed] == [2, 3]
        assert [item async for item in resumed] == [2, 3]

    run_virtually(main())


@pytest.mark.parametrize(("wrong", "error"), [(-1, ValueError), (True, TypeError), ("3", TypeError)])
def test_collect_refuses_an_invalid_maximum(wrong, error):
    """Before anything is fetched."""

    async def main():
        listing = FakeListing([[1]])
        with pytest.raises(error, match="max_items"):
            await listing.pager().collect(wrong)
        assert listing.asked == []

    run_virtually(main())


@pytest.mark.parametrize("way", ["items", "pages"])
@pytest.mark.parametrize("limit", [0.1, 0.25, 0.5, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("kind", ["timeout", "wait_for", "anyio"])
def test_a_time_limit_around_a_step_loses_nothing(way, limit, kind):
    """Each step continues where the last was cancelled, even if a page takes longer than the limit."""

    async def step(walk):
        if kind == "wait_for":
            return await asyncio.wait_for(anext(walk), limit)
        if kind == "anyio":
            with anyio.fail_after(limit):
                return await anext(walk)
        async with asyncio.timeout(limit):
            return await anext(walk)

    async def main():
        listing = FakeListing(numbered([2, 0, 3, 1]), slow=1.0)
        pager = listing.pager()
        walk = aiter(pager) if way == "items" else pager.pages()
        seen, cut = [], 0
        while True:
            try:
                found = await step(walk)
            except TimeoutError:
                cut += 1
                continue
            except StopAsyncIteration:
                break
            seen += [found] if way == "items" else found.items
            await asyncio.sleep(0.1)
        assert seen == list(range(6))
        assert listing.asked == listing.tokens
        assert cut or limit > 1
        assert pager.continuation_token is None

    run_virtually(main())


@pytest.mark.parametrize("way", ["items", "pages"])
@pytest.mark.parametrize("turns", range(12))
def test_a_step_cancelled_at_any_moment_loses_nothing(way, turns):
    """Neither a page nor an item, in whichever iteration of the event loop it is cancelled."""

    async def main():
        listing = FakeListing(numbered([1, 2, 1]))
        pager = listing.pager()
        walk = aiter(pager) if way == "items" else pager.pages()
        seen = []

        async def read():
            async for found in walk:
                seen.append(found)  # noqa: PERF401 - the task is cancelled

        reader = asyncio.create_task(read())
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        async for found in walk:
            seen.append(found)  # noqa: PERF401
        assert seen == (
            [0, 1, 2, 3] if way == "items" else [listing.pages[token] for token in listing.tokens]
        )
        assert listing.asked == listing.tokens
        assert not tasks()

    run_virtually(main())


@pytest.mark.parametrize("way", ["items", "pages"])
def test_garbage_collection_of_an_iterator_cancels_its_request(way):
    """Without a warning, and also from another thread."""

    async def main():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        for collected_in_thread in (False, True):
            listing = FakeListing(numbered([1, 1]), slow=5.0)
            pager = listing.pager()
            walk = [aiter(pager) if way == "items" else pager.pages()]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await anext(walk[0])
            assert listing.under_way == 1
            if collected_in_thread:
                thread = threading.Thread(target=walk.clear)
                thread.start()
                thread.join()
            walk.clear()
            await asyncio.sleep(0.1)
            assert listing.under_way == 0
            assert not tasks()
        assert reports == []

    run_virtually(main())


def test_a_step_after_an_error_fetches_the_page_again():
    """The iterator keeps its position."""

    async def main():
        listing = FakeListing(numbered([2, 2, 2]))
        whole, listing.pages["t1"] = listing.pages["t1"], ServerError("down", status=500)
        walk = aiter(listing.pager())
        seen = [await anext(walk), await anext(walk)]
        for _ in range(2):
            with pytest.raises(ServerError):
                await anext(walk)
        listing.pages["t1"] = whole
        seen += [item async for item in walk]
        assert seen == list(range(6))
        with pytest.raises(StopAsyncIteration):
            await anext(walk)

    run_virtually(main())


def test_two_tasks_cannot_fetch_for_one_iterator():
    """RuntimeError, as otherwise items would be repeated or lost."""

    async def main():
        walk = aiter(FakeListing(numbered([1]), slow=1.0).pager())
        first, second = await asyncio.gather(anext_of(walk), anext_of(walk), return_exceptions=True)
        assert first == 0
        assert isinstance(second, RuntimeError)
        assert str(second) == "another task waits for the next page of this iterator"

    run_virtually(main())


async def anext_of(walk):
    return await anext(walk)


def partial(page, *undecoded):
    error = DecodeError("bad", path="$.items[1].id", body=b"{}", undecoded=undecoded)
    return PartialPage(page.items, page.continuation_token, error=error)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_undecoded_items_raise_after_the_items_of_their_page(place):
    """The token of the error is that of the next page, where the iterator continues."""

    async def main():
        listing = FakeListing(numbered([2, 2, 2]))
        token = listing.tokens[place]
        listing.pages[token] = partial(listing.pages[token], b"{}")
        following = listing.pages[token].continuation_token
        pager = listing.pager()
        seen = []
        walk = aiter(pager)
        with pytest.raises(DecodeError) as caught:
            async for item in walk:
                seen.append(item)  # noqa: PERF401
        assert seen == list(range(2 * place + 2))
        assert caught.value.undecoded == (b"{}",)
        assert caught.value.continuation_token == pager.continuation_token == following
        seen += [item async for item in walk]
        assert seen == list(range(6))

        seen = []
        with pytest.raises(DecodeError):
            async for page in pager.pages():
                assert type(page) is Page
                seen += page.items
        assert seen == list(range(2 * place + 2))
        with pytest.raises(DecodeError) as caught:
            await pager.collect()
        assert caught.value.continuation_token == following
        for most in (2 * place + 1, 2 * place + 2):
            assert await pager.collect(most) == list(range(most))
            assert pager.continuation_token == token
        if place == 0:
            with pytest.raises(DecodeError):
                await pager

    run_virtually(main())


def test_requests_run_in_the_context_of_the_reader():
    """With its contextvars, also for the prefetch."""
    who = contextvars.ContextVar("who", default="nobody")

    async def main():
        listing = FakeListing(numbered([1, 1, 1]))
        seen = []

        async def fetch(token):
            seen.append(who.get())
            return await listing.fetch(token)

        who.set("reader")
        assert [item async for item in Pager(fetch, None)] == [0, 1, 2]
        assert seen == ["reader"] * 3

    run_virtually(main())


def test_a_pager_that_begins_within_a_listing_begins_there():
    """However it is read."""

    async def main():
        listing = FakeListing(numbered([2, 2, 2]))
        assert (await listing.pager("t1")).items == (2, 3)
        assert await listing.pager("t1").collect() == [2, 3, 4, 5]
        assert [item async for item in listing.pager("t2")] == [4, 5]
        assert [page.items async for page in listing.pager("t1").pages()] == [(2, 3), (4, 5)]

    run_virtually(main())


def test_a_page_with_items_that_cannot_be_decoded_keeps_its_size():
    """The total of the listing is that of the API."""

    async def main():
        listing = FakeListing(numbered([2, 2]))
        page = partial(listing.pages[None], b"{}")
        listing.pages[None] = msgspec.structs.replace(page, total_size=5)
        first = await anext(listing.pager().pages())
        assert (first.items, first.continuation_token, first.total_size) == ((0, 1), "t1", 5)

    run_virtually(main())


def test_a_fetch_that_is_cancelled_from_outside_is_made_again():
    """Whoever ends all tasks of a loop does not end a listing with a gap."""

    async def main():
        listing = FakeListing(numbered([1, 1]), slow=1.0)
        walk = aiter(listing.pager())
        assert await anext(walk) == 0
        for task in tasks():
            task.cancel()
        assert await anext(walk) == 1
        assert listing.asked == [None, "t1", "t1"]

    run_virtually(main())


def test_a_pager_and_a_page_say_how_far_they_are():
    """In a prompt, and in a notebook."""

    async def main():
        listing = FakeListing(numbered([1, 1]))
        pager = listing.pager()
        assert repr(pager) == (
            "<Pager: a listing not fetched yet. Iterate with `async for`, await it for the first page, or "
            "`await pager.collect()` for a list>"
        )
        first = await pager
        assert repr(pager).startswith("<Pager: a listing not fetched yet, begun. Iterate")
        assert "Page of 1 items, there is another page" in first._repr_html_()
        assert "Page of 1 items, the last page" in listing.pages["t1"]._repr_html_()

    run_virtually(main())


def test_collect_leaves_the_token_of_what_it_has_not_returned():
    """Of the page it stopped within, or of the next where it stopped at an end."""

    async def main():
        for most, token in ((1, None), (2, "t1"), (3, "t1"), (4, "t2"), (None, None)):
            pager = FakeListing(numbered([2, 2, 2])).pager()
            await pager.collect(most)
            assert pager.continuation_token == token

    run_virtually(main())
