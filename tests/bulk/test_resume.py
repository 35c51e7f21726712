"""run_many with a journal: left, lost, refused, broken, cancelled, and resumed to exactly one run each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
import tracemalloc

import msgspec
import pytest

from kognitos_async import (
    BadRequestError,
    JournalError,
    KognitosClient,
    NotFoundError,
    RetryPolicy,
    RunRequest,
    StartUncertainError,
)
from kognitos_async.bulk.group_commit import GroupCommit
from kognitos_async.bulk.ledger import ChangedRequestError, DuplicateNameError
from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.journals import summary, writer
from tests.support import POLL, RETRY, eventually

ONCE = RetryPolicy(max_attempts=1, base_delay=0.01, max_delay=0.05)


@contextlib.asynccontextmanager
async def server_of(**options):
    """A server whose runs succeed soon and whose capacity is not limited."""
    async with KognitosServer(**{"schedule": Schedule.fixed(0.02), "capacity": None, **options}) as server:
        yield server


@contextlib.asynccontextmanager
async def job(server, requests, path, *, retry=RETRY, **options):
    """The outcomes of one call of run_many in a client of its own."""
    async with server.client(poll=POLL, retry=retry) as client:
        settings = {"absence_delay": 0.05, **options}
        async with client.run_many(requests, journal=path, **settings) as outcomes:
            yield outcomes


async def outcomes_of(server, requests, path, **options):
    async with asyncio.timeout(20), job(server, requests, path, **options) as outcomes:
        return [outcome async for outcome in outcomes]


def requests_of(server, count, first=0):
    return [
        RunRequest(process_id=server.process.id, name=f"run {n}", inputs={"n": n})
        for n in range(first, first + count)
    ]


def names(server):
    return sorted(run.name for run in server.runs.values())


def recorded(path, *states):
    """The names a journal holds in these states, read without the library."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT name, state FROM runs").fetchall()
    return {name for name, state in rows if state in states}


def tasks_left():
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def of_the_library():
    return [task for task in tasks_left() if "kognitos_async" in task.get_name()]


# Left early


@pytest.mark.parametrize("taken", [0, 1, 4, 9])
@pytest.mark.parametrize("limit", [1, 6])
async def test_a_job_left_in_the_middle_is_resumed_to_one_run_each(tmp_path, taken, limit):
    """Whatever was taken before leaving, the second call brings every request and no run twice."""
    async with server_of() as server:
        requests = requests_of(server, 10)
        async with job(server, requests, tmp_path / "j", max_in_flight=limit) as outcomes:
            for _ in range(taken):
                assert (await anext(outcomes)).error is None
        assert len(server.runs) <= taken + limit + 2
        got = await outcomes_of(server, requests, tmp_path / "j", max_in_flight=limit)
        assert sorted(o.request.name for o in got) == sorted(r.name for r in requests)
        assert all(o.error is None and o.run.settled and o.run.name == o.request.name for o in got)
        assert names(server) == sorted(r.name for r in requests)
        assert {o.run.id for o in got} == set(server.runs)
        assert sum(o.resumed for o in got) >= taken
        assert summary(tmp_path / "j") == {"planned": 0, "starting": 0, "started": 0, "settled": 10}


async def test_a_job_left_again_and_again_gets_done(tmp_path):
    """Each call gets two outcomes beyond those it knows, and together they start every request once."""
    async with server_of() as server:
        requests = requests_of(server, 11)
        path, done = tmp_path / "j", 0
        for _ in range(12):
            done = summary(path)["settled"] if path.exists() else 0
            if done == 11:
                break
            async with job(server, requests, path, max_in_flight=4) as outcomes:
                for _ in range(min(11, done + 2)):
                    assert (await anext(outcomes)).error is None
        assert done == 11
        assert server.duplicates() == {}
        assert len(server.runs) == 11


async def test_a_second_call_asks_the_api_nothing(tmp_path):
    """Every outcome is resumed, equal to the first, in whatever status the run ended."""
    words = {"Succeeded": 0.5, "Exception": 0.3, "Stopped": 0.2}
    async with server_of(schedule=Schedule.random(0.0, 0.05, outcomes=words)) as server:
        requests = requests_of(server, 30)
        first = await outcomes_of(server, requests, tmp_path / "j")
        seen = server.count()
        second = await outcomes_of(server, reversed(requests), tmp_path / "j")
        assert all(o.resumed and o.error is None for o in second)
        assert {o.request.name: o.run for o in second} == {o.request.name: o.run for o in first}
        assert len({str(o.run.status) for o in second}) == 3
        assert server.count() == seen


async def test_a_longer_input_runs_only_what_is_new(tmp_path):
    """A journal is continued by more requests behind those it holds."""
    async with server_of() as server:
        await outcomes_of(server, requests_of(server, 4), tmp_path / "j")
        got = await outcomes_of(server, requests_of(server, 9), tmp_path / "j")
        assert sorted(o.request.name for o in got if o.resumed) == [f"run {n}" for n in range(4)]
        assert len(got) == len(server.runs) == server.count("create_run") == 9


async def test_what_a_shorter_input_leaves_out_comes_out(tmp_path):
    """Begun runs behind the end of the input are awaited and yielded with their own request."""
    async with server_of(schedule=Schedule.manual()) as server:
        requests = requests_of(server, 5)
        async with job(server, requests, tmp_path / "j"):
            await eventually(lambda: len(server.runs) == 5)
        for run in list(server.runs):
            server.set_status(run, "Succeeded")
        begun = recorded(tmp_path / "j", "starting", "started")
        assert begun == {r.name for r in requests}
        got = await outcomes_of(server, requests[:2], tmp_path / "j", max_in_flight=1)
        assert sorted(o.request.name for o in got) == [r.name for r in requests]
        assert all(o.error is None and o.resumed for o in got)
        left = next(o.request for o in got if o.request.name == "run 4")
        assert [(i.name, i.value) for i in left.inputs] == [("n", 4)]
        assert server.duplicates() == {}
        # What was only planned or is settled is no left-over.
        assert await outcomes_of(server, [], tmp_path / "j") == []


# Lost starts


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset(after_work=True),
        faults.server_error(after_work=True),
        faults.proxy_error(after_work=True),
    ],
)
async def test_a_lost_start_that_was_carried_out_is_adopted(tmp_path, fault):
    """The run is found in the list, awaited, and started once."""
    async with server_of() as server:
        server.misbehave("create_run", fault)
        got = await outcomes_of(server, requests_of(server, 4), tmp_path / "j")
        assert all(o.error is None and o.attempts == 1 and not o.resumed for o in got)
        assert server.count("create_run") == 4
        assert names(server) == [f"run {n}" for n in range(4)]


@pytest.mark.parametrize(
    "fault", [faults.reset(after_work=False), faults.server_error(), faults.proxy_error()]
)
async def test_a_lost_start_that_was_not_carried_out_is_started_again(tmp_path, fault):
    """One more attempt is counted, and there is one run."""
    async with server_of() as server:
        server.misbehave("create_run", fault)
        got = await outcomes_of(server, requests_of(server, 4), tmp_path / "j")
        assert all(o.error is None for o in got)
        assert sorted(o.attempts for o in got) == [1, 1, 1, 2]
        assert names(server) == [f"run {n}" for n in range(4)]


async def test_five_lost_starts_end_as_an_outcome_and_are_resumed(tmp_path):
    """StartUncertainError after five absences; the next call starts it, and attempts continue to count."""
    async with server_of() as server:
        requests = requests_of(server, 1)
        server.misbehave("create_run", faults.proxy_error(), times=None)
        (outcome,) = await outcomes_of(server, requests, tmp_path / "j", absence_delay=0.01)
        assert isinstance(outcome.error, StartUncertainError)
        assert (outcome.attempts, outcome.run) == (5, None)
        assert server.count("create_run") == 5
        assert recorded(tmp_path / "j", "planned") == {"run 0"}
        (outcome,) = await outcomes_of(server, requests, tmp_path / "j", absence_delay=0.01)
        assert isinstance(outcome.error, StartUncertainError)
        assert outcome.attempts == server.count("create_run") == 6
        server.behave()
        (outcome,) = await outcomes_of(server, requests, tmp_path / "j")
        assert (outcome.error, outcome.attempts, outcome.resumed) == (None, 7, True)
        assert len(server.runs) == 1


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_list_that_cannot_be_read_leaves_the_start_open(tmp_path, carried_out):
    """The lost start is the outcome, nothing is started twice, and a later call finds out."""
    async with server_of() as server:
        requests = requests_of(server, 3)
        server.misbehave("create_run", faults.reset(after_work=carried_out))
        server.misbehave("list_runs", faults.proxy_error(), times=None)
        got = await outcomes_of(server, requests, tmp_path / "j", retry=ONCE, max_in_flight=1)
        (lost,) = [o for o in got if o.error is not None]
        assert isinstance(lost.error, StartUncertainError)
        assert lost.error.__cause__ is not None
        assert lost.run is None
        assert recorded(tmp_path / "j", "starting") == {lost.request.name}
        started = server.count("create_run")
        again = await outcomes_of(server, requests, tmp_path / "j", retry=ONCE)
        assert [type(o.error) for o in again if o.error] == [StartUncertainError]
        assert server.count("create_run") == started
        server.behave()
        got = await outcomes_of(server, requests, tmp_path / "j")
        assert all(o.error is None and o.resumed for o in got)
        assert server.count("create_run") == started + (not carried_out)
        assert names(server) == [r.name for r in requests]


# Refusals


@pytest.mark.parametrize(("status", "error"), [(400, BadRequestError), (404, NotFoundError)])
async def test_a_refused_start_is_tried_again_by_the_next_call(tmp_path, status, error):
    """The refusal is an outcome and stops no other; it is planned again, not given up."""
    async with server_of() as server:
        requests = requests_of(server, 3)
        server.misbehave("create_run", faults.answer(status, b'{"message": "no"}'))
        got = await outcomes_of(server, requests, tmp_path / "j")
        (refused,) = [o for o in got if o.error is not None]
        assert type(refused.error) is error
        assert (refused.run, refused.attempts) == (None, 1)
        assert recorded(tmp_path / "j", "planned") == {refused.request.name}
        got = await outcomes_of(server, requests, tmp_path / "j")
        assert all(o.error is None and o.resumed for o in got)
        assert sorted(o.attempts for o in got) == [1, 1, 2]
        assert names(server) == [r.name for r in requests]


async def test_the_second_of_two_names_is_an_outcome(tmp_path):
    """The first one runs, and so does everything else, also when resumed."""
    async with server_of() as server:
        requests = requests_of(server, 5)
        doubled = [*requests, requests[1], RunRequest(process_id=server.process.id, name="run 3")]
        for _ in range(2):
            got = await outcomes_of(server, doubled, tmp_path / "j")
            failed = [o for o in got if o.error is not None]
            assert [type(o.error) for o in failed] == [DuplicateNameError] * 2
            assert {o.request.name for o in failed} == {"run 1", "run 3"}
            assert all(o.run is None and o.attempts == 0 for o in failed)
            assert {o.request.name for o in got if o.error is None} == {r.name for r in requests}
            assert names(server) == [r.name for r in requests]


async def test_other_requests_are_added_and_a_changed_one_is_an_outcome(tmp_path):
    """What is new runs; a name whose run exists with other inputs is refused by itself, nothing else is."""
    async with server_of() as server:
        await outcomes_of(server, requests_of(server, 3), tmp_path / "j")
        changed = RunRequest(process_id=server.process.id, name="run 0", inputs={"n": "changed"})
        got = await outcomes_of(server, [changed, *requests_of(server, 2, first=50)], tmp_path / "j")
        assert {o.request.name: type(o.error) for o in got} == {
            "run 0": ChangedRequestError,
            "run 50": type(None),
            "run 51": type(None),
        }
        assert recorded(tmp_path / "j", "settled") == {"run 0", "run 1", "run 2", "run 50", "run 51"}
        assert server.duplicates() == {}


async def test_a_corrected_request_runs_after_a_refusal(tmp_path):
    """What certainly never started may change; what is sent is the corrected request."""
    async with server_of() as server:
        server.misbehave("create_run", faults.answer(400, b'{"message": "no"}'))
        await outcomes_of(server, requests_of(server, 1), tmp_path / "j")
        [corrected] = [RunRequest(process_id=server.process.id, name="run 0", inputs={"n": "right"})]
        (outcome,) = await outcomes_of(server, [corrected], tmp_path / "j")
        assert (outcome.error, outcome.attempts, outcome.resumed) == (None, 2, True)
        assert [dict(run.inputs) for run in server.runs.values()] == [{"n": "right"}]


@pytest.mark.parametrize("journal", [True, False])
async def test_a_full_organization_is_never_overfilled(tmp_path, journal):
    """Ten in flight where three may run: all finish, one run each, three at a time."""
    async with server_of(capacity=3, schedule=Schedule.fixed(0.3)) as server:
        requests = requests_of(server, 18)
        most = 0
        path = tmp_path / "j" if journal else None
        async with asyncio.timeout(20), job(server, requests, path, max_in_flight=10) as outcomes:
            got = []
            async for outcome in outcomes:
                got.append(outcome)
                most = max(most, sum(run.status in ("Created", "Running") for run in server.runs.values()))
        assert most <= 3
        assert server.count("create_run", status=403) > 0
        assert all(o.error is None and o.run.settled and o.attempts == 1 for o in got)
        assert names(server) == sorted(r.name for r in requests)


# The file fails


@pytest.mark.parametrize("good", [0, 1, 2, 5, 12])
async def test_a_journal_that_fails_in_the_middle_ends_the_job(tmp_path, monkeypatch, good):
    """JournalError from the iterator; no run is unrecorded, and the same call resumes the job."""
    apply, left = GroupCommit._apply, [good]

    def failing(self, batch, open_since):
        if not left[0]:
            raise JournalError("the disk is full")
        left[0] -= 1
        return apply(self, batch, open_since)

    async with server_of() as server:
        requests = requests_of(server, 30)
        with monkeypatch.context() as patch:
            patch.setattr(GroupCommit, "_apply", failing)
            with pytest.raises(JournalError, match="disk is full"):
                await outcomes_of(server, requests, tmp_path / "j", max_in_flight=5)
        assert not of_the_library()
        assert set(names(server)) <= recorded(tmp_path / "j", "starting", "started", "settled")
        assert len(server.runs) < 30
        got = await outcomes_of(server, requests, tmp_path / "j")
        assert all(o.error is None for o in got)
        assert names(server) == sorted(r.name for r in requests)


async def test_leaving_waits_until_a_run_just_started_is_on_record(tmp_path, monkeypatch):
    """However slow the disk is, no run that was answered is left in doubt by leaving the block."""
    apply = GroupCommit._apply

    def slowly(self, batch, open_since):
        if any(getattr(step.work, "values", None) and len(step.work.values) == 1 for step in batch):
            time.sleep(0.2)  # in the journal's thread
        return apply(self, batch, open_since)

    monkeypatch.setattr(GroupCommit, "_apply", slowly)
    async with server_of(schedule=Schedule.manual()) as server:
        async with job(server, requests_of(server, 4), tmp_path / "j"):
            await eventually(lambda: len(server.runs) == 4)
        assert summary(tmp_path / "j")["started"] == 4


async def test_a_run_that_cannot_be_recorded_ends_the_job_before_it_settles(tmp_path, monkeypatch):
    """The disk that fills up as a start is answered is reported at once, not when the run ends."""
    apply = GroupCommit._apply

    def failing(self, batch, open_since):
        if any(getattr(step.work, "values", None) and len(step.work.values) == 1 for step in batch):
            raise JournalError("the disk is full")
        return apply(self, batch, open_since)

    async with server_of(schedule=Schedule.manual()) as server:
        with monkeypatch.context() as patch:
            patch.setattr(GroupCommit, "_apply", failing)
            with pytest.raises(JournalError, match="disk is full"):
                await outcomes_of(server, requests_of(server, 1), tmp_path / "j")
        assert not of_the_library()
        assert summary(tmp_path / "j")["starting"] == 1


async def test_a_journal_that_cannot_be_made_starts_nothing(tmp_path):
    """JournalError for a missing folder, a file in its place and a directory as the journal."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    async with server_of() as server:
        for path in (tmp_path / "missing" / "j", tmp_path / "file" / "j", tmp_path / "folder"):
            with pytest.raises(JournalError, match="journal"):
                await outcomes_of(server, requests_of(server, 2), path)
        assert server.count() == 0
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


async def test_a_folder_without_write_permission_is_refused(tmp_path):
    """JournalError, for a new journal and for one that exists."""
    folder = tmp_path / "folder"
    folder.mkdir()
    async with server_of() as server:
        await outcomes_of(server, requests_of(server, 1), folder / "old")
        seen = server.count()
        folder.chmod(0o500)
        (folder / "old").chmod(0o400)
        try:
            if os.access(folder, os.W_OK):
                pytest.skip("this user may write everywhere")
            for name in ("new", "old"):
                with pytest.raises(JournalError):
                    await outcomes_of(server, requests_of(server, 2), folder / name)
        finally:
            folder.chmod(0o700)
        assert server.count() == seen


async def test_two_jobs_of_one_process_do_not_share_a_journal(tmp_path):
    """The second ends with JournalError and starts nothing; the first is not affected."""
    async with server_of(schedule=Schedule.manual()) as server:
        requests = requests_of(server, 3)
        async with job(server, requests, tmp_path / "j") as outcomes:
            await eventually(lambda: len(server.runs) == 3)
            with pytest.raises(JournalError, match="in use"):
                await outcomes_of(server, requests, tmp_path / "j")
            for run in list(server.runs):
                server.set_status(run, "Succeeded")
            assert [(await anext(outcomes)).error for _ in requests] == [None] * 3
        assert names(server) == [r.name for r in requests]


# Cancelling


@pytest.mark.parametrize("runs_seen", [0, 1, 6])
async def test_cancelling_leaves_no_task_and_closes_the_file(tmp_path, runs_seen):
    """The journal opens again at once, and the resumed job starts nothing twice."""
    async with server_of(schedule=Schedule.manual()) as server:
        requests = requests_of(server, 20)

        async def work():
            async with job(server, requests, tmp_path / "j", max_in_flight=8) as outcomes:
                async for _ in outcomes:
                    pass

        task = asyncio.create_task(work())
        await eventually(lambda: (tmp_path / "j").exists() and len(server.runs) >= runs_seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not of_the_library()
        async with writer(tmp_path / "j"):
            pass
        assert set(names(server)) <= recorded(tmp_path / "j", "starting", "started")
    async with server:
        for run in list(server.runs):
            server.set_status(run, "Succeeded")
        async with job(server, requests, tmp_path / "j") as outcomes:
            settler = asyncio.create_task(settle_all(server))
            got = [o async for o in outcomes]
            settler.cancel()
            await asyncio.wait([settler])
        assert all(o.error is None for o in got)
        assert names(server) == sorted(r.name for r in requests)


async def settle_all(server):
    """Let every run succeed as soon as it is there."""
    while True:
        for run in list(server.runs.values()):
            if run.status == "Created":
                server.set_status(run.id, "Succeeded")
        await asyncio.sleep(0.005)


# Size


@pytest.mark.slow
async def test_resuming_a_large_settled_job_needs_no_memory(tmp_path):
    """10,000 settled requests pass through a client without a server and leave nothing behind."""
    count, path = 10_000, tmp_path / "j"
    async with server_of() as server:
        (sample,) = await outcomes_of(server, requests_of(server, 1), tmp_path / "sample")
        process, agent = server.process.id, server.agent_id
    content = msgspec.json.encode(sample.run)

    def requests():
        for number in range(count):
            yield RunRequest(process_id=process, name=f"run {number}", inputs={"n": number})

    async with writer(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO runs (position, name, request, state, generation, attempts, since, run_id, run) "
            "VALUES (?, ?, ?, 'settled', 1, 1, 1.5, ?, ?)",
            (
                (number, request.name, encode_start(request, agent), f"id {number}", content)
                for number, request in enumerate(requests())
            ),
        )
    asyncio.get_running_loop().set_debug(False)  # its traces of every future are what would be measured
    async with KognitosClient(api_key="k", base_url="http://127.0.0.1:9", agent_id=agent) as client:
        seen = 0
        try:
            async with client.run_many(requests(), journal=path) as outcomes:
                async for outcome in outcomes:
                    assert outcome.resumed
                    assert outcome.error is None
                    seen += 1
                    if seen == count // 2:
                        tracemalloc.start()  # from here on, so that the first half is quick
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert seen == count
    assert peak < 2_000_000
