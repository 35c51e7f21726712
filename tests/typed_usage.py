"""The types that users see, for mypy --strict and pyright strict. Checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, assert_type

import msgspec

from kognitos_async import (
    SETTLED,
    APIStatusError,
    CapacityError,
    ConfigurationError,
    DecodeError,
    F,
    FileUpload,
    Filter,
    Health,
    InvokeRequest,
    KognitosClient,
    KognitosError,
    OutcomeUnknownError,
    Page,
    Pager,
    PermissionDeniedError,
    PlatformClient,
    PlatformRun,
    PollPolicy,
    Process,
    RetryPolicy,
    Run,
    RunInput,
    RunOutcome,
    RunOutput,
    RunRequest,
    RunState,
    RunStatus,
    RunStoppedError,
    Stage,
    StartedRun,
    StartUncertainError,
    TransportError,
    UploadedFile,
    UploadError,
    WaitTimeoutError,
    __version__,
    from_value,
    shared_client,
    shared_platform_client,
    to_value,
)
from kognitos_async.platform_v1.models.generated.automations import Automation


class Answer(msgspec.Struct):
    """A user's own type of an answer."""

    status: str


async def clients() -> None:
    """Every setting, the context manager, and opening by hand."""
    async with KognitosClient() as client:
        assert_type(client, KognitosClient)
    client = KognitosClient(
        "key",
        region="eu",
        base_url="https://example.com/v2",
        agent_id="agent-1",
        request_timeout=10,
        max_connections=5,
        requests_per_second=2.5,
        retry=RetryPolicy(max_attempts=2, base_delay=0.1, max_delay=1, retry_after_limit=60),
        poll=PollPolicy(initial=1, factor=2, maximum=30, jitter=0, unknown_status="wait"),
        session=None,
        trace_configs=[],
    )
    assert_type(await client.open(), KognitosClient)
    assert_type(await client.aclose(), None)
    version: str = __version__
    print(version)


async def endpoints(client: KognitosClient) -> None:
    """What each method returns."""
    assert_type(await client.health(), Health)
    assert_type((await client.health()).ok, bool)
    assert_type(await client.processes.get("p-1", agent_id="agent-1"), Process)
    assert_type(await client.runs.get("r-1"), Run)
    assert_type(await client.request("GET", "/health"), msgspec.Raw)
    assert_type(await client.request("GET", "/health", response_type=Answer), Answer)
    assert_type(
        await client.request(
            "POST", "/x", params={"a": 1, "b": None}, json={"c": [1]}, response_type=dict[str, int]
        ),
        dict[str, int],
    )


async def listings(client: KognitosClient) -> None:
    """A pager of runs yields runs, whichever way it is read."""
    pager = client.runs.list("p-1", stage=Stage.DRAFT, limit=50, continuation_token=None)
    assert_type(pager, Pager[Run])
    assert_type(pager.continuation_token, str | None)
    async for run in pager:
        assert_type(run, Run)
    async for page in pager.pages():
        assert_type(page, Page[Run])
    page = await pager
    assert_type(page.items, tuple[Run, ...])
    assert_type(page.continuation_token, str | None)
    assert_type(await pager.collect(), list[Run])
    assert_type(await client.processes.list(limit=10).collect(max_items=5), list[Process])
    assert_type([process.stage async for process in client.processes.list()], list[Stage])


async def starts(client: KognitosClient) -> None:
    """Inputs as a mapping or as a sequence, files by id, the stage as a member or a word."""
    text: dict[str, str] = {"customer": "Ada"}
    numbers: Mapping[str, int] = {"count": 3}
    named: Sequence[RunInput] = [RunInput(name="total", value=4.2)]
    assert_type(await client.runs.start("p-1", name="one", inputs={"a": "b", "n": 1, "x": 0.5}), Run)
    assert_type(await client.runs.start("p-1", name="two", inputs=text, stage="Draft"), Run)
    assert_type(await client.runs.start("p-1", name="three", inputs=numbers, file_ids=("f-1",)), Run)
    assert_type(await client.runs.start("p-1", name="four", inputs=named, stage=Stage.PUBLISHED), Run)
    try:
        await client.runs.start("p-1", name="five", agent_id="agent-2")
    except StartUncertainError as error:
        assert_type(error.since, datetime)
        assert_type(await client.runs.find_started(error.request, since=error.since), list[Run])
        request = RunRequest(process_id="p-1", name="five")
        assert_type(await client.runs.find_many([request], since=error.since), dict[str, list[Run]])
        assert_type(await client.runs.start_once(request, earlier=error.since), Run)
    async with shared_client(agent_id="a") as shared, shared_platform_client() as platform:
        assert_type(shared, KognitosClient)
        assert_type(platform, PlatformClient)
        handle = (await shared.runs.get("r")).handle
        assert_type(await shared.wait_for_run(handle), Run)
        assert_type(await platform.automations.start_once(InvokeRequest(automation="a")), StartedRun)


def heard(run: Run) -> None:
    """A function for `on_update`."""
    assert_type(run.status, RunStatus)


async def waits(client: KognitosClient, run: Run) -> None:
    """One run, many runs, a start with its wait."""
    assert_type(await client.wait_for_run(run), Run)
    assert_type(
        await client.wait_for_run(
            "r-1", timeout=60, until=SETTLED | {RunStatus.RUNNING}, poll=PollPolicy(), on_update=heard
        ),
        Run,
    )
    assert_type(
        await client.run_and_wait("p-1", name="six", timeout=1.5, inputs={"a": 1}, on_update=heard), Run
    )
    async with client.wait_for_runs([run, "r-2"], timeout=5, until={RunStatus.SUCCEEDED}) as settled:
        assert_type(settled, AsyncIterator[Run])
        async for one in settled:
            assert_type(one.raise_for_status(), Run)
    async with client.watch_run("r-1", timeout=5, until={RunStatus.SUCCEEDED}) as changes:
        assert_type(changes, AsyncIterator[Run])
    async with client.runs.follow("p-1") as changes:
        async for change in changes:
            assert_type(change, Run)
    try:
        await client.wait_for_run(run, timeout=1)
    except WaitTimeoutError as late:
        caught: TimeoutError = late
        print(caught)


async def requests() -> AsyncIterator[RunRequest]:
    """Requests that are made as they are needed."""
    yield RunRequest(process_id="p-1", name="seven")
    yield RunRequest(
        process_id="p-1",
        name="eight",
        stage=Stage.DRAFT,
        inputs={"n": 1},
        file_ids=["f-1"],
        agent_id="agent-1",
    )


async def bulk(client: KognitosClient) -> None:
    """Requests from an iterable or an async one; an outcome for each."""
    async with client.run_many(requests(), max_in_flight=10, journal=Path("jobs.db")) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, RunOutcome[RunRequest, Run])
            assert_type(outcome.request, RunRequest)
            assert_type(outcome.run, Run | None)
            assert_type(outcome.error, KognitosError | None)
            assert_type(outcome.attempts, int)
            assert_type(outcome.resumed, bool)
    plain = [RunRequest(process_id="p-1", name=str(n)) for n in range(3)]
    async with client.run_many(
        plain, journal="jobs.db", poll=PollPolicy(), run_timeout=60, absence_delay=1
    ) as outcomes:
        assert_type([outcome.resumed async for outcome in outcomes], list[bool])


async def pieces() -> AsyncIterator[bytes]:
    """A file that is made as it is sent."""
    yield b"a"


async def files(client: KognitosClient) -> None:
    """Every kind of source."""
    assert_type(await client.files.create("a.pdf"), FileUpload)
    assert_type(await client.files.upload("a.pdf"), UploadedFile)
    assert_type(await client.files.upload(Path("a.pdf"), file_name="b.pdf"), UploadedFile)
    assert_type(await client.files.upload(b"abc", file_name="a.txt"), UploadedFile)
    assert_type(await client.files.upload(BytesIO(b"abc"), file_name="a.txt"), UploadedFile)
    assert_type(
        await client.files.upload(
            pieces(), file_name="a", size=1, on_progress=lambda sent, size: (sent, size)
        ),
        UploadedFile,
    )
    with Path("a.pdf").open("rb") as opened:  # noqa: ASYNC230
        uploaded = await client.files.upload(opened)
    assert_type(uploaded.id, str)
    assert_type(uploaded.size, int)


def models(run: Run, process: Process, form: FileUpload) -> None:
    """The fields of the models and what a run adds to them."""
    assert_type(run.created_at, datetime)
    assert_type(run.file_ids, tuple[str, ...])
    assert_type(run.outputs, tuple[RunOutput, ...])
    assert_type(run.outputs_by_name, dict[str, str | int | float])
    assert_type(run.settled, bool)
    assert_type(run.succeeded, bool)
    assert_type(run.stage, Stage)
    assert_type(SETTLED, frozenset[RunStatus])
    assert_type(process.name, str)
    assert_type(form.upload_fields, dict[str, str])


def errors(error: KognitosError) -> None:
    """What each error says of itself."""
    assert_type(error.continuation_token, str | None)
    if isinstance(error, APIStatusError):
        assert_type(error.status, int)
        assert_type(error.message, str)
        assert_type(error.details, tuple[tuple[str, Any], ...])
        assert_type(error.body, bytes)
        assert_type(error.request_id, str | None)
        assert_type(error.method, str)
        assert_type(error.path, str)
        assert_type(error.attempts, int)
        assert_type(error.retry_after, float | None)
    elif isinstance(error, TransportError):
        assert_type(error.attempts, int)
    elif isinstance(error, DecodeError):
        assert_type(error.path, str)
        assert_type(error.body, bytes)
    elif isinstance(error, UploadError):
        assert_type(error.status, int | None)
        assert_type(error.body, bytes)


def families(
    capacity: CapacityError,
    configuration: ConfigurationError,
    lost: OutcomeUnknownError,
    stopped: RunStoppedError,
) -> None:
    """An `except` clause for a parent takes its children."""
    refused: PermissionDeniedError = capacity
    wrong: ValueError = configuration
    transport: TransportError = lost
    run: Run = stopped.run
    print(refused, wrong, transport, run)


async def the_platform_api(client: PlatformClient, reports: Path) -> None:
    started = await client.automations.invoke(
        "a", {"n": Decimal("1.5"), "day": date(2026, 1, 1)}, stage="DRAFT"
    )
    assert_type(started, StartedRun)
    run = await client.wait_for_run(started, until={RunState.COMPLETED}, timeout=60)
    assert_type(run, PlatformRun)
    assert_type(await client.wait_for_run(run, after=run), PlatformRun)
    async with client.watch_run(started) as states:
        assert_type(states, AsyncIterator[PlatformRun])
    assert_type(run.state, RunState)
    assert_type(run.outputs, dict[str, object])
    assert_type(run.raise_for_status(), PlatformRun)
    async with client.wait_for_runs([started, run, run.name]) as runs:
        async for settled in runs:
            assert_type(settled, PlatformRun)
    async with client.run_many([InvokeRequest(automation="a", inputs={"n": 1})], journal=reports) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, RunOutcome[InvokeRequest, PlatformRun])
            assert_type(outcome.run, PlatformRun | None)
    recent = F.create_time >= datetime(2026, 1, 1)
    assert_type(recent & ~(F.state == "x"), Filter)
    async for listed in client.runs.list(started.automation, filter=recent):
        assert_type(listed, PlatformRun)
    async with client.runs.follow("a") as followed:
        assert_type(await anext(followed), PlatformRun)
    stored = await client.files.upload(reports)
    assert_type(await client.files.download_to(stored, reports), Path)
    async with client.exceptions.stream(run) as events:
        async for event in events:
            print(event.id)
    automation = await client.automations.get("a")
    assert_type((await client.automations.list()).items, tuple[Automation, ...])
    print(automation.display_name, from_value(to_value(3)))
