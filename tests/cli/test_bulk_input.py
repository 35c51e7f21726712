"""Requests files as people have them: delimiters, encodings, headings, long cells, many rows."""

from __future__ import annotations

import json
import signal
import time
from decimal import Decimal

import pytest

from kognitos_async.cli.requests_file import BadRow, RequestsFile, Row, UnreadableFileError
from kognitos_async.platform_v1.exact_numbers import read_number
from kognitos_async.testing import KognitosServer, Schedule


def rows(path, **options):
    return list(RequestsFile(path, process_id="p", stage="Published", **{"numbers": (), **options}).rows())


@pytest.fixture
def written(tmp_path):
    def written(content: str | bytes, name: str = "rows.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


# Delimiters and encodings


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_heading_tells_the_delimiter(written, delimiter):
    text = delimiter.join(["name", "text"]) + "\n" + delimiter.join(["one", "a"]) + "\n"
    (row,) = rows(written(text))
    assert (row.name, row.inputs) == ("one", {"text": "a"})


def test_a_delimiter_in_the_names_of_inputs_is_not_taken_for_one(written):
    (row,) = rows(written("name,a;b;c;d\none,x\n"))
    assert row.inputs == {"a;b;c;d": "x"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_marked_encoding_is_recognized(written, encoding):
    (row,) = rows(written("name,text\nMüller,naïve €\n".encode(encoding)))
    assert (row.name, row.inputs) == ("Müller", {"text": "naïve €"})


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16-le"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_an_encoding_that_is_named_is_used(written, encoding, name):
    text = (
        "name,text\nMüller,€\n" if name.endswith("csv") else '{"name": "Müller", "inputs": {"text": "€"}}\n'
    )
    (row,) = rows(written(text.encode(encoding), name), encoding=encoding)
    assert (row.name, row.inputs) == ("Müller", {"text": "€"})


def test_text_in_another_encoding_says_which_to_try(written):
    (row,) = rows(written("name,text\none,Müller\n".encode("cp1252")))
    assert isinstance(row, BadRow)
    assert "--encoding cp1252" in row.problem
    with pytest.raises(UnreadableFileError, match="--encoding utf-16-le"):
        rows(written("name,text\none,two\n".encode("utf-16-le")))


# Headings


@pytest.mark.parametrize("heading", ["nmae,a", "nam,a", "names,a", "name,stge", "name,fiel", "name,files"])
def test_a_near_miss_of_a_known_column_is_refused(written, heading):
    with pytest.raises(UnreadableFileError, match=r"--input|is it"):
        rows(written(f"{heading}\nx,y\n"))


@pytest.mark.parametrize("column", ["state", "date", "title", "profile", "nickname", "age", "file 2", "tile"])
def test_a_column_in_its_own_right_is_an_input(written, column):
    (row,) = rows(written(f"name,{column}\none,x\n"))
    assert row.inputs == {column: "x"}


def test_a_near_miss_that_is_intended_is_an_input(written):
    (row,) = rows(written("name,files\none,x\n"), inputs=["files"])
    assert row.inputs == {"files": "x"}


def test_a_known_column_that_is_given_as_an_input_is_nothing_else(written):
    """A process may have inputs of these names; the name of the row stays its name."""
    content = "name,stage,file\none,early,a.txt\n"
    (row,) = rows(written(content), inputs=["name", "stage", "file"])
    assert row.inputs == {"name": "one", "stage": "early", "file": "a.txt"}
    assert (row.name, row.stage, row.file) == ("one", "Published", None)
    (row,) = rows(written(content.replace("early", "Draft")), inputs=["file"])
    assert (row.inputs, row.stage, row.file) == ({"file": "a.txt"}, "Draft", None)
    (row,) = rows(written("name,stage\none,3\n"), numbers=["stage"])
    assert (row.inputs, row.stage) == ({"stage": 3}, "Published")


@pytest.mark.parametrize(
    ("heading", "options", "inputs"),
    [
        ("name,Amount", {"numbers": ["amount"]}, {"Amount": 7}),
        ("Name , AMOUNT ", {"numbers": [" Amount"]}, {"AMOUNT": 7}),
        ("name,Größe", {"numbers": ["GRÖSSE"]}, {"Größe": 7}),
        ("name,Files", {"inputs": ["files"]}, {"Files": "7"}),
        ("name,Stage", {"inputs": ["stage"]}, {"stage": "7"}),
        ("name,Stage", {"inputs": ["Stage"]}, {"Stage": "7"}),
        ("name,file", {"inputs": ["FILE"]}, {"file": "7"}),
    ],
)
def test_options_find_columns_in_any_case(written, heading, options, inputs):
    """The input is called as its header spells it."""
    (row,) = rows(written(f"{heading}\none,7\n"), **options)
    assert (row.name, row.stage, row.file, row.inputs) == ("one", "Published", None, inputs)


def test_of_columns_that_differ_in_case_alone_an_option_means_the_exact_one(written):
    path = written("name,amount,Amount\none,1,2\n")
    (row,) = rows(path, numbers=["Amount"])
    assert row.inputs == {"amount": "1", "Amount": 2}
    (row,) = rows(path, numbers=["Amount", "amount"])
    assert row.inputs == {"amount": 1, "Amount": 2}
    with pytest.raises(UnreadableFileError, match=r"several columns for --number AMOUNT: Amount, amount$"):
        rows(path, numbers=["AMOUNT"])
    (row,) = rows(written("name,stage,Stage\none,Draft,2\n"), inputs=["Stage"])
    assert (row.stage, row.inputs) == ("Draft", {"Stage": "2"})


# Cells


def test_an_empty_cell_of_numbers_leaves_the_input_out(written):
    one, two = rows(written("name,amount,text\none,,\ntwo, 3 ,\n"), numbers=["amount"])
    assert (one.inputs, two.inputs) == ({"text": ""}, {"amount": 3, "text": ""})


def test_a_cell_of_any_length(written):
    (row,) = rows(written('name,text\none,"' + "x" * 3_000_000 + '"\n'))
    assert isinstance(row, Row)
    assert len(row.inputs["text"]) == 3_000_000


@pytest.mark.parametrize("line", ['{"name": "a", "name": "b"}', '{"name": "a", "inputs": {"x": 1, "x": 2}}'])
def test_a_name_that_stands_twice_in_an_object_is_refused(written, line):
    (row,) = rows(written(line + "\n", "rows.jsonl"))
    assert isinstance(row, BadRow)
    assert "duplicate name" in row.problem


@pytest.mark.parametrize("text", ["12345678901234567.89", "0.10", "1E+2", "-2.50e-7"])
def test_numbers_of_json_lines_keep_their_digits_where_the_api_has_decimals(written, text):
    path = written(f'{{"name": "one", "inputs": {{"a": {text}, "b": [{text}], "c": 7}}}}\n', "rows.jsonl")
    (row,) = rows(path, exact=True, check=lambda _row: None)
    assert {name: repr(value) for name, value in row.inputs.items()} == {
        "a": repr(Decimal(text)),
        "b": repr([Decimal(text)]),
        "c": "7",
    }
    (row,) = rows(path, check=lambda _row: None)
    assert type(row.inputs["a"]) is float


def test_an_exponent_beyond_any_decimal_is_a_bad_row(written):
    (row,) = rows(written('{"name": "a", "inputs": {"x": 1e9999999999999999999}}\n', "r.jsonl"), exact=True)
    assert isinstance(row, BadRow)
    assert "1e9999999999999999999 is out of range" in row.problem


# In a process of its own


@pytest.fixture
def server():
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        yield server


def bulk(command, server, path, *options, **environ):
    call = ("runs", "bulk", str(path), "--process", server.process.id)
    journal = ("--journal", str(path.with_name("j")))
    return command.run(*call, *journal, *options, **{**server.environ, **environ})


def test_a_dry_run_checks_everything_and_starts_nothing(command, server, written, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"x" * 7)
    path = written("name,file\none,a.pdf\ntwo,\n")
    code, out, err = bulk(command, server, path, "--dry-run", "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "requests": 2,
        "bad_rows": 0,
        "files": 1,
        "bytes": 7,
        "recorded": 0,
        "settled": 0,
    }
    assert (len(server.runs), len(server.files), (tmp_path / "j").exists()) == (0, 0, False)
    code, _, err = bulk(command, server, path, "--dry-run", KOGNITOS_API_KEY="wrong")
    assert (code, "401" in err) == (1, True)
    call = ("runs", "bulk", str(path), "--process", "none", "--journal", str(tmp_path / "j"), "--dry-run")
    code, _, err = command.run(*call, **server.environ)
    assert (code, "404" in err) == (1, True)


def test_control_characters_of_a_row_do_not_reach_the_terminal(command, server, written):
    code, out, err = bulk(command, server, written("name,stage\n\x1b[2Jone,\x9b31mFinal\n"))
    assert (code, out) == (2, "")
    assert not any(character in err for character in "\x1b\x9b")


def test_one_refused_file_is_the_outcome_of_its_rows_alone(command, tmp_path):
    for name, size in (("a.bin", 10), ("large.bin", 5000)):
        (tmp_path / name).write_bytes(b"x" * size)
    path, output = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    path.write_text("name,file\none,a.bin\ntwo,large.bin\nthree,a.bin\n")
    with KognitosServer(schedule=Schedule.fixed(0.05), max_file_size=1000) as server:
        code, _, err = bulk(command, server, path, "--output", str(output))
        assert sorted(run.name for run in server.runs.values()) == ["one", "three"]
        assert len(server.files) == 1
    assert code == 3
    assert err.splitlines()[-1] == "started 2, running 0, settled 2 of 3, failed 1"
    results = {row["name"]: row for row in map(json.loads, output.read_text().splitlines())}
    assert "EntityTooLarge" in results["two"]["error"]
    assert "kognitos: two: " in err


def test_rows_become_invocations_of_the_platform_once_each(command, tmp_path):
    path, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    path.write_text("name,amount,file\none,0.10,a.pdf\ntwo,2,\n")
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        platform = server.platform
        environ = {name: value for name, value in server.environ.items() if name != "KOGNITOS_API_KEY"}
        call = (
            *("runs", "bulk", str(path), "--automation", platform.automation.id, "--number", "amount"),
            *("--journal", str(tmp_path / "j"), "--output", str(output), "--file-input", "invoice"),
        )
        for _ in range(2):
            code, _, err = command.run(*call, **environ)
            assert code == 0, err
        inputs = [set(run.inputs) for run in platform.runs.values()]
    assert sorted(map(sorted, inputs)) == [["amount"], ["amount", "invoice"]]
    assert [line.split(",")[2] for line in output.read_text().splitlines()[1:]] == ["completed"] * 2


def test_numbers_of_json_lines_reach_the_platform_exactly_or_not_at_all(command, tmp_path):
    """None is rounded: what the API cannot represent is a bad row."""
    path = tmp_path / "rows.jsonl"
    exact = {"amount": "12345678901234567.89", "whole": "12345678901234567890123456", "rate": "0.10"}
    inputs = ", ".join(f'"{name}": {number}' for name, number in exact.items())
    line = f'{{"name": "one", "inputs": {{{inputs}}}}}\n'
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        platform = server.platform
        call = ("runs", "bulk", str(path), "--automation", platform.automation.id)
        call = (*call, "--journal", str(tmp_path / "j"))
        for number in ("0.12345678901234567890123456789", "123456789012345678901234567890", "1e400"):
            path.write_text(f'{line}{{"name": "two", "inputs": {{"amount": {number}}}}}\n')
            code, _, err = command.run(*call, **platform.environ)
            assert (code, "does not fit without rounding" in err) == (2, True), err
        assert not platform.runs
        path.write_text(line)
        code, _, err = command.run(*call, **platform.environ)
        assert code == 0, err
        (run,) = platform.runs.values()
    assert {name: str(read_number(value["number"])) for name, value in run.inputs.items()} == exact


def test_sigterm_ends_a_job_as_ctrl_c_does_and_the_next_call_finishes_it(command, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("name\n" + "".join(f"row {number}\n" for number in range(30)))
    with KognitosServer(schedule=Schedule.fixed(0.3)) as server:
        call = ("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(tmp_path / "j"))
        first = command.start(*call, "--max-in-flight", "5", **server.environ)
        deadline = time.monotonic() + 30
        while len(server.runs) < 8 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=30)
        assert first.returncode == 130, err
        assert "stopping after the starts in flight" in err
        assert "to resume" in err.splitlines()[-1]
        assert len(server.runs) < 30
        code, _, err = command.run(*call, **server.environ)
        assert code == 0, err
        assert sorted(run.name for run in server.runs.values()) == sorted(f"row {n}" for n in range(30))


def reach(server, runs, job):
    deadline = time.monotonic() + 30
    while len(server.runs) < runs and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(server.runs) == runs


def test_an_interrupted_job_counts_the_runs_that_continue(command, tmp_path):
    """Without a terminal too, and those of earlier calls; one is settled, six are left running."""
    path = tmp_path / "rows.csv"
    path.write_text("name\n" + "".join(f"row {number}\n" for number in range(10)))
    with KognitosServer(schedule=Schedule.manual()) as server:
        call = ("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(tmp_path / "j"))
        for started in (7, 8):
            job = command.start(*call, "--max-in-flight", "6", **server.environ)
            reach(server, started - 1, job)
            server.set_status(server.runs_named(f"row {started - 7}")[0].id, "Succeeded")
            reach(server, started, job)
            job.send_signal(signal.SIGINT)
            _, err = job.communicate(timeout=30)
            assert job.returncode == 130, err
            settled = started - 6
            summary = f"stopped: started {started}, running 6, settled {settled} of 10, failed 0"
            assert summary in err.splitlines(), err


def test_a_second_signal_ends_the_job_at_once(command, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("name\none\n")
    with KognitosServer(schedule=Schedule.manual(), latency=60.0) as server:
        call = ("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(tmp_path / "j"))
        job = command.start(*call, **server.environ)
        deadline = time.monotonic() + 30
        while not server.count("create_run") and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        job.send_signal(signal.SIGTERM)
        assert job.stderr
        assert "interrupt again to exit at once" in job.stderr.readline()
        assert job.poll() is None, "the start under way is waited for"
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=10)
        assert job.returncode == 130


def test_the_second_of_two_calls_at_once_touches_nothing_of_the_first(command, tmp_path):
    path, output = tmp_path / "rows.csv", tmp_path / "out.jsonl"
    path.write_text("name\na\nb\n")
    with KognitosServer(schedule=Schedule.manual()) as server:
        call = (
            *("runs", "bulk", str(path), "--process", server.process.id, "--journal", str(tmp_path / "j")),
            *("--output", str(output)),
        )
        first = command.start(*call, **server.environ)
        deadline = time.monotonic() + 30
        while len(server.runs) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        server.set_status(server.runs_named("a")[0].id, "Succeeded")
        part = tmp_path / "out.jsonl.part"
        while not (part.exists() and part.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        written = part.read_text()
        code, _, err = command.run(*call, **server.environ)
        assert (code, "in use" in err) == (1, True)
        assert part.read_text() == written
        server.set_status(server.runs_named("b")[0].id, "Succeeded")
        _, err = first.communicate(timeout=30)
        assert first.returncode == 0, err
    assert {json.loads(line)["name"] for line in output.read_text().splitlines()} == {"a", "b"}


def test_results_go_straight_into_standard_output_and_what_a_shell_has_opened(
    command, server, written, tmp_path
):
    path = written("name\none\n")
    code, out, err = bulk(command, server, path, "--output", "-")
    assert code == 0, err
    assert json.loads(out)["status"] == "Succeeded"
    log = tmp_path / "log.jsonl"
    log.write_text("kept\n")
    with log.open("a") as file:
        opened = command.start(
            *("runs", "bulk", str(path), "--journal", str(path.with_name("j"))),
            *("--process", server.process.id, "--output", "/dev/stdout"),
            stdout=file.fileno(),
            **server.environ,
        )
        opened.communicate(timeout=40)
        assert opened.returncode == 0
    first, second = log.read_text().splitlines()
    assert (first, json.loads(second)["name"]) == ("kept", "one")


def test_help_loads_neither_the_library_nor_rich(command):
    code = (
        "import sys\n"
        "from kognitos_async.cli.app import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'aiohttp', 'rich', 'sqlite3', 'kognitos_async.rest_v2', 'kognitos_async.platform_v1'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    _, out, err = command.run(code=code, measured=False)
    assert out.splitlines()[-1] == "[]", err


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_large_file_is_checked_in_flat_memory_with_a_progress_of_its_own(command, server, tmp_path):
    paths = [tmp_path / "few.csv", tmp_path / "many.csv"]
    for path, rows in zip(paths, (10, 1_000_000), strict=True):
        with path.open("w") as file:
            file.write("name,amount\n")
            file.writelines(f"row {number},{number}\n" for number in range(rows))
    code = (
        "import re, sys\n"
        "from kognitos_async.cli.app import run\n"
        "for path in sys.argv[1:3]:\n"
        "    code = run(['runs', 'bulk', path, *sys.argv[3:]])\n"
        # Not ru_maxrss, which counts what the process was before it became this program.
        "    most = int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "    print(code, most // 1024)"
    )
    options = ("--process", server.process.id, "--journal", str(tmp_path / "j"), "--dry-run", "-q", "--json")
    call = (*map(str, paths), *options)
    _, out, err = command.run(*call, code=code, measured=False, timeout=150, **server.environ)
    shown, first, other, last = out.splitlines()
    assert [json.loads(line)["requests"] for line in (shown, other)] == [10, 1_000_000]
    (exit_code, few), (other_code, many) = (map(int, line.split()) for line in (first, last))
    assert (exit_code, other_code) == (0, 0), err
    assert many < 100
    assert many - few < 15
