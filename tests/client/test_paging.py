"""Pages over loopback: iterating, resuming, leaving early."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import NotFoundError, ServerError
from kognitos_async.testing import faults
from tests.support import eventually

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def server(serve):
    """A server with 25 runs, oldest first."""
    server = await serve(order="oldest")
    for number in range(25):
        server.add_run(name=f"r{number}", status="Stopped", created_at=NOW + timedelta(minutes=number))
    return server


NAMES = [f"r{number}" for number in range(25)]


async def test_all_items(client, server):
    """Iterating gives every run once, in the order of the list, ten a page."""
    assert [run.name async for run in client.runs.list(server.process.id, limit=10)] == NAMES
    assert [seen.query["limit"] for seen in server.log] == ["10"] * 3
    assert "continuation_token" not in server.log[0].query


async def test_all_pages(client, server):
    """pages() gives the pages as sent; the last has no token."""
    pages = [page async for page in client.runs.list(server.process.id, limit=10).pages()]
    assert [len(page.items) for page in pages] == [10, 10, 5]
    assert [page.continuation_token is None for page in pages] == [False, False, True]
    assert isinstance(pages[0].items, tuple)


async def test_the_first_page_alone(client, server):
    """Awaiting the pager is one request for one page."""
    page = await client.runs.list(server.process.id, limit=7)
    assert [run.name for run in page.items] == NAMES[:7]
    assert server.count() == 1


async def test_nothing_is_sent_before_use(client, server):
    """Creating a pager sends nothing."""
    client.runs.list(server.process.id)
    await asyncio.sleep(0.01)
    assert server.count() == 0


@pytest.mark.parametrize("most", [0, 1, 10, 11, 25, 99])
async def test_collect_stops_in_time(client, server, most):
    """collect(max_items) gives that many and fetches no page beyond them."""
    items = await client.runs.list(server.process.id, limit=10).collect(most)
    assert [run.name for run in items] == NAMES[:most]
    assert server.count() == min(3, -(-most // 10))


@pytest.mark.parametrize("read", range(26))
async def test_resuming_skips_nothing(client, server, read):
    """From the token of any position, without a gap, repeating at most a page."""
    pager = client.runs.list(server.process.id, limit=10)
    names = []
    if read:
        async for run in pager:
            names.append(run.name)
            if len(names) == read:
                break
    token = pager.continuation_token
    if read == 25:
        assert token is None
        return
    rest = await client.runs.list(server.process.id, limit=10, continuation_token=token).collect()
    assert [run.name for run in rest] == NAMES[read - read % 10 :]


async def test_resuming_from_a_page(client, server):
    """The token of a page fetches the next one, also in another call."""
    page = await client.runs.list(server.process.id, limit=10)
    rest = client.runs.list(server.process.id, limit=10, continuation_token=page.continuation_token)
    assert [run.name for run in await rest.collect()] == NAMES[10:]


async def test_an_error_in_the_middle(client, server):
    """An error carries the token of the page that failed."""
    server.misbehave("list_runs", faults.server_error(500), skip=1, times=4)
    pager = client.runs.list(server.process.id, limit=10)
    names = []
    with pytest.raises(ServerError) as caught:
        async for run in pager:
            names.append(run.name)  # noqa: PERF401 - those before the error count
    assert names == NAMES[:10]
    token = caught.value.continuation_token
    assert token == pager.continuation_token
    assert token is not None
    rest = await client.runs.list(server.process.id, limit=10, continuation_token=token).collect()
    assert [run.name for run in rest] == NAMES[10:]


async def test_an_error_at_the_start(client):
    """An error on the first page has no token."""
    with pytest.raises(NotFoundError) as caught:
        await client.runs.list("no-such-process").collect()
    assert caught.value.continuation_token is None


async def test_a_retry_in_the_middle(client, server):
    """A page that fails once is fetched again, and no item is lost."""
    server.misbehave("list_runs", faults.reset(after_work=True), skip=1, times=2)
    server.misbehave("list_runs", faults.proxy_error(502), times=1)
    assert [run.name async for run in client.runs.list(server.process.id, limit=10)] == NAMES


async def test_again_from_the_start(client, server):
    """A pager may be walked twice."""
    pager = client.runs.list(server.process.id, limit=20)
    assert [run.name async for run in pager] == NAMES
    assert [run.name async for run in pager] == NAMES


async def test_one_page_ahead(client, server):
    """While the first page is consumed the second is fetched, and no third."""
    walk = aiter(client.runs.list(server.process.id, limit=5))
    assert (await anext(walk)).name == "r0"
    await eventually(lambda: server.count() == 2)
    await asyncio.sleep(0.03)
    assert server.count() == 2
    await walk.aclose()


async def test_leaving_early(client, server):
    """Leaving the loop cancels the prefetch: no task remains."""
    server.misbehave("list_runs", faults.hang(), skip=1, times=None)
    walk = aiter(client.runs.list(server.process.id, limit=5))
    await anext(walk)
    await eventually(lambda: server.count() == 2)
    before = asyncio.all_tasks()
    await walk.aclose()
    await eventually(lambda: len(asyncio.all_tasks()) < len(before))
    assert (await client.health()).ok


async def test_a_break_leaves_nothing(client, server):
    """A plain break out of the loop leaves neither warning nor task."""
    before = asyncio.all_tasks()
    async for _ in client.runs.list(server.process.id, limit=5):
        break
    await eventually(lambda: asyncio.all_tasks() - before <= _of_the_server())


def _of_the_server():
    return {task for task in asyncio.all_tasks() if "RequestHandler" in repr(task)}


async def test_processes_page_too(serve, connect):
    """Processes are paged in the same way."""
    server = await serve()
    for number in range(13):
        server.add_process(f"p{number}")
    client = await connect(server)
    assert len(await client.processes.list(limit=4).collect()) == 15
    assert server.count("list_processes") == 4


async def test_an_empty_list(serve, connect):
    """A process without runs is an empty list, one request."""
    server = await serve()
    client = await connect(server)
    assert await client.runs.list(server.process.id).collect() == []
    assert server.count() == 1


@pytest.mark.parametrize("fault", [faults.empty_page(), faults.null_items()], ids=["empty", "null"])
async def test_an_empty_page_is_not_the_end(client, server, fault):
    """Pages without items, as [] or null, are passed over as long as there is a token."""
    server.misbehave("list_runs", fault, skip=1, times=3)
    assert [run.name async for run in client.runs.list(server.process.id, limit=10)] == NAMES


@pytest.mark.parametrize(("most", "kind"), [(-1, ValueError), (True, TypeError), ("3", TypeError)])
async def test_wrong_max_items(client, server, most, kind):
    """An invalid max_items is refused before anything is sent."""
    with pytest.raises(kind, match="max_items"):
        await client.runs.list(server.process.id).collect(most)
    assert server.count() == 0


@pytest.mark.parametrize(("token", "kind"), [("", ValueError), (5, TypeError)])
async def test_wrong_tokens(client, server, token, kind):
    """An empty or non-text token is refused at the call."""
    with pytest.raises(kind, match="continuation_token"):
        client.runs.list(server.process.id, continuation_token=token)


async def test_odd_tokens_are_encoded(client, server):
    """A token with reserved characters is sent unchanged."""
    token = "a+b/c=&d?e#f %ü"
    with pytest.raises(Exception, match="400"):
        await client.runs.list(server.process.id, continuation_token=token)
    assert server.log[-1].query["continuation_token"] == token
