"""How a job ends: left, cancelled, on a refused key, on a long pause, without its journal; and outages."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading

import msgspec
import pytest

from kognitos_async import (
    AuthenticationError,
    ClientClosedError,
    FileSource,
    InvokeRequest,
    Journal,
    JournalError,
    NotSentError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    RunRequest,
    StartUncertainError,
)
from kognitos_async.bulk import job as job_module
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.journals import summary
from tests.support import eventually

QUICK = {
    "poll": PollPolicy(initial=0.02, maximum=0.05),
    "retry": RetryPolicy(base_delay=0.01, max_delay=0.05),
}


def requests_of(server, api, count):
    if api == "v2":
        return [RunRequest(process_id=server.process.id, name=f"r{n}", inputs={"n": n}) for n in range(count)]
    automation = server.platform.automation.id
    return [InvokeRequest(automation=automation, name=f"r{n}", inputs={"n": n}) for n in range(count)]


def client_of(server, api):
    return server.client(**QUICK) if api == "v2" else server.platform_client(**QUICK)


def runs_of(server, api):
    return server.runs if api == "v2" else server.platform.runs


async def outcomes_of(server, api, requests, path, **options):
    got = []
    async with (
        asyncio.timeout(30),
        client_of(server, api) as client,
        client.run_many(requests, journal=path, **{"absence_delay": 0.05, **options}) as outcomes,
    ):
        async for outcome in outcomes:
            got.append(outcome)  # noqa: PERF401 - kept when the iterator raises
    return got


@pytest.mark.parametrize("api", ["v2", "platform"])
@pytest.mark.parametrize("how", ["left", "cancelled", "raised"])
async def test_a_graceful_end_leaves_nothing_in_doubt(tmp_path, api, how):
    """Starts under way finish and are recorded, the others are planned; the next call runs each once."""
    async with KognitosServer(schedule=Schedule.fixed(0.05), latency=0.15, capacity=None) as server:
        requests = requests_of(server, api, 30)

        async def work():
            async with (
                client_of(server, api) as client,
                client.run_many(requests, journal=tmp_path / "j") as outcomes,
            ):
                async for _ in outcomes:
                    if how == "left":
                        break
                    if how == "raised":
                        raise LookupError("mine")

        working = asyncio.create_task(work())
        if how == "cancelled":
            while len(runs_of(server, api)) < 4:  # noqa: ASYNC110 - nothing tells otherwise
                await asyncio.sleep(0.005)
            working.cancel()
        await asyncio.wait([working])
        counts = summary(tmp_path / "j")
        assert counts["starting"] == 0
        assert 0 < counts["started"] + counts["settled"] == len(runs_of(server, api)) < 30
        server_count = server.count()
        await asyncio.sleep(0.3)
        assert server.count() == server_count
        got = await outcomes_of(server, api, requests, tmp_path / "j")
        assert [o.error for o in got] == [None] * 30
        assert len(runs_of(server, api)) == 30


@pytest.mark.parametrize("api", ["v2", "platform"])
@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)])
async def test_a_refused_key_ends_the_job(tmp_path, api, status, error):
    """Existing outcomes come first, then the error; few starts are refused; the next call resumes the job."""
    operation = "create_run" if api == "v2" else "InvokeAutomation"
    async with KognitosServer(schedule=Schedule.fixed(0.1), capacity=None) as server:
        requests = requests_of(server, api, 90)
        server.misbehave(operation, faults.answer(status, b'{"message": "no"}'), times=None, skip=30)
        got = []
        with pytest.raises(error):
            async with (
                client_of(server, api) as client,
                client.run_many(iter(requests), journal=tmp_path / "j", max_in_flight=20) as outcomes,
            ):
                async for outcome in outcomes:
                    got.append(outcome)  # noqa: PERF401 - kept when the iterator raises
        assert len(got) == len(runs_of(server, api)) == 30
        assert all(o.error is None and o.run.settled for o in got)
        assert server.count(operation, status=status) <= 20
        assert summary(tmp_path / "j")["starting"] == 0
        server.behave()
        assert len(await outcomes_of(server, api, requests, tmp_path / "j")) == 90
        assert len(runs_of(server, api)) == 90


async def test_a_pause_beyond_the_limit_ends_the_job(tmp_path):
    """RateLimitError with its retry_after; what was refused is planned and runs in the next call."""
    async with KognitosServer(schedule=Schedule.fixed(0.05), capacity=None) as server:
        requests = requests_of(server, "v2", 50)
        server.misbehave("create_run", faults.rate_limited(3600), times=None, skip=10)
        with pytest.raises(RateLimitError) as caught:
            await outcomes_of(server, "v2", requests, tmp_path / "j")
        assert caught.value.retry_after == 3600
        assert summary(tmp_path / "j") == {"planned": 40, "starting": 0, "started": 0, "settled": 10}
        assert server.count("create_run", status=429) < 10
        server.behave()
        got = await outcomes_of(server, "v2", requests, tmp_path / "j")
        assert [o.error for o in got] == [None] * 50


def with_files(requests):
    """The requests, each with a file of its own."""
    file = {r.name: FileSource(r.name.encode(), f"{r.name}.txt") for r in requests}
    if isinstance(requests[0], RunRequest):
        return [msgspec.structs.replace(r, files=[file[r.name]]) for r in requests]
    return [msgspec.structs.replace(r, inputs={"file": file[r.name]}) for r in requests]


@pytest.mark.parametrize(
    ("api", "files", "journal"),
    [("v2", False, True), ("v2", False, False), ("v2", True, True), ("platform", True, False)],
)
async def test_an_outage_is_waited_out(tmp_path, api, files, journal, caplog):
    """A server that is gone for a while costs no request its outcome, and a WARNING says what waits."""
    server = KognitosServer(schedule=Schedule.fixed(0.02), capacity=None)
    server.platform.schedule = Schedule.fixed(0.02)
    await server.start()
    runs = server.runs if api == "v2" else server.platform.runs
    requests = requests_of(server, api, 120)
    if files:
        requests = with_files(requests)

    async def outage():
        while len(runs) < (10 if files else 40):  # noqa: ASYNC110 - nothing tells otherwise
            await asyncio.sleep(0.005)
        await server.stop()
        await asyncio.sleep(1.5)
        await server.start()

    away = asyncio.create_task(outage())
    with caplog.at_level(logging.WARNING, logger="kognitos_async"):
        got = await outcomes_of(server, api, requests, tmp_path / "j" if journal else None)
    await away
    assert server.duplicates() == {}
    assert len(runs) <= 120
    assert {type(o.error) for o in got} <= {type(None), StartUncertainError}
    assert len(got) == 120
    what = ("starts wait", "uploads wait") if files else ("starts wait",)
    assert [r for r in caplog.records if any(words in r.getMessage() for words in what)]
    await server.stop()


async def test_an_api_that_was_never_reached_ends_the_job(tmp_path, monkeypatch):
    """NotSentError, after a while of trying; all requests stay planned."""
    monkeypatch.setattr(job_module, "_FIRST_CONTACT", 0.3)
    server = KognitosServer()
    await server.start()
    client = server.client(**QUICK)
    requests = requests_of(server, "v2", 20)
    await server.stop()
    async with asyncio.timeout(20), client:
        with pytest.raises(NotSentError):
            async with client.run_many(requests, journal=tmp_path / "j") as outcomes:
                async for outcome in outcomes:
                    raise AssertionError(outcome)
    assert summary(tmp_path / "j") == {"planned": 20, "starting": 0, "started": 0, "settled": 0}


async def test_closing_the_client_ends_a_job_whose_input_is_not_read_to_its_end(tmp_path):
    """ClientClosedError, although starts wait for a 503 that asks for a minute, and nothing is in doubt."""
    async with KognitosServer() as server:
        client = await client_of(server, "v2").open()
        server.misbehave("create_run", faults.unavailable(60), times=None)

        def endless():
            for number in itertools.count():
                yield RunRequest(process_id=server.process.id, name=f"r{number}")

        async def work():
            async with client.run_many(endless(), journal=tmp_path / "j", max_in_flight=5) as outcomes:
                return [outcome async for outcome in outcomes]

        working = asyncio.create_task(work())
        # Closing cuts what is under way: a start that was sent and not answered would stay in doubt.
        while not server.count(status=503) or summary(tmp_path / "j")["starting"]:  # noqa: ASYNC110 - nothing tells otherwise
            await asyncio.sleep(0.005)
        await client.aclose()
        async with asyncio.timeout(5):
            with pytest.raises(ClientClosedError):
                await working
        assert summary(tmp_path / "j")["starting"] == 0


async def test_a_journal_that_is_deleted_ends_the_job_before_the_next_start(tmp_path):
    """JournalError; nothing is started after the file went away."""
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:

        def endless():
            for number in itertools.count():
                yield RunRequest(process_id=server.process.id, name=f"r{number}")

        seen = 0
        # In the middle of a write SQLite itself notices first.
        with pytest.raises(JournalError, match=r"deleted, moved or replaced|disk I/O error"):
            async with (
                client_of(server, "v2") as client,
                client.run_many(endless(), journal=tmp_path / "j", max_in_flight=5) as outcomes,
            ):
                async for _ in outcomes:
                    seen += 1
                    if seen == 20:
                        (tmp_path / "j").unlink()
                        made = len(server.runs)
        # Those that were on the wire when it was deleted, at most.
        assert len(server.runs) <= made + 5


@pytest.mark.parametrize("api", ["v2", "platform"])
@pytest.mark.parametrize("journal", [True, False])
async def test_what_is_sent_is_what_the_request_held_when_it_was_read(tmp_path, api, journal):
    """An input that fills one dict again and again; what the journal holds is what the run got."""
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:

        def rows():
            row = {}
            for request in requests_of(server, api, 25):
                row["n"] = int(request.name[1:])
                make = type(request)
                where = (
                    {"process_id": server.process.id} if api == "v2" else {"automation": request.automation}
                )
                yield make(name=request.name, inputs=row, **where)

        path = tmp_path / "j"
        got = await outcomes_of(server, api, rows(), path if journal else None)
        assert len(got) == 25
        for outcome in got:
            run = runs_of(server, api)[outcome.run.id]
            sent = dict(run.inputs)["n"]
            number = sent if api == "v2" else int(sent["number"].get("lo", 0))
            assert outcome.request.name == f"r{number}"
        if journal:
            with Journal(path) as opened:
                for entry in opened.entries():
                    inputs = entry.request.inputs
                    value = inputs[0].value if api == "v2" else inputs["n"]
                    assert entry.name == f"r{value}"


async def test_a_job_left_as_it_ends_has_closed_its_journal(tmp_path, monkeypatch):
    """Breaking at the last outcome, or a cancellation then: the same call again finds the journal free."""
    closing, may_close = threading.Event(), threading.Event()
    disconnect = JournalFile.disconnect

    def slowly(file, database):
        closing.set()
        may_close.wait(10)
        disconnect(file, database)

    async with KognitosServer(schedule=Schedule.fixed(0.01)) as server:
        requests = requests_of(server, "v2", 2)
        monkeypatch.setattr(JournalFile, "disconnect", slowly)

        async def job():
            async with (
                server.client(**QUICK) as client,
                client.run_many(requests, journal=tmp_path / "j") as outcomes,
            ):
                await anext(outcomes)
                await anext(outcomes)
                await eventually(closing.is_set)

        leaving = asyncio.create_task(job())
        await eventually(closing.is_set)
        leaving.cancel()
        asyncio.get_running_loop().call_later(0.1, may_close.set)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert may_close.is_set()
        assert len(await outcomes_of(server, "v2", requests, tmp_path / "j")) == 2
