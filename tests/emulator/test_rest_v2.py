"""The REST API v2: who may ask what, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from yarl import URL

from kognitos_async.testing import KognitosServer, Schedule


@pytest.mark.parametrize("path", ["/v2/health", "/v2/runs/abc", "/v2/nowhere"])
@pytest.mark.parametrize("key", ["", "wrong", "té"])
async def test_every_path_needs_the_key(api, session, path, key):
    async with session.get(api.server.url + path, headers={"x-api-key": key}) as response:
        assert response.status == 401
        assert (await response.json())["status_code"] == 401


async def test_health_is_ok(api):
    assert (await api.get("/v2/health")).json == {"status": "OK"}


async def test_unknown_path_is_404_and_wrong_method_405_with_allow(api):
    assert (await api.get("/v2/nowhere")).json["status_code"] == 404
    answer = await api.send("DELETE", "/v2/runs")
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, POST"


async def test_a_started_run_is_created_then_runs_then_succeeds(api):
    answer = await api.start(inputs=[{"name": "amount", "value": 40}, {"name": "tax", "value": 2}])
    assert answer.status == 201
    run = answer.json
    assert run["status"] == "Created"
    assert run["outputs"] is None
    assert run["file_ids"] is None
    assert "+" not in run["created_at"]
    assert not run["created_at"].endswith("Z")
    api.server.advance(1)
    assert (await api.run(run["id"]))["status"] == "Running"
    api.server.advance(10)
    settled = await api.run(run["id"])
    assert settled["status"] == "Succeeded"
    assert {"name": "the output total", "value": 42} in settled["outputs"]
    assert settled == {**run, "status": "Succeeded", "outputs": settled["outputs"]}


async def test_outputs_tell_runs_apart(api):
    runs = [(await api.start(f"Invoice {n}", inputs=[{"name": "n", "value": "x"}])).json for n in range(5)]
    api.server.advance(20)
    outputs = [str((await api.run(run["id"]))["outputs"]) for run in runs]
    assert len(set(outputs)) == 5


@pytest.mark.parametrize("outcome", ["Exception", "Stopped"])
async def test_runs_that_fail_carry_no_outputs(make, outcome):
    api = await make(schedule=Schedule.fixed(1, outcome))
    run = (await api.start()).json
    api.server.advance(2)
    assert (await api.run(run["id"])) == {**run, "status": outcome}


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 3}, "name"),
        ({"stage": "Live"}, "stage"),
        ({"process_id": "a" * 27}, "process_id"),
        ({"process_id": "with space"}, "process_id"),
        ({"process_id": "newline\n"}, "process_id"),
        ({"inputs": {"a": 1}}, "inputs"),
        ({"inputs": [{"name": "a", "value": True}]}, "inputs.0.value"),
        ({"inputs": [{"name": "a"}]}, "inputs.0"),
        ({"file_ids": [1]}, "file_ids.0"),
    ],
)
async def test_a_body_that_breaks_the_schema_is_400_and_says_where(api, changes, where):
    answer = await api.start(**changes)
    assert answer.status == 400
    assert answer.json["status_code"] == 400
    assert any(detail["name"].startswith(where) for detail in answer.json["details"])
    assert not api.server.runs


async def test_bodies_that_are_not_json_are_400(api):
    for options in (
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        {"data": b"\xff", "headers": {"Content-Type": "application/json"}},
        {"data": b"", "headers": {"Content-Type": "application/json"}},
        {"data": b"{}", "headers": {"Content-Type": "text/plain"}},
        {"json": []},
    ):
        assert (await api.send("POST", "/v2/runs", **options)).status == 400


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1.5", "ten", "1e1", "9" * 30, "٣"])
async def test_limits_outside_1_to_100_are_400(api, limit):
    answer = await api.list(limit=limit)
    assert answer.status == 400
    assert answer.json["details"][0]["name"] == "limit"


async def test_unknown_and_repeated_and_missing_query_parameters_are_400(api):
    assert (await api.list(page=2)).status == 400
    assert (await api.get("/v2/runs", agent_id=api.server.agent_id)).status == 400
    assert (await api.send("GET", "/v2/processes?agent_id=agent-1&limit=5&limit=6")).status == 400


async def test_what_does_not_exist_is_404(api):
    process_id = api.server.process.id
    assert (await api.get("/v2/runs/unknown")).status == 404
    assert (await api.get(f"/v2/processes/{process_id}", agent_id="unknown")).status == 404
    assert (await api.get("/v2/processes/unknown", agent_id="agent-1")).status == 404
    assert (await api.get("/v2/processes", agent_id="unknown")).status == 404
    assert (await api.list(process_id="unknown")).status == 404
    assert (await api.start(agent_id="unknown")).status == 404
    assert (await api.start(process_id="unknown")).status == 404
    assert (await api.start(file_ids=["never-uploaded"])).status == 404
    assert (await api.send("POST", "/v2/files", json={"file_name": "a", "agent_id": "unknown"})).status == 404


async def test_a_stage_the_process_lacks_cannot_be_started(api):
    process = api.server.add_process("Pay", stage="Draft", agent_id="agent-2")
    asked = {"process_id": process.id, "agent_id": "agent-2"}
    assert (await api.start(**asked)).status == 404
    assert (await api.start(**asked, stage="Draft")).status == 201


async def test_draft_and_published_are_separate_items_of_one_process(api):
    page = (await api.get("/v2/processes", agent_id="agent-1")).json
    assert [item["stage"] for item in page["items"]] == ["Published", "Draft"]
    assert {item["id"] for item in page["items"]} == {api.server.process.id}
    assert (await api.get(f"/v2/processes/{api.server.process.id}", agent_id="agent-1")).json == page[
        "items"
    ][0]


async def test_processes_come_page_by_page(api):
    for number in range(7):
        api.server.add_process(f"Process {number}")
    seen, token = [], ""
    while True:
        page = (await api.get("/v2/processes", agent_id="agent-1", limit=4, continuation_token=token)).json
        seen += [item["name"] for item in page["items"]]
        token = page["continuation_token"]
        if token is None:
            break
    assert seen == ["Process invoice"] * 2 + [f"Process {number}" for number in range(7)]


async def test_ids_that_need_escaping_reach_their_run(api):
    api.server.add_run(id="s3://a/b c%2F?", name="odd")
    url = URL(f"{api.server.url}/v2/runs/s3%3A%2F%2Fa%2Fb%20c%252F%3F", encoded=True)
    async with api.session.get(url, headers={"x-api-key": api.server.api_key}) as answer:
        assert (await answer.json())["name"] == "odd"


async def test_at_capacity_a_start_is_403_until_a_run_settles(make):
    api = await make(capacity=2)
    first = (await api.start()).json
    await api.start()
    refused = await api.start()
    assert refused.status == 403
    assert "maximum of 2 concurrent runs" in refused.json["message"]
    assert len(api.server.runs) == 2
    api.server.set_status(first["id"], "Stopped")
    assert (await api.start()).status == 201
    assert (await api.start()).status == 403
    api.server.advance(11)
    assert [(await api.start()).status for _ in range(3)] == [201, 201, 403]


async def test_unsettled_runs_that_were_there_before_hold_places(make):
    api = await make(capacity=1)
    run = api.server.add_run(status="Running")
    assert (await api.start()).status == 403
    api.server.set_status(run.id, "Succeeded")
    assert (await api.start()).status == 201


async def test_a_status_set_by_hand_wins_over_the_schedule(api):
    run = (await api.start()).json
    api.server.set_status(run["id"], "Paused")
    api.server.advance(100)
    assert (await api.run(run["id"]))["status"] == "Paused"
    api.server.set_status(run["id"], "Succeeded", outputs={"the output total": 42})
    assert (await api.run(run["id"]))["outputs"] == [{"name": "the output total", "value": 42}]
    with pytest.raises(KeyError):
        api.server.set_status("unknown", "Stopped")


async def test_the_rate_limit_is_a_token_bucket(make):
    api = await make(rate_limit=2, rate_burst=3, retry_after=1.5)
    statuses = [(await api.get("/v2/health")).status for _ in range(3)]
    refused = await api.get("/v2/health")
    assert statuses == [200] * 3
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "1.5"
    api.server.advance(0.5)
    assert (await api.get("/v2/health")).status == 200


async def test_a_rate_limit_without_retry_after_sends_none(make):
    api = await make(rate_limit=0.001)
    await api.get("/v2/health")
    assert "Retry-After" not in (await api.get("/v2/health")).headers


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("naive", "2024-02-03T04:05:06.789000"),
        ("offset", "2024-02-03T04:05:06.789000+00:00"),
        ("nanoseconds", "2024-02-03T04:05:06.789000789Z"),
        ("seconds", "2024-02-03T04:05:06"),
    ],
)
async def test_time_formats(make, time_format, text):
    api = await make(time_format=time_format)
    run = api.server.add_run(created_at=datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=UTC))
    assert (await api.run(run.id))["created_at"] == text


async def test_list_items_may_leave_outputs_out(make):
    api = await make(list_outputs=False)
    run = api.server.add_run(status="Succeeded", outputs={"the output total": 1})
    assert (await api.list()).json["items"][0]["outputs"] is None
    assert (await api.run(run.id))["outputs"] == [{"name": "the output total", "value": 1}]


async def test_a_run_added_without_a_status_moves_from_its_creation(api):
    old = api.server.add_run(created_at=datetime(2024, 1, 1, tzinfo=UTC))
    new = api.server.add_run(schedule=Schedule.manual())
    assert (old.status, new.status) == ("Succeeded", "Created")


async def test_counters_names_and_duplicates(api):
    for name in ("one", "two", "two"):
        await api.start(name)
    await api.start("")
    server = api.server
    assert server.count("create_run") == 4
    assert server.count("create_run", status=201) == 3
    assert server.count(status=400) == 1
    assert server.count() == 4
    assert server.duplicates() == {"two": 2}
    assert [run.name for run in server.runs_named("two")] == ["two", "two"]
    assert [run.name for run in server.runs.values()] == ["one", "two", "two"]


async def test_the_log_shows_requests_without_the_key(make):
    api = await make(log_limit=2)
    await api.get("/v2/health")
    await api.start("seen")
    await api.list(limit=3)
    started, listed = api.server.log
    assert started.operation == "create_run"
    assert started.body["name"] == "seen"
    assert (started.status, started.fault) == (201, None)
    assert listed.query["limit"] == "3"
    assert api.server.count() == 3
    assert api.server.api_key not in repr(api.server.log)


async def test_the_same_seed_gives_the_same_ids_and_courses():
    def build():
        server = KognitosServer(seed=7, schedule=Schedule.random(1, 2, seed=7))
        runs = [server.add_run(name=str(number)) for number in range(60)]
        server.advance(3)
        return [(run.id, run.status) for run in runs]

    assert build() == build()
    assert {status for _, status in build()} == {"Succeeded", "Exception", "Stopped"}


async def test_settings_that_make_no_sense_are_refused():
    server = KognitosServer()
    for wrong in (
        lambda: server.add_run("unknown"),
        lambda: server.add_run(created_at=datetime(2024, 1, 1)),
        lambda: server.add_run(status="Running", schedule=Schedule.manual()),
        lambda: server.add_process("again", id=server.process.id),
        lambda: server.add_process("odd", stage="Live"),
        lambda: server.advance(-1),
        lambda: Schedule.fixed(-1),
        lambda: Schedule.random(2, 1),
        lambda: KognitosServer(rate_limit=0),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(RuntimeError):
        server.url  # noqa: B018 - the property raises


async def test_a_server_can_be_stopped_and_started_at_the_same_address(api):
    run = (await api.start()).json
    url = api.server.url
    await api.server.stop()
    await api.server.stop()
    await api.server.start()
    assert api.server.url == url
    assert (await api.run(run["id"]))["id"] == run["id"]
    with pytest.raises(RuntimeError):
        await api.server.start()
    assert api.server.environ["KOGNITOS_BASE_URL"] == f"{url}/v2"
