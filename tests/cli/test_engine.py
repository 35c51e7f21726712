"""`kognitos engine`: submit, status and resolve, beside a worker of this process."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

from kognitos_async.integrations.dbos import KognitosWorkflows, OnSettledError
from kognitos_async.integrations.dbos.starting import Starter
from kognitos_async.testing import KognitosServer, faults
from tests.fork_server import ENGINE
from tests.support import dbos_on_sqlite

pytestmark = dbos_on_sqlite


@pytest.fixture
def server():
    with KognitosServer() as running:
        yield running


class Engine:
    """`kognitos engine …` on a database file, forked."""

    def __init__(self, fork_server, server, folder):
        self._fork_server = fork_server
        self._folder = folder
        self.environ = {
            **os.environ,
            **server.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "KOGNITOS_DATABASE_URL": f"sqlite:///{folder}/engine.sqlite",
        }

    def start(self, *arguments, **streams):
        program = ("-m", "kognitos_async.cli", "engine", *arguments, "--api", "v2")
        options = {"env": self.environ, "cwd": self._folder, "imports": ENGINE, **streams}
        return self._fork_server.start(*program, **options)

    def __call__(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=50)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@pytest.fixture
def engine(fork_server, server, tmp_path):
    return Engine(fork_server, server, tmp_path)


@pytest.fixture
def worker(server, tmp_path):
    settings = {"api_key": server.api_key, "base_url": server.base_url, "agent_id": server.agent_id}
    workflows = KognitosWorkflows(settings, database_url=f"sqlite:///{tmp_path}/engine.sqlite")
    workflows.launch()
    yield workflows
    workflows.close()


def test_a_file_is_submitted_watched_and_decided_about(engine, worker, server, tmp_path):
    """Twice is once; the outcome of each row, in JSON; one that was refused goes on when it is resolved."""
    (tmp_path / "requests.csv").write_text("name,amount\nbad,0\ngood,5\n")
    refusing = server.misbehave("create_run", faults.refused(400, "not that amount"), times=1)
    done = engine("submit", "requests.csv", "--number", "amount", "--wait", "--json")
    assert done.returncode == 3, done.stderr
    outcomes = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert sorted(outcomes) == ["bad", "good"]
    (failed,) = [line for line in outcomes.values() if line["error"]]
    assert "not that amount" in failed["error"]
    assert refusing.hits == 1
    status = json.loads(engine("status", "--json").stdout)
    assert (status["settled"], status["refused"], status["queued"]) == ({"Succeeded": 1}, 1, 0)
    assert engine("resolve", failed["name"], "--not-started").returncode == 0
    done = engine("submit", "requests.csv", "--number", "amount", "--wait")
    assert done.returncode == 0, done.stderr
    assert server.duplicates() == {}
    assert len(server.runs) == 2
    lines = dict(line.split("\t") for line in engine("status").stdout.splitlines())
    assert (lines["Succeeded"], lines["refused"]) == ("2", "0")
    watched = engine("status", "--watch", "--every", "0.1")
    assert (watched.returncode, watched.stdout) == (0, "Succeeded 2\n")
    for options in ((), ("--watch", "--every", "0.1")):
        assert re.search(r"Succeeded +2\b", on_terminal(engine, *options))


def test_every_outcome_is_printed_whatever_ended_another(engine, worker, server, tmp_path, monkeypatch):
    """An error of any kind is that of its row; a run that was not handed on is named in its row."""
    (tmp_path / "requests.csv").write_text("name\nbroken\ngood\nunknown\n")
    start = Starter.start

    async def failing(self, plan, body, token):
        if plan.name == "broken":
            raise RuntimeError("no more threads,\ntry later")
        if plan.name == "unknown":
            raise OnSettledError("on_settled failed for run r1", run_id="r1")
        return await start(self, plan, body, token)

    monkeypatch.setattr(Starter, "start", failing)
    done = engine("submit", "requests.csv", "--wait")
    assert sorted(line.split("\t")[0] for line in done.stdout.splitlines()) == ["broken", "good", "unknown"]
    assert "broken\t\t\tno more threads, try later\n" in done.stdout
    assert "unknown\tr1\t\ton_settled failed for run r1\n" in done.stdout
    assert (done.returncode, done.stderr) == (3, "enqueued 3 requests\n")


def test_what_a_file_is_advised_to_be_given_is_accepted(engine, tmp_path):
    """Columns, delimiter and encoding, as by `runs bulk`."""
    (tmp_path / "requests.csv").write_bytes("name:files\na:é\n".encode("cp1252"))
    given = ["--delimiter", ":"]
    for advice in (["--input", "files"], ["--encoding", "cp1252"]):
        done = engine("submit", "requests.csv", *given)
        assert (done.returncode, " ".join(advice) in done.stderr) == (2, True), done.stderr
        given += advice
    done = engine("submit", "requests.csv", *given)
    assert (done.returncode, done.stderr) == (0, "enqueued 1 requests\n")


def test_files_of_enqueued_rows_are_needed_no_more(engine, worker, server, tmp_path):
    """The rows are submitted again as often as wanted; a new one needs its file."""
    rows = "name,file\none,scan.pdf\n"
    (tmp_path / "requests.csv").write_text(rows)
    (tmp_path / "scan.pdf").write_bytes(b"content")
    assert engine("submit", "requests.csv", "--wait").returncode == 0
    (tmp_path / "scan.pdf").unlink()
    done = engine("submit", "requests.csv", "--wait")
    assert (done.returncode, done.stderr) == (0, "enqueued 1 requests\n")
    (tmp_path / "requests.csv").write_text(f"{rows}two,scan.pdf\n")
    done = engine("submit", "requests.csv")
    assert done.returncode == 2
    assert "row 3 (two): file scan.pdf cannot be read" in done.stderr
    assert len(server.runs) == 1


def on_terminal(engine, *options):
    """What the status is on a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "wb", buffering=0) as terminal:
        process = engine.start("status", *options, stdout=terminal.fileno())
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as screen, contextlib.suppress(OSError):
        while piece := screen.read(4096):  # OSError is how Linux says that the other side is closed
            shown += piece
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    return shown.decode()


def test_a_worker_ends_in_good_order(engine, server, tmp_path):
    """It works until SIGTERM, and then leaves nothing in doubt."""
    (tmp_path / "requests.csv").write_text("name\none\ntwo\n")
    worker = engine.start("worker")
    assert any(line.startswith("worker running") for line in worker.stderr)
    done = engine("submit", "requests.csv", "--wait")
    assert done.returncode == 0, done.stderr
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=40)
    assert worker.returncode == 0
    assert server.duplicates() == {}
    assert len(server.runs) == 2


def test_wrong_use_is_one_line(engine, tmp_path):
    """Without a traceback, and without a database made by accident where the file is bad."""
    (tmp_path / "requests.csv").write_text("name\nx\nx\n")
    (tmp_path / "absent.csv").write_text("name,file\nx,absent.pdf\n")
    for file in ("requests.csv", "absent.csv"):
        done = engine("submit", file)
        assert done.returncode == 2
        assert "nothing was enqueued" in done.stderr
    assert not (tmp_path / "engine.sqlite").exists()
    done = engine("resolve", "x")
    assert done.returncode == 2
    assert "exactly one of --run and --not-started" in done.stderr
    hidden = "import sys; sys.modules['dbos'] = None; from kognitos_async.cli import main; sys.exit(main())"
    command = (sys.executable, "-c", hidden, "engine", "status", "--api", "v2")
    done = subprocess.run(command, env=engine.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "kognitos: dbos is missing: pip install 'kognitos-async[cli,dbos]'\n",
    )


@pytest.mark.parametrize("url", ["sqlite:////nowhere/x.db", "postgresql://user:s3cret@127.0.0.1:1/x"])
@pytest.mark.parametrize(
    "arguments",
    [("status",), ("submit", "requests.csv"), ("resolve", "x", "--not-started"), ("worker",)],
    ids=lambda arguments: arguments[0],
)
def test_an_unreachable_database_is_one_line(engine, tmp_path, arguments, url):
    """On stderr, with exit code 1 and without the password."""
    (tmp_path / "requests.csv").write_text("name\nx\ny\n")
    done = engine(*arguments, "--database-url", url)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("kognitos: the database cannot be used: ")
    assert "unable to open database file" in line or "127.0.0.1" in line
    assert "s3cret" not in line
