"""The platform API: who may ask, how runs start, move, stop and go on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from kognitos_async.messages import _CAPACITY
from kognitos_async.testing import KognitosServer, Schedule
from kognitos_async.testing.platform_values import from_number, timestamp, to_nanoseconds, to_value
from tests.emulator.platform_helpers import DRAFT, PUBLISHED, PlatformApi


@pytest.fixture
def platform(make):
    async def start(**settings):
        api = await make(**settings)
        return PlatformApi(api.server, api.session)

    return start


@pytest.fixture
async def api(platform):
    return await platform()


# Who may ask


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer wrong", "Basic kgn_pat_emulated", "Bearer té"])
async def test_every_operation_needs_the_token(api, value):
    headers = {} if value is None else {"Authorization": value}
    for path in (api.automation, "me/organizations", "nowhere"):
        async with api.session.get(f"{api.platform.base_url}/{path}", headers=headers) as response:
            assert response.status == 401
            body = await response.json()
            assert body["code"] == 16
            assert body["details"] == []
            assert body["message"]


async def test_the_scheme_is_read_whatever_its_case(api):
    headers = {"Authorization": f"bearer {api.platform.token}"}
    assert (await api.send("GET", api.automation, headers=headers)).status == 200


async def test_a_path_without_the_version_is_403(api):
    for path in ("/api/me/organizations", "/api", "/api/v2/me/organizations"):
        async with api.session.get(api.server.url + path) as response:
            assert response.status == 403
            assert (await response.json())["code"] == 7


async def test_both_apis_are_served_at_one_address(api):
    async with api.session.get(
        f"{api.server.base_url}/health", headers={"x-api-key": api.server.api_key}
    ) as response:
        assert response.status == 200
    assert (await api.get(api.automation)).status == 200
    assert api.platform.environ == {
        "KOGNITOS_TOKEN": "kgn_pat_emulated",
        "KOGNITOS_ORGANIZATION_ID": api.platform.organization_id,
        "KOGNITOS_WORKSPACE_ID": api.platform.workspace_id,
        "KOGNITOS_BASE_URL": f"{api.server.url}/api/v1",
    }


async def test_the_log_never_shows_the_token(api):
    await api.get(api.automation)
    assert api.platform.token not in repr(api.server.log)
    assert api.server.count("GetAutomation", status=200) == 1


async def test_what_does_not_exist_is_404_and_another_organization_403(api):
    organization = f"organizations/{api.platform.organization_id}"
    for path in (
        "nowhere",
        f"{organization}/workspaces/unknown",
        f"{api.workspace}/automations/unknown",
        f"{api.automation}/runs/unknown",
        f"{api.automation}/revisions/9.9",
        f"{api.workspace}/exceptions/unknown",
        f"{organization}/files/unknown/metadata",
    ):
        answer = await api.get(path)
        assert (answer.status, answer.json["code"]) == (404, 5), path
    answer = await api.get("organizations/other")
    assert (answer.status, answer.json["code"]) == (403, 7)


async def test_a_run_of_another_automation_is_404(api):
    other = api.platform.add_automation("Other")
    run = api.platform.add_run(other.id)
    assert (await api.get(run.name)).status == 200
    assert (await api.get(f"{api.automation}/runs/{run.id}")).status == 404


async def test_a_wrong_method_is_405(api):
    answer = await api.send("DELETE", api.automation)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


async def test_the_rate_limit_is_429_in_rpc_form(platform):
    api = await platform(rate_limit=0.001, rate_burst=1, retry_after=2)
    assert (await api.get("me/organizations")).status == 200
    answer = await api.get("me/organizations")
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (429, 8, "2")


# Organizations, workspaces, automations


async def test_organizations_and_workspaces_are_listed_and_read(api):
    (organization,) = (await api.get("me/organizations")).json["user_organizations"]
    assert (await api.get(organization["name"])).json == organization
    listed = (await api.get(f"{organization['name']}/workspaces")).json["workspaces"]
    mine = (await api.get(f"me/{organization['name']}/workspaces")).json["user_workspaces"]
    assert listed == mine == [(await api.get(api.workspace)).json]


async def test_automations_have_a_draft_and_perhaps_a_published_version(api):
    draft = api.platform.add_automation("Draft", stage="DRAFT", input_specs=[{"name": "amount"}])
    published = (await api.get(f"{api.automation}:query", stage=PUBLISHED)).json
    assert published["version"] == "1.0"
    assert (await api.get(f"{api.automation}:query", stage=DRAFT)).json["version"] == "1.1"
    assert (await api.get(draft.name)).json["input_specs"] == [{"name": "amount"}]
    assert (await api.get(f"{draft.name}:query", stage=PUBLISHED)).status == 404
    assert (await api.get(f"{draft.name}:query", stage="AUTOMATION_STAGE_UNSPECIFIED")).status == 400
    assert (await api.get(f"{draft.name}:query")).status == 400
    assert (await api.get(f"{draft.name}:query", stage="LIVE")).status == 400
    assert (await api.get(f"{draft.name}/revisions/latest")).json["name"].endswith("/revisions/0.1")
    assert (await api.get(f"{api.automation}/revisions/1.0")).json["alternate_ids"] == []


async def test_automation_ids_are_those_of_the_service():
    server = KognitosServer()
    assert len(server.platform.automation.id) == 21
    assert server.platform.add_automation("Mine", id="mine").name.endswith("/automations/mine")
    with pytest.raises(ValueError):
        server.platform.add_automation("Mine", id="mine")
    with pytest.raises(ValueError):
        server.platform.add_automation("Odd", stage="LIVE")


# Starting


async def test_an_invocation_names_the_run_in_full(api):
    run = await api.start({"amount": {"number": {"lo": 40}}, "who": {"text": "me"}})
    assert run.startswith(f"{api.automation}/runs/")
    shown = (await api.get(run)).json
    assert shown["name"] == run
    assert shown["stage"] == PUBLISHED
    assert shown["stage_version"] == "1.0"
    assert shown["user_inputs"] == {"amount": {"number": {"lo": 40}}, "who": {"text": "me"}}
    assert shown["executable_steps"]["inputs"] == shown["user_inputs"]
    assert shown["invocation_details"]["invocation_source"] == "INVOCATION_SOURCE_MANUAL"


async def test_an_invocation_may_give_a_bare_id(platform):
    api = await platform(run_id_form="id")
    assert "/" not in (await api.invoke()).json["run_id"]
    api = await platform(run_id_form="alternate")
    assert ["/" in (await api.invoke()).json["run_id"] for _ in range(4)] == [True, False, True, False]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "body"),
        ([], "body"),
        ({"stage": "LIVE"}, "stage"),
        ({"stage": "AUTOMATION_STAGE_UNSPECIFIED"}, "stage"),
        ({"stage": PUBLISHED, "inputs": []}, "inputs"),
        ({"stage": PUBLISHED, "inputs": {"a": 1}}, "inputs.a"),
        ({"stage": PUBLISHED, "inputs": {"a": {}}}, "inputs.a"),
        ({"stage": PUBLISHED, "inputs": {"a": {"text": "x", "bool_value": True}}}, "inputs.a"),
        ({"stage": PUBLISHED, "inputs": {"a": {"text_value": "x"}}}, "inputs.a"),
        ({"stage": PUBLISHED, "inputs": {"a": {"text": 1}}}, "inputs.a.text"),
        ({"stage": PUBLISHED, "inputs": {"a": {"number": {"lo": "1"}}}}, "inputs.a.number.lo"),
        ({"stage": PUBLISHED, "inputs": {"a": {"list": {"items": [{"text": 1}]}}}}, "inputs.a.list.items.0"),
    ],
)
async def test_a_body_that_breaks_the_schema_is_400_and_says_where(api, body, where):
    answer = await api.post(f"{api.automation}:invoke", body)
    assert (answer.status, answer.json["code"]) == (400, 3)
    (detail,) = answer.json["details"]
    assert detail["field_violations"][0]["field"].startswith(where)
    assert where in answer.json["message"]
    assert not api.platform.runs


async def test_bodies_that_are_not_json_are_400(api):
    for options in (
        {"data": b"{"},
        {"data": b""},
        {"data": b"{}", "headers": {"Content-Type": "text/plain"}},
    ):
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        assert (await api.send("POST", f"{api.automation}:invoke", headers=headers, **options)).status == 400


async def test_a_stage_that_is_not_there_cannot_be_invoked(api):
    draft = api.platform.add_automation("Draft", stage="DRAFT")
    answer = await api.post(f"{draft.name}:invoke", {"stage": PUBLISHED})
    assert (answer.status, answer.json["code"]) == (404, 5)
    answer = await api.post(f"{draft.name}:invoke", {"stage": DRAFT})
    assert answer.status == 200
    assert (await api.get(answer.json["run_id"])).json["stage_version"] == "0.1"
    assert (await api.invoke(stage=DRAFT)).status == 200


# Moving


async def test_a_run_is_pending_then_executes_then_completes(platform):
    api = await platform(schedule=Schedule.fixed(10, created=2))
    run = await api.start({"a": {"number": {"lo": 40}}, "b": {"number": {"lo": 25, "flags": 1 << 16}}})
    assert await api.state(run) == ("pending", {})
    api.server.advance(3)
    assert await api.state(run) == ("executing", {})
    api.server.advance(8)
    word, members = await api.state(run)
    assert word == "completed"
    assert from_number(members["outputs"]["total"]["number"]) == Decimal("42.5")
    assert api.platform.runs[run.rpartition("/")[2]].state == "completed"


@pytest.mark.parametrize("word", ["Succeeded", "completed"])
async def test_one_schedule_moves_runs_of_both_apis(make, word):
    api = await make(schedule=Schedule.fixed(1, word))
    old, new = api.server.add_run(), api.server.platform.add_run()
    api.server.advance(2)
    assert (old.status, new.state) == ("Succeeded", "completed")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Failed", "failed"),
        ("TimedOut", "failed"),
        ("Exception", "awaiting_guidance"),
        ("awaiting_guidance", "awaiting_guidance"),
        ("Cancelled", "stopped"),
        ("napping", "napping"),
    ],
)
async def test_outcomes_are_words_of_either_api(platform, word, state):
    api = await platform(schedule=Schedule.fixed(1, word))
    run = api.platform.add_run()
    api.server.advance(2)
    assert run.state == state


async def test_a_failed_run_says_why(platform):
    api = await platform(schedule=Schedule.fixed(0, "failed"))
    word, members = await api.state(await api.start())
    assert word == "failed"
    assert members["id"]
    assert members["description"]


async def test_a_manual_run_stays_pending_until_told(platform):
    api = await platform(schedule=Schedule.manual())
    run = api.platform.add_run()
    api.server.advance(1e6)
    assert await api.state(run.name) == ("pending", {})
    api.platform.set_state(run.id, "completed", outputs={"total": 42, "ok": True, "note": None})
    assert (await api.state(run.name))[1] == {
        "outputs": {
            "total": {"number": {"lo": 42}},
            "ok": {"bool_value": True},
            "note": {"null_value": "NULL_VALUE"},
        }
    }
    api.platform.set_state(run.id, "napping", since="noon")
    answer = await api.send("GET", run.name, checked=False)
    assert answer.json["state"]["napping"] == {"since": "noon"}
    with pytest.raises(KeyError):
        api.platform.set_state("unknown", "stopped")


async def test_lists_may_leave_outputs_out(platform):
    api = await platform(list_outputs=False)
    run = api.platform.add_run(state="completed", outputs={"total": 1})
    (listed,) = (await api.get(f"{api.automation}/runs")).json["runs"]
    assert listed["state"]["completed"] == {}
    assert (await api.state(run.name))[1]["outputs"] == {"total": {"number": {"lo": 1}}}


async def test_timestamps_have_any_number_of_digits(api):
    runs = [await api.start() for _ in range(12)]
    texts = [(await api.get(run)).json["create_time"] for run in runs]
    assert all(text.endswith("Z") for text in texts)
    assert {len(text.partition(".")[2]) - 1 for text in texts} >= {3, 6, 9}
    whole = api.platform.add_run(created_at=datetime(2025, 1, 31, 12, tzinfo=UTC))
    assert (await api.get(whole.name)).json["create_time"] == "2025-01-31T12:00:00Z"
    entered = {(await api.get(run)).json["state"]["update_time"].partition(".")[2] for run in runs}
    assert {len(text) for text in entered} >= {0, 4, 7}


async def test_runs_invoked_at_once_still_have_an_order(api):
    runs = await asyncio.gather(*(api.start() for _ in range(20)))
    listed = [run["name"] for run in (await api.get(f"{api.automation}/runs", page_size=20)).json["runs"]]
    assert listed == [run.name for run in api.platform.runs.values()][::-1]
    assert sorted(listed) == sorted(runs)


async def test_at_capacity_an_invocation_is_403_and_waiting_runs_do_not_count(platform):
    api = await platform(capacity=2)
    first, second = await api.start(), await api.start()
    answer = await api.invoke()
    assert (answer.status, answer.json["code"]) == (403, 7)
    assert _CAPACITY.search(answer.json["message"])
    assert len(api.platform.runs) == 2
    api.platform.set_state(first.rpartition("/")[2], "awaiting_guidance")
    assert (await api.invoke()).status == 200
    assert (await api.invoke()).status == 403
    api.platform.set_state(second.rpartition("/")[2], "stopped")
    assert (await api.invoke()).status == 200
    api.server.advance(11)
    assert [(await api.invoke()).status for _ in range(3)] == [200, 200, 403]


# Stopping and going on


async def test_a_paused_run_stops_and_goes_on_from_where_it_was(api):
    run = await api.start()
    api.server.advance(4)
    paused = await api.post(f"{run}:pause", {"reason": "lunch"})
    assert paused.status == 200
    assert paused.json["state"]["stopping"] == {"reason": "lunch"}
    api.server.advance(1)
    assert await api.state(run) == ("stopped", {"reason": "lunch"})
    api.server.advance(100)
    assert (await api.state(run))[0] == "stopped"
    assert (await api.post(f"{run}:continue")).json["state"]["executing"] == {}
    api.server.advance(5)
    assert (await api.state(run))[0] == "executing"
    api.server.advance(2)
    assert (await api.state(run))[0] == "completed"


async def test_a_run_stopped_by_hand_can_be_continued(api):
    run = api.platform.add_run(state="stopped")
    assert (await api.state(run.name))[1]["reason"]
    await api.post(f"{run.name}:continue")
    api.server.advance(11)
    assert run.state == "completed"


@pytest.mark.parametrize(
    ("state", "verb", "body"),
    [
        ("completed", "pause", {"reason": "x"}),
        ("failed", "pause", {"reason": "x"}),
        ("stopped", "pause", {"reason": "x"}),
        ("executing", "continue", {}),
        ("awaiting_guidance", "continue", {}),
        ("completed", "continue", {}),
    ],
)
async def test_what_a_state_does_not_allow_is_a_failed_precondition(api, state, verb, body):
    run = api.platform.add_run(state=state)
    answer = await api.post(f"{run.name}:{verb}", body)
    assert (answer.status, answer.json["code"]) == (400, 9)
    assert run.state == state


async def test_a_pause_needs_a_reason(api):
    run = await api.start()
    assert (await api.post(f"{run}:pause", {})).status == 400
    assert (await api.post(f"{run}:pause", {"reason": 1})).status == 400


# What happened to a run


async def test_run_events_tell_the_story_oldest_first(api):
    run = await api.start({"a": {"text": "x"}})
    api.server.advance(11)
    events = await api.walk(f"{run}/events", "run_events", page_size=2)
    states = [
        next(word for word in event["run_update"]["run"]["state"] if word != "update_time")
        for event in events
        if "run_update" in event
    ]
    assert states == ["pending", "executing", "completed"]
    assert events[-1]["execution_journal"]["completed"]["outputs"]["reference"]
    calls = await api.walk(f"{run}/events", "run_events", filter='node_kind = "FunctionCall"')
    assert {"node_started", "node_executed"} == {
        name for event in calls for name in event["execution_journal"] if name.startswith("node_")
    }
    assert len(await api.walk(f"{run}/events", "run_events", filter='node_kind = "Loop"')) == 0
    assert (await api.get(f"{run}/events", filter='kind = "Loop"')).status == 400


async def test_outputs_are_read_by_execution(api):
    run = api.platform.add_run(state="completed", outputs={"total": 1, "who": "me", "tags": ["a"]})
    outputs = (await api.get(f"{api.workspace}/executions/{run.execution_id}/outputs")).json["outputs"]
    assert outputs["total"] == {
        "value": {"number": {"lo": 1}},
        "type": {"scalar_type": "VALUE_SCALAR_TYPE_NUMBER"},
    }
    assert outputs["tags"]["value"] == {"list": {"items": [{"text": "a"}]}}
    assert (await api.get(f"{api.workspace}/executions/exec_unknown/outputs")).status == 404


async def test_runs_are_counted_by_automation_and_by_day(api):
    day = datetime(2025, 3, 1, 23, 30, tzinfo=UTC)
    for number in range(3):
        api.platform.add_run(state="completed", created_at=day + timedelta(hours=number))
    api.platform.add_run(api.platform.add_automation("Other").id, state="executing", created_at=day)
    answer = (await api.get(f"{api.workspace}:automationRunAggregates")).json
    assert [entry["stats"] for entry in answer["automation_run_aggregates"]] == [
        {"total_runs": "3", "completed_runs": "3"},
        {"total_runs": "1", "completed_runs": "0"},
    ]
    path = f"{api.workspace}:dailyRunAggregates"

    async def days(**params):
        entries = (await api.get(path, **{"time_zone": "UTC", **params})).json["daily_run_aggregates"]
        return {entry["date"]: entry["stats"]["total_runs"] for entry in entries}

    assert await days() == {"2025-03-01": 2, "2025-03-02": 2}
    assert await days(time_zone="Europe/Berlin") == {"2025-03-02": 4}
    assert await days(filter=f'automation_id = "{api.platform.automation.id}"') == {
        "2025-03-01": 1,
        "2025-03-02": 2,
    }
    start = {"start_date.year": 2025, "start_date.month": 3, "start_date.day": 2}
    assert await days(**start) == {"2025-03-02": 2}
    assert (await api.get(path)).status == 400
    assert (await api.get(path, time_zone="Mars/Base")).status == 400
    assert (await api.get(path, time_zone="UTC", **{"start_date.month": 13})).status == 400


# The world without HTTP


async def test_duplicates_are_runs_with_the_same_inputs(api):
    for inputs in ({"a": {"text": "1"}}, {"a": {"text": "2"}}, {"a": {"text": "2"}}):
        await api.start(inputs)
    assert api.platform.duplicates() == {'{"a":{"text":"2"}}': 2}


async def test_settings_that_make_no_sense_are_refused():
    platform = KognitosServer().platform
    run = platform.add_run(id="taken")
    assert run.created_at.tzinfo is UTC
    for wrong in (
        lambda: platform.add_run("unknown"),
        lambda: platform.add_run(created_at=datetime(2025, 1, 1)),
        lambda: platform.add_run(state="completed", schedule=Schedule.manual()),
        lambda: platform.add_run(id="taken"),
        lambda: platform.add_run(inputs={"a": float("nan")}),
        lambda: platform.add_run(inputs={"a": 2**96}),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError):
        platform.add_run(inputs={"a": object()})
    with pytest.raises(RuntimeError):
        platform.base_url  # noqa: B018 - the property raises


def test_the_same_seed_gives_the_same_ids():
    one, two = KognitosServer(seed=3), KognitosServer(seed=3)
    assert one.platform.automation.id == two.platform.automation.id
    assert one.platform.add_run().id == two.platform.add_run().id


@pytest.mark.parametrize("number", ["0", "42", "-12.50", "79228162514264337593543950335", "1E+3", "-1E-28"])
def test_numbers_are_96_bit_decimals(number):
    assert from_number(to_value(Decimal(number))["number"]) == Decimal(number)


def test_values_of_every_kind():
    assert to_value({"k": [1, None]}) == {
        "dictionary": {
            "entries": [
                {
                    "key": {"text": "k"},
                    "value": {"list": {"items": [{"number": {"lo": 1}}, {"null_value": "NULL_VALUE"}]}},
                }
            ]
        }
    }
    assert to_value({"text": "as the API writes it"}) == {"text": "as the API writes it"}


def test_timestamps_are_as_short_as_they_can_be():
    second = to_nanoseconds(datetime(2025, 1, 31, tzinfo=UTC))
    ends = [timestamp(second + rest)[19:] for rest in (0, 250_000_000, 1000, 1)]
    assert ends == ["Z", ".250Z", ".000001Z", ".000000001Z"]
