"""The platform client against the emulator, over real sockets: the everyday jobs and every operation."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from kognitos_async import (
    AutomationStage,
    AwaitingGuidanceError,
    BadRequestError,
    F,
    InvokeRequest,
    NotFoundError,
    PermissionDeniedError,
    RunFailedError,
    RunState,
    StartUncertainError,
    UploadError,
)
from kognitos_async.platform_v1.files import file_ref
from kognitos_async.testing import Schedule, faults
from tests.platform.test_operations import CALLS


async def test_invoke_and_wait(client, server):
    """With Python's own values there and back."""
    inputs = {"amount": Decimal("12.50"), "day": datetime(2026, 1, 2, tzinfo=UTC), "names": ["a", None]}
    run = await client.run_and_wait(server.platform.automation.id, inputs, timeout=10)
    assert run.succeeded
    assert run.user_inputs == inputs
    assert run.outputs
    [emulated] = server.platform.runs.values()
    assert run.id == emulated.id


@pytest.mark.slow
async def test_many_at_once(client, server):
    """Each once, whatever the network does."""
    server.misbehave("InvokeAutomation", faults.rate_limited(retry_after=0))
    requests = [InvokeRequest(automation=server.platform.automation.id, inputs={"n": n}) for n in range(15)]
    async with client.run_many(requests, max_in_flight=10) as outcomes:
        got = [outcome async for outcome in outcomes]
    assert all(outcome.error is None and outcome.run.succeeded for outcome in got)
    assert len(server.platform.runs) == 15


async def test_a_run_that_was_never_read_is_a_pending_run_in_its_outcome(client, server):
    """So that an outcome has one type of run, whose status and id can be looked at in any case."""
    for operation in ("ListRuns", "GetRun"):
        server.misbehave(operation, faults.proxy_error(), times=None)
    requests = [InvokeRequest(automation=server.platform.automation.id, inputs={"n": 1}, stage="DRAFT")]
    async with client.run_many(requests, run_timeout=0.3) as outcomes:
        [outcome] = [outcome async for outcome in outcomes]
    assert outcome.error is not None
    assert (outcome.run.id, outcome.run.status) == (*server.platform.runs, RunState.PENDING)
    assert outcome.run.stage == AutomationStage.DRAFT
    assert not outcome.run.settled
    assert outcome.to_dict()["run"]["state"] == "pending"
    assert "pending" in outcome._repr_html_()


async def test_a_lost_invocation(client, server):
    """Is not sent again, and is found by what it was given."""
    server.misbehave("InvokeAutomation", faults.reset(after_work=True))
    with pytest.raises(StartUncertainError) as caught:
        await client.automations.invoke(server.platform.automation.id, {"n": 1})
    [found] = await client.runs.find_started(caught.value.request, since=caught.value.since)
    assert [found.id] == list(server.platform.runs)
    assert server.count("InvokeAutomation") == 1


async def test_a_run_that_needs_a_person(client, server):
    """Is answered, and goes on."""
    waiting = server.platform.add_run(schedule=Schedule.fixed(0.0, outcome="awaiting_guidance"))
    run = await client.wait_for_run(waiting.name)
    with pytest.raises(AwaitingGuidanceError):
        run.raise_for_status()
    asked = await client.exceptions.get(run.guidance.exception)
    assert asked.run == run.name
    pending = await client.exceptions.list(filter=F.state == "PENDING")
    assert [found.id for found in pending.items] == [asked.id]
    async with client.exceptions.stream(asked) as events:
        await client.exceptions.reply(asked, "Use the second one")
        replies = []
        async for event in events:
            replies.append(event)
            if event.user_message is not None:
                break
    assert replies[-1].user_message.content == "Use the second one"
    done = await client.wait_for_run(run.name, until={"completed"}, timeout=10)
    assert done.succeeded
    assert (await client.exceptions.get(asked)).state.known
    assert [e.id for e in (await client.exceptions.events(run)).items]


async def test_failure_is_reported(client, server):
    """As an error that has the run."""
    failed = server.platform.add_run(state="failed")
    with pytest.raises(RunFailedError):
        (await client.wait_for_run(failed.name)).raise_for_status()


async def test_history_is_read_page_by_page(client, server):
    """Newest first, filtered by time."""
    now = datetime.now(UTC)
    for age in range(25):
        server.platform.add_run(state="completed", created_at=now - timedelta(hours=age))
    automation = server.platform.automation.name
    everything = await client.runs.list(automation, page_size=10).collect()
    assert len(everything) == 25
    assert [run.create_time for run in everything] == sorted(
        (r.create_time for r in everything), reverse=True
    )
    recent = client.runs.list(automation, filter=F.create_time >= now - timedelta(hours=4.5), page_size=2)
    assert len(await recent.collect()) == 5
    with pytest.raises(BadRequestError):
        await client.runs.list(automation, filter=F.state == "completed")
    with pytest.raises(BadRequestError):
        await client.runs.list(automation, page_token="not one")


async def test_files_there_and_back(client, server, tmp_path):
    """Uploaded, used, downloaded, deleted."""
    content = random.Random(1).randbytes(200_000)
    stored = await client.files.upload(content, file_name="a.bin")
    assert (await client.files.metadata(stored)).size_bytes == len(content)
    path = await client.files.download_to(file_ref(stored), tmp_path / "b.bin")
    assert path.read_bytes() == content
    run = await client.run_and_wait(server.platform.automation.id, {"file": file_ref(stored)})
    assert run.user_inputs["file"] == file_ref(stored)
    await client.files.delete(stored)
    with pytest.raises(NotFoundError):
        await client.files.metadata(stored)
    assert server.leaks == 0


async def test_files_by_presigned_addresses(client, server, tmp_path):
    """There and back without the token; what the store refuses is told."""
    content = random.Random(2).randbytes(50_000)
    steps = []
    url = await client.files.generate_upload_url(expire=60)
    await client.files.upload_presigned(url, content, on_progress=lambda *progress: steps.append(progress))
    assert steps[-1] == (50_000, 50_000)
    [stored] = server.platform.files.values()
    assert stored.content == content
    down = await client.files.generate_download_url(stored.name)
    async with client.files.download_presigned(down) as download:
        assert download.size == len(content)
        assert b"".join([piece async for piece in download]) == content
    assert server.leaks == 0
    server.advance(7200)
    with pytest.raises(UploadError) as caught:
        await client.files.upload_presigned(url, content)
    assert caught.value.status == 403
    assert str(url).partition("?")[2] not in str(caught.value) + repr(caught.value)
    with pytest.raises(PermissionDeniedError) as refused:
        async with client.files.download_presigned(str(down)):
            pass
    assert str(down).partition("?")[2] not in str(refused.value)
    for wrong in ("http://example.com/x", "no url", "https://[x"):
        with pytest.raises(ValueError, match="url must be"):
            await client.files.upload_presigned(wrong, b"")


async def test_runs_are_followed(client, server):
    """As they appear and change."""
    automation = server.platform.automation.id
    async with asyncio.timeout(10), client.runs.follow(automation, since=datetime.now(UTC)) as runs:
        started = await client.automations.invoke(automation)
        async for run in runs:
            if run.succeeded:
                break
    assert run.name == started.name


@pytest.mark.parametrize("operation", CALLS)
async def test_every_request_is_one_that_the_emulator_knows(client, server, operation):
    """It checks each against the vendor's schemas: nothing is malformed, made-up ids and tokens aside."""
    refused: BadRequestError | None = None
    try:
        await CALLS[operation](client)
    except NotFoundError:
        pass
    except BadRequestError as problem:
        refused = problem
    violations = [
        one for detail in (refused.details if refused else ()) for one in detail["field_violations"]
    ]
    assert {one["field"] for one in violations} <= {"page_token"}
    assert bool(violations) == (refused is not None)
    assert server.count(operation) >= 1


async def test_a_request_that_breaks_a_schema_is_one_that_the_emulator_refuses(client, server):
    """Or the test before could not fail: a member that the schema lacks, and one of a wrong type."""
    path = f"{server.platform.automation.name}:invoke"
    for body, field in (
        ({"stage": "AUTOMATION_STAGE_DRAFT", "inputz": {}}, "body"),
        ({"inputs": {"a": {"text": 7}}}, "inputs"),
    ):
        with pytest.raises(BadRequestError) as refused:
            await client.request("POST", f"/{path}", json=body)
        fields = {
            violation["field"].split(".")[0] for violation in refused.value.details[0]["field_violations"]
        }
        assert field in fields
