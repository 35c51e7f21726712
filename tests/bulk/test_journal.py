"""The journal of a bulk job: what is recorded, resumed, refused."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time

import pytest

from kognitos_async import JournalError, PollPolicy, RetryPolicy, RunRequest, StartUncertainError
from kognitos_async.bulk.journal import DuplicateNameError, Journal, settled_runs, summary
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests import unmeasured

QUICK = {
    "poll": PollPolicy(initial=0.02, maximum=0.05),
    "retry": RetryPolicy(base_delay=0.01, max_delay=0.05),
}


async def outcomes_of(server, requests, journal, **options):
    async with server.client(**QUICK) as client:
        job = client.run_many(requests, journal=journal, **{"absence_delay": 0.05, **options})
        async with job as outcomes:
            return [outcome async for outcome in outcomes]


def requests_of(server, count):
    return [RunRequest(process_id=server.process.id, name=f"run {n}", inputs={"n": n}) for n in range(count)]


def encoded(server, request):
    from kognitos_async.rest_v2.encoding import encode_start  # noqa: PLC0415

    return encode_start(request, server.agent_id)


async def test_the_states_of_an_entry(tmp_path):
    """Planned, starting, started, settled: each is on disk when its call returns, and found again."""
    path = tmp_path / "j"
    steps = (
        (lambda j, e: j.starting(e, 12.5), ("starting", 1, 12.5, None, None)),
        (lambda j, e: j.not_started(e), ("planned", 1, None, None, None)),
        (lambda j, e: j.starting(e, 13.5), ("starting", 2, 13.5, None, None)),
        (lambda j, e: j.started(e, "r1"), ("started", 2, 13.5, "r1", None)),
        (lambda j, e: j.settled(e, b"{}"), ("settled", 2, 13.5, "r1", b"{}")),
    )
    for step, expected in steps:
        async with Journal(path) as journal:
            await step(journal, await journal.plan("a", b"1"))
        async with Journal(path) as journal:
            assert journal.resumed
            entry = await journal.plan("a", b"1")
        assert entry[3:] == expected
    assert summary(path) == {"planned": 0, "starting": 0, "started": 0, "settled": 1}
    assert list(settled_runs(path)) == [b"{}"]
    for look in (summary, lambda missing: list(settled_runs(missing))):
        with pytest.raises(JournalError, match="no journal"):
            look(tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


async def test_a_name_given_twice_and_another_content_are_refused(tmp_path):
    """The second of two names raises, as do another request of that name and a job of other requests."""
    path = tmp_path / "j"
    async with Journal(path) as journal:
        await journal.plan("a", b"1")
        with pytest.raises(DuplicateNameError):
            await journal.plan("a", b"1")
    async with Journal(path) as journal:
        with pytest.raises(JournalError, match="another request"):
            await journal.plan("a", b"2")
    async with Journal(path) as journal:
        with pytest.raises(JournalError, match="other requests"):
            await journal.plan("b", b"1")


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
        async with Journal(path) as journal:
            entry = await journal.plan(request.name, encoded(server, request))
            await journal.starting(entry, time.time())
            await journal.started(entry, server.add_run(name=request.name).id)
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
        async with Journal(path) as journal:
            entry = await journal.plan(request.name, encoded(server, request))
            await journal.starting(entry, time.time())
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
        async with Journal(path):
            pass


async def test_files_that_are_no_journal_are_left_as_they_are(tmp_path):
    """Garbage, another SQLite file, a newer version and truncated journals: refused, not a byte changed."""
    async with Journal(tmp_path / "good") as journal:
        for number in range(200):
            await journal.plan(f"name {number}", b"x" * 100)
    good = (tmp_path / "good").read_bytes()
    with sqlite3.connect(tmp_path / "other") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    newer = good[:60] + (2).to_bytes(4, "big") + good[64:]
    cases = {"garbage": b"hello" * 100, "newer": newer}
    cases |= {f"cut{n}": good[:n] for n in (0, 1, 50, 100, 4096, 5000, len(good) - 4096)}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for name in ("other", *cases):
        before = (tmp_path / name).read_bytes()
        await refused(tmp_path / name, "journal")
        assert (tmp_path / name).read_bytes() == before, name


async def test_a_journal_in_use_by_another_process_is_refused(tmp_path):
    """JournalError that says so, as long as the other holds it."""
    path = tmp_path / "j"
    async with Journal(path) as journal:
        await journal.plan("a", b"1")
        code = f"from kognitos_async.bulk.journal import summary; summary({str(path)!r})"
        other = subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert "in use by another process" in other.stderr
    assert summary(path)["planned"] == 1


async def test_a_missing_folder_and_a_missing_journal(tmp_path):
    """JournalError names the file."""
    await refused(tmp_path / "no" / "j", "cannot be")
    with pytest.raises(JournalError, match="there is no journal"):
        summary(tmp_path / "none")


async def test_on_a_full_disk_nothing_unrecorded_is_started(tmp_path):
    """The job ends with what to do; each run that exists is in the journal, and the same call goes on."""
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
        job = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, server.process.id, str(path), str(tmp_path / "out"),
            env=unmeasured.environ(server.environ), stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, words = await job.communicate()
        assert b"free the disk" in words
        recorded = summary(path)
        assert len(server.runs) <= recorded["starting"] + recorded["started"] + recorded["settled"]
        assert len(server.runs) < 150
        assert server.duplicates() == {}


async def test_what_other_entries_hold_is_told_apart(tmp_path):
    """Runs recorded for others, and whether an equal request is in doubt as well."""
    async with Journal(tmp_path / "j") as journal:
        first, equal, other = [
            await journal.plan(name, content) for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2"))
        ]
        await journal.started(equal, "r2")
        assert await journal.others(first) == ({"r2"}, False)
        assert await journal.others(equal) == (set(), False)
        await journal.starting(other, 1.0)
        assert not (await journal.others(first)).in_doubt
        await journal.starting(equal, 1.0)
        assert (await journal.others(first)).in_doubt
        assert not (await journal.others(equal)).in_doubt
