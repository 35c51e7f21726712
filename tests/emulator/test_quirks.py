"""Ways in which the service is odd all the time: clocks, names, order of lists, strict checks, workers."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from kognitos_async.testing import Schedule, faults


@pytest.mark.parametrize("offset", [-300, 300])
async def test_a_clock_that_is_wrong_shows_in_the_date_header(make, offset):
    api = await make(date=lambda now: now + timedelta(seconds=offset))
    for answer in (await api.list(), await api.get("/v2/runs/none")):
        seconds = (parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)).total_seconds()
        assert abs(seconds - offset) < 5


async def test_a_date_may_be_frozen_as_caches_do(make):
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    api = await make(date=lambda _now: moment)
    api.server.misbehave("get_health", faults.proxy_error())
    for answer in (await api.start(), await api.get("/v2/health")):
        assert answer.headers["Date"] == "Sat, 31 Jan 2026 12:00:00 GMT"


async def test_created_at_in_a_local_time_without_its_offset(make):
    api = await make(created_at=lambda now: now + timedelta(hours=2))
    created = datetime.fromisoformat((await api.start()).json["created_at"])
    assert created.tzinfo is None
    assert abs(created - timedelta(hours=2) - datetime.now(UTC).replace(tzinfo=None)) < timedelta(seconds=5)
    run = next(iter(api.server.runs.values()))
    assert run.status == "Running"


@pytest.mark.parametrize(
    ("stored_name", "stored"),
    [
        (str.strip, "Cafe\u0301  INVOICE"),
        (str.casefold, "  cafe\u0301  invoice "),
        (lambda name: unicodedata.normalize("NFC", name), "  Caf\u00e9  INVOICE "),
        (lambda name: name[:6], "  Cafe"),
    ],
)
async def test_names_stored_otherwise_than_sent(make, stored_name, stored):
    api = await make(stored_name=stored_name)
    run = (await api.start("  Cafe\u0301  INVOICE ")).json
    assert run["name"] == stored
    assert await api.walk() == [stored]
    assert [found.id for found in api.server.runs_named(stored)] == [run["id"]]


async def test_new_runs_appear_late_in_lists_only(make):
    api = await make(list_lag=5)
    run = (await api.start("late")).json
    assert await api.walk() == []
    assert (await api.run(run["id"]))["name"] == "late"
    api.server.advance(5)
    assert await api.walk() == ["late"]


async def test_pages_are_whole_although_some_runs_are_not_listed_yet(make):
    api = await make(list_lag=5)
    for number in range(30):
        api.server.add_run(name=str(number), created_at=datetime.now(UTC) - timedelta(minutes=60 - number))
        await api.start("too new")
    assert await api.walk(limit=7) == [str(number) for number in reversed(range(30))]


async def test_neighbours_may_stand_the_wrong_way_round(make):
    api = await make(order_jitter=3)
    start = datetime.now(UTC) - timedelta(hours=1)
    for number in range(200):
        api.server.add_run(name=str(number), created_at=start + timedelta(seconds=number))
    names = [int(name) for name in await api.walk(limit=10)]
    assert sorted(names) == list(range(200))
    assert names != sorted(names, reverse=True)
    assert all(abs(199 - at - number) <= 6 for at, number in enumerate(names))
    assert names == [int(name) for name in await api.walk(limit=100)]


async def test_a_capacity_refusal_in_other_words(make):
    api = await make(capacity=1, capacity_message="Resource Not Available ({capacity})")
    await api.start()
    refused = await api.start()
    assert (refused.status, refused.json["message"]) == (403, "Resource Not Available (1)")


async def test_requests_are_counted_by_worker(make):
    api = await make()
    for worker in ("one", "one", "two"):
        await api.send("GET", "/v2/health", headers={"X-Worker": worker})
    await api.send("GET", "/v2/nothing", headers={"User-Agent": "three"})
    server = api.server
    assert [server.count(worker=worker) for worker in ("one", "two", "three", "four")] == [2, 1, 1, 0]
    assert server.count("get_health", worker="one", status=200) == 2
    assert server.count("get_health", worker="three") == 0
    assert [seen.worker for seen in server.log] == ["one", "one", "two", "three"]


async def test_a_fault_may_hit_one_worker_alone(make):
    api = await make()
    handle = api.server.misbehave("*", faults.unavailable(), times=None, worker="two")
    one = await api.send("GET", "/v2/health", headers={"X-Worker": "one"})
    two = await api.send("GET", "/v2/health", headers={"X-Worker": "two"})
    assert (one.status, two.status, handle.hits) == (200, 503, 1)


async def test_a_run_by_somebody_else_says_so(make):
    api = await make()
    run = api.server.platform.add_run(user="users/other", source="INVOCATION_SOURCE_SCHEDULE")
    path = f"/api/v1/{run.name}"
    answer = await api.send("GET", path, headers={"Authorization": f"Bearer {api.server.platform.token}"})
    assert answer.json["invocation_details"] == {
        "user_id": "users/other",
        "invocation_source": "INVOCATION_SOURCE_SCHEDULE",
    }


async def test_advancing_moves_runs_forms_and_rates(make):
    api = await make(schedule=Schedule.fixed(60), rate_limit=0.01, rate_burst=2, form_lifetime=300)
    run = (await api.start()).json
    await api.get("/v2/health")
    assert (await api.get("/v2/health")).status == 429
    api.server.advance(600)
    assert (await api.run(run["id"]))["status"] == "Succeeded"


NUMBER = {"lo": 1}
COLUMN = {"name": "n", "values": [{"text_value": "a"}]}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"table": {"inline": {"columns": [COLUMN, {"name": "m", "values": []}]}}}, "columns"),
        ({"table": {"inline": {"colums": [COLUMN]}}}, "table.inline"),
        ({"table": {"inline": "QVJST1c="}}, "table.inline"),
        ({"table": {"inline": {"columns": [COLUMN]}, "remote": "https://x.example"}}, "table"),
        ({"table": {}}, "table"),
        ({"text": "a", "number": NUMBER}, "inputs.x"),
        ({}, "inputs.x"),
        ({"texts": "a"}, "inputs.x"),
        ({"number": {"lo": 2**32}}, "number"),
        ({"number": {"lo": 1, "flags": 29 << 16}}, "flags"),
        ({"number": {"lo": 1, "flags": 1}}, "flags"),
        ({"list": {"items": [{"number": {"lo": -1}}]}}, "list.items.0.number"),
    ],
)
async def test_invalid_values_are_refused_with_their_place(make, value, where):
    api = await make()
    platform = api.server.platform
    path = f"/api/v1/{platform.automation.name}:invoke"
    answer = await api.send(
        "POST",
        path,
        json={"stage": "AUTOMATION_STAGE_PUBLISHED", "inputs": {"x": value}},
        headers={"Authorization": f"Bearer {platform.token}"},
    )
    assert answer.status == 400
    assert where in answer.json["details"][0]["field_violations"][0]["field"]
    assert not platform.runs


@pytest.mark.parametrize(
    "value",
    [{"table": {"inline": {"columns": [COLUMN, COLUMN]}}}, {"number": {"lo": 1, "flags": 28 << 16 | 2**31}}],
)
async def test_valid_values_are_taken(make, value):
    api = await make()
    platform = api.server.platform
    path = f"/api/v1/{platform.automation.name}:invoke"
    body = {"stage": "AUTOMATION_STAGE_PUBLISHED", "inputs": {"x": value}}
    headers = {"Authorization": f"Bearer {platform.token}"}
    assert (await api.send("POST", path, json=body, headers=headers)).status == 200
