"""`kognitos journal show`: what a bulk job has recorded, as a table."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from kognitos_async import PollPolicy, RunRequest
from kognitos_async.bulk import journal_file
from kognitos_async.cli.app import run
from kognitos_async.testing import KognitosServer, Schedule

FAST = PollPolicy(initial=0.01, factor=1.0, maximum=0.01)


@pytest.fixture
def job(tmp_path):
    """Runs a job to its end and gives its journal."""

    async def job(schedule: Schedule, runs: int):
        path = tmp_path / "job.journal"
        async with KognitosServer(schedule=schedule) as server, server.client(poll=FAST) as client:
            requests = [RunRequest(process_id=server.process.id, name=f"{number}") for number in range(runs)]
            async with client.run_many(requests, journal=path) as outcomes:
                assert len([outcome async for outcome in outcomes]) == runs
        return path

    return job


def shown(out: str) -> list[tuple[str, str]]:
    """The lines of state and number."""
    return [tuple(line.split("\t")) for line in out.splitlines()]


async def test_a_job_that_is_done(job, capsys):
    words = {"Succeeded": 0.7, "Exception": 0.2, "Stopped": 0.1}
    schedule = Schedule.random(0.0, 0.01, seed=4, outcomes=words)
    path = await job(schedule, 30)
    assert await asyncio.to_thread(run, ["journal", "show", str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    rows = shown(out)
    assert rows[:4] == [("planned", "0"), ("starting", "0"), ("started", "0"), ("settled", "30")]
    statuses = {word: int(count) for word, count in rows[4:]}
    expected = [schedule.plan(number).outcome for number in range(30)]
    assert statuses == {word: expected.count(word) for word in expected}
    assert list(statuses.values()) == sorted(statuses.values(), reverse=True)


async def test_all_settled_runs_are_counted(job, capsys):
    path = await job(Schedule.fixed(0.0), 10)
    assert await asyncio.to_thread(run, ["journal", "show", str(path)]) == 0
    assert shown(capsys.readouterr().out)[3:] == [("settled", "10"), ("Succeeded", "10")]


async def test_a_job_that_was_stopped(tmp_path, capsys):
    path = tmp_path / "job.journal"
    async with KognitosServer(schedule=Schedule.manual()) as server, server.client(poll=FAST) as client:
        requests = [RunRequest(process_id=server.process.id, name=f"run {number}") for number in range(5)]
        async with client.run_many(requests, max_in_flight=2, journal=path) as outcomes:
            async with asyncio.timeout(20):
                while not server.runs:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.01)
                server.set_status(next(iter(server.runs)), "Succeeded")
                await anext(outcomes)
        begun = len(server.runs)
    assert await asyncio.to_thread(run, ["journal", "show", str(path)]) == 0
    rows = shown(capsys.readouterr().out)
    assert rows[3:] == [("settled", "1"), ("Succeeded", "1")]
    unsettled = {state: int(count) for state, count in rows[:3]}
    assert unsettled["starting"] + unsettled["started"] == begun - 1


def test_a_journal_there_is_not(tmp_path, capsys):
    path = tmp_path / "job.journal"
    assert run(["journal", "show", str(path)]) == 1
    assert capsys.readouterr() == ("", f"kognitos: there is no journal {path}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_journal(tmp_path, capsys):
    path = tmp_path / "requests.csv"
    path.write_bytes(b"name\n" * 100)
    assert run(["journal", "show", str(path)]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        f"kognitos: {path} is not a journal of kognitos-async; it was not changed\n",
    )
    assert path.read_bytes() == b"name\n" * 100


def test_a_folder_is_no_journal(tmp_path, capsys):
    assert run(["journal", "show", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"kognitos: journal {tmp_path} must be a regular file; it was not changed"


async def test_a_job_that_is_running(job, capsys, monkeypatch):
    monkeypatch.setattr(journal_file, "_READ_TIMEOUT", 0.1)
    path = await job(Schedule.fixed(0.0), 1)
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        assert await asyncio.to_thread(run, ["journal", "show", str(path)]) == 1
    finally:
        other.close()
    err = capsys.readouterr().err
    assert err == f"kognitos: journal {path} is in use by another process: wait for it, or end it\n"


def test_a_group_without_a_command_explains_itself(capsys):
    run(["journal"])
    out, err = capsys.readouterr()
    assert "Usage: kognitos journal" in out + err
