"""The platform API: who may ask, what is there, and how runs start."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from kognitos_async.testing import KognitosServer, Schedule
from kognitos_async.testing.platform_v1.values import from_number, timestamp, to_nanoseconds, to_value
from tests.emulator.platform_v1.helpers import DRAFT, PUBLISHED

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
