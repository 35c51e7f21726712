"""Every operation of the platform API is there, answers as the spec says, and can be spoiled."""

from __future__ import annotations

import re

import aiohttp
import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.emulator.platform_v1.helpers import OPERATIONS, PUBLISHED, SPEC, PlatformApi

WINDOW = {"start_time": "2025-01-01T00:00:00Z", "end_time": "2025-02-01T00:00:00Z"}
QUERIES = {
    "QueryAutomation": {"stage": PUBLISHED},
    "ExtractAutomationCodeConnections": {"filter": 'stage = "DRAFT"'},
    "DeleteWorkspaceConnection": {"connection_id": "c"},
    "QueryDailyRunAggregates": {"time_zone": "UTC"},
    "QueryInsights": {f"filter.time_window.{name}": value for name, value in WINDOW.items()},
    "QueryMetrics": {"metrics": "runs", **WINDOW},
}
BODIES = {
    "InvokeAutomation": {"stage": PUBLISHED},
    "PauseRun": {"reason": "r"},
    "CreateEvent": {"user_message": {"content": "c"}},
}


@pytest.fixture
async def api(make, session):
    api = await make(schedule=Schedule.manual())
    api = PlatformApi(api.server, session)
    run = api.platform.add_run(state="awaiting_guidance")
    api.ids = {
        "organization_id": api.platform.organization_id,
        "workspace_id": api.platform.workspace_id,
        "automation_id": api.platform.automation.id,
        "run_id": run.id,
        "revision_id": "latest",
        "agent_id": "astral",
        "event_id": run.threads["astral"][0].id,
        "exception_id": next(iter(api.platform.exceptions)),
        "execution_id": run.execution_id,
        "file": api.platform.add_file("a.txt", b"a").id,
    }
    return api


def smallest(schema, components):
    """The smallest body that the schema takes."""
    if "$ref" in schema:
        schema = components["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return schema["enum"][-1]
    if "allOf" in schema:
        return smallest(schema["allOf"][0], components)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: smallest(members[name], components) for name in schema.get("required", ())}
        case "array":
            return []
        case "string":
            return "2025-01-01T00:00:00Z" if schema.get("format") == "date-time" else "x"
        case "boolean":
            return True
        case _:
            return 1


async def call(api, operation, **options):
    method, template, spec = OPERATIONS[operation]
    path = re.sub(r"\{(\w+)\}", lambda match: api.ids.get(match[1], f"{match[1]}-1"), template)
    content = spec.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        body = BODIES.get(operation) or smallest(content["application/json"]["schema"], SPEC["components"])
        options = {"json": body, **options}
    elif content:
        form = aiohttp.FormData()
        form.add_field("filename", "a.txt")
        form.add_field("content", b"a", filename="a.txt")
        options = {"data": form, **options}
    if operation == "ContinueRun":
        api.platform.set_state(api.ids["run_id"], "stopped")
    if operation == "StreamEvents":
        api.platform.set_state(api.ids["run_id"], "completed")
    options.setdefault("params", QUERIES.get(operation, {}))
    return await api.send(method, path.removeprefix("/api/v1/"), **options)


def test_there_are_102_operations_and_none_has_a_name_of_the_other_api():
    known = KognitosServer()._dispatcher.router.operations
    assert len(OPERATIONS) == 102
    assert known >= set(OPERATIONS)
    assert len(known) == 102 + 7 + 1 + 2


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_answers_as_the_spec_says(api, operation):
    answer = await call(api, operation)
    assert answer.status in {200, 201}, answer.body
    assert api.server.log[-1].operation == operation
    assert api.server.count(operation, status=answer.status) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_refuses_what_it_does_not_know(api, operation):
    wrong = await call(api, operation, params={**QUERIES.get(operation, {}), "no_such_parameter": "1"})
    assert (wrong.status, wrong.json["code"]) == (400, 3)
    api.ids["organization_id"] = "other"
    if "{organization_id}" in OPERATIONS[operation][1]:
        assert (await call(api, operation)).status == 403


@pytest.mark.parametrize(
    "operation",
    [name for name, (_, _, spec) in OPERATIONS.items() if "requestBody" in spec and name != "UploadFile"],
)
async def test_every_body_is_checked(api, operation):
    for body in ([], "x", None):
        answer = await call(api, operation, json=body)
        assert (answer.status, answer.json["code"]) == (400, 3)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_operation_can_be_spoiled(api, operation):
    api.server.misbehave(operation, faults.rate_limited(3))
    answer = await call(api, operation)
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (429, 8, "3")
    # All of them, for aiohttp sends a GET again by itself.
    api.server.misbehave(operation, faults.reset(after_work=False), times=None)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await call(api, operation)
    assert api.server.count(operation, status=200) == 0


PAGED = {
    operation: spec
    for operation, (_, _, spec) in OPERATIONS.items()
    if any(parameter["name"] == "page_token" for parameter in spec.get("parameters", ()))
}


@pytest.mark.parametrize("operation", PAGED)
async def test_every_list_comes_in_pages(api, operation):
    """All items, one a page, are those of a single page, once each."""
    query = QUERIES.get(operation, {})
    whole = (await call(api, operation, params={**query, "page_size": "100"})).json
    (field,) = (name for name, value in whole.items() if isinstance(value, list))
    assert not whole.get("next_page_token")
    items, token = [], ""
    while True:
        answer = await call(api, operation, params={**query, "page_size": "1", "page_token": token})
        items += answer.json[field]
        token = answer.json.get("next_page_token", "")
        if not token:
            break
    assert items == whole[field]
    assert (await call(api, operation, params={**query, "page_size": "-1"})).status == 400
    assert (await call(api, operation, params={**query, "page_token": "x"})).status == 400


async def test_names_are_those_of_what_was_asked(api):
    for operation in (
        "GetOrganizationPreferences",
        "GetInvitation",
        "GetAutomationSchedule",
        "GetGuideEntry",
    ):
        answer = (await call(api, operation)).json
        path = re.sub(r"\{(\w+)\}", lambda m: api.ids.get(m[1], f"{m[1]}-1"), OPERATIONS[operation][1])
        assert answer["name"] == path.removeprefix("/api/v1/"), operation


async def test_what_was_sent_comes_back_where_the_answer_has_it(api):
    config = {"start": {"start_date": {"year": 2030, "month": 1, "day": 2}, "time_zone": "UTC"}}
    answer = await api.post(f"{api.automation}/schedule", {"config": config})
    assert answer.json["config"] == config
    assert answer.json["name"] == f"{api.automation}/schedule"


async def test_sample_answers_are_always_the_same(api):
    first = await call(api, "ListBooks")
    assert first.body == (await call(api, "ListBooks")).body
    assert len({book["name"] for book in first.json["books"]}) == 3


async def test_records_can_be_skipped_where_there_are_no_tokens(api):
    async def found(**params):
        answer = await call(api, "ListWorkspaceBookConnectionDiscoverables", params=params)
        return next(value for value in answer.json.values() if isinstance(value, list))

    whole = await found()
    assert await found(offset="1", limit="1") == whole[1:2]


async def test_guide_entries_of_all_automations_are_listed_with_a_dash(api):
    assert (await api.get(f"{api.workspace}/automations/-/guideEntries")).status == 200
    assert (await api.get(f"{api.workspace}/automations/-/revisions")).status == 404


async def test_metrics_take_several_names(api):
    path = f"organizations/{api.platform.organization_id}/metrics:query"
    query = [("metrics", "runs"), ("metrics", "pages"), *WINDOW.items()]
    assert (await api.send("GET", path, params=query)).status == 200
    assert (await api.send("GET", path, params=query[2:])).status == 400
    wrong = [("metrics", "runs"), ("start_time", "yesterday"), ("end_time", "2025-01-01T00:00:00Z")]
    answer = await api.send("GET", path, params=wrong)
    assert "start_time" in answer.json["message"]


# Faults


@pytest.mark.parametrize("fault", [faults.status_word("napping"), faults.new_state("napping", since="noon")])
async def test_new_words_can_be_shown_for_states(api, fault):
    for operation in ("GetRun", "ListRuns"):
        api.server.misbehave(operation, fault)
        answer = (await call(api, operation, checked=False)).json
        for run in answer.get("runs", [answer]):
            assert set(run["state"]) == {"napping", "update_time"}
    assert (await api.state(f"{api.automation}/runs/{api.ids['run_id']}"))[0] == "awaiting_guidance"


async def test_the_capacity_fault_is_refused_in_rpc_form(api):
    api.server.misbehave("InvokeAutomation", faults.capacity_reached(150))
    answer = await api.invoke()
    assert (answer.status, answer.json["code"]) == (403, 7)
    assert "maximum of 150 concurrent runs" in answer.json["message"]


@pytest.mark.parametrize("after_work", [False, True])
async def test_an_answer_can_be_lost_before_or_after_the_run_is_made(api, after_work):
    count = len(api.platform.runs)
    api.server.misbehave("InvokeAutomation", faults.reset(after_work=after_work))
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await api.invoke()
    assert len(api.platform.runs) - count == after_work


async def test_a_run_may_be_missing_just_after_its_start(api):
    run = await api.start()
    api.server.misbehave("GetRun", faults.not_found())
    answer = await api.get(run)
    assert (answer.status, answer.json["code"]) == (404, 5)
    assert (await api.get(run)).status == 200


async def test_pages_can_be_bent(api):
    for number in range(9):
        api.platform.add_run(id=f"run-{number}")
    path = f"{api.automation}/runs"
    whole = await api.walk(path, "runs", page_size=100)
    for fault in (faults.empty_page(), faults.null_items()):
        api.server.misbehave("ListRuns", fault)
        answer = await api.send("GET", path, params={"page_size": "3"}, checked=False)
        assert not answer.json["runs"]
        rest, token = [], answer.json["next_page_token"]
        while token:
            page = (await api.get(path, page_size=3, page_token=token)).json
            rest += page["runs"]
            token = page.get("next_page_token")
        assert rest == whole
    token = (await api.get(path, page_size=3)).json["next_page_token"]
    api.server.misbehave("ListRuns", faults.repeat_token())
    assert (await api.get(path, page_size=3, page_token=token)).json["next_page_token"] == token


async def test_bodies_can_be_cut_and_unknown_fields_added(api):
    api.server.misbehave("ListRuns", faults.cut_body())
    with pytest.raises(aiohttp.ClientPayloadError):
        await call(api, "ListRuns")
    api.server.misbehave("GetAutomation", faults.extra_fields())
    answer = await api.send("GET", api.automation, checked=False)
    assert "x_added_later" in answer.json
