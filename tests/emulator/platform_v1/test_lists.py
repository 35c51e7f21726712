"""Lists of the platform API: pages, tokens, filters."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.testing.platform_v1 import aip160
from kognitos_async.testing.platform_v1.values import timestamp, to_nanoseconds

START = datetime(2025, 1, 1, tzinfo=UTC)


def fill(api, count):
    # Not in the order of creation: the list sorts by `create_time`.
    for number in sorted(range(count), key=lambda number: number * 7 % count):
        api.platform.add_run(
            id=f"{number:03}", created_at=START + timedelta(minutes=number), state="completed"
        )


def ids(runs):
    return [run["name"].rpartition("/")[2] for run in runs]


def expected(count):
    return [f"{number:03}" for number in range(count)][::-1]


# Pages


async def test_runs_come_ten_a_page_newest_first(api):
    fill(api, 25)
    pages = await api.pages(f"{api.automation}/runs", "runs")
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [run for page in pages for run in ids(page)] == expected(25)


@pytest.mark.parametrize("size", [1, 7, 25, 50, 1000])
async def test_pages_hold_every_run_once(api, size):
    fill(api, 50)
    pages = await api.pages(f"{api.automation}/runs", "runs", page_size=size)
    assert [run for page in pages for run in ids(page)] == expected(50)
    assert len(pages) == -(-50 // size)


@pytest.mark.parametrize("order", ["oldest", "shuffled"])
async def test_the_order_of_runs_can_be_set(platform, order):
    api = await platform(order=order)
    fill(api, 30)
    listed = ids(await api.walk(f"{api.automation}/runs", "runs", page_size=7))
    assert sorted(listed) == expected(30)[::-1]
    if order == "oldest":
        assert listed == expected(30)[::-1]
    else:
        assert listed not in (expected(30), expected(30)[::-1])


async def test_the_end_has_no_token(api):
    fill(api, 10)
    answer = (await api.get(f"{api.automation}/runs")).json
    assert "next_page_token" not in answer
    assert "next_page_token" not in (await api.get(f"{api.automation}/runs", page_size=0)).json
    assert (await api.get(f"{api.automation}/runs", page_size=9)).json["next_page_token"]
    assert (await api.get(f"{api.workspace}/exceptions")).json["next_page_token"] == ""


async def test_page_sizes_are_clamped_to_1000_and_never_negative(api):
    fill(api, 1003)
    assert len((await api.get(f"{api.automation}/runs", page_size=5000)).json["runs"]) == 1000
    for path in (f"{api.automation}/runs", f"{api.workspace}/automations", "me/organizations", "books"):
        for size in (-1, "ten", "1.5", 2**31):
            answer = await api.get(path, page_size=size)
            assert (answer.status, answer.json["code"]) == (400, 3)


async def test_runs_invoked_between_pages_shift_nothing(api):
    fill(api, 30)
    listed, token = [], ""
    while True:
        answer = (await api.get(f"{api.automation}/runs", page_size=7, page_token=token)).json
        listed += ids(answer["runs"])
        await api.start()
        token = answer.get("next_page_token")
        if token is None:
            break
    assert listed == expected(30)


async def test_tokens_serve_the_very_same_question_only(api):
    fill(api, 30)
    path, asked = f"{api.automation}/runs", {"page_size": 5, "filter": 'create_time > "2024-01-01T00:00:00Z"'}
    token = (await api.get(path, **asked)).json["next_page_token"]
    assert (await api.get(path, **asked, page_token=token)).status == 200
    other = api.platform.add_automation("Other").name
    for where, changed in (
        (path, {**asked, "page_size": 6}),
        (path, {**asked, "filter": 'create_time > "2024-01-02T00:00:00Z"'}),
        (path, {"page_size": 5}),
        (f"{other}/runs", asked),
        (f"{api.automation}/revisions", {"page_size": 5}),
    ):
        answer = await api.get(where, **changed, page_token=token)
        assert (answer.status, answer.json["code"]) == (400, 3)
    for wrong in ("x", token[:-2] + "AA", "a" * 40):
        assert (await api.get(path, **asked, page_token=wrong)).status == 400
    assert len(ids((await api.get(path, **asked, page_token="")).json["runs"])) == 5


async def test_unknown_and_repeated_parameters_are_400(api):
    assert (await api.get(f"{api.automation}/runs", order_by="create_time")).status == 400
    assert (await api.send("GET", f"{api.automation}/runs?page_size=1&page_size=2")).status == 400
    assert (await api.get(f"{api.workspace}/automations", show_deleted="maybe")).status == 400


async def test_automations_come_newest_first_and_ten_a_page(api):
    for number in range(11):
        api.platform.add_automation(f"Number {number}", stage="DRAFT" if number % 2 else "PUBLISHED")
    path = f"{api.workspace}/automations"
    pages = await api.pages(path, "automations")
    assert [len(page) for page in pages] == [10, 2]
    assert pages[0][0]["display_name"] == "Number 10"
    drafts = await api.walk(path, "automations", filter='state = "DRAFT"')
    assert len(drafts) == 5
    assert not any("latest_published_version" in automation for automation in drafts)
    assert len(await api.walk(path, "automations", filter="state = PUBLISHED")) == 7
    assert (await api.get(path, filter='state = "LIVE"')).status == 400
    api.platform.automation.deleted = True
    assert len(await api.walk(path, "automations")) == 11
    assert len(await api.walk(path, "automations", show_deleted="true")) == 12


async def test_revisions_can_be_chosen_by_stage(api):
    path = f"{api.automation}/revisions"
    assert [r["name"][-3:] for r in await api.walk(path, "revisions")] == ["1.1", "1.0"]
    assert [r["name"][-3:] for r in await api.walk(path, "revisions", filter='stage = "PUBLISHED"')] == [
        "1.0"
    ]
    assert (await api.get(path, filter="state = DRAFT")).status == 400


async def test_workspaces_can_be_chosen_by_title(api):
    path = f"organizations/{api.platform.organization_id}/workspaces"
    for text, count in (
        ('title = "Emulated workspace"', 1),
        ('title : "WORK"', 1),
        ('title = "WORK"', 0),
        ('NOT title : "work"', 0),
    ):
        assert len(await api.walk(path, "workspaces", filter=text)) == count, text
    assert (await api.get(path, filter='name = "x"')).status == 400


# Filters


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ('create_time >= "2025-01-01T00:03:00Z"', {3, 4}),
        ('create_time > "2025-01-01T00:03:00Z"', {4}),
        ('create_time < "2025-01-01T00:01:00.5Z"', {0, 1}),
        ('create_time<="2025-01-01T00:01:00Z"', {0, 1}),
        ('create_time = "2025-01-01T01:02:00+01:00"', {2}),
        ("create_time != '2025-01-01T00:02:00Z'", {0, 1, 3, 4}),
        ('NOT create_time > "2025-01-01T00:03:00Z"', {0, 1, 2, 3}),
        ('-create_time > "2025-01-01T00:03:00Z"', {0, 1, 2, 3}),
        ('create_time > "2025-01-01T00:00:00Z" AND create_time < "2025-01-01T00:03:00Z"', {1, 2}),
        ('create_time > "2025-01-01T00:00:00Z" create_time < "2025-01-01T00:03:00Z"', {1, 2}),
        ('create_time = "2025-01-01T00:00:00Z" OR create_time >= "2025-01-01T00:03:00Z"', {0, 3, 4}),
        # OR binds tighter than AND.
        (
            (
                'create_time <= "2025-01-01T00:00:00Z" OR create_time >= "2025-01-01T00:02:00Z"'
                ' AND create_time >= "2025-01-01T00:01:00Z"'
            ),
            {2, 3, 4},
        ),
        (
            (
                'create_time <= "2025-01-01T00:00:00Z" OR (create_time >= "2025-01-01T00:02:00Z"'
                ' AND create_time < "2025-01-01T00:03:00Z")'
            ),
            {0, 2},
        ),
        ("", {0, 1, 2, 3, 4}),
    ],
)
async def test_runs_can_be_chosen_by_create_time(api, text, minutes):
    fill(api, 5)
    runs = await api.walk(f"{api.automation}/runs", "runs", filter=text, page_size=2)
    assert {int(run) for run in ids(runs)} == minutes
    assert len(runs) == len(minutes)


@pytest.mark.parametrize(
    "text",
    [
        'update_time > "2025-01-01T00:00:00Z"',
        'state = "completed"',
        "create_time",
        "create_time >",
        "create_time > 2025-01-01T00:00:00Z",
        'create_time > "yesterday"',
        'create_time > "2025-13-01T00:00:00Z"',
        'create_time > "2025-01-01"',
        'create_time > "2025-01-01T00:00:00"',
        'create_time : "2025-01-01T00:00:00Z"',
        'create_time ~ "2025-01-01T00:00:00Z"',
        'create_time > "2025-01-01T00:00:00Z',
        'create_time > "2025-01-01T00:00:00Z" AND',
        'create_time > "2025-01-01T00:00:00Z" OR OR create_time',
        '(create_time > "2025-01-01T00:00:00Z"',
        'create_time > "2025-01-01T00:00:00Z")',
        '"2025-01-01T00:00:00Z" < create_time',
        "NOT",
        "()",
        "(" * 200,
    ],
)
async def test_filters_that_cannot_be_read_are_invalid_arguments(api, text):
    answer = await api.get(f"{api.automation}/runs", filter=text)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert answer.json["details"][0]["field_violations"][0]["field"] == "filter"


async def test_a_create_time_finds_its_run_again_to_the_nanosecond(api):
    for _ in range(6):
        run = await api.start()
        moment = (await api.get(run)).json["create_time"]
        found = await api.walk(f"{api.automation}/runs", "runs", filter=f'create_time = "{moment}"')
        assert [item["name"] for item in found] == [run]


async def test_recent_runs_of_a_long_history_are_found_fast(api):
    """Hardly slower than the first page without a filter; looking at all of them would be far more so."""
    fill(api, 20_000)
    since = timestamp(to_nanoseconds(START + timedelta(minutes=19_990)))

    async def cost(**query):
        best = float("inf")
        for _ in range(5):
            began = time.process_time()
            for _ in range(10):
                runs = (await api.get(f"{api.automation}/runs", **query)).json["runs"]
            best = min(best, time.process_time() - began)
        assert len(runs) == 10
        return best

    assert await cost(filter=f'create_time >= "{since}"') < 10 * await cost()


def matching(text, **fields):
    known = {name: aip160.Field(lambda item, name=name: item[name], aip160.ORDERED) for name in fields}
    return aip160.parse(text, known).matches(fields)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("a = x", True),
        ("a=x", True),
        (r'a = "\x"', True),
        ("a = y OR b = z", True),
        ("a = y AND b = z OR a = x", False),
        ("a = x AND b = z OR a = y", True),
        ("(a = y AND b = z) OR a = x", True),
        ("NOT (a = y OR b = y)", True),
        ("-(a = x)", False),
        ("a = x\n\tb = z", True),
        ("b = quo-ted", False),
    ],
)
def test_terms_are_joined_as_the_aip_says(text, matches):
    assert matching(text, a="x", b="z") is matches


def test_a_filter_knows_the_least_value_it_can_match():
    field = {"n": aip160.Field(lambda item: item, aip160.ORDERED, int)}
    for text, least in (
        ("n >= 3", {"n": 3}),
        ("n > 3 AND n > 5", {"n": 5}),
        ("n = 3 OR n >= 5", {"n": 3}),
        ("n = 3 OR n < 5", {}),
        ("NOT n >= 3", {}),
        ("n < 3", {}),
    ):
        assert aip160.parse(text, field).least == least, text


def test_moments_are_read_with_offset_and_fraction():
    assert aip160.nanoseconds("1970-01-01T01:00:00.000000001+01:00") == 1
    assert aip160.nanoseconds("1969-12-31T23:59:59Z") == -(10**9)
    with pytest.raises(ValueError):
        aip160.nanoseconds("1970-01-01T00:00:00.0000000001Z")
