"""Every file in examples/ runs, and says what it should."""

from __future__ import annotations

import ast
import asyncio
import csv
import dataclasses
import importlib.util
import json
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from kognitos_async.testing import Schedule, faults
from tests.docs.programs import ROOT, environ, python

LONG_FOR_A_REASON = {"temporal_workflow.py"}  # a workflow, its activities and its worker
EXAMPLES = {path.name: path for path in (ROOT / "examples").glob("*.py")}


def test_every_example_has_a_test():
    tested = {
        f"{name.removeprefix('test_example_')}.py" for name in globals() if name.startswith("test_example_")
    }
    assert set(EXAMPLES) == tested


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_short_and_says_how_to_run_it(name):
    source = EXAMPLES[name].read_text()
    docstring = ast.get_docstring(ast.parse(source)) or ""
    assert len(source.splitlines()) < 50 or name in LONG_FOR_A_REASON
    assert f"python examples/{name}" in docstring
    platform = ("TOKEN", "ORGANIZATION_ID", "WORKSPACE_ID", "AUTOMATION_ID")
    words = platform if "PlatformClient" in source else ("API_KEY", "AGENT_ID", "PROCESS_ID")
    assert all(f"KOGNITOS_{word}" in docstring for word in words)


async def test_example_start_and_wait(kognitos_server, tmp_path):
    ran = await python(EXAMPLES["start_and_wait.py"], server=kognitos_server, cwd=tmp_path)
    (run,) = kognitos_server.runs.values()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{run.id} Succeeded\nthe output total: 129.5\n")

    kognitos_server.schedule = Schedule.fixed(0.0, "Exception")
    ran = await python(EXAMPLES["start_and_wait.py"], server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("needs attention: run ")


async def test_example_sync_portal(kognitos_server, tmp_path):
    invoices = ["INV-0001", "INV-0002"]
    ran = await python(EXAMPLES["sync_portal.py"], *invoices, server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.out, ran.err) == (0, "INV-0001: Succeeded\nINV-0002: Succeeded\n", "")
    assert sorted(run.name for run in kognitos_server.runs.values()) == [f"book {name}" for name in invoices]

    kognitos_server.schedule = Schedule.fixed(0.0, "Exception")
    ran = await python(EXAMPLES["sync_portal.py"], "INV-0003", server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("INV-0003: run ")


async def test_the_notebook_runs(kognitos_server, monkeypatch):
    """Cell by cell with top-level await, as Jupyter does; it is kept without outputs."""
    for name, value in environ(kognitos_server).items():
        monkeypatch.setenv(name, value)
    notebook = json.loads((ROOT / "examples" / "notebook.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    names = {}
    for cell in cells:
        code = compile("".join(cell["source"]), cell["id"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if asyncio.iscoroutine(running):
            await running
    assert sorted(run.name for run in kognitos_server.runs.values()) == [f"notebook {n}" for n in range(3)]
    assert all(outcome.run.succeeded for outcome in names["settled"])


async def test_example_many_runs(kognitos_server, tmp_path):
    call = EXAMPLES["many_runs.py"], "the.journal"
    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines.pop() == "Succeeded 100"
    assert sorted(lines) == [f"import INV-{number:04}: Succeeded" for number in range(1, 101)]

    again = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert again.out.endswith("Succeeded 100\n")
    assert len(kognitos_server.runs) == 100


async def test_example_history_to_csv(kognitos_server, tmp_path):
    for number in range(250):
        kognitos_server.add_run(name=f"run {number}", status="Succeeded")
    call = EXAMPLES["history_to_csv.py"], "history.csv"
    kognitos_server.misbehave("list_runs", faults.server_error(400), skip=2)
    ended = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert ended.code == 1
    assert (tmp_path / "history.token").exists()

    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "50 runs written to history.csv\n")
    assert not (tmp_path / "history.token").exists()
    with (tmp_path / "history.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["id"] for row in rows] == list(kognitos_server.runs)[::-1]
    assert {row["status"] for row in rows} == {"Succeeded"}


async def test_example_upload_and_start(kognitos_server, tmp_path):
    (tmp_path / "invoices.csv").write_text("invoice,amount\nINV-0001,12.5\n")
    call = EXAMPLES["upload_and_start.py"], "invoices.csv"
    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    (run,) = kognitos_server.runs.values()
    assert "29 of 29 bytes\n" in ran.out
    assert ran.out.endswith(f"id {run.file_ids[0]}\n{run.id} Created\n")

    kognitos_server.misbehave("upload_file", faults.answer(403))
    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert ran.code == 1
    assert "the file store answered 403" in ran.err


async def test_example_web_handler(kognitos_server, fork_server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = fork_server.start(str(EXAMPLES["web_handler.py"]), str(port), env=environ(kognitos_server))
    try:
        assert service.stdout
        assert str(port) in await asyncio.to_thread(service.stdout.readline)
        url = f"http://127.0.0.1:{port}/invoices"
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(url, data=json.dumps({"invoice": "INV-0001"})) as answer,
        ):
            body = await answer.json()
    finally:
        service.send_signal(signal.SIGTERM)
        await asyncio.to_thread(service.communicate, 20)
    assert body["status"] == "Succeeded"
    assert set(body["outputs"]) == {"the output total", "the output reference"}


@pytest.mark.parametrize("after_work", [True, False])
async def test_example_recover_uncertain_start(kognitos_server, tmp_path, after_work):
    kognitos_server.misbehave("create_run", faults.reset(after_work=after_work))
    ran = await recover("the only one", server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    (run,) = kognitos_server.runs_named("the only one")
    assert ran.out.startswith(run.id)
    assert list(tmp_path.iterdir()) == []


async def test_a_look_up_goes_on_after_the_end_of_its_program(kognitos_server, tmp_path):
    (tmp_path / "attempt").write_text(datetime.now(UTC).isoformat())
    run = kognitos_server.add_run(name="the only one")
    ran = await recover("the only one", server=kognitos_server, cwd=tmp_path)
    assert ran.out.startswith("looking up the start sent at ")
    assert ran.out.splitlines()[-1].startswith(run.id)
    assert kognitos_server.count("create_run") == 0


async def recover(name, *, server, cwd):
    """The example as its last lines run it, without the pause that the emulator does not need."""
    hurried = (
        f"import asyncio, sys; sys.path.insert(0, {str(Path(EXAMPLES['start_and_wait.py']).parent)!r}); "
        "import recover_uncertain_start as program; program.SECONDS_TO_APPEAR = 0.0; "
        f"asyncio.run(program.main({name!r}, program.Path('attempt')))"
    )
    return await python("-c", hurried, server=server, cwd=cwd)


async def test_example_watch_statuses(kognitos_server, tmp_path):
    ran = await python(EXAMPLES["watch_statuses.py"], server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[-1] == "3 succeeded, 0 did not"
    for colour in ("red", "green", "blue"):
        words = [line.rpartition(": ")[2] for line in lines if line.startswith(colour)]
        assert words[0] == "Created"
        assert words[-1] == "Succeeded"


async def test_example_invoke_and_answer(kognitos_server, tmp_path):
    call = EXAMPLES["invoke_and_answer.py"], "Use the second line"
    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    (run,) = kognitos_server.platform.runs.values()
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{run.id} completed\n")
    assert "129.50" in ran.out

    kognitos_server.platform.schedule = Schedule.fixed(0.0, "awaiting_guidance")
    ran = await python(*call, server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("asked: ")
    assert " completed\n" in ran.out


async def test_example_telemetry_console(kognitos_server, tmp_path):
    ran = await python(EXAMPLES["telemetry_console.py"], server=kognitos_server, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    for name, least in (("run_many", 1), ("run", 5), ("start", 5), ("wait", 5)):
        assert ran.out.count(f" ms  kognitos {name}  {{") >= least
    assert ran.out.count(" ms  POST /runs  ") == 5
    assert '"name": "kognitos.runs.settled"' in ran.out
    assert '"kognitos.run.status": "Succeeded"' in ran.out


TEMPORAL = "TEMPORAL_ADDRESS"


@pytest.fixture
def temporal(monkeypatch, kognitos_server):
    """The example, and an attempt of its start beside a workflow whose updates need no server."""
    from temporalio.testing import ActivityEnvironment  # noqa: PLC0415 - as below

    for name, value in kognitos_server.environ.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("temporal_workflow", EXAMPLES["temporal_workflow.py"])
    monkeypatch.setitem(sys.modules, spec.name, module := importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    owner = module.KognitosRun()

    class Handle:
        async def execute_update(self, update, *given, args=()):
            return update(owner, *given, *args)

    class Client:
        def get_workflow_handle(self, workflow_id, run_id):
            return Handle()

    async def start(attempt):
        environment = ActivityEnvironment(client=Client())
        environment.info = dataclasses.replace(environment.info, attempt=attempt)
        return await environment.run(module.start_run, kognitos_server.process.id, "INV-1")

    return module, owner, start


async def test_example_temporal_workflow(temporal, kognitos_server):
    from temporalio.testing import ActivityEnvironment  # noqa: PLC0415 - a third of a second for every process

    module, owner, start = temporal
    handle = await start(1)
    (run,) = kognitos_server.runs.values()
    assert handle["id"] == run.id
    outputs = await ActivityEnvironment().run(module.wait_for_run, handle)
    assert outputs == {output["name"]: output["value"] for output in run.outputs}
    assert owner.sending is not None


@pytest.mark.slow  # a look-up begins 5 s after the attempt
async def test_a_temporal_activity_finds_what_an_earlier_attempt_has_started(temporal, kognitos_server):
    _, _, start = temporal
    first = await start(1)  # and the worker is killed before it can say so
    assert await start(2) == first
    assert kognitos_server.count("create_run") == 1


async def test_a_temporal_activity_that_was_taken_over_from_sends_nothing(temporal, kognitos_server):
    from temporalio.exceptions import ApplicationError  # noqa: PLC0415 - as above

    module, owner, start = temporal
    begin = module.KognitosRun.begin

    def taken_over(self, attempt):
        sending = begin(self, attempt)
        self.attempt += 1
        return sending

    module.KognitosRun.begin = taken_over
    with pytest.raises(ApplicationError, match="attempt 1 was superseded by 2"):
        await start(1)
    assert (kognitos_server.count("create_run"), owner.sending) == (0, None)


@pytest.mark.skipif(
    TEMPORAL not in os.environ, reason=f"{TEMPORAL} names no Temporal server; its wheel has none"
)
async def test_a_temporal_workflow_as_a_whole(kognitos_server, tmp_path):
    example = EXAMPLES["temporal_workflow.py"]
    worker = asyncio.create_task(python(example, "worker", server=kognitos_server, cwd=tmp_path))
    try:
        ran = await python(example, "start", f"INV-{uuid4()}", server=kognitos_server, cwd=tmp_path)
    finally:
        worker.cancel()
    assert (ran.code, len(kognitos_server.runs)) == (0, 1)
