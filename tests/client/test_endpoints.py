"""All seven endpoints and `request`, against a real server that checks what it is sent."""

from __future__ import annotations

from datetime import UTC

import msgspec
import pytest

from kognitos_async import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    FileUpload,
    Health,
    KognitosClient,
    NotFoundError,
    Process,
    Run,
    RunInput,
    RunRequest,
    RunStatus,
    ServerError,
    Stage,
)
from kognitos_async.testing import faults


async def test_health_is_the_servers_word(client, server):
    """health() gives the API's word and whether it is OK, in one GET."""
    health = await client.health()
    assert (health, health.ok) == (Health(status="OK"), True)
    assert [(seen.method, seen.path, dict(seen.query)) for seen in server.log] == [("GET", "/v2/health", {})]


async def test_health_that_is_not_ok(client, server):
    """A health word other than OK is given as it came, and is not ok."""
    server.misbehave("get_health", faults.answer(200, b'{"status":"DEGRADED"}'))
    health = await client.health()
    assert (health.status, health.ok) == ("DEGRADED", False)


async def test_processes_are_listed_for_the_clients_agent(client, server):
    """processes.list() asks for the client's agent with the largest page and gives both stages as items."""
    items = await client.processes.list().collect()
    assert [(item.id, item.stage) for item in items] == [
        (server.process.id, Stage.PUBLISHED),
        (server.process.id, Stage.DRAFT),
    ]
    assert server.log[-1].query == {"agent_id": "agent-1", "limit": "100"}


async def test_processes_of_another_agent(client, server):
    """agent_id of a call goes before the client's."""
    other = server.add_process("Elsewhere", agent_id="agent-2")
    items = await client.processes.list(agent_id="agent-2").collect()
    assert items == [Process(id=other.id, name="Elsewhere", agent_id="agent-2", stage=Stage.PUBLISHED)]
    assert (await client.processes.get(other.id, agent_id="agent-2")).name == "Elsewhere"


async def test_a_process_is_read_by_its_id(client, server):
    """processes.get() is one GET with the agent in the query."""
    process = await client.processes.get(server.process.id)
    assert process.name == "Process invoice"
    assert (server.log[-1].path, server.log[-1].query) == (
        f"/v2/processes/{server.process.id}",
        {"agent_id": "agent-1"},
    )


async def test_a_process_there_is_not(client):
    """An unknown process is a NotFoundError that names method, path and status, not retried."""
    with pytest.raises(NotFoundError, match=r"GET /processes/none: 404") as caught:
        await client.processes.get("none")
    assert (caught.value.status, caught.value.method, caught.value.path) == (404, "GET", "/processes/none")
    assert caught.value.attempts == 1
    assert caught.value.request_id is not None


async def test_a_start_sends_what_the_schema_asks_for(client, server):
    """runs.start() posts name, ids, stage, inputs and file_ids, and leaves out what was not given."""
    file = server.add_file("a.pdf")
    run = await client.runs.start(
        server.process.id,
        name="Invoice 1",
        stage="Draft",
        inputs={"amount": 3, "rate": 0.5, "who": "Ada"},
        file_ids=[file.id],
    )
    assert server.log[-1].body == {
        "name": "Invoice 1",
        "process_id": server.process.id,
        "agent_id": "agent-1",
        "stage": "Draft",
        "inputs": [
            {"name": "amount", "value": 3},
            {"name": "rate", "value": 0.5},
            {"name": "who", "value": "Ada"},
        ],
        "file_ids": [file.id],
    }
    assert (run.status, run.stage, run.file_ids) == (RunStatus.CREATED, Stage.DRAFT, (file.id,))
    assert run.outputs == ()
    assert run.created_at.tzinfo is UTC
    await client.runs.start(server.process.id, name="Invoice 2")
    assert set(server.log[-1].body) == {"name", "process_id", "agent_id", "stage"}
    assert server.log[-1].headers["Content-Type"] == "application/json"


async def test_inputs_as_a_sequence(client, server):
    """Inputs may be a sequence of RunInput, which keeps its order."""
    inputs = [RunInput(name="b", value=1), RunInput(name="a", value="x")]
    run = await client.runs.start(server.process.id, name="Ordered", inputs=inputs)
    assert server.runs[run.id].inputs == (("b", 1), ("a", "x"))


async def test_a_run_is_read_by_its_id(client, server):
    """runs.get() gives the run with its outputs."""
    made = server.add_run(status="Succeeded", outputs={"total": 7})
    run = await client.runs.get(made.id)
    assert (run.id, run.succeeded, run.outputs_by_name) == (made.id, True, {"total": 7})
    assert server.log[-1].path == f"/v2/runs/{made.id}"


async def test_odd_ids_stay_one_segment(client, server):
    """An id with slashes, dots and unicode is percent-encoded into one path segment."""
    made = server.add_run(id="a/../b?c=1#ü %2F")
    assert (await client.runs.get(made.id)).id == made.id
    assert server.log[-1].path == "/v2/runs/a%2F..%2Fb%3Fc%3D1%23%C3%BC%20%252F"


async def test_runs_are_listed_by_stage(client, server):
    """runs.list() narrows to a stage only when one is given."""
    server.add_run(name="draft", stage="Draft")
    server.add_run(name="published")
    assert [run.name for run in await client.runs.list(server.process.id, stage=Stage.DRAFT).collect()] == [
        "draft"
    ]
    assert server.log[-1].query["stage"] == "Draft"
    assert len(await client.runs.list(server.process.id).collect()) == 2
    assert "stage" not in server.log[-1].query


async def test_a_form_for_a_file(client, server):
    """files.create() gives the presigned form, fields in the order sent."""
    form = await client.files.create("report 1.pdf")
    assert isinstance(form, FileUpload)
    assert form.file_name == "report_1.pdf"
    assert next(iter(form.upload_fields)) == "key"
    assert server.log[-1].body == {"file_name": "report 1.pdf", "agent_id": "agent-1"}


async def test_every_request_carries_key_and_accept(client, server):
    """Requests name the client and what it takes; the key travels in x-api-key."""
    await client.health()
    headers = server.log[-1].headers
    assert headers["User-Agent"].startswith("kognitos-async/")
    assert headers["Accept"] == "application/json"
    assert "x-api-key" in {name.lower() for name in headers}


async def test_a_wrong_key(server, connect):
    """A refused key is an AuthenticationError after one attempt, without the key in it."""
    other = await connect(server, api_key="wrong-key-wrong-key")
    with pytest.raises(AuthenticationError) as caught:
        await other.health()
    assert server.count() == 1
    assert "wrong-key" not in str(caught.value)


async def test_no_agent_anywhere(server, connect):
    """Without an agent nothing is sent; the error says what to set."""
    other = await connect(server, agent_id=None)
    with pytest.raises(ConfigurationError, match="KOGNITOS_AGENT_ID"):
        await other.runs.start(server.process.id, name="x")
    assert server.count() == 0


async def test_the_environment_leads_here(server, monkeypatch):
    """A client without arguments works with KOGNITOS_ variables alone."""
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    async with KognitosClient() as client:
        assert (await client.processes.get(server.process.id)).id == server.process.id


@pytest.mark.parametrize("tail", ["", "/", "/v2", "/v2/"])
async def test_base_url_with_and_without_v2(server, connect, tail):
    """base_url works with and without /v2 and a trailing slash."""
    other = await connect(server, base_url=server.url + tail)
    assert (await other.health()).ok
    assert server.log[-1].path == "/v2/health"


async def test_get_is_retried(client, server):
    """A GET is sent again after a 500 and then succeeds."""
    server.misbehave("get_health", faults.server_error(500), times=3)
    assert (await client.health()).ok
    assert server.count("get_health") == 4


async def test_get_gives_up(client, server):
    """After max_attempts the last refusal is raised and says how many attempts there were."""
    server.misbehave("get_health", faults.server_error(503), times=None)
    with pytest.raises(ServerError) as caught:
        await client.health()
    assert (caught.value.attempts, caught.value.status, server.count()) == (4, 503, 4)


async def test_request_gives_raw_json(client, server):
    """request() without a type gives the raw JSON of any endpoint, and sends its parameters as a query."""
    raw = await client.request("get", "/runs", params={
        "agent_id": "agent-1", "process_id": server.process.id, "limit": 5, "stage": None,
    })  # fmt: skip
    assert isinstance(raw, msgspec.Raw)
    assert msgspec.json.decode(raw) == {"items": [], "continuation_token": None}
    assert server.log[-1].query == {"agent_id": "agent-1", "process_id": server.process.id, "limit": "5"}


async def test_request_decodes_and_posts(client, server):
    """request() posts JSON and decodes the answer as the type given."""
    run = await client.request(
        "POST",
        "/runs",
        json={"name": "r", "agent_id": "agent-1", "process_id": server.process.id, "stage": "Draft"},
        response_type=Run,
    )
    assert run.id in server.runs


async def test_request_of_a_wrong_type(client):
    """An answer that is not of the type asked for is a DecodeError with the field's path."""
    with pytest.raises(DecodeError) as caught:
        await client.request("GET", "/health", response_type=Run)
    assert caught.value.path.startswith("$")


async def test_request_does_not_repeat_a_post(client, server):
    """A POST through request() is not repeated after a 500, a GET is."""
    server.misbehave("*", faults.server_error(500), times=None)
    with pytest.raises(ServerError):
        await client.request("POST", "/runs", json={})
    assert server.count() == 1
    with pytest.raises(ServerError):
        await client.request("GET", "/health")
    assert server.count() == 5


@pytest.mark.parametrize(
    "path",
    ["", "health", "//evil.example/v2", "/../secret", "/a/./b", "/a b", "/a?x=1", "/a#b", "/\n", "/ü",
     "https://evil.example/", "/\\evil", "/a\r\nHost: x"],
)  # fmt: skip
async def test_request_refuses_paths_that_lead_elsewhere(client, server, path):
    """A path that is no plain percent-encoded path is refused before anything is sent."""
    with pytest.raises(ValueError, match="path"):
        await client.request("GET", path)
    assert server.count() == 0


@pytest.mark.parametrize(("method", "path"), [("TRACE", "/health"), ("GE T", "/health"), ("", "/health")])
async def test_request_refuses_methods(client, server, method, path):
    """A method that is not one of HTTP's usual ones is refused."""
    with pytest.raises(ValueError, match="method"):
        await client.request(method, path)
    assert server.count() == 0


async def test_request_refuses_other_types(client, server):
    """A path that is no text is a TypeError."""
    with pytest.raises(TypeError, match="path"):
        await client.request("GET", b"/health")
    assert server.count() == 0


WRONG_STARTS = [
    ({"name": ""}, ValueError, "name"),
    ({"name": "x" * 101}, ValueError, "name"),
    ({"name": 3}, TypeError, "name"),
    ({"stage": "Archived"}, ValueError, "stage"),
    ({"inputs": {"a": True}}, TypeError, "inputs"),
    ({"inputs": {"a": float("nan")}}, ValueError, "inputs"),
    ({"inputs": {"a": float("inf")}}, ValueError, "inputs"),
    ({"inputs": {"a": None}}, TypeError, "inputs"),
    ({"inputs": "text"}, TypeError, "inputs"),
    ({"file_ids": "one"}, TypeError, "file_ids"),
    ({"file_ids": [""]}, ValueError, "file_ids"),
    ({"process_id": ""}, ValueError, "process_id"),
    ({"process_id": 5}, TypeError, "process_id"),
    ({"agent_id": ""}, ValueError, "agent_id"),
]


@pytest.mark.parametrize(("change", "kind", "word"), WRONG_STARTS)
async def test_starts_are_checked_before_sending(client, server, change, kind, word):
    """A start with an argument out of range is refused with the argument's name, and nothing is sent."""
    arguments = {"process_id": server.process.id, "name": "x", **change}
    with pytest.raises(kind, match=word):
        await client.runs.start(**arguments)
    assert server.count() == 0


@pytest.mark.parametrize("limit", [0, 101, -1, True, "10", 1.0])
async def test_limits_are_checked(client, server, limit):
    """A limit outside 1 to 100 is refused at the call, before the pager is used."""
    with pytest.raises((ValueError, TypeError), match="limit"):
        client.runs.list(server.process.id, limit=limit)
    with pytest.raises((ValueError, TypeError), match="limit"):
        client.processes.list(limit=limit)


@pytest.mark.parametrize("run_id", ["", None, 7])
async def test_ids_are_checked(client, server, run_id):
    """An empty or non-text id is refused before anything is sent."""
    with pytest.raises((ValueError, TypeError), match="run_id"):
        await client.runs.get(run_id)
    assert server.count() == 0


@pytest.mark.parametrize("name", ["", "x" * 257])
async def test_file_names_are_checked(client, server, name):
    """A file name outside 1 to 256 characters is refused."""
    with pytest.raises(ValueError, match="file_name"):
        await client.files.create(name)
    assert server.count() == 0


async def test_longest_names_pass(client, server):
    """100 characters of name and 256 of file name are allowed, counted as characters, not bytes."""
    run = await client.runs.start(server.process.id, name="ü" * 100)
    assert run.name == "ü" * 100
    await client.files.create("ü" * 256)


def test_a_request_needs_two_arguments():
    """RunRequest needs process_id and name only; the rest has the defaults of runs.start."""
    request = RunRequest(process_id="p", name="n")
    assert (request.stage, request.inputs, request.file_ids, request.agent_id) == (
        Stage.PUBLISHED, None, None, None,
    )  # fmt: skip
