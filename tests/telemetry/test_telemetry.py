"""What an instrumented client exports, over the emulator."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import msgspec
import pytest
import uvloop
from opentelemetry import trace
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

import kognitos_async
from kognitos_async import ClientClosedError, RunRequest, StartUncertainError
from kognitos_async.telemetry import attributes, instrument, uninstrument
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.support import FAST, eventually
from tests.telemetry.conftest import Exported

CREATE = ("create_run", "InvokeAutomation")


def start_of(client, request):
    if isinstance(request, RunRequest):
        return client.runs.start(request.process_id, name=request.name, inputs=request.inputs)
    return client.automations.invoke(request.automation, request.inputs)


def last(name):
    return name.rpartition("/")[2]


def test_names_are_those_of_the_semantic_conventions():
    assert attributes.METHOD == http_attributes.HTTP_REQUEST_METHOD
    assert attributes.RESENDS == http_attributes.HTTP_REQUEST_RESEND_COUNT
    assert attributes.STATUS == http_attributes.HTTP_RESPONSE_STATUS_CODE
    assert attributes.ADDRESS == server_attributes.SERVER_ADDRESS
    assert attributes.PORT == server_attributes.SERVER_PORT
    assert attributes.URL == url_attributes.URL_FULL
    assert attributes.ERROR == error_attributes.ERROR_TYPE


@pytest.mark.parametrize("api", ["rest_v2", "platform"])
def test_the_route_of_every_operation_is_its_path(api):
    """Ids are left out, all else is kept: a metric has as many series as the API has operations."""
    text = resources.files("kognitos_async.testing").joinpath(f"{api}.openapi.json").read_bytes()
    for path in msgspec.json.decode(text)["paths"]:
        below = path.removeprefix("/api/v1")
        asked = re.sub(r"\{\w+\}", "01K9-x", below)
        assert attributes.route(asked) == re.sub(r"\{\w+\}", "{id}", below)
    assert attributes.route("/runs/a%2Fb%3Ac") == "/runs/{id}"


async def test_an_attempt_follows_the_http_conventions(server, exported):
    """Method, address, URL without its query, status, and which attempt it is."""
    run = server.add_run()
    async with server.client(**FAST) as client:
        exported.instrument(client)
        server.misbehave("get_run", faults.unavailable())
        await client.runs.get(run.id)
        await client.runs.list(server.process.id, limit=7)
    failed, answered, listed = exported.spans
    assert {failed.kind, answered.kind} == {SpanKind.CLIENT}
    assert failed.name == answered.name == "GET /runs/{id}"
    assert (failed.status.status_code, failed.attributes["error.type"]) == (StatusCode.ERROR, "503")
    assert "error.type" not in answered.attributes
    found = dict(answered.attributes)
    found.pop("kognitos.queue.duration", None)
    host, port = server.base_url.removeprefix("http://").partition("/")[0].split(":")
    assert found == {
        "http.request.method": "GET",
        "server.address": host,
        "server.port": int(port),
        "url.full": f"{client.base_url}/runs/{run.id}",
        "url.template": "/runs/{id}",
        "http.response.status_code": 200,
        "http.request.resend_count": 1,
        "kognitos.run.id": run.id,
    }
    assert listed.attributes["url.full"] == f"{client.base_url}/runs"
    assert exported.metric("kognitos.retries") == {("503",): 1}
    counts = exported.metric("http.client.request.duration")
    assert sum(counts.values()) == 3
    assert sum(count for key, count in counts.items() if 503 in key and "/runs/{id}" in key) == 1


async def test_a_run_from_its_start_to_its_end(api, exported):
    """The start and the wait are children of the caller's span, the polls are not."""
    client, make = api
    tracer = exported.tracing.get_tracer("a web handler")
    with tracer.start_as_current_span("handler") as handler:
        run = await start_of(client, make(1))
        settled = await client.wait_for_run(run)
    [start], [wait] = exported.named("kognitos start"), exported.named("kognitos wait")
    assert {start.parent.span_id, wait.parent.span_id} == {handler.get_span_context().span_id}
    assert start.attributes["kognitos.run.id"] == wait.attributes["kognitos.run.id"] == last(settled.id)
    assert wait.attributes["kognitos.run.status"] == str(settled.status)
    assert start.attributes["kognitos.start.uncertain"] is False
    assert "kognitos.process.id" in start.attributes or "kognitos.automation.id" in start.attributes
    posts = [span for span in exported.spans if span.name.startswith("POST ")]
    assert [span.parent.span_id for span in posts] == [start.context.span_id]
    polls = exported.named("kognitos poll single")
    assert len(polls) == wait.attributes["kognitos.wait.polls"] >= 1
    for poll in polls:
        assert poll.parent is None
        assert poll.context.trace_id != wait.context.trace_id
        assert [link.context.span_id for link in poll.links] == [wait.context.span_id]
    assert wait.events[-1].attributes["kognitos.run.status"] == str(settled.status)
    assert exported.metric("kognitos.starts") == {(): 1}
    assert exported.metric("kognitos.runs.settled") == {(str(settled.status),): 1}
    assert exported.metric("kognitos.run.duration") == {(str(settled.status),): 1}
    assert exported.metric("kognitos.runs.pending") == {(): 0}
    assert exported.metric("kognitos.polls") == {("single",): len(polls)}


async def test_a_list_poll_links_all_the_waits_that_it_serves(server, exported, api):
    """And a run that two wait for is pending, and settles, once."""
    client, make = api
    runs = [await start_of(client, make(number)) for number in range(5)]
    await asyncio.gather(*(client.wait_for_run(run) for run in [*runs, runs[0]]))
    waits = {span.context.span_id for span in exported.named("kognitos wait")}
    linked = [{link.context.span_id for link in poll.links} for poll in exported.named("kognitos poll list")]
    assert len(waits) == 6
    assert waits in linked
    assert sum(exported.metric("kognitos.runs.settled").values()) == 5
    assert exported.metric("kognitos.runs.pending") == {(): 0}


async def test_a_trace_of_a_job_shows_which_run_was_twice_in_doubt(server, exported, tmp_path):
    """By itself: the one request with two starts in doubt and two look-ups, and where its time went."""
    async with server.client(**FAST) as client:
        exported.instrument(client)
        server.misbehave("create_run", faults.reset(after_work=False), skip=7)
        requests = [RunRequest(process_id=server.process.id, name=f"run {n}") for n in range(20)]
        outcomes = []
        async with client.run_many(
            requests, journal=tmp_path / "job", max_in_flight=1, absence_delay=0.1
        ) as job:
            async for outcome in job:
                outcomes.append(outcome)
                if len(outcomes) == 7:  # the eighth is lost, and so is its second start
                    server.misbehave("create_run", faults.reset(after_work=False), skip=0)
    assert [outcome.error for outcome in outcomes] == [None] * 20
    [job_span] = exported.named("kognitos run_many")
    requests_made = exported.below(job_span, "kognitos run")
    assert len(requests_made) == 20
    assert job_span.attributes["kognitos.job.requests"] == 20
    [doubtful] = [span for span in requests_made if span.attributes["kognitos.start.doubts"]]
    assert doubtful.attributes["kognitos.start.doubts"] == 2
    assert doubtful.attributes["kognitos.start.uncertain"] is True
    assert doubtful.attributes["kognitos.start.attempts"] == 3
    [run] = [o.run for o in outcomes if o.attempts == 3]
    assert doubtful.attributes["kognitos.run.id"] == run.id
    starts = exported.below(doubtful, "kognitos start")
    assert [span.attributes.get("error.type") for span in starts] == ["StartUncertainError"] * 2 + [None]
    look_ups = exported.below(doubtful, "kognitos look_up")
    assert [span.attributes["kognitos.look_up.answer"] for span in look_ups] == ["absent"] * 2
    assert sum(span.end_time - span.start_time for span in look_ups) > 0.15e9
    assert len({span.context.trace_id for span in [job_span, *requests_made, *starts, *look_ups]}) == 1
    assert exported.metric("kognitos.starts") == {("StartUncertainError",): 2, (): 20}
    assert all(not count for count in exported.metric("kognitos.journal.requests").values())
    assert len(exported.metric("kognitos.journal.requests")) == 4


async def test_an_upload_names_the_file_store_and_nothing_of_the_form(server, exported):
    """Its size, its form, its attempts; no presigned URL."""
    async with server.client(**FAST) as client:
        exported.instrument(client)
        server.misbehave("upload_file", faults.answer(503))
        await client.files.upload(b"12345", file_name="a-secret-name.txt")
    [upload] = exported.named("kognitos upload")
    assert upload.attributes["kognitos.upload.size"] == 5
    assert upload.attributes["kognitos.retries"] == 1
    assert len(exported.below(upload, "POST /files")) == 2
    stored = exported.below(upload, "POST")
    assert [span.attributes.get("error.type") for span in stored] == ["503", None]
    for span in stored:
        assert span.attributes["url.full"].endswith("/REDACTED")


async def test_nothing_sensitive_is_exported(api, exported, server):
    """No names of runs and inputs, no keys, no queries, no messages of errors, no trace headers sent."""
    client, make = api
    server.misbehave(CREATE[0], faults.reset(after_work=True))
    server.misbehave(CREATE[1], faults.reset(after_work=True))
    tracer = exported.tracing.get_tracer("mine")
    with tracer.start_as_current_span("mine"):
        with pytest.raises(StartUncertainError):
            await start_of(client, make(0))
        await client.files.upload(b"secret content", file_name="secret-file")
        await client.wait_for_run(await start_of(client, make(1)))
    everything = "".join(span.to_json() for span in exported.spans)
    assert "kognitos.run.id" in everything
    for word in ("secret", server.api_key, server.platform.token, "X-Amz", "policy", "?"):
        assert word not in everything
    assert not any("traceparent" in map(str.lower, entry.headers) for entry in server.log)


async def test_cancelled_waits_aborted_jobs_and_a_closed_client_leave_no_open_span(api, exported, server):
    """Each ends and says how; the fixture looks for spans that never do."""
    client, make = api
    server.schedule = server.platform.schedule = Schedule.fixed(60)
    run = await start_of(client, make(0))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await client.wait_for_run(run)
    async with client.run_many(make(number) for number in range(1, 4)) as job:
        await eventually(lambda: job.running == 3)
    closing = asyncio.create_task(client.wait_for_run(run))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await closing
    waits = exported.named("kognitos wait")
    assert [bool(span.attributes.get("kognitos.cancelled")) for span in waits] == [True] * 4 + [False]
    assert waits[-1].attributes["error.type"] == "ClientClosedError"
    assert [span.attributes["kognitos.cancelled"] for span in exported.named("kognitos run_many")] == [True]
    assert exported.metric("kognitos.runs.pending") == {(): 0}


async def test_a_cancelled_attempt_is_exported(server, exported):
    async with server.client(**FAST) as client:
        exported.instrument(client)
        server.misbehave("get_health", faults.hang())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.health()
    [span] = exported.spans
    assert span.attributes["error.type"] == "CancelledError"


async def test_a_pause_is_counted_and_shows_in_the_request_that_waits(server, exported):
    async with server.client(**FAST) as client:
        exported.instrument(client)
        server.misbehave("get_health", faults.rate_limited())
        await client.health()
    first, second = exported.spans
    assert first.attributes["http.response.status_code"] == 429
    assert second.attributes["kognitos.queue.duration"] > 0.1
    assert exported.metric("kognitos.pauses") == {(): 1}


async def test_instrumenting_is_idempotent_and_can_be_undone(server, exported):
    async with server.client(**FAST) as client:
        exported.instrument(client)
        exported.instrument(client)
        await client.health()
        assert len(exported.spans) == 1
        uninstrument(client)
        uninstrument(client)
        assert client._sender.observers.current is None
        await client.health()
    assert len(exported.spans) == 1
    with pytest.raises(TypeError, match="client must be a KognitosClient or PlatformClient, got str"):
        instrument("no client")


async def test_without_a_provider_a_request_costs_next_to_nothing(server, exported):
    """At most 30 calls of the library's functions more than uninstrumented; none more once that is undone."""

    async def calls_of(client):
        package = f"{Path(kognitos_async.__file__).parent}/"
        seen = 0

        def count(frame, event, argument):
            nonlocal seen
            file = frame.f_code.co_filename
            seen += event == "call" and file.startswith(package) and "/testing/" not in file

        await client.runs.get(run.id)
        sys.setprofile(count)
        try:
            await client.runs.get(run.id)
        finally:
            sys.setprofile(None)
        return seen

    run = server.add_run()
    async with server.client() as bare, server.client() as idle, server.client() as traced:
        instrument(idle)
        exported.instrument(traced)
        without, asleep, awake = [await calls_of(client) for client in (bare, idle, traced)]
        assert without < asleep < without + 30 < awake
        uninstrument(idle)
        assert await calls_of(idle) == without
        assert not trace.get_current_span().get_span_context().is_valid


def test_providers_that_are_set_after_instrumenting_are_used():
    """In a process of its own: global providers are set once."""
    program = """
import asyncio
from opentelemetry import metrics, trace
from kognitos_async.telemetry import instrument
from kognitos_async.testing import KognitosServer
from tests.telemetry.conftest import Exported

async def main():
    async with KognitosServer() as server, server.client() as client:
        instrument(client)
        await client.health()
        exported = Exported()
        trace.set_tracer_provider(exported.tracing)
        metrics.set_meter_provider(exported.metering)
        await client.health()
        counts = exported.metric("http.client.request.duration").values()
        print([span.name for span in exported.spans], list(counts))

asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "['GET /health'] [1]\n"


def test_on_uvloop():
    exported = Exported()

    async def main():
        async with KognitosServer(schedule=Schedule.fixed(0.02)) as server, server.client(**FAST) as client:
            exported.instrument(client)
            await client.run_and_wait(server.process.id, name="run")

    uvloop.run(main())
    assert not exported.open
    assert {span.name for span in exported.spans} >= {"kognitos start", "kognitos wait", "POST /runs"}


def test_without_the_extra_importing_says_what_to_install():
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try:\n    import kognitos_async.telemetry\n"
        "except ImportError as error:\n    print(error)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert "pip install 'kognitos-async[otel]'" in output
