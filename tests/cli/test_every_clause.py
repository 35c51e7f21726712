"""What the command promises, each by a process of its own; one emulator for all."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.mirror.store import store_of
from kognitos_async.testing import KognitosServer, Schedule, faults

MODULE = "import runpy; runpy.run_module('kognitos_async', run_name='__main__')"


@pytest.fixture(scope="module")
def server():
    with KognitosServer(schedule=Schedule.fixed(0.05), capacity=None) as server:
        yield server


@pytest.fixture(autouse=True)
def _behave(server):
    yield
    server.behave()


def environ(server, api):
    other = "KOGNITOS_TOKEN" if api == "v2" else "KOGNITOS_API_KEY"
    return {name: value for name, value in server.environ.items() if name != other}


both_apis = pytest.mark.parametrize("api", ["v2", "platform"])


def test_the_package_is_the_command_and_h_is_help(command):
    code, out, err = command.run("runs", "bulk", "-h", code=MODULE)
    assert (code, err) == (0, "")
    assert command.run("runs", "bulk", "--help") == (0, out, "")
    assert "--max-uploads" in out


def on_a_terminal(command, *arguments, **variables):
    """What a process prints on a terminal, standard error apart."""
    ours, theirs = pty.openpty()
    process = command.start(*arguments, stdout=theirs, **variables)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(timeout=40) == 0
    return re.sub(r"\x1b\[[\d;]*m", "", shown.decode())


@both_apis
def test_a_terminal_gets_a_table_and_json_stays_json(command, server, api):
    world = server if api == "v2" else server.platform
    word = {"status": "Exception"} if api == "v2" else {"state": "awaiting_guidance"}
    run = world.add_run(**word)
    call = ("runs", "list", "--limit", "1")
    heading, *rows = on_a_terminal(command, *call, **environ(server, api)).strip().splitlines()
    assert heading.split()[:2] == ["id", *word]
    assert sum(run.id in row for row in rows) == 1
    shown = on_a_terminal(command, *call, "--json", **environ(server, api))
    assert json.loads(shown)["id"] == run.id


# Runs


@both_apis
def test_a_run_is_shown_and_waited_for(command, server, api):
    """Exit code 0 when all succeeded, 3 when some did not, 1 when one is not there or takes too long."""
    if api == "v2":
        good = server.add_run(status="Succeeded", outputs={"the output total": 7})
        bad, slow = server.add_run(status="Failed"), server.add_run(status="Running")
        names = [run.id for run in (good, bad, slow)]
        status, outputs = "status", {"the output total": 7}
    else:
        good = server.platform.add_run(state="completed", outputs={"total": 7})
        bad, slow = server.platform.add_run(state="failed"), server.platform.add_run(state="executing")
        names = [run.name for run in (good, bad, slow)]
        status, outputs = "state", {"total": 7}
    code, out, _ = command.run("runs", "show", names[0], "--json", **environ(server, api))
    assert (code, json.loads(out)["outputs"]) == (0, outputs)
    code, out, _ = command.run("runs", "wait", names[0], "--json", **environ(server, api))
    assert (code, json.loads(out)[status].lower()) == (0, "succeeded" if api == "v2" else "completed")
    code, out, err = command.run("runs", "wait", names[0], names[1], "--json", **environ(server, api))
    assert (code, len(out.splitlines()), err) == (3, 2, "")
    waiting = ("runs", "wait", names[1], names[2], "--timeout", "0.5")
    code, out, err = command.run(*waiting, **environ(server, api))
    assert (code, len(out.splitlines()), len(err.splitlines())) == (1, 1, 1)
    code, out, err = command.run("runs", "show", f"{names[0]}x", **environ(server, api))
    assert (code, out, len(err.splitlines())) == (1, "", 1)


# Bulk input


class Bulk:
    """Calls `runs bulk` with a file of this content."""

    def __init__(self, command, server, folder):
        self.command = command
        self.server = server
        self.folder = folder

    def __call__(self, content, *options, ending="csv", journal="j"):
        path = self.folder / f"rows.{ending}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = ("--process", self.server.process.id, "--journal", str(self.folder / journal))
        return self.command.run("runs", "bulk", str(path), *source, *options, **environ(self.server, "v2"))

    def inputs_of(self, name):
        [run] = self.server.runs_named(name)
        return dict(run.inputs)


@pytest.fixture
def bulk(command, server, tmp_path):
    return Bulk(command, server, tmp_path)


def test_a_file_as_a_spreadsheet_writes_it(bulk):
    """Semicolons, blanks and capitals in the heading, an empty number, a long cell, cp1252 by its name."""
    long = "x" * 200_000
    content = f" Name ;Kunde; amount\nsheet 1;Müller;12.5\nsheet 2;{long};\n"
    code, _, err = bulk(content.encode("cp1252"), "--number", "amount")
    assert code == 2
    assert "--encoding cp1252" in err
    code, _, err = bulk(content.encode("cp1252"), "--number", "amount", "--encoding", "cp1252")
    assert code == 0, err
    assert bulk.inputs_of("sheet 1") == {"Kunde": "Müller", "amount": 12.5}
    assert bulk.inputs_of("sheet 2") == {"Kunde": long}


def test_utf_16_is_recognized_and_a_delimiter_can_be_named(bulk):
    content = "name#a;b,c\nutf 16#1\n"
    code, _, err = bulk(content.encode("utf-16"), "--delimiter", "#")
    assert code == 0, err
    assert bulk.inputs_of("utf 16") == {"a;b,c": "1"}


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("csv", "nmae,x\na,1\n", "nmae"),
        ("csv", "name,sttage\na,Draft\n", "sttage"),
        ("csv", "name,amount\na,many\n", "amount"),
        ("csv", "name,amount\na,1\na,2\n", "duplicate name"),
        ("jsonl", '{"name": "a", "inputs": {"x": 1, "x": 2}}\n', "'x'"),
        ("csv", "name,amount\n\x1b[2Jred,\x1b]0;title\x07\n", "amount"),
    ],
    ids=["near name", "near stage", "no number", "same name", "same key", "control characters"],
)
def test_a_file_that_is_surely_wrong_is_refused_before_anything_starts(bulk, ending, content, message):
    before = bulk.server.count("create_run")
    options = ("--number", "amount") if ending == "csv" else ()
    code, out, err = bulk(content, *options, ending=ending)
    assert (code, out) == (2, "")
    assert message in err
    assert not {"\x1b", "\x07"} & set(err)
    assert bulk.server.count("create_run") == before


# Progress and outcomes


def test_reasons_are_printed_without_an_output_and_the_exit_code_is_that_of_the_whole_job(bulk):
    """Also when another call has nothing left to do."""
    bulk.server.misbehave("create_run", faults.refused(400, "No such input"), times=1)
    code, _, err = bulk("name\nfirst reason\nsecond\nthird\n")
    assert code == 3
    assert err.count("400, No such input") == 1
    progress = [line for line in err.splitlines() if line.startswith("started ")]
    assert progress[-1] == "started 2, running 0, settled 2 of 3, failed 1"
    assert len(progress) == len(set(progress))
    started = [int(re.match(r"started (\d+)", line)[1]) for line in progress]
    assert started == sorted(started)
    assert "-" not in "".join(progress)
    code, _, err = bulk("name\nfirst reason\nsecond\nthird\n")
    assert (code, err.splitlines()[-1]) == (0, "started 3, running 0, settled 3 of 3, failed 0")


def test_a_job_with_a_failed_run_ends_with_3_each_time(command, tmp_path):
    with KognitosServer(schedule=Schedule.fixed(0.02, outcome="Failed")) as server:
        bulk = Bulk(command, server, tmp_path)
        assert bulk("name\none\n")[0] == 3
        asked = server.count("create_run")
        code, _, err = bulk("name\none\n")
        assert (code, server.count("create_run")) == (3, asked), err


def test_results_replace_a_file_only_when_they_are_complete(command, tmp_path):
    """Until then what was there stays, and an interrupted call leaves it."""
    with KognitosServer(schedule=Schedule.manual()) as server:
        rows, output = tmp_path / "rows.csv", tmp_path / "out.csv"
        rows.write_text("name\none\n")
        output.write_text("of yesterday")
        source = ("--process", server.process.id, "--journal", str(tmp_path / "j"))
        call = ("runs", "bulk", str(rows), *source, "--output", str(output))
        process = command.start(*call, **environ(server, "v2"))
        wait_until(process, lambda: server.count("create_run", status=201))
        assert output.read_text() == "of yesterday"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) == 130
        assert output.read_text() == "of yesterday"
        [run] = server.runs.values()
        server.set_status(run.id, "Succeeded")
        assert command.run(*call, **environ(server, "v2"))[0] == 0
        assert run.id in output.read_text()
        assert len(server.runs) == 1


def wait_until(process, condition):
    deadline = time.monotonic() + 40
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Mirrors


def history(server, count):
    first = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        server.add_run(name=f"{number}", status="Succeeded", created_at=first + timedelta(minutes=number))


@pytest.mark.parametrize("into", ["runs.sqlite", "runs.duckdb", "folder/"])
def test_a_sync_that_was_killed_goes_on_in_each_store(command, tmp_path, into):
    """Pages that were read are not read again, and the mirror is whole."""
    path = f"{tmp_path}/{into}"
    with KognitosServer(schedule=Schedule.manual()) as server:
        history(server, 500)
        late = server.misbehave("list_runs", faults.delay(60), times=None, skip=3)
        call = ("runs", "sync", "--process", server.process.id, "--into", path, "--json")
        process = command.start(*call, measured=False, **environ(server, "v2"))
        wait_until(process, lambda: server.count("list_runs") == 4)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        late.cancel()
        before = server.count("list_runs")
        code, out, err = command.run(*call, **environ(server, "v2"))
        assert code == 0, err
        assert server.count("list_runs") - before == 2
        assert json.loads(out)["new"] == 200
        store = store_of(path)
        store.open("rest_v2")
        try:
            assert {run.key for run in store.rows()} == set(server.runs)
        finally:
            store.close()
