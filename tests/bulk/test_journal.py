"""The journal of a bulk job: what is recorded, resumed, refused."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import msgspec
import pytest

from kognitos_async import Journal, JournalError, RunRequest, StartUncertainError
from kognitos_async.bulk.ledger import ChangedRequestError, DuplicateNameError
from kognitos_async.rest_v2.bulk import RunJobs
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests import unmeasured
from tests.bulk.journals import RunRecord, summary, writer
from tests.fork_server import shared
from tests.support import FAST


async def outcomes_of(server, requests, journal, **options):
    async with server.client(**FAST) as client:
        job = client.run_many(requests, journal=journal, **{"absence_delay": 0.05, **options})
        async with job as outcomes:
            return [outcome async for outcome in outcomes]


def requests_of(server, count):
    return [RunRequest(process_id=server.process.id, name=f"run {n}", inputs={"n": n}) for n in range(count)]


def encoded(server, request):
    client = server.client()
    start = RunJobs(client._scope, None, None, None, None).encode(request)
    return start.record, start.content


async def test_the_states_of_an_entry(tmp_path):
    """Planned, starting, started, settled: each is on disk when its call returns, and found again."""
    path = tmp_path / "j"
    run = RunRecord("r1", "Exception")
    steps = (
        (lambda j: j.about_to_send("a", 1, b"{1}"), ("starting", 1, b"{1}", None, None, None)),
        (lambda j: j.not_sent("a"), ("planned", 1, None, None, None, None)),
        (lambda j: j.about_to_send("a", 2, b"{2}"), ("starting", 2, b"{2}", None, None, None)),
        (lambda j: j.started("a", run), ("started", 2, b"{2}", "r1", None, None)),
        (
            lambda j: j.settled("a", run),
            ("settled", 2, b"{2}", "r1", "Exception", b'{"id":"r1","status":"Exception"}'),
        ),
        (lambda j: j.again("a"), ("planned", 2, None, None, None, None)),
    )
    for step, expected in steps:
        async with writer(path) as journal:
            await journal.begin("a", b"1")
            await step(journal)
        async with writer(path) as journal:
            entry = await journal.begin("a", b"1")
            assert (*entry[3:5], *entry[6:10]) == expected
            assert (entry.since is None) == (entry.state == "planned")
    assert summary(path) == {"planned": 1, "starting": 0, "started": 0, "settled": 0}
    with Journal(path) as journal:
        [entry] = journal.entries()
        assert [msgspec.json.decode(run) for run in entry.earlier_json] == [
            {"id": "r1", "status": "Exception"}
        ]


async def test_the_time_of_the_first_start_in_doubt_is_kept(tmp_path):
    """A start that follows one in doubt does not move it; one that certainly did nothing takes it away."""
    async with writer(tmp_path / "j") as journal:
        await journal.begin("a", b"1")
        await journal.about_to_send("a", 1)
        with Journal(tmp_path / "j") as reader:
            [first] = reader.entries()
            await journal.about_to_send("a", 2)
            assert [entry.since for entry in reader.entries()] == [first.since]
            await journal.not_sent("a")
            assert [entry.since for entry in reader.entries()] == [None]


async def test_requests_are_identified_by_name_and_content(tmp_path):
    """In any order, fewer or more; without a run they may change, with one they may not; names are unique."""
    path = tmp_path / "j"
    async with writer(path) as journal:
        for name in ("planned", "started"):
            await journal.begin(name, b"1")
        await journal.about_to_send("started", 1)
        await journal.started("started", RunRecord("r1"))
        with pytest.raises(DuplicateNameError):
            await journal.begin("planned", b"1")
    async with writer(path) as journal:
        assert (await journal.begin("new", b"1")).state == "planned"
        with pytest.raises(
            ChangedRequestError, match="a different request named 'started', which is started"
        ):
            await journal.begin("started", b"2")
        assert (await journal.begin("planned", b"2")).request == b"2"
    async with writer(path) as journal:
        assert (await journal.begin("planned", b"2")).request == b"2"
        assert (await journal.begin("started", b"1")).run_id == "r1"


async def test_a_planned_request_is_on_disk_soon_without_a_step_behind_it(tmp_path):
    """Without waiting for the job's end, so that a reader sees what waits."""
    async with writer(tmp_path / "j") as journal:
        await journal.begin("a", b"1")
        async with asyncio.timeout(5):
            while summary(tmp_path / "j")["planned"] != 1:  # noqa: ASYNC110 - nothing tells otherwise
                await asyncio.sleep(0.01)


async def test_settled_runs_come_back_without_requests(tmp_path):
    """The same call again yields the same runs as resumed and sends nothing."""
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        requests = requests_of(server, 6)
        first = await outcomes_of(server, requests, tmp_path / "j")
        seen = server.count()
        again = await outcomes_of(server, requests, tmp_path / "j")
        assert {o.run for o in again} == {o.run for o in first}
        assert all(o.resumed and o.attempts == 1 and o.error is None for o in again)
        assert server.count() == seen


async def test_started_runs_are_awaited_even_if_the_input_is_shorter(tmp_path):
    """After leaving early, an empty input still brings the outcomes of what was begun."""
    async with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        path = tmp_path / "j"
        request = requests_of(server, 1)[0]
        async with writer(path) as journal:
            await journal.begin(request.name, *encoded(server, request))
            await journal.about_to_send(request.name, 1)
            await journal.started(request.name, server.add_run(name=request.name))
        (outcome,) = await outcomes_of(server, [], path)
        assert outcome.run.settled
        assert outcome.resumed
        assert outcome.request.name == request.name
        assert server.count("create_run") == 0


@pytest.mark.parametrize(("exist", "starts"), [(1, 0), (0, 1), (2, 0)])
async def test_an_uncertain_start_of_an_earlier_process(tmp_path, exist, starts):
    """Adopted where the list shows one, started again where none, not guessed at where two."""
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        path = tmp_path / "j"
        request = requests_of(server, 1)[0]
        async with writer(path) as journal:
            await journal.begin(request.name, *encoded(server, request))
            await journal.about_to_send(request.name, 1)
        for _ in range(exist):
            server.add_run(name=request.name)
        began = time.monotonic()
        (outcome,) = await outcomes_of(server, [request], path, absence_delay=0.1)
        assert time.monotonic() - began >= 0.1
        assert server.count("create_run") == starts
        assert outcome.resumed
        assert isinstance(outcome.error, StartUncertainError) == (exist == 2)
        assert len(server.runs) == max(1, exist)


async def test_an_uncertain_start_whose_list_cannot_be_read(tmp_path):
    """StartUncertainError, no second start, and the next call may still settle it."""
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        requests = requests_of(server, 1)
        server.misbehave("create_run", faults.reset(after_work=True))
        fault = server.misbehave("list_runs", faults.answer(403, b"{}"), times=None)
        (outcome,) = await outcomes_of(server, requests, tmp_path / "j")
        assert isinstance(outcome.error, StartUncertainError)
        assert len(server.runs) == 1
        server.behave()
        assert fault is not None
        (outcome,) = await outcomes_of(server, requests, tmp_path / "j")
        assert outcome.error is None
        assert len(server.runs) == 1


async def refused(path, match):
    with pytest.raises(JournalError, match=match):
        async with writer(path):
            pass


async def test_files_that_are_no_journal_are_left_as_they_are(tmp_path):
    """Garbage, another SQLite file, a newer version and truncated journals: refused, not a byte changed."""
    async with writer(tmp_path / "good") as journal:
        for number in range(200):
            await journal.begin(f"name {number}", b"x" * 100)
    good = (tmp_path / "good").read_bytes()
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    newer = good[:60] + (3).to_bytes(4, "big") + good[64:]
    cases = {"garbage": b"hello" * 100, "newer": newer}
    cases |= {f"cut{n}": good[:n] for n in (0, 1, 50, 100, 4096, 5000, len(good) - 4096)}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for name in ("other", *cases):
        before = (tmp_path / name).read_bytes()
        await refused(tmp_path / name, "journal")
        assert (tmp_path / name).read_bytes() == before, name


async def test_a_missing_folder_and_a_missing_journal(tmp_path):
    """JournalError names the file."""
    await refused(tmp_path / "no" / "j", "cannot be")
    with pytest.raises(JournalError, match="there is no journal"):
        summary(tmp_path / "none")


async def test_on_a_full_disk_nothing_unrecorded_is_started(tmp_path):
    """The error says what to do; each existing run is in the journal, and the same call resumes the job."""
    path = tmp_path / "j"
    code = (
        "import asyncio, resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from tests.bulk.crash_job import main\n"
        "from pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "asyncio.run(main(sys.argv[1], sys.argv[2], 'full', 150, Path(sys.argv[3])))\n"
    )
    async with KognitosServer(schedule=Schedule.fixed(0.01), capacity=None) as server:
        arguments = ("-c", code, server.process.id, str(path), str(tmp_path / "out"))
        job = await asyncio.to_thread(shared().run, *arguments, env=unmeasured.environ(server.environ))
        assert "free disk space" in job.stderr
        recorded = summary(path)
        assert len(server.runs) <= recorded["starting"] + recorded["started"] + recorded["settled"]
        assert len(server.runs) < 150
        assert server.duplicates() == {}


async def test_other_entries_of_a_journal_are_known(tmp_path):
    """All runs on record, including earlier ones, and whether an equal request is in doubt as well."""
    async with writer(tmp_path / "j") as journal:
        first, equal, other = [
            await journal.begin(name, content) for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2"))
        ]
        await journal.started("b", RunRecord("r2"))
        assert await journal.others(first) == ({"r2"}, False)
        await journal.settled("b", RunRecord("r2"))
        await journal.again("b")
        await journal.started("b", RunRecord("r3"))
        await journal.about_to_send("c", 1)
        assert await journal.others(first) == ({"r2", "r3"}, False)
        await journal.about_to_send("b", 1)
        assert (await journal.others(first)).in_doubt
        assert not (await journal.others(equal)).in_doubt
        assert not (await journal.others(other)).in_doubt
    async with writer(tmp_path / "j") as journal:
        assert (await journal.others(first)).run_ids == {"r2", "r3"}


async def test_similar_names_in_doubt_are_undecided(tmp_path):
    """A service may store both as one name: after a crash the run cannot be attributed."""
    async with writer(tmp_path / "j") as journal:
        for name in ("Invoice 1", "invoice  1", "invoice 2"):
            await journal.begin(name, name.encode())
            await journal.about_to_send(name, 1)
    async with writer(tmp_path / "j") as journal:
        entries = [
            await journal.begin(name, name.encode()) for name in ("Invoice 1", "invoice  1", "invoice 2")
        ]
        assert [(await journal.others(entry)).in_doubt for entry in entries] == [True, True, False]
