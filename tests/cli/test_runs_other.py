"""`kognitos runs export` and `kognitos runs wait`."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.cli.api_v2 import RestV2Api
from kognitos_async.cli.app import run
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.cli.conftest import ROOT

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = 250


@pytest.fixture
async def server(monkeypatch):
    async with KognitosServer(schedule=Schedule.manual()) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def history(server):
    """A run an hour, three published ones and then a draft."""
    file = server.add_file("invoice.pdf")
    return [
        server.add_run(
            name=f"run {number:03}",
            status="Succeeded" if number % 2 else "Exception",
            created_at=FIRST + timedelta(hours=number),
            outputs={"total": number, "currency": "€"},
            file_ids=(file.id,),
            stage="Published" if number % 4 else "Draft",
        )
        for number in range(RUNS)
    ]


async def kognitos(*arguments: str) -> int:
    """The command in this process, in a thread beside the emulator's loop."""
    return await asyncio.to_thread(run, arguments)


# Export


def check(rows, expected):
    assert len({row["id"] for row in rows}) == len(rows)
    by_id = {row["id"]: row for row in rows}
    assert set(by_id) == {one.id for one in expected}
    for one in expected:
        row = by_id[one.id]
        assert set(row) == set(RestV2Api.record_columns)
        assert (row["name"], row["stage"], row["status"]) == (one.name, one.stage, one.status)
        assert (row["agent_id"], row["process_id"]) == (one.agent_id, one.process_id)
        assert datetime.fromisoformat(row["created_at"]) == one.created_at
        assert row["file_ids"] == list(one.file_ids)
        succeeded = one.status == "Succeeded"
        assert row["outputs"] == ({"total": int(one.name[4:]), "currency": "€"} if succeeded else {})


def of_csv(text):
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    return [
        {**row, "file_ids": json.loads(row["file_ids"]), "outputs": json.loads(row["outputs"])}
        for row in rows
    ]


def of_jsonl(text):
    return [json.loads(line) for line in text.splitlines()]


READERS = {"csv": of_csv, "jsonl": of_jsonl}


@pytest.mark.parametrize("kind", READERS)
async def test_every_run_is_printed(server, history, capfd, kind):
    assert await kognitos("runs", "export", "--process", server.process.id, "--format", kind) == 0
    out, err = capfd.readouterr()
    check(READERS[kind](out), history)
    assert err == "kognitos: 250 runs written\n"


async def test_json_is_one_object_a_line_here_too(server, history, tmp_path, capfd):
    """Unless the format is named, by an option or by the ending of the file."""
    call = ["runs", "export", "--process", server.process.id, "--json"]
    assert await kognitos(*call) == 0
    check(of_jsonl(capfd.readouterr().out), history)
    assert await kognitos(*call, "--format", "csv") == 0
    check(of_csv(capfd.readouterr().out), history)
    assert await kognitos(*call, "--output", str(tmp_path / "runs.csv")) == 0
    check(of_csv((tmp_path / "runs.csv").read_text()), history)


@pytest.mark.parametrize("to_file", [False, True])
async def test_a_run_that_cannot_be_decoded_is_left_out_alone(server, history, tmp_path, capfd, to_file):
    """With a word and exit code 1; it does not keep the rest of the history away."""

    def spoil(page):
        page["items"][1]["id"] = 7
        return page

    server.misbehave("list_runs", faults.rewritten(spoil))
    target = tmp_path / "runs.csv"
    options = ["--output", str(target)] if to_file else []
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 1
    out, err = capfd.readouterr()
    rows = of_csv(target.read_text() if to_file else out)
    assert len(rows) == RUNS - 1
    assert "runs skipped: 1." in err
    assert "249 runs written" in err


async def test_a_dash_is_standard_output(server, history, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert await kognitos("runs", "export", "--process", server.process.id, "--output", "-") == 0
    check(of_csv(capfd.readouterr().out), history)
    assert list(tmp_path.iterdir()) == []


async def test_standard_output_is_utf_8_in_any_locale(server):
    server.add_run(name="Müller", status="Succeeded")
    command = [sys.executable, "-m", "kognitos_async.cli", "runs", "export", "--process", server.process.id]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert [row["name"] for row in of_csv(out.decode())] == ["Müller"]


@pytest.mark.parametrize("kind", READERS)
async def test_every_run_is_written_to_a_file(server, history, tmp_path, capsys, kind):
    path = tmp_path / f"runs.{kind}"
    options = ("--format", kind, "--output", str(path))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    check(READERS[kind](path.read_text(encoding="utf-8")), history)
    assert capsys.readouterr() == ("", "kognitos: 250 runs written\n")
    assert list(tmp_path.iterdir()) == [path]


async def test_parquet_in_row_groups(server, history, tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("kognitos_async.cli.parquet_file.ROW_GROUP", 100)
    path = tmp_path / "runs.parquet"
    options = ("--format", "parquet", "--output", str(path))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    with parquet.ParquetFile(path) as file:
        assert file.num_row_groups == 3
        rows = file.read().to_pylist()
    for row in rows:
        row["created_at"], row["outputs"] = row["created_at"].isoformat(), row["outputs"] or {}
    check(rows, history)


async def test_parquet_of_no_runs_can_be_read(server, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "runs.parquet"
    options = ("--format", "parquet", "--output", str(path))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    with parquet.ParquetFile(path) as file:
        assert (file.metadata.num_rows, tuple(file.schema_arrow.names)) == (0, RestV2Api.record_columns)


@pytest.mark.parametrize(
    "since", ["2026-01-05", "2026-01-05T00:00:00", "2026-01-05T00:00:00Z", "2026-01-05T02:00:00+02:00"]
)
async def test_runs_since_a_moment(server, history, capfd, since):
    options = ("--since", since, "--format", "jsonl")
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    check(of_jsonl(capfd.readouterr().out), history[4 * 24 :])


@pytest.mark.parametrize("stage", ["Draft", "Published"])
async def test_runs_of_a_stage_since_a_moment(server, history, capfd, stage):
    options = ("--stage", stage, "--since", "2026-01-05", "--format", "jsonl")
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    check(of_jsonl(capfd.readouterr().out), [one for one in history[4 * 24 :] if one.stage == stage])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "parquet"], "parquet needs a file"),
        (["--format", "parquet", "--output", "-"], "parquet needs a file"),
        (["--stage", "Final"], "stage must be Draft or Published, got 'Final'"),
        (["--process", ""], "--process: must not be empty"),
        (["--since", "yesterday"], "--since: must be an ISO 8601 time, got 'yesterday'"),
        (["--since", "0001-01-01T00:00+10:00"], "--since: must be an ISO 8601 time"),
        (["--format", "xlsx"], "xlsx"),
    ],
)
async def test_an_export_that_cannot_be_is_refused(server, capsys, options, message):
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert server.count() == 0


async def test_an_error_of_the_command_itself_is_no_wrong_use(server, history, tmp_path, monkeypatch):
    """It is a defect to be seen, not an argument to be changed."""

    def broken(*_, **__):
        raise ValueError("a defect")

    monkeypatch.setattr("kognitos_async.cli.export.write_table", broken)
    with pytest.raises(ValueError, match="a defect"):
        await kognitos("runs", "export", "--process", server.process.id, "--output", str(tmp_path / "a.csv"))


async def test_without_pyarrow_it_says_what_to_install(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    options = ("--format", "parquet", "--output", str(tmp_path / "runs.parquet"))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 2
    err = capsys.readouterr().err
    assert err == "kognitos: pyarrow is missing: pip install 'kognitos-async[arrow]'\n"
    assert list(tmp_path.iterdir()) == []


async def test_an_export_that_fails_leaves_the_old_file_and_goes_on_when_called_again(
    server, history, tmp_path, capsys
):
    path = tmp_path / "runs.csv"
    path.write_text("old")
    server.misbehave("list_runs", faults.not_found(), times=None, skip=1)
    options = ("--output", str(path))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 1
    kept, problem = capsys.readouterr().err.splitlines()
    pages = tmp_path / "runs.csv.pages"
    assert kept == f"kognitos: 100 runs saved in {pages}; run the same command to resume"
    assert problem.startswith("kognitos: GET /runs: 404")
    assert path.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, pages]
    server.behave()
    before = server.count("list_runs")
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    check(of_csv(path.read_text(encoding="utf-8")), history)
    assert server.count("list_runs") - before == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("status", [400, 410, 422])
async def test_an_export_whose_token_has_expired_starts_over(server, history, tmp_path, capsys, status):
    """And says so; what an earlier call has skipped is read again."""
    path = tmp_path / "runs.csv"

    def spoil(page):
        page["items"][0]["created_at"] = "long ago"
        return page

    server.misbehave("list_runs", faults.rewritten(spoil))
    server.misbehave("list_runs", faults.not_found(), skip=1)
    options = ("--output", str(path))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 1
    capsys.readouterr()
    server.misbehave("list_runs", faults.refused(status, "continuation_token has expired"))
    before = server.count("list_runs")
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    resuming, skipped, over, written = capsys.readouterr().err.splitlines()
    assert resuming == "kognitos: resuming after 199 runs"
    assert skipped == "kognitos: runs skipped by an earlier call: 1"
    assert over.startswith(f"kognitos: cannot resume, starting over: GET /runs: {status}")
    assert written == "kognitos: 250 runs written"
    check(of_csv(path.read_text(encoding="utf-8")), history)
    assert server.count("list_runs") - before == 1 + 3
    assert list(tmp_path.iterdir()) == [path]


async def test_an_export_that_is_refused_from_the_first_page_on_does_not_start_over(
    server, history, tmp_path, capsys
):
    """Nor one that is refused after it has resumed: its token is new."""
    path = tmp_path / "runs.csv"
    options = ("--output", str(path))
    server.misbehave("list_runs", faults.refused(400, "No"))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 1
    assert (server.count("list_runs"), list(tmp_path.iterdir())) == (1, [])
    for saved in (100, 200):
        server.misbehave("list_runs", faults.refused(400, "No"), skip=1)
        assert await kognitos("runs", "export", "--process", server.process.id, *options) == 1
        assert f"kognitos: {saved} runs saved in {path}.pages" in capsys.readouterr().err
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 0
    check(of_csv(path.read_text(encoding="utf-8")), history)


async def test_an_export_into_no_folder_is_one_line(server, tmp_path, capsys):
    options = ("--output", str(tmp_path / "none" / "runs.csv"))
    assert await kognitos("runs", "export", "--process", server.process.id, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"there is no folder {tmp_path / 'none'}" in line
    assert server.count() == 0


# Wait


async def test_runs_that_succeeded_are_a_line_each(server, capsys):
    runs = [server.add_run(name=f"run {number}", status="Succeeded") for number in range(3)]
    assert await kognitos("runs", "wait", *(run.id for run in runs)) == 0
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == sorted(f"{run.id}\tSucceeded\t{run.name}" for run in runs)
    assert err == ""


async def test_a_run_that_settles_while_it_is_waited_for(server, capsys):
    waited = server.add_run(name="late")
    waiting = asyncio.create_task(kognitos("runs", "wait", waited.id))
    async with asyncio.timeout(20):
        while not server.count():  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.01)
    server.set_status(waited.id, "Succeeded")
    assert await waiting == 0
    assert capsys.readouterr().out == f"{waited.id}\tSucceeded\tlate\n"


@pytest.mark.parametrize("word", ["Exception", "Stopped"])
async def test_a_run_that_did_not_succeed_is_exit_code_3(server, capsys, word):
    good = server.add_run(name="good", status="Succeeded")
    bad = server.add_run(name="bad", status=word)
    assert await kognitos("runs", "wait", good.id, bad.id) == 3
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == sorted([f"{good.id}\tSucceeded\tgood", f"{bad.id}\t{word}\tbad"])


async def test_a_run_that_takes_too_long_is_exit_code_1(server, capsys):
    good = server.add_run(name="good", status="Succeeded")
    slow = server.add_run(name="slow")
    assert await kognitos("runs", "wait", good.id, slow.id, "--timeout", "0.5") == 1
    out, err = capsys.readouterr()
    assert out == f"{good.id}\tSucceeded\tgood\n"
    (line,) = err.splitlines()
    assert line.startswith("kognitos: ")


async def test_a_run_there_is_not_is_exit_code_1(server, capsys):
    assert await kognitos("runs", "wait", "none") == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("kognitos: ")


async def test_a_run_there_is_not_does_not_end_the_wait_for_others(server, capsys):
    waited = server.add_run(name="late")
    waiting = asyncio.create_task(kognitos("runs", "wait", "none", waited.id))
    async with asyncio.timeout(30):
        while "none" not in capsys.readouterr().err:  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.05)
    server.set_status(waited.id, "Succeeded")
    assert await waiting == 1
    assert capsys.readouterr().out == f"{waited.id}\tSucceeded\tlate\n"


@pytest.mark.parametrize("verb", ["wait", "watch"])
@pytest.mark.parametrize("status", [400, 403])
async def test_a_run_that_is_refused_does_not_end_the_wait_for_others(server, capsys, verb, status):
    """Such as a run of somebody else."""
    runs = [server.add_run(name="late") for _ in range(2)]
    server.misbehave("get_run", faults.refused(status, "not yours"))
    waiting = asyncio.create_task(kognitos("runs", verb, *(one.id for one in runs)))
    async with asyncio.timeout(30):
        while "not yours" not in capsys.readouterr().err:  # noqa: ASYNC110 - another thread
            await asyncio.sleep(0.05)
    for waited in runs:
        server.set_status(waited.id, "Succeeded")
    assert await waiting == 1
    assert capsys.readouterr().out.endswith("\tSucceeded\tlate\n")


async def test_a_wrong_key_ends_the_wait_at_once(server, monkeypatch, capsys):
    monkeypatch.setenv("KOGNITOS_API_KEY", "wrong")
    assert await kognitos("runs", "wait", "a", "b", "c") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kognitos: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--timeout", "-1", "a"], "timeout must be 0 or more seconds, got -1.0"),
        ([""], "run must be a str of at least 1 character"),
    ],
)
async def test_a_wait_that_cannot_be_is_refused(server, capsys, options, message):
    assert await kognitos("runs", "wait", *options) == 2
    assert message in capsys.readouterr().err
    assert server.count() == 0


async def test_no_runs_to_wait_for_is_a_wrong_call(server, capsys):
    assert await kognitos("runs", "wait") == 2
    assert "RUN..." in capsys.readouterr().err
    assert server.count() == 0
