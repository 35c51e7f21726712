"""`kognitos runs bulk`: what it refuses, what it starts, what it writes, and how it resumes."""

from __future__ import annotations

import asyncio
import csv
import functools
import json
import os
import pkgutil
import signal

import pytest

from kognitos_async.cli.app import run
from kognitos_async.cli.requests_file import RequestsFile, UnreadableFileError
from kognitos_async.cli.results_file import COLUMNS
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.cli.conftest import ROOT
from tests.fork_server import shared
from tests.support import POLL


@pytest.fixture
async def server(monkeypatch):
    """Commands in this process poll fast: users wait a second for the first answer."""
    for name in ("rest_v2.client.KognitosClient", "platform_v1.client.PlatformClient"):
        client = pkgutil.resolve_name(f"kognitos_async.{name}")
        monkeypatch.setattr(f"kognitos_async.{name}", functools.partial(client, poll=POLL))
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def bulk(server, tmp_path):
    """Writes the requests and runs the command in this process, in a thread beside the emulator's loop."""

    async def bulk(content: str | bytes, *options: str, name: str = "requests.csv") -> int:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return await asyncio.to_thread(run, arguments(server, path, *options))

    return bulk


def arguments(server, path, *options):
    journal = path.with_name("job.journal")
    return [
        *("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(journal)),
        *options,
    ]


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def start(server, path, *options):
    """The command in a process of its own."""
    call = ("-m", "kognitos_async.cli", *arguments(server, path, *options))
    return shared().start(*call, env={**os.environ, "PYTHONPATH": str(ROOT)})


async def ended(process):
    """The exit code and what was said on stderr; a process that hangs is killed."""
    try:
        _, err = await asyncio.to_thread(process.communicate, 30)
    finally:
        process.kill()
        process.close()
    return process.returncode, err


# In a process of its own


async def test_every_row_is_run_and_a_file_of_many_rows_is_uploaded_once(server, tmp_path):
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    requests, results = tmp_path / "requests.csv", tmp_path / "results.csv"
    requests.write_text(
        "name,stage,file,customer\n"
        "one,,invoice.pdf,00042\n"
        "two,Draft,invoice.pdf,Müller\n"
        'three,Published,,"a, b"\n',
        encoding="utf-8",
    )
    code, err = await ended(start(server, requests, "--output", str(results)))
    assert code == 0, err
    assert err.splitlines()[-1] == "started 3, running 0, settled 3 of 3, failed 0"
    runs = {run.name: run for run in server.runs.values()}
    (file,) = server.files.values()
    assert file.file_name == "invoice.pdf"
    assert {name: (run.stage, run.file_ids, dict(run.inputs)) for name, run in runs.items()} == {
        "one": ("Published", (file.id,), {"customer": "00042"}),
        "two": ("Draft", (file.id,), {"customer": "Müller"}),
        "three": ("Published", (), {"customer": "a, b"}),
    }
    assert {row["name"]: row["run_id"] for row in rows_of(results)} == {
        name: run.id for name, run in runs.items()
    }
    assert not (tmp_path / "results.csv.part").exists()


async def test_an_interrupted_job_says_how_to_resume_and_runs_every_row_once(server, tmp_path):
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    requests, results = tmp_path / "requests.csv", tmp_path / "results.csv"
    names = [f"row {number}" for number in range(40)]
    requests.write_text("name,file\n" + "".join(f"{name},invoice.pdf\n" for name in names))
    options = ("--output", str(results), "--max-in-flight", "10")
    first = start(server, requests, *options)
    async with asyncio.timeout(20):
        while len(server.runs) < 15 and first.poll() is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    first.send_signal(signal.SIGINT)
    code, err = await ended(first)
    assert code == 130, err
    assert "Traceback" not in err
    stopped, so_far, resumes = err.splitlines()[-3:]
    assert stopped.startswith("stopped: started ")
    assert so_far == f"outcomes so far: {results}.part"
    journal = tmp_path / "job.journal"
    assert resumes == f"started runs continue; run the same command with --journal {journal} to resume"
    assert not results.exists()
    assert (tmp_path / "results.csv.part").read_text().startswith(",".join(COLUMNS))
    begun = len(server.runs)
    assert begun < len(names)
    code, err = await ended(start(server, requests, *options))
    assert code == 0, err
    assert sorted(run.name for run in server.runs.values()) == sorted(names)
    assert len(server.files) == 1
    rows = rows_of(results)
    assert sorted(row["name"] for row in rows) == sorted(names)
    assert {row["status"] for row in rows} == {"Succeeded"}
    assert any(row["resumed"] == "True" for row in rows)
    assert not (tmp_path / "results.csv.part").exists()


# What the rows become


async def test_numbers_are_text_unless_declared_as_numbers(server, bulk):
    content = "name,code,amount,rate\none,00042,00042,1.50\n"
    assert await bulk(content, "--number", "amount", "--number", "rate") == 0
    (started,) = server.runs.values()
    assert dict(started.inputs) == {"code": "00042", "amount": 42, "rate": 1.5}


async def test_a_byte_order_mark_and_empty_lines_are_no_trouble(server, bulk):
    assert await bulk(b"\xef\xbb\xbfname,a\r\none,1\r\n\r\ntwo,2\r\n") == 0
    assert [started.name for started in server.runs.values()] == ["one", "two"]


async def test_the_stage_of_rows_that_name_none(server, bulk):
    assert await bulk("name,stage\none,\ntwo,Published\n", "--stage", "Draft") == 0
    assert {started.name: started.stage for started in server.runs.values()} == {
        "one": "Draft",
        "two": "Published",
    }


async def test_lines_of_json(server, bulk, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    lines = [
        {"name": "one", "inputs": {"code": "00042", "amount": 7, "rate": 0.5}},
        {"name": "two", "stage": "Draft", "file": "a.txt"},
    ]
    content = "\n\n".join(json.dumps(line) for line in lines) + "\n"
    output = tmp_path / "results.jsonl"
    assert await bulk(content, "--output", str(output), name="requests.jsonl") == 0
    runs = {started.name: started for started in server.runs.values()}
    assert dict(runs["one"].inputs) == {"code": "00042", "amount": 7, "rate": 0.5}
    assert (runs["two"].stage, runs["two"].file_ids) == ("Draft", tuple(server.files))
    results = {result["name"]: result for result in map(json.loads, output.read_text().splitlines())}
    assert results["one"] == {
        "name": "one",
        "run_id": runs["one"].id,
        "status": "Succeeded",
        "error": "",
        "attempts": 1,
        "resumed": False,
        "outputs": results["one"]["outputs"],
    }
    assert isinstance(results["one"]["outputs"], dict)


# What is refused

BAD_CSV = [
    ("name,a\none,1\none,2\n", "row 3 (one): duplicate name, first used in row 2"),
    ("name,a\none\n", "row 2: has 1 cells for 2 columns"),
    ("name,a\none,1,2\n", "row 2: has 3 cells for 2 columns"),
    ("name,amount\none,many\n", "row 2 (one): column amount must be a number, got 'many'"),
    ("name,amount\none,nan\n", "row 2 (one): column amount must be a number, got 'nan'"),
    ("name,amount\none,1_000\n", "row 2 (one): column amount must be a number, got '1_000'"),
    (b"name,a\none,caf\xe9\n", "row 2 (one): is not UTF-8"),
    (b"name,a\ncaf\xe9,1\n", "row 2 (caf?): is not UTF-8"),
    ('name,a\none,"x"y\n', "row 2: is not CSV: "),
    ("name,a\n,1\n", "row 2: "),
    ("name,stage\none,Final\n", "row 2 (one): "),
    ("name,,a\none,1,2\n", "row 2 (one): an input's name must be a str of 1 to 100 characters"),
]


@pytest.mark.parametrize(("content", "message"), BAD_CSV)
async def test_a_bad_row_of_csv_is_reported_and_nothing_is_started(
    server, bulk, tmp_path, capsys, content, message
):
    header, _, _ = (content if isinstance(content, str) else content.decode("latin-1")).partition("\n")
    number = ("--number", "amount") if "amount" in header else ()
    assert await bulk(content, *number) == 2
    problem, hint = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"kognitos: {message}")
    assert hint == "kognitos: invalid rows: 1; nothing was started. Use --skip-bad-rows to run the others"
    assert server.count() == 0
    assert not (tmp_path / "job.journal").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "row 2: is not JSON: "),
        (b'{"name": "caf\xe9"}', "row 2: is not UTF-8; "),
        (b"[" * 100_000, "row 2: is not JSON: "),
        (b"[1]", "row 2: must be an object with a string `name`"),
        (b'{"inputs": {}}', "row 2: must be an object with a string `name`"),
        (b'{"name": 3}', "row 2: must be an object with a string `name`"),
        (b'{"name": "one", "x": 1, "input": {}}', "row 2 (one): has unknown members: input, x"),
        (
            b'{"name": "one", "inputs": []}',
            "row 2 (one): `inputs` must be an object, `file` and `stage` strings",
        ),
        (
            b'{"name": "one", "stage": 0}',
            "row 2 (one): `inputs` must be an object, `file` and `stage` strings",
        ),
        (
            b'{"name": "one", "inputs": [1]}',
            "row 2 (one): `inputs` must be an object, `file` and `stage` strings",
        ),
        (
            b'{"name": "one", "file": 1}',
            "row 2 (one): `inputs` must be an object, `file` and `stage` strings",
        ),
        (b'{"name": "one", "inputs": {"a": [1]}}', "row 2 (one): "),
        (b'{"name": "one", "inputs": {"a": NaN}}', "row 2 (one): "),
        (b'{"name": "first"}', "row 2 (first): duplicate name, first used in row 1"),
    ],
)
async def test_a_bad_line_of_json_is_reported_and_nothing_is_started(server, bulk, capsys, line, message):
    assert await bulk(b'{"name": "first"}\n' + line + b"\n", name="requests.jsonl") == 2
    problem, hint = capsys.readouterr().err.splitlines()
    assert problem.startswith(f"kognitos: {message}")
    assert hint == "kognitos: invalid rows: 1; nothing was started. Use --skip-bad-rows to run the others"
    assert server.count() == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("requests.csv", "title,a\nx,1\n", "has no column 'name', only title, a"),
        ("requests.csv", "", "has no column 'name', only an empty header"),
        ("requests.csv", "name,a,a\nx,1,2\n", "has duplicate columns: a"),
        ("requests.csv", "name,a\nx,1\n", "has no column amount (--number)"),
        ("requests.xlsx", "name\nx\n", "is neither .csv nor .jsonl"),
        (
            "requests.jsonl",
            '{"name": "x"}\n',
            "is JSONL: --number, --input and --delimiter are for CSV",
        ),
    ],
)
async def test_a_file_that_holds_no_requests(server, bulk, tmp_path, capsys, name, content, message):
    assert await bulk(content, "--number", "amount", name=name) == 2
    assert capsys.readouterr().err == f"kognitos: {tmp_path / name} {message}\n"
    assert server.count() == 0


async def test_a_file_that_is_not_there(server, tmp_path, capsys):
    assert await asyncio.to_thread(run, arguments(server, tmp_path / "none.csv")) == 2
    assert "none.csv" in capsys.readouterr().err


async def test_results_of_an_unknown_kind_are_refused(server, bulk, capsys):
    assert await bulk("name\none\n", "--output", "results.xlsx") == 2
    assert "must end in .csv or .jsonl" in capsys.readouterr().err
    assert server.count() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--run-timeout", "-1"], "--run-timeout must be 0 or more seconds, got -1.0"),
        (["--run-timeout", "nan"], "--run-timeout must be 0 or more seconds, got nan"),
        (["--stage", "Final"], "--stage: must be draft or published, got 'Final'"),
        (["--process", ""], "--process: must not be empty"),
    ],
)
async def test_a_wrong_option_is_refused(server, bulk, tmp_path, capsys, options, message):
    assert await bulk("name\none\n", *options) == 2
    assert message in capsys.readouterr().err
    assert server.count() == 0
    assert not (tmp_path / "job.journal").exists()


@pytest.mark.parametrize(
    "name", ["none/results.csv", "requests.csv/results.csv", "folder.csv", "/dev/fd/999"]
)
async def test_results_that_have_no_place_are_refused_before_anything_is_started(
    server, bulk, tmp_path, capsys, name
):
    (tmp_path / "folder.csv").mkdir()
    for more in ((), ("--dry-run",)):
        assert await bulk("name\none\n", "--output", str(tmp_path / name), *more) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"kognitos: --output: cannot write {tmp_path / name}: ")
    assert server.count() == 0
    assert not (tmp_path / "job.journal").exists()


async def test_results_replace_neither_the_requests_nor_the_journal(server, bulk, tmp_path, capsys):
    """Nor does the part of the results, which is written first."""
    content = "name\none\n"
    for output, journal in (("requests.csv", "job.journal"), ("results.csv", "results.csv.part")):
        options = ("--output", str(tmp_path / output), "--journal", str(tmp_path / journal))
        assert await bulk(content, *options) == 2
        assert "would overwrite the requests file or the journal" in capsys.readouterr().err
    assert (tmp_path / "requests.csv").read_text() == content
    assert server.count() == 0


async def test_text_behind_an_open_quote_is_not_run_as_rows(server, bulk, tmp_path, capsys):
    content = 'name,a\none,"' + "".join(f"text {number},2\n" for number in range(20_000))
    assert await bulk(content, "--skip-bad-rows") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"kognitos: {tmp_path / 'requests.csv'}: row ")
    assert line.endswith("opens a quote that is never closed")
    assert server.count() == 0


async def test_a_file_that_becomes_unreadable_meanwhile_is_one_line(server, bulk, monkeypatch, capsys):
    whole = RequestsFile.rows
    passes = iter([True])

    def rows(self):
        if next(passes, False):
            return whole(self)
        raise UnreadableFileError("requests.csv has no column 'name', only an empty header")

    monkeypatch.setattr(RequestsFile, "rows", rows)
    assert await bulk("name\none\n") == 1
    assert capsys.readouterr().err == "kognitos: requests.csv has no column 'name', only an empty header\n"
    assert server.count("create_run") == 0


async def test_without_an_agent_nothing_is_begun(server, bulk, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("KOGNITOS_AGENT_ID")
    assert await bulk("name\none\n") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kognitos: no agent: ")
    assert not (tmp_path / "job.journal").exists()


async def test_of_many_bad_rows_the_first_twenty_are_reported(server, bulk, capsys):
    assert await bulk("name,a\n" + "one\n" * 25) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[19].startswith("kognitos: row 21: ")
    assert lines[20:] == [
        "kognitos: and 5 more",
        "kognitos: invalid rows: 25; nothing was started. Use --skip-bad-rows to run the others",
    ]
    assert server.count() == 0


# What comes of it


async def test_bad_rows_that_are_skipped_are_outcomes(server, bulk, tmp_path, capsys):
    output = tmp_path / "results.csv"
    content = "name,a\none,1\none,2\ntwo\nthree,3\n"
    assert await bulk(content, "--skip-bad-rows", "--output", str(output)) == 3
    assert sorted(started.name for started in server.runs.values()) == ["one", "three"]
    rows = rows_of(output)
    assert [(row["name"], row["error"]) for row in rows[2:]] == [
        ("one", "row 3: duplicate name, first used in row 2"),
        ("", "row 4: has 1 cells for 2 columns"),
    ]
    assert sorted(row["name"] for row in rows[:2]) == ["one", "three"]
    assert capsys.readouterr().err.endswith("started 2, running 0, settled 2 of 2, failed 2\n")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_a_skipped_name_that_is_no_unicode_can_be_written(server, bulk, tmp_path, kind):
    output = tmp_path / f"results.{kind}"
    content = '{"name": "\\ud800"}\n{"name": "one"}\n'
    options = ("--skip-bad-rows", "--output", str(output))
    assert await bulk(content, *options, name="requests.jsonl") == 3
    assert [started.name for started in server.runs.values()] == ["one"]
    assert "\\ud800" in output.read_text(encoding="utf-8")


async def test_a_run_that_fails_is_exit_code_3(server, bulk, tmp_path, capsys):
    server.misbehave("create_run", faults.not_found(), skip=1)
    output = tmp_path / "results.csv"
    content = "name\none\ntwo\n"
    assert await bulk(content, "--output", str(output), "--max-in-flight", "1") == 3
    err = capsys.readouterr().err
    assert err.endswith("started 1, running 0, settled 1 of 2, failed 1\n")
    assert "kognitos: two: POST /runs: 404" in err
    one, two = rows_of(output)
    assert (one["status"], one["error"]) == ("Succeeded", "")
    assert (two["run_id"], two["status"]) == ("", "")
    assert two["error"]


@pytest.mark.parametrize("word", ["Exception", "Stopped"])
async def test_a_run_that_does_not_succeed_is_exit_code_3(monkeypatch, tmp_path, word):
    path, output = tmp_path / "requests.csv", tmp_path / "results.csv"
    path.write_text("name\none\n")
    async with KognitosServer(schedule=Schedule.fixed(0.02, word)) as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        command = arguments(server, path, "--output", str(output))
        assert await asyncio.to_thread(run, command) == 3
    (row,) = rows_of(output)
    assert (row["name"], row["status"]) == ("one", word)


async def test_the_columns_of_the_results(server, bulk, tmp_path):
    output = tmp_path / "results.csv"
    assert await bulk("name,a\none,1\n", "--output", str(output)) == 0
    assert output.read_text().splitlines()[0] == "name,run_id,status,error,attempts,resumed,outputs"
    (row,) = rows_of(output)
    (started,) = server.runs.values()
    outputs = row.pop("outputs")
    assert row == {
        "name": "one",
        "run_id": started.id,
        "status": "Succeeded",
        "error": "",
        "attempts": "1",
        "resumed": "False",
    }
    assert isinstance(json.loads(outputs or "{}"), dict)


async def test_a_job_that_is_done_is_reported_again_without_a_request(server, bulk, tmp_path):
    output = tmp_path / "results.jsonl"
    assert await bulk("name\none\n") == 0
    begun = server.count("create_run")
    assert await bulk("name\none\n", "--output", str(output)) == 0
    assert server.count("create_run") == begun == 1
    assert json.loads(output.read_text())["resumed"] is True


async def test_the_journal_of_the_other_api_is_refused_in_one_line(server, bulk, tmp_path, capsys):
    assert await bulk("name\none\n") == 0
    capsys.readouterr()
    journal = ("--journal", str(tmp_path / "job.journal"))
    call = ("runs", "bulk", str(tmp_path / "requests.csv"), "--automation", "a", *journal)
    assert await asyncio.to_thread(run, call) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kognitos: journal ")
    assert len(server.runs) == 1
