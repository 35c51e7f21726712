"""`kognitos journal` on jobs of both APIs, running and ended, each call a process of its own."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from datetime import datetime

import pytest

from kognitos_async import InvokeRequest, PollPolicy, RunRequest
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.journals import RunRecord, writer

FAST = PollPolicy(initial=0.02, maximum=0.05)


def finished_job(api, journal):
    """A job of three runs, one of which fails, run to its end."""

    async def job():
        schedule = Schedule.fixed(0.05)
        async with KognitosServer(schedule=schedule) as server:
            if api == "v2":
                client = server.client(poll=FAST)
                requests = [RunRequest(process_id=server.process.id, name=f"row {n}") for n in range(3)]
            else:
                client = server.platform_client(poll=FAST)
                automation = server.platform.automation.id
                requests = [
                    InvokeRequest(automation=automation, inputs={"n": n}, name=f"row {n}") for n in range(3)
                ]
            async with client, client.run_many(requests, journal=journal) as outcomes:
                assert len([outcome async for outcome in outcomes]) == 3

    asyncio.run(job())


@pytest.mark.parametrize(("api", "word"), [("v2", "Succeeded"), ("platform", "completed")])
def test_show_and_export_of_either_api(command, tmp_path, api, word):
    journal = tmp_path / "j"
    finished_job(api, journal)
    code, out, err = command.run("journal", "show", str(journal), "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "planned": 0,
        "starting": 0,
        "started": 0,
        "settled": 3,
        "statuses": {word: 3},
    }
    path = tmp_path / "out.csv"
    code, _, err = command.run("journal", "export", str(journal), "--output", str(path))
    assert (code, err) == (0, "kognitos: 3 requests written\n")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["row 0", "row 1", "row 2"]
    assert {row["status"] for row in rows} == {word}
    assert all(row["run_id"] for row in rows)
    assert any(heading.startswith("outputs.") for heading in rows[0])
    code, out, err = command.run("journal", "export", str(journal), "--json")
    assert code == 0, err
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["row 0", "row 1", "row 2"]


def test_an_export_does_not_replace_its_journal(command, tmp_path):
    journal, link = tmp_path / "job.csv", tmp_path / "link.csv"
    finished_job("v2", journal)
    link.symlink_to(journal)
    for output in (journal, link):
        code, _, err = command.run("journal", "export", str(journal), "--output", str(output))
        assert (code, "is a database, perhaps a journal" in err) == (2, True)
    code, out, _ = command.run("journal", "show", str(journal), "--json")
    assert (code, json.loads(out)["settled"]) == (0, 3)


def test_export_to_parquet_has_types_and_columns_of_outputs(command, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    journal, path = tmp_path / "j", tmp_path / "out.parquet"
    finished_job("v2", journal)
    code, _, err = command.run("journal", "export", str(journal), "--output", str(path))
    assert code == 0, err
    table = parquet.read_table(path)
    assert str(table.schema.field("attempts").type) == "int64"
    assert str(table.schema.field("since").type) == "timestamp[us, tz=UTC]"
    assert [name for name in table.schema.names if name.startswith("outputs.")]


async def test_a_watch_goes_on_while_the_job_may_plan_more(command, tmp_path):
    """All on record have settled, but the rest of the input has not been read yet."""
    path = tmp_path / "j"
    async with writer(path) as journal:
        await settle(journal, "first")
        watching = command.start("journal", "show", str(path), "--watch", "--every", "0.1", "--json")
        first = json.loads(await asyncio.to_thread(watching.stdout.readline))
        assert (first["planned"], first["settled"]) == (0, 1)
        await settle(journal, "second")
        while json.loads(await asyncio.to_thread(watching.stdout.readline))["settled"] < 2:
            pass  # the steps before are shown too
        assert watching.poll() is None
    await asyncio.to_thread(watching.communicate, timeout=20)
    assert watching.returncode == 0


async def settle(journal, name):
    await journal.begin(name, b"1")
    await journal.about_to_send(name, 1)
    await journal.started(name, RunRecord(name))
    await journal.settled(name, RunRecord(name))


def test_a_running_job_is_watched_and_its_limit_changed(command, tmp_path):
    path, journal = tmp_path / "rows.csv", tmp_path / "j"
    path.write_text("name\n" + "".join(f"row {number}\n" for number in range(6)))
    with KognitosServer(schedule=Schedule.manual()) as server:
        call = ("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(journal))
        job = command.start(*call, "--max-in-flight", "2", **server.environ)
        deadline = time.monotonic() + 40

        def until(number):
            while len(server.runs) < number and job.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            assert len(server.runs) == number

        until(2)
        watching = command.start("journal", "show", str(journal), "--watch", "--every", "0.1", "--json")
        assert watching.stdout
        # The server has a run before its answer is recorded.
        while (first := json.loads(watching.stdout.readline()))["started"] < 2:
            assert time.monotonic() < deadline
        assert (first["started"], first["settled"]) == (2, 0)
        code, _, err = command.run("journal", "limit", str(journal), "--max-in-flight", "5")
        assert code == 0, err
        until(5)
        time.sleep(0.3)
        assert len(server.runs) == 5
        while job.poll() is None and time.monotonic() < deadline:
            for run in list(server.runs.values()):
                server.set_status(run.id, "Succeeded")
            time.sleep(0.05)
        _, err = job.communicate(timeout=20)
        assert job.returncode == 0, err
        assert "--max-in-flight is now 5" in err
        out, _ = watching.communicate(timeout=20)
        assert watching.returncode == 0
        assert json.loads(out.splitlines()[-1])["settled"] == 6
    assert not (tmp_path / "j.max-in-flight").exists()


def test_a_start_in_doubt_is_decided_and_the_next_call_goes_on(command, tmp_path):
    path, journal = tmp_path / "rows.csv", tmp_path / "j"
    path.write_text("name,n\none,1\n")
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        platform = server.platform
        server.misbehave("InvokeAutomation", faults.reset(after_work=False), times=None)
        call = (
            *("runs", "bulk", str(path), "--automation", platform.automation.id, "--journal", str(journal)),
            *("--absence-delay", "0.1"),
        )
        code, _, err = command.run(*call, **server.environ)
        assert code == 3, err
        code, out, _ = command.run("journal", "show", str(journal), "--json")
        assert json.loads(out)["starting"] == 1
        decide = ("journal", "resolve", str(journal), "one")
        code, _, err = command.run(*decide)
        assert (code, "either --run ID or --not-started" in err) == (2, True)
        for no_id in ("", " ", "not started"):  # such as a variable of a script that is not set
            code, _, err = command.run(*decide, "--run", no_id)
            assert (code, "must be the id of a run" in err) == (2, True)
            code, out, _ = command.run("journal", "show", str(journal), "--json")
            assert json.loads(out)["starting"] == 1
        code, _, err = command.run(*decide, "--not-started")
        assert (code, err) == (0, "one: recorded as not started\n")
        server.behave()
        code, _, err = command.run(*call, **server.environ)
        assert code == 0, err
        assert len(platform.runs) == 1


def test_retry_failed_runs_only_those_again_and_the_journal_keeps_both_runs(command, tmp_path):
    path, journal = tmp_path / "rows.csv", tmp_path / "j"
    path.write_text("name\ngood\nbad\n")
    with KognitosServer(schedule=Schedule.manual()) as server:
        call = ("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(journal))
        words = {"good": "Succeeded", "bad": "Failed"}

        def ended(*options):
            job = command.start(*call, *options, **server.environ)
            deadline = time.monotonic() + 40
            while job.poll() is None and time.monotonic() < deadline:
                for run in list(server.runs.values()):
                    if run.status not in words.values():
                        server.set_status(run.id, words[run.name])
                time.sleep(0.05)
            _, err = job.communicate(timeout=20)
            return job.returncode, err

        code, err = ended()
        assert code == 3
        assert "kognitos: bad: run " in err
        words["bad"] = "Succeeded"
        code, err = ended("--retry-failed")
        assert code == 0, err
        assert sorted(run.name for run in server.runs.values()) == ["bad", "bad", "good"]


def test_a_row_whose_file_was_archived_keeps_its_outcome(command, tmp_path):
    path, journal, output = tmp_path / "rows.csv", tmp_path / "j", tmp_path / "out.jsonl"
    (tmp_path / "a.pdf").write_bytes(b"a")
    path.write_text("name,file\none,a.pdf\n")
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        call = (
            *("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(journal)),
            *("--output", str(output)),
        )
        assert command.run(*call, **server.environ)[0] == 0
        (tmp_path / "a.pdf").unlink()
        code, _, err = command.run(*call, **server.environ)
        assert code == 0, err
        assert len(server.runs) == 1
    (row,) = map(json.loads, output.read_text().splitlines())
    assert (row["name"], row["status"], row["resumed"]) == ("one", "Succeeded", True)


def test_export_of_runs_to_parquet_has_real_types(command, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "runs.parquet"
    with KognitosServer() as server:
        for number in range(3):
            server.add_run(name=f"run {number}", status="Succeeded", outputs={"total": number, "note": "x"})
        made = [run.created_at for run in server.runs.values()]
        call = ("runs", "export", "--process", server.process.id, "--output", str(path))
        code, _, err = command.run(*call, **server.environ)
        assert code == 0, err
        table = parquet.read_table(path)
        spread = ("--outputs", "columns")
        assert command.run(*call, *spread, **server.environ)[0] == 0
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["created_at"] == "timestamp[us, tz=UTC]"
    assert kinds["file_ids"].startswith("list<")
    assert kinds["outputs"] == "struct<note: string, total: int64>"
    times = sorted(table.column("created_at").to_pylist())
    assert all(isinstance(moment, datetime) for moment in times)
    assert max(abs((a - b).total_seconds()) for a, b in zip(times, sorted(made), strict=True)) < 1
    columns = {field.name: str(field.type) for field in parquet.read_table(path).schema}
    assert (columns["outputs.total"], columns["outputs.note"]) == ("int64", "string")
