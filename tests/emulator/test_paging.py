"""Pages: nothing twice, nothing lost, whatever is started meanwhile."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2024, 1, 1, tzinfo=UTC)


def fill(server, count):
    # Not in the order of creation: the list sorts by `created_at`.
    for number in sorted(range(count), key=lambda number: number * 7 % count):
        server.add_run(name=f"{number:03}", created_at=START + timedelta(minutes=number))


async def test_ten_items_a_page_unless_asked_otherwise(api):
    fill(api.server, 25)
    page = (await api.list()).json
    assert len(page["items"]) == 10
    assert isinstance(page["continuation_token"], str)
    assert len((await api.list(limit=100)).json["items"]) == 25


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("limit", [1, 7, 25, 100])
async def test_pages_hold_every_run_once_in_order(make, order, limit):
    api = await make(order=order)
    fill(api.server, 50)
    names = await api.walk(limit=limit)
    expected = [f"{number:03}" for number in range(50)]
    assert sorted(names) == expected
    if order != "shuffled":
        assert names == (expected if order == "oldest" else expected[::-1])
    else:
        assert names not in (expected, expected[::-1])
    assert names == await api.walk(limit=limit)


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
async def test_runs_started_between_pages_shift_nothing(make, order):
    api = await make(order=order, capacity=None)
    fill(api.server, 30)
    names, token = [], ""
    while token is not None:
        page = (await api.list(limit=7, continuation_token=token)).json
        names += [item["name"] for item in page["items"]]
        token = page["continuation_token"]
        for _ in range(3):
            if token is not None and len(api.server.runs) < 60:
                await api.start("new")
    older = [name for name in names if name != "new"]
    assert sorted(older) == [f"{number:03}" for number in range(30)]


async def test_the_last_full_page_has_no_token(api):
    fill(api.server, 20)
    first = (await api.list(limit=10)).json
    second = (await api.list(limit=10, continuation_token=first["continuation_token"])).json
    assert len(second["items"]) == 10
    assert second["continuation_token"] is None


async def test_an_empty_list_is_one_empty_page(api):
    assert (await api.list()).json == {"items": [], "continuation_token": None}


async def test_stages_are_listed_apart_or_together(api):
    api.server.add_run(name="live")
    api.server.add_run(name="draft", stage="Draft")
    assert sorted(await api.walk()) == ["draft", "live"]
    assert await api.walk(stage="Draft") == ["draft"]
    assert (await api.list(stage="Live")).status == 400


async def test_tokens_serve_their_own_listing_only(api):
    fill(api.server, 20)
    other = api.server.add_process("Other")
    token = (await api.list()).json["continuation_token"]
    for changes in ({"stage": "Published"}, {"process_id": other.id}):
        assert (await api.list(continuation_token=token, **changes)).status == 400
    assert (await api.get("/v2/processes", agent_id="agent-1", continuation_token=token)).status == 400
    assert (await api.list(continuation_token=token, limit=3)).status == 200


@pytest.mark.parametrize("token", ["x", "é", "AAAA", "a" * 40, "=", "0" * 3000])
async def test_invented_tokens_are_400(api, token):
    fill(api.server, 20)
    assert (await api.list(continuation_token=token)).status == 400


async def test_a_tampered_token_is_400(api):
    fill(api.server, 20)
    token = (await api.list()).json["continuation_token"]
    assert (await api.list(continuation_token=token[:-1] + ("A" if token[-1] != "A" else "B"))).status == 400


async def test_a_page_deep_in_a_long_history_costs_what_the_first_does(api):
    fill(api.server, 20_000)
    began = time.process_time()
    for _ in range(20):
        deep = (await api.list(limit=100)).json["continuation_token"]
    first, began = time.process_time() - began, time.process_time()
    for _ in range(20):
        page = (await api.list(limit=100, continuation_token=deep)).json
        deep = page["continuation_token"]
    # Comparing 20,000 runs for a page would cost many times as much.
    assert time.process_time() - began < 5 * first
    assert page["items"][-1]["name"] == f"{20_000 - 2_100:03}"
