"""Notifications of observers."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from kognitos_async import (
    ClientClosedError,
    InvokeRequest,
    NotFoundError,
    PollPolicy,
    RetryPolicy,
    RunRequest,
    ServerError,
    StartUncertainError,
)
from kognitos_async.observers import Observer
from kognitos_async.testing import Schedule, faults
from tests.support import eventually


class Notes:
    """Records its notifications of requests."""

    def __init__(self):
        self.entries = []

    def request_began(self, request):
        self.entries.append(("began", str(request)))
        return len(self.entries)

    def request_ended(self, began, error):
        self.entries.append(("ended", began, type(error)))

    def attempt_ended(self, what, number, seconds, result):
        assert 0 <= seconds < 5
        self.entries.append(
            ("attempt", str(what), number, result if isinstance(result, int) else type(result))
        )

    def retry_planned(self, failure, number, delay):
        self.entries.append(("retry", type(failure), number, delay))


@pytest.fixture
async def observed(server):
    async with server.client(retry=RetryPolicy(max_attempts=2, base_delay=0)) as client:
        client.notes = Notes()
        client.observe(client.notes)
        yield client


async def test_requests_and_their_attempts_are_notified(server, observed):
    """In the order in which they happen."""
    server.misbehave("get_health", faults.unavailable())
    await observed.health()
    assert observed.notes.entries == [
        ("began", "GET /health"),
        ("attempt", "GET /health", 1, 503),
        ("retry", ServerError, 1, 0.0),
        ("attempt", "GET /health", 2, 200),
        ("ended", 1, type(None)),
    ]


async def test_a_failure_and_a_cancellation_end_a_request_too(server, observed):
    """So that a span can be closed."""
    with pytest.raises(NotFoundError):
        await observed.runs.get("nobody")
    server.misbehave("get_health", faults.hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await observed.health()
    entries = observed.notes.entries
    assert [entry for entry in entries if entry[0] == "ended"] == [
        ("ended", 1, NotFoundError),
        ("ended", 4, asyncio.CancelledError),
    ]


async def test_log_records_have_operation_and_attempt(server, client, caplog):
    """As separate fields, for structured logs."""
    caplog.set_level(logging.DEBUG, "kognitos_async")
    server.misbehave("get_health", faults.unavailable())
    await client.health()
    debug = [
        record
        for record in caplog.records
        if record.levelno == logging.DEBUG and record.name == "kognitos_async"
    ]
    assert [(record.operation, record.attempt) for record in debug] == [
        ("GET /health", 1),
        ("GET /health", 2),
    ]


class Everything(Observer):
    """Records work, starts in doubt, runs, poll choices, pauses and journal states."""

    def __init__(self):
        self.began = []
        self.open = {}
        self.ended = []
        self.noted = []

    def work_began(self, work):
        self.open[work] = True
        self.began.append(type(work).__name__)

    def work_ended(self, work, error):
        del self.open[work]
        self.ended.append((type(work).__name__, type(error).__name__ if error else None))

    def start_in_doubt(self, asked, error):
        self.noted.append(("in doubt", getattr(asked, "name", None), type(error).__name__))

    def run_changed(self, wait, run):
        self.noted.append(("changed", wait.run_id, str(run.status)))

    def run_settled(self, run, polls):
        self.noted.append(("settled", str(run.status), polls))

    def poll_chosen(self, method, pending):
        self.noted.append(("chosen", method, pending))

    def paused(self, request, seconds):
        self.noted.append(("paused", str(request), seconds))

    def journal_moved(self, job, before, after):
        self.noted.append(("journal", before, after))

    def of(self, kind):
        return [entry[1:] for entry in self.noted if entry[0] == kind]


@pytest.fixture(params=["rest_v2", "platform_v1"])
async def api(request, server):
    """A client of either API, a function that makes the n-th request, and what observes the client."""
    options = {
        "retry": RetryPolicy(base_delay=0.001),
        "poll": PollPolicy(initial=0.01, maximum=0.02),
    }
    if request.param == "rest_v2":
        client = server.client(**options)
        process = server.process.id

        def make(number):
            return RunRequest(process_id=process, name=f"run {number}")
    else:
        client = server.platform_client(**options)
        automation = server.platform.automation.id

        def make(number):
            return InvokeRequest(automation=automation, inputs={"n": number})

    async with client:
        notes = Everything()
        client.observe(notes)
        yield client, make, notes
    assert not notes.open


def start_of(client, request):
    if isinstance(request, RunRequest):
        return client.runs.start(request.process_id, name=request.name)
    return client.automations.invoke(request.automation, request.inputs)


async def test_starts_waits_and_polls_are_notified(api):
    """From the start to the settled run; a shared poll names the waits that it serves."""
    client, make, notes = api
    run = await start_of(client, make(1))
    settled = await client.wait_for_run(run)
    assert notes.began[:2] == ["Start", "Wait"]
    assert set(notes.began[2:]) == {"Poll"}
    assert notes.ended[0] == ("Start", None)
    assert ("Wait", None) in notes.ended
    [(status, polls)] = notes.of("settled")
    assert status == str(settled.status)
    assert polls == notes.began.count("Poll")
    assert notes.of("chosen") == [("single", 1)] * polls
    assert notes.of("changed")[-1][1] == status


async def test_a_lost_start_is_notified(server, api):
    """With the request, before the work that it belongs to ends."""
    client, make, notes = api
    server.misbehave("create_run", faults.reset(after_work=True))
    server.misbehave("InvokeAutomation", faults.reset(after_work=True))
    request = make(1)
    with pytest.raises(StartUncertainError):
        await start_of(client, request)
    assert notes.of("in doubt") == [(getattr(request, "name", None), "StartUncertainError")]
    assert notes.ended == [("Start", "StartUncertainError")]


async def test_a_job_and_its_journal_are_notified(api, tmp_path):
    """Each request as a work, and each new state in the journal with the one before."""
    client, make, notes = api
    async with client.run_many(map(make, range(3)), journal=tmp_path / "job") as outcomes:
        async for outcome in outcomes:
            assert outcome.error is None
    assert [notes.began.count(kind) for kind in ("Job", "JobRequest", "Start", "Wait")] == [1, 3, 3, 3]
    steps = [(None, "planned"), ("planned", "starting"), ("starting", "started"), ("started", "settled")]
    assert Counter(notes.of("journal")) == dict.fromkeys(steps, 3)
    async with client.run_many(map(make, range(3)), journal=tmp_path / "job") as outcomes:
        assert [outcome.resumed async for outcome in outcomes] == [True] * 3
    assert notes.of("journal")[-3:] == [(None, "settled")] * 3


async def test_the_end_of_a_cancelled_job_is_notified(server, api):
    """Its waits, its requests and the job itself end with the cancellation."""
    client, make, notes = api
    server.schedule = server.platform.schedule = Schedule.fixed(60)
    async with client.run_many(map(make, range(3))) as outcomes:
        await eventually(lambda: notes.began.count("Wait") == 3)
        assert outcomes.running == 3
    assert not notes.open
    ends = Counter(notes.ended)
    cancelled = ("JobRequest", "Wait", "Job")
    assert {kind: ends[kind, "CancelledError"] for kind in cancelled} == {
        "JobRequest": 3,
        "Wait": 3,
        "Job": 1,
    }


async def test_waits_end_when_the_client_closes(server, api):
    """With the error that their callers get."""
    client, make, notes = api
    server.schedule = server.platform.schedule = Schedule.fixed(60)
    run = await start_of(client, make(1))
    wait = asyncio.create_task(client.wait_for_run(run))
    await eventually(lambda: "Wait" in notes.began)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await wait
    assert ("Wait", "ClientClosedError") in notes.ended


async def test_a_429_is_notified_once_a_pause(server, client):
    """With the seconds of the pause."""
    notes = Everything()
    client.observe(notes)
    server.misbehave("get_health", faults.rate_limited(retry_after=0))
    await client.health()
    assert notes.of("paused") == [("GET /health", 0.0)]


async def test_uploads_are_notified_with_their_size(server, api):
    client, _, notes = api
    sizes = []
    notes.work_ended = lambda work, error: (
        sizes.append((type(work).__name__, work.size)),
        notes.open.clear(),
    )
    await client.files.upload(b"12345", file_name="five")
    assert sizes == [("Upload", 5)]


async def test_an_observer_that_raises_is_logged_once(server, client, caplog):
    """Other observers are still notified."""

    class Broken(Observer):
        def request_began(self, request):
            raise LookupError("no such thing")

        def attempt_ended(self, what, number, seconds, result):
            raise LookupError("nor this")

    notes = Notes()
    client.observe(Broken())
    client.observe(notes)
    await client.health()
    await client.health()
    assert [entry[0] for entry in notes.entries] == ["began", "attempt", "ended"] * 2
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "Broken failed in request_began" in warning.getMessage()


async def test_an_observer_can_be_removed(server, client):
    """It is still notified of work in flight until that ends, not of later work."""
    notes = Notes()
    end = client.observe(notes)
    server.misbehave("get_health", faults.hang())
    hanging = asyncio.create_task(client.health())
    await eventually(lambda: server.count("get_health"))
    end()
    end()
    assert client._sender.observers.current is None
    await client.health()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert [entry[0] for entry in notes.entries] == ["began", "ended"]  # attempts ask who listens now


async def test_log_records_have_the_run_id(server, client, caplog):
    """Those of a retry too."""
    caplog.set_level(logging.DEBUG, "kognitos_async")
    run = server.add_run()
    server.misbehave("get_run", faults.unavailable())
    await client.runs.get(run.id)
    fields = [
        (record.levelname, record.run_id, record.operation, record.attempt) for record in caplog.records
    ]
    operation = f"GET /runs/{run.id}"
    assert fields == [
        ("DEBUG", run.id, operation, 1),
        ("WARNING", run.id, operation, 1),
        ("DEBUG", run.id, operation, 2),
    ]
