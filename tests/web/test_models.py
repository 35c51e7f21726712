"""The models in FastAPI, Litestar, Starlette and aiohttp: returned, read and documented."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import fastapi
import httpx
import jsonschema
import litestar
import litestar.params
import msgspec
import pydantic
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import kognitos_async
from kognitos_async import (
    InvokeRequest,
    KognitosError,
    NotFoundError,
    NotSentError,
    Page,
    PlatformRun,
    Process,
    Run,
    RunHandle,
    RunOutcome,
    RunOutput,
    RunRequest,
    RunStatus,
    Stage,
)
from kognitos_async.integrations.litestar import KognitosPlugin
from kognitos_async.platform_v1 import models
from kognitos_async.rest_v2.models import RequestFiles
from kognitos_async.web_models import WebModel, json_schema

Outcome = RunOutcome[RunRequest, Run]
PlatformOutcome = RunOutcome[InvokeRequest, PlatformRun]

RUN = Run(
    id="run-1",
    name="invoice 7",
    agent_id="agent-1",
    process_id="process-1",
    stage=Stage.PUBLISHED,
    status=RunStatus("Thinking"),
    created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    outputs=(RunOutput(name="total", value=129.5),),
)
PLATFORM_RUN = PlatformRun(
    name="organizations/o/workspaces/w/automations/a/runs/r",
    create_time=datetime(2026, 3, 1, 12, tzinfo=UTC),
    state_object={"completed": {"outputs": {"total": {"text": "129.50"}}}},
)
REQUEST = RunRequest(process_id="process-1", name="invoice 7", stage="Draft", inputs={"invoice": "7"})
FAILED = RunOutcome(request=REQUEST, error=NotSentError("GET /v2/runs: no connection"), attempts=3)
INVOKED = RunOutcome(
    request=InvokeRequest(automation="a", inputs={"amount": Decimal("129.50")}), run=PLATFORM_RUN, attempts=1
)

ANSWERS = {
    "run": (Run, RUN),
    "page": (Page[Run], Page((RUN,), "next")),
    "platform": (PlatformRun, PLATFORM_RUN),
    "platform-page": (Page[PlatformRun], Page((PLATFORM_RUN,), total_size=1)),
    "outcome": (Outcome, FAILED),
    "settled": (Outcome, RunOutcome(request=REQUEST, run=RUN, attempts=1)),
    "invoked": (PlatformOutcome, INVOKED),
    "maybe": (Run | None, RUN),
    "several": (list[Run], [RUN, RUN]),
}
VALUES = {
    "amount": 1.5,
    "count": 7,
    "text": "x",
    "flag": True,
    "nothing": None,
    "list": [1, [2.5, None], {"a": ["b"]}],
    "dict": {"a": {"b": [1.5, "c", False, None]}},
    "empty": [[], {}],
}
"""A value of every kind that JSON has, nested too."""
ERROR = {"type": "NotSentError", "message": "GET /v2/runs: no connection"}


def handler(kind, value):
    async def answer():
        return value

    answer.__annotations__ = {"return": kind}
    return answer


def content_schema(document, path):
    return document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]


def check(document, path, answer):
    """The document describes what came: as a validator of the whole document sees it."""
    jsonschema.Draft202012Validator(
        {**content_schema(document, path), "components": document["components"]},
        format_checker=jsonschema.FormatChecker(),
    ).validate(answer)


def fastapi_app():
    app = fastapi.FastAPI()
    for name, (kind, value) in ANSWERS.items():
        app.get(f"/{name}")(handler(kind, value))

    @app.post("/run")
    async def store(run: Annotated[Run, fastapi.Body()]) -> dict[str, object]:
        return {"status": run.status, "known": run.status.known, "created": run.created_at}

    @app.post("/request")
    async def begin(request: Annotated[RunRequest, fastapi.Body()]) -> RunRequest:
        assert isinstance(request.stage, Stage)
        return request

    @app.post("/invoke")
    async def invoke(request: Annotated[InvokeRequest, fastapi.Body()]) -> InvokeRequest:
        assert request.inputs == VALUES
        return request

    @app.post("/platform")
    async def read(run: Annotated[PlatformRun, fastapi.Body()]) -> PlatformRun:
        return run

    return app


@pytest.fixture
async def fastapi_client():
    transport = httpx.ASGITransport(fastapi_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        yield client


def plain_json(value):
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize("name", ANSWERS)
async def test_fastapi_returns_and_documents_them(fastapi_client, name):
    """The JSON is msgspec's own; the error of an outcome is its type and its text."""
    answer = await fastapi_client.get(f"/{name}")
    assert answer.status_code == 200
    value = ANSWERS[name][1]
    if getattr(value, "error", None) is None:
        assert answer.json() == plain_json(value)
    else:
        assert answer.json()["error"] == ERROR
    document = (await fastapi_client.get("/openapi.json")).json()
    check(document, f"/{name}", answer.json())


async def test_fastapi_reads_them_from_a_body(fastapi_client):
    """A run that a browser sends back is a run again; what is none is refused with 422 and the place."""
    answer = await fastapi_client.post("/run", json=RUN.to_dict())
    assert answer.json() == {"status": "Thinking", "known": False, "created": "2026-03-01T12:00:00Z"}
    answer = await fastapi_client.post("/run", json={**RUN.to_dict(), "created_at": "yesterday"})
    assert answer.status_code == 422
    assert "$.created_at" in answer.text
    answer = await fastapi_client.post("/request", json={"process_id": "p", "name": "n", "stage": "Draft"})
    assert answer.json()["stage"] == "Draft"


async def test_fastapi_reads_any_value_where_the_schema_says_so(fastapi_client):
    """The inputs of an invocation, and the values of a run of the platform as the API sent them."""
    request = {"automation": "a", "inputs": VALUES}
    jsonschema.validate(request, json_schema(InvokeRequest))
    answer = await fastapi_client.post("/invoke", json=request)
    assert (answer.status_code, answer.json().get("inputs")) == (200, VALUES), answer.text
    run = plain_json(PLATFORM_RUN)
    run["state"], run["user_inputs"] = {"completed": {"outputs": VALUES}}, VALUES
    answer = await fastapi_client.post("/platform", json=run)
    assert (answer.status_code, answer.json()) == (200, run), answer.text


@pytest.mark.parametrize("plugins", [[], [KognitosPlugin()]], ids=["plain", "plugin"])
def test_litestar_reads_any_value_too(plugins):
    @litestar.post("/invoke")
    async def invoke(data: Annotated[InvokeRequest, litestar.params.Body()]) -> InvokeRequest:
        assert data.inputs == VALUES
        return data

    app = litestar.Litestar([invoke], plugins=plugins, logging_config=None)
    with LitestarClient(app) as client:
        answer = client.post("/invoke", json={"automation": "a", "inputs": VALUES})
    assert (answer.status_code, answer.json().get("inputs")) == (201, VALUES), answer.text


def test_every_schema_that_allows_any_value_is_that_of_a_field_that_reads_it():
    """Of the types that msgspec does not read by itself no public model has others."""
    names = [*kognitos_async.__all__, *models.__all__]
    found = {getattr(kognitos_async, name, None) or getattr(models, name) for name in names}
    structs = [kind for kind in found if isinstance(kind, type) and issubclass(kind, WebModel)]
    assert len(structs) > 200
    others = {other for kind in structs for other in types_of_others(msgspec.inspect.type_info(kind))}
    assert others == {object, KognitosError, RequestFiles}


def test_files_are_not_read_from_json(tmp_path):
    """They would be the server's own, named by whoever sent the request."""
    own = tmp_path / "secret"
    request = RunRequest(process_id="p", name="n", files=[own])
    document = json.dumps({"process_id": "p", "name": "n", "files": [str(own)]})
    reader = pydantic.TypeAdapter(RunRequest)
    with pytest.raises(ValueError, match="files are not read from JSON: upload them"):
        reader.validate_json(document)
    with pytest.raises(ValueError, match="files are not read from JSON: upload them"):
        reader.validate_python(json.loads(document))
    with pytest.raises(msgspec.ValidationError, match="files"):
        msgspec.json.decode(document, type=RunRequest)
    assert reader.validate_python(request).files == [own]
    for plugins in ([], [KognitosPlugin()]):
        app = litestar.Litestar([litestar.post("/")(start_with_files)], plugins=plugins, logging_config=None)
        with LitestarClient(app) as client:
            assert client.post("/", json={**json.loads(document), "files": None}).json() == 0
            assert client.post("/", content=document).status_code == 400


async def start_with_files(data: Annotated[RunRequest, litestar.params.Body()]) -> int:
    return len(data.files or ())


def types_of_others(node):
    """The classes in a type that only a hook of msgspec can read."""
    todo, met = [node], []
    while todo:
        one = todo.pop()
        if isinstance(one, msgspec.inspect.CustomType):
            yield one.cls
        elif isinstance(one, msgspec.inspect.Type | msgspec.inspect.Field) and one not in met:
            met.append(one)
            for name in one.__struct_fields__:
                value = getattr(one, name)
                todo += value if isinstance(value, tuple) else [value]


def litestar_app(plugins):
    routes = [litestar.get(f"/{name}")(handler(kind, value)) for name, (kind, value) in ANSWERS.items()]
    return litestar.Litestar(routes, plugins=plugins, logging_config=None)


@pytest.mark.parametrize("name", ANSWERS)
def test_litestar_returns_and_documents_them(name):
    """With the plugin: the same JSON and the same schema as FastAPI's."""
    with LitestarClient(litestar_app([KognitosPlugin()])) as client:
        answer = client.get(f"/{name}")
        document = client.get("/schema/openapi.json").json()
    value = ANSWERS[name][1]
    assert answer.status_code == 200, answer.text
    if getattr(value, "error", None) is None:
        assert answer.json() == plain_json(value)
    else:
        assert answer.json()["error"] == ERROR
    check({"components": {}, **document}, f"/{name}", answer.json())


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "outcome"])
def test_litestar_needs_no_plugin_for_what_has_no_error(name):
    """Returned, and documented in components of their own."""
    with LitestarClient(litestar_app([])) as client:
        assert client.get(f"/{name}").json() == plain_json(ANSWERS[name][1])
        document = client.get("/schema/openapi.json")
    assert document.status_code == 200, document.text
    assert content_schema(document.json(), f"/{name}")


@pytest.mark.parametrize("kind", [Run, Page[Run], PlatformRun, Outcome, PlatformOutcome, RunHandle, Process])
def test_a_schema_is_valid_and_in_one_piece(kind):
    schema = json_schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "$ref" not in json.dumps(schema)


def test_the_schema_says_what_a_run_is():
    """Words are text with examples, times say so, and what the model never holds is not there."""
    properties = json_schema(Run)["properties"]
    assert properties["status"]["type"] == "string"
    assert "Succeeded" in properties["status"]["examples"]
    assert "enum" not in json.dumps(properties)
    assert properties["created_at"]["format"] == "date-time"
    assert properties["file_ids"] == {"type": "array", "items": {"type": "string"}, "default": []}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**RUN.to_dict(), "outputs": None}, json_schema(Run))


def test_pydantic_keeps_them_as_they_are():
    """As members of a model of the application, in Python and in JSON."""

    class Invoice(pydantic.BaseModel):
        run: Run
        history: list[PlatformRun] = []

    invoice = Invoice(run=RUN, history=[PLATFORM_RUN])
    assert invoice.run is RUN
    assert invoice.model_dump()["run"] is RUN
    text = invoice.model_dump_json()
    assert json.loads(text)["run"] == RUN.to_dict()
    assert Invoice.model_validate_json(text) == invoice
    with pytest.raises(pydantic.ValidationError, match=r"\$\.id"):
        Invoice.model_validate({"run": {**RUN.to_dict(), "id": 7}})
    read = pydantic.TypeAdapter(InvokeRequest)
    assert read.validate_json(json.dumps({"automation": "a", "inputs": VALUES})).inputs == VALUES
    exact = {"amount": Decimal("129.50"), "day": RUN.created_at, "file": Path("a.pdf"), "many": [{1, 2}]}
    assert read.validate_python({"automation": "a", "inputs": exact}).inputs == exact
    with pytest.raises(pydantic.ValidationError, match=r"\$\.inputs"):
        read.validate_python({"automation": "a", "inputs": [1]})
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(Outcome).validate_python({"request": {}, "error": "lost"})


def test_outcomes_as_dicts():
    """Ready for any encoder of JSON."""
    assert json.loads(json.dumps(FAILED.to_dict())) == {
        "request": {
            "process_id": "process-1",
            "name": "invoice 7",
            "stage": "Draft",
            "inputs": {"invoice": "7"},
            "file_ids": None,
            "agent_id": None,
            "files": None,
        },
        "run": None,
        "error": ERROR,
        "attempts": 3,
        "resumed": False,
    }
    invoked = json.loads(json.dumps(INVOKED.to_dict()))
    assert invoked["run"] == PLATFORM_RUN.to_dict()
    assert invoked["request"]["inputs"] == {"amount": "129.50"}
    late = RunOutcome(
        request=InvokeRequest(automation="a", inputs={"file": Path("a.pdf")}),
        error=NotFoundError("GET /runs/r: 404", status=404),
    )
    assert late.to_dict()["error"] == {"type": "NotFoundError", "message": "GET /runs/r: 404"}
    assert late.to_dict()["request"]["inputs"] == {"file": "a.pdf"}


async def test_the_json_answers_of_starlette_and_aiohttp():
    """`to_dict()` is all they need."""

    async def asgi(_request):
        return JSONResponse({"run": RUN.to_dict(), "outcome": FAILED.to_dict()})

    app = Starlette(routes=[Route("/", asgi)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
        assert (await client.get("/")).json() == {"run": plain_json(RUN), "outcome": FAILED.to_dict()}

    async def native(_request):
        return web.json_response({"run": RUN.to_dict(), "outcome": FAILED.to_dict()})

    server = web.Application()
    server.router.add_get("/", native)
    async with AiohttpClient(TestServer(server)) as browser:
        answer = await browser.get("/")
        assert await answer.json() == {"run": plain_json(RUN), "outcome": FAILED.to_dict()}


def test_nothing_is_imported_before_a_framework_asks():
    """Neither pydantic nor a framework, by any model."""
    program = (
        "import sys, kognitos_async\n"
        "for name in kognitos_async.__all__: getattr(kognitos_async, name)\n"
        "print(sorted({'pydantic', 'fastapi', 'litestar', 'starlette'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
