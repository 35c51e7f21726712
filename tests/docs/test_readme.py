"""Every command and snippet of the README does what it says."""

from __future__ import annotations

import ast
import re
import subprocess
from typing import Any, NamedTuple

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kognitos_async.testing import Schedule, faults
from tests.docs.programs import ROOT, python

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    name: str
    source: str

    def namespace(self) -> dict[str, Any]:
        names: dict[str, Any] = {"__name__": f"readme_{self.name}"}
        exec(compile(self.source, f"README.md, {self.name}", "exec"), names)
        return names


def snippets() -> dict[str, Snippet]:
    """The Python blocks by the last function each defines, or by the module it imports first."""
    found = {}
    for source in re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        body = ast.parse(source).body
        functions = [part.name for part in body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
        imported = [part.names[0].name for part in body if isinstance(part, ast.Import)]
        name = functions[-1] if functions else imported[0]
        assert name not in found
        found[name] = Snippet(name, source)
    return found


SNIPPETS = snippets()


def test_there_are_exactly_two_set_up_commands_of_one_line():
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert re.findall(r"^```(?!python$|sh$|$).*", README, re.MULTILINE) == []


def test_continuous_integration_runs_the_commands_as_they_stand():
    """`.ci/run` does not repeat them: it takes them out of the README."""
    script = (ROOT / ".ci" / "run").read_text()
    function = re.search(r"^readme_command\(\) \{.*?^\}$", script, re.MULTILINE | re.DOTALL)
    assert function
    for number, expected in enumerate([*COMMANDS, ""], start=1):
        bash = ["bash", "-c", f"{function[0]}\nreadme_command {number}"]
        ran = subprocess.run(bash, cwd=ROOT, capture_output=True, text=True, check=True)
        assert ran.stdout == expected
    assert re.findall(r"as_written (\d)$", script, re.MULTILINE) == ["1", "2"]


def test_every_snippet_has_a_test():
    tested = {name.removeprefix("test_snippet_") for name in globals() if name.startswith("test_snippet_")}
    assert {name.removeprefix("test_") for name in SNIPPETS} == tested


def test_settings_named_are_those_the_code_reads():
    sources = "".join(path.read_text() for path in (ROOT / "kognitos_async").rglob("*.py"))
    table = set(re.findall(r"^\| `(KOGNITOS_\w+)`", README, re.MULTILINE))
    assert table == {"KOGNITOS_API_KEY", "KOGNITOS_AGENT_ID", "KOGNITOS_REGION", "KOGNITOS_BASE_URL"}
    assert all(f'"{name}"' in sources for name in table)


async def test_snippet_main(kognitos_server, tmp_path):
    ran = await python("-c", SNIPPETS["main"].source, server=kognitos_server, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "'the output total': 129.5" in ran.out


async def test_snippet_make_app(kognitos_server, monkeypatch):
    for name, value in kognitos_server.environ.items():
        monkeypatch.setenv(name, value)
    app = SNIPPETS["make_app"].namespace()["make_app"]()
    order = {"process": kognitos_server.process.id, "name": "from the web", "inputs": {"amount": 2}}
    async with TestClient(TestServer(app)) as browser, browser.post("/invoices", json=order) as answer:
        assert answer.status == 200
        body = await answer.json()
    assert body["status"] == "Succeeded"
    assert body["outputs"]["the output total"] == 2
    assert body["run"] in kognitos_server.runs


async def test_snippet_process_all(kognitos_server, kognitos_client):
    process_all = SNIPPETS["process_all"].namespace()["process_all"]
    invoices = [f"INV-{number}" for number in range(20)]
    runs = await process_all(kognitos_client, kognitos_server.process.id, invoices)
    assert [run.name for run in runs] == [f"import {invoice}" for invoice in invoices]
    assert all(run.succeeded for run in runs)


async def test_snippet_import_all(kognitos_server, kognitos_client, tmp_path):
    kognitos_server.misbehave("create_run", faults.server_error(400))
    import_all = SNIPPETS["import_all"].namespace()["import_all"]
    failed = await import_all(kognitos_client, kognitos_server.process.id, str(tmp_path / "journal"))
    (name,) = failed  # whichever start came in first
    assert kognitos_server.runs_named(name) == []
    assert len(kognitos_server.runs) == 29


async def test_snippet_count_failures(kognitos_server, kognitos_client):
    count_failures = SNIPPETS["count_failures"].namespace()["count_failures"]
    for number in range(250):
        kognitos_server.add_run(status="Exception" if number % 2 else "Succeeded")
    process_id = kognitos_server.process.id
    assert await count_failures(kognitos_client, process_id) == (125, None)
    kognitos_server.misbehave("list_runs", faults.server_error(400), skip=1)
    failures, token = await count_failures(kognitos_client, process_id)
    assert failures == 50
    assert token
    assert await count_failures(kognitos_client, process_id, token) == (75, None)


async def test_snippet_process_file(kognitos_server, kognitos_client, tmp_path):
    path = tmp_path / "invoices.csv"
    path.write_bytes(b"invoice,amount\nINV-0001,12.5\n")
    process_file = SNIPPETS["process_file"].namespace()["process_file"]
    run = await process_file(kognitos_client, kognitos_server.process.id, path)
    assert run.succeeded
    assert [kognitos_server.files[file_id].content for file_id in run.file_ids] == [path.read_bytes()]


@pytest.mark.parametrize(
    ("operation", "fault", "expected"),
    [
        (None, None, "done: {'the output total'"),
        ("upload_file", faults.answer(403), "not uploaded, nothing started: 403"),
        ("create_run", faults.reset(after_work=True), "done: "),
        ("create_run", faults.reset(after_work=False), "start again"),
        ("create_run", faults.capacity_reached(), "not started: the organization"),
        ("create_run", faults.rate_limited("600"), "not started: too many requests; try in 600"),
        ("create_run", faults.server_error(400), "not started: the API refused with 400: Internal error"),
    ],
)
async def test_snippet_process_carefully(
    kognitos_server, kognitos_client, tmp_path, operation, fault, expected
):
    if operation:
        kognitos_server.misbehave(operation, fault, times=None if "capacity" in fault.name else 1)
    path = tmp_path / "invoice.txt"
    path.write_text("12.5")
    process_carefully = SNIPPETS["process_carefully"].namespace()["process_carefully"]
    told = await process_carefully(
        kognitos_client, kognitos_server.process.id, "the name", path, absence_delay=0.0
    )
    assert told.startswith(expected)


async def test_careful_snippet_tells_runs_that_need_attention(kognitos_server, kognitos_client, tmp_path):
    path = tmp_path / "invoice.txt"
    path.write_text("12.5")
    process = kognitos_server.add_process("Fails", id="fails")
    kognitos_server._world.schedule = Schedule.fixed(0.0, "Exception")
    process_carefully = SNIPPETS["process_carefully"].namespace()["process_carefully"]
    told = await process_carefully(kognitos_client, process.id, "the name", path)
    (run,) = kognitos_server.runs_named("the name")
    assert told == f"needs attention: {run.id} is Exception"


async def test_snippet_follow(kognitos_server, kognitos_client, capsys):
    run = kognitos_server.add_run(status="Succeeded")
    follow = SNIPPETS["follow"].namespace()["follow"]
    assert (await follow(kognitos_client, run.id)).succeeded
    assert capsys.readouterr().out == f"{run.id} Succeeded\n"


async def test_snippet_logging(kognitos_server, tmp_path):
    use = (
        "import asyncio\nfrom kognitos_async import KognitosClient\n"
        "async def main():\n    async with KognitosClient() as client:\n        await client.health()\n"
        "asyncio.run(main())\n"
    )
    source = SNIPPETS["logging"].source + use
    ran = await python("-c", source, server=kognitos_server, cwd=tmp_path)
    assert "DEBUG GET /health: 200 in " in ran.err
    assert kognitos_server.api_key not in ran.err


@pytest.mark.timeout(120)
async def test_snippet_a_run_that_needs_a_person(kognitos_server, tmp_path):
    (tmp_path / "test_ours.py").write_text(SNIPPETS["test_a_run_that_needs_a_person"].source)
    (tmp_path / "conftest.py").write_text(
        # The package's entry point may not be installed where only PYTHONPATH leads to it.
        "from kognitos_async.testing import pytest_plugin\n"
        "def pytest_configure(config):\n"
        "    if not config.pluginmanager.is_registered(pytest_plugin):\n"
        "        config.pluginmanager.register(pytest_plugin, 'kognitos')\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    ran = await python("-m", "pytest", "-q", server=kognitos_server, cwd=tmp_path)
    assert "2 passed" in ran.out, ran.out + ran.err
