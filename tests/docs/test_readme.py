"""Every command and snippet of the README and of the pages it leads to does what it says."""

from __future__ import annotations

import ast
import asyncio
import re
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import kognitos_async
from kognitos_async import (
    FileRef,
    KognitosClient,
    KognitosError,
    PlatformClient,
    PlatformRun,
    PollPolicy,
    RetryPolicy,
    StartUncertainError,
    to_value,
)
from kognitos_async.cli.app import run as run_kognitos
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.docs.programs import PLUGINS, ROOT, environ, python
from tests.platform.conftest import answers  # noqa: F401 - a fixture
from tests.platform.world import Platform

README = (ROOT / "README.md").read_text()
PAGES = README + "".join(
    (ROOT / folder / "README.md").read_text() for folder in ("examples", "kognitos_async", "benchmarks")
)
"""README, and the pages that it leads to whose snippets are run here."""
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
    for source in re.findall(r"^```python\n(.*?)^```$", PAGES, re.MULTILINE | re.DOTALL):
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
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install --quiet ")
    assert re.findall(r"^```(?!python$|sh$|text$|$).*", PAGES, re.MULTILINE) == []
    assert len(README.splitlines()) < 200


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
    table = set(re.findall(r"^\| `(KOGNITOS_\w+)`", PAGES, re.MULTILINE))
    assert table == {
        "KOGNITOS_API_KEY",
        "KOGNITOS_AGENT_ID",
        "KOGNITOS_TOKEN",
        "KOGNITOS_ORGANIZATION_ID",
        "KOGNITOS_WORKSPACE_ID",
        "KOGNITOS_REGION",
        "KOGNITOS_BASE_URL",
    }
    assert all(f'"{name}"' in sources for name in table)


def test_every_link_leads_somewhere():
    """Within the repository, from each page."""
    for page in (ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("kognitos_async/*/README.md")):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), (page, target)


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


def test_snippet_book(kognitos_server, monkeypatch):
    testclient = pytest.importorskip("fastapi.testclient")
    for name, value in kognitos_server.environ.items():
        monkeypatch.setenv(name, value)
    with testclient.TestClient(SNIPPETS["book"].namespace()["app"]) as browser:
        done = browser.post("/invoices/INV-1?amount=2")
        assert (done.status_code, done.json()["status"]) == (200, "Succeeded")
        assert {"name": "the output total", "value": 2} in done.json()["outputs"]
        kognitos_server.misbehave("create_run", faults.reset(after_work=True))
        lost = browser.post("/invoices/INV-2?amount=2")
        assert (lost.status_code, lost.json()["detail"][:32]) == (504, "perhaps started, do not repeat: ")
        kognitos_server.misbehave("create_run", faults.refused(400, "No such input"))
        refused = browser.post("/invoices/INV-3?amount=2")
        assert refused.status_code == 502
        assert "No such input" in refused.json()["detail"]
        schema = browser.get("/openapi.json").json()
    answer = schema["paths"]["/invoices/{number}"]["post"]["responses"]["200"]
    assert "outputs" in answer["content"]["application/json"]["schema"]["properties"]


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


async def test_snippet_mirror(kognitos_server, kognitos_client, tmp_path):
    mirror = SNIPPETS["mirror"].namespace()["mirror"]
    process_id, store = kognitos_server.process.id, tmp_path / "runs.db"
    run = kognitos_server.add_run(name="earlier", status="Running")
    assert await mirror(kognitos_client, process_id, store) == "1 new, 0 changed"
    kognitos_server.set_status(run.id, "Succeeded")
    kognitos_server.add_run(name="later", status="Succeeded")
    assert await mirror(kognitos_client, process_id, store) == "1 new, 1 changed"


async def test_snippet_process_file(kognitos_server, kognitos_client, tmp_path):
    path = tmp_path / "invoices.csv"
    path.write_bytes(b"invoice,amount\nINV-0001,12.5\n")
    process_file = SNIPPETS["process_file"].namespace()["process_file"]
    run = await process_file(kognitos_client, kognitos_server.process.id, path)
    assert run.succeeded
    assert [kognitos_server.files[file_id].content for file_id in run.file_ids] == [path.read_bytes()]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, None),
        (faults.reset(after_work=True), None),
        (faults.wrong_json(), None),
        (faults.proxy_error(502, after_work=True), None),
        (faults.reset(after_work=False), None),
        (faults.rate_limited("600"), "not started: too many requests; try again in 600 s"),
        (faults.server_error(400), "not started: the API rejected it with 400: Internal error"),
    ],
)
async def test_snippet_start_carefully(kognitos_server, kognitos_client, fault, expected):
    if fault:
        kognitos_server.misbehave("create_run", fault)
    start_carefully = SNIPPETS["start_carefully"].namespace()["start_carefully"]
    started = await start_carefully(kognitos_client, kognitos_server.process.id, "the name", 0.0)
    runs = kognitos_server.runs_named("the name")
    if expected:
        assert (started, runs) == (expected, [])
    else:
        assert [run.id for run in runs] == [started.id]


async def test_careful_start_tells_when_there_is_no_room_or_no_connection(kognitos_server, kognitos_client):
    start_carefully = SNIPPETS["start_carefully"].namespace()["start_carefully"]
    kognitos_server.misbehave("create_run", faults.capacity_reached(), times=None)
    message = await start_carefully(kognitos_client, kognitos_server.process.id, "the name")
    assert message.startswith("not started: the organization is at capacity")
    await kognitos_server.stop()
    # A new client has no connection that could break only after the start was sent.
    async with kognitos_server.client(retry=RetryPolicy(base_delay=0.01)) as client:
        message = await start_carefully(client, kognitos_server.process.id, "the name")
    assert message == "not started: no connection to the API"


async def test_careful_start_takes_no_run_of_a_name_that_is_not_unique(kognitos_server, kognitos_client):
    start_carefully = SNIPPETS["start_carefully"].namespace()["start_carefully"]
    kognitos_server.add_run(name="the name")
    kognitos_server.misbehave("create_run", faults.reset(after_work=True))
    with pytest.raises(StartUncertainError):
        await start_carefully(kognitos_client, kognitos_server.process.id, "the name", 0.0)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Succeeded", "done: {'the output"),
        ("Exception", "needs a person: {id}"),
        ("Stopped", "stopped or cancelled: {id}"),
        ("Cancelled", "stopped or cancelled: {id}"),
        ("Failed", "failed or timed out: {id}"),
        ("TimedOut", "failed or timed out: {id}"),
        ("Created", "still Created: the run continues, wait again for {id}"),
    ],
)
async def test_snippet_wait_carefully(status, expected):
    async with KognitosServer(schedule=Schedule.manual()) as server, server.client() as client:
        wait_carefully = SNIPPETS["wait_carefully"].namespace()["wait_carefully"]
        run = await client.runs.start(server.process.id, name="the name")
        if status != "Created":
            server.set_status(run.id, status, outputs={"the output total": 1} if "Succ" in status else None)
        run = await client.runs.get(run.id)
        message = await wait_carefully(client, run, timeout=0.0 if status == "Created" else 30.0)
    assert message.startswith(expected.replace("{id}", run.id))


async def test_careful_wait_tells_of_an_answer_that_is_not_documented(kognitos_server, kognitos_client):
    wait_carefully = SNIPPETS["wait_carefully"].namespace()["wait_carefully"]
    run = await kognitos_client.runs.start(kognitos_server.process.id, name="the name")
    kognitos_server.misbehave("get_run", faults.wrong_shape())
    message = await wait_carefully(kognitos_client, run)
    assert message == "undocumented answer of the API, at $.id"


async def test_snippet_upload_carefully(kognitos_server, kognitos_client, tmp_path):
    upload_carefully = SNIPPETS["upload_carefully"].namespace()["upload_carefully"]
    path = tmp_path / "invoice.txt"
    assert (await upload_carefully(kognitos_client, path)).startswith("cannot be read: ")
    path.write_text("12.5")
    file = await upload_carefully(kognitos_client, path)
    assert kognitos_server.files[file.id].content == b"12.5"
    kognitos_server.misbehave("upload_file", faults.answer(403))
    assert await upload_carefully(kognitos_client, path) == "not uploaded: 403"
    kognitos_server.misbehave("upload_file", faults.reset(after_work=False), times=None)
    assert await upload_carefully(kognitos_client, path) == "not uploaded: no answer"


async def test_a_file_that_is_too_large_is_reported_in_the_words_of_the_store(tmp_path):
    upload_carefully = SNIPPETS["upload_carefully"].namespace()["upload_carefully"]
    path = tmp_path / "invoice.txt"
    path.write_text("12.5")
    async with KognitosServer(max_file_size=3) as server, server.client() as client:
        assert await upload_carefully(client, path) == "not uploaded: EntityTooLarge"


def test_the_errors_named_exist():
    rows = re.search(r"^\| error \|.*?\n\n", PAGES, re.MULTILINE | re.DOTALL)
    assert rows
    named = set(re.findall(r"`(\w+Error)`", rows[0]))
    assert len(named) >= 15
    assert all(issubclass(getattr(kognitos_async, name), KognitosError) for name in named)


def test_the_policies_and_their_formulas_are_those_of_the_code():
    for policy in (RetryPolicy, PollPolicy):
        shown = re.search(rf"{policy.__name__}\(([^)]*)\)\)`\n", PAGES)
        assert shown
        arguments = dict(part.split("=") for part in shown[1].split(", "))
        defaults = {name: getattr(policy(), name) for name in policy.__struct_fields__}
        defaults.pop("unknown_status", None)
        assert {name: float(value) for name, value in arguments.items()} == defaults
        formulas = [
            text.strip()
            for text in re.findall(r"^```text\n(.*?)^```$", PAGES, re.MULTILINE | re.DOTALL)
            if text.strip() in (policy.__doc__ or "")
        ]
        assert len(formulas) == 1


async def test_snippet_watch(kognitos_server, kognitos_client, capsys):
    run = kognitos_server.add_run(status="Succeeded")
    watch = SNIPPETS["watch"].namespace()["watch"]
    assert (await watch(kognitos_client, run.id)).succeeded
    assert capsys.readouterr().out == f"{run.id} Succeeded\n"


async def test_snippet_progress(kognitos_server, kognitos_client, capsys):
    """Each status once, from the one it has to the last."""
    run = await kognitos_client.runs.start(kognitos_server.process.id, name="watched")
    await SNIPPETS["progress"].namespace()["progress"](kognitos_client, run.id)
    assert capsys.readouterr().out.split()[-1] == "Succeeded"


async def test_snippet_traced(kognitos_server, monkeypatch):
    for name, value in kognitos_server.environ.items():
        monkeypatch.setenv(name, value)
    await SNIPPETS["traced"].namespace()["traced"](kognitos_server.process.id)
    assert [run.status for run in kognitos_server.runs.values()] == ["Succeeded"]


async def test_snippet_announce(kognitos_server, kognitos_client, monkeypatch):
    snippet = SNIPPETS["announce"].namespace()
    printed = asyncio.Queue()
    snippet["print"] = lambda *words: printed.put_nowait(words)
    following = asyncio.create_task(snippet["announce"](kognitos_client, kognitos_server.process.id))
    try:
        async with asyncio.timeout(30):
            await asyncio.sleep(0)  # from here on it follows
            await kognitos_client.runs.start(kognitos_server.process.id, name="seen")
            words = [await printed.get()]
            while words[-1] != ("seen", "Succeeded"):
                words.append(await printed.get())
    finally:
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    assert {name for name, _ in words} == {"seen"}


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
async def test_snippet_a_run_that_needs_a_person(kognitos_server, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "test_ours.py").write_text(SNIPPETS["test_a_run_that_needs_a_person"].source)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    ran = await python("-m", "pytest", "-q", *PLUGINS, server=kognitos_server, cwd=tmp_path)
    assert "2 passed" in ran.out, ran.out + ran.err


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is how it ends")
async def test_the_emulator_runs_alone(kognitos_server, fork_server):
    (line,) = re.findall(r"^\.venv/bin/kognitos (serve .*)$", PAGES, re.MULTILINE)
    arguments = re.sub(r"--port \d+", "--port 0", line)
    call = ("-m", "kognitos_async.cli", *shlex.split(arguments))
    service = fork_server.start(*call, env=environ(kognitos_server))
    try:
        assert service.stdout
        exported = {}
        while not (shown := service.stdout.readline()).startswith("#"):
            name, _, value = shown.removeprefix("export ").strip().partition("=")
            exported[name] = value
        async with KognitosClient(
            exported["KOGNITOS_API_KEY"],
            base_url=exported["KOGNITOS_BASE_URL"],
            agent_id=exported["KOGNITOS_AGENT_ID"],
        ) as client:
            process = await client.processes.get(exported["KOGNITOS_PROCESS_ID"])
            assert process.id == exported["KOGNITOS_PROCESS_ID"]
    finally:
        service.send_signal(signal.SIGINT)
        _, err = service.communicate(20)
    assert service.returncode == 0, err


def test_the_commands_named_exist(capsys):
    named = set(re.findall(r"`kognitos ((?:runs|journal) \w+|demo|serve)", README))
    assert {"demo", "serve", "runs bulk"} <= named
    for command in sorted(named):
        assert run_kognitos([*command.split(), "--help"]) == 0
        assert f"kognitos {command} " in capsys.readouterr().out


async def test_snippet_book_invoice():
    platform = Platform(latency=0.001)
    platform.longest = 0.02
    async with platform.client(poll=PollPolicy(initial=0.01, maximum=0.02)) as client:
        assert await SNIPPETS["book_invoice"].namespace()["book_invoice"](client, "a") == 7
    assert platform.runs["run0"]["inputs"]["amount"] == {"number": {"lo": 12950, "flags": 2 << 16}}


async def test_snippet_process_document(kognitos_server, platform_client, tmp_path):
    (tmp_path / "invoice.pdf").write_bytes(b"%PDF")
    process_document = SNIPPETS["process_document"].namespace()["process_document"]
    automation = kognitos_server.platform.automation.id
    run = await process_document(platform_client, automation, tmp_path / "invoice.pdf")
    assert run.succeeded
    (file,) = kognitos_server.platform.files.values()
    assert (file.filename, run.user_inputs["document"].remote) == ("invoice.pdf", file.name)


async def test_snippet_run_with_guidance(capsys):
    platform = Platform(latency=0.001)
    platform.longest = 0.02
    platform.outcome = ("awaiting_guidance", {"exception": "x", "description": "which vendor?"})
    run_with_guidance = SNIPPETS["run_with_guidance"].namespace()["run_with_guidance"]
    async with platform.client(poll=PollPolicy(initial=0.01, maximum=0.02)) as client:
        run = await run_with_guidance(client, "a", "Acme")
    assert capsys.readouterr().out == "which vendor?\n"
    assert platform.replies == ["The vendor is Acme"]
    assert run.succeeded


async def test_snippet_save(tmp_path, answers):  # noqa: F811 - the fixture
    pa = pytest.importorskip("pyarrow")

    async def answer(request):
        assert request.path.endswith("/files/f:download")
        return web.Response(body=b"%PDF")

    outputs = {"report": FileRef("organizations/o/files/f"), "lines": pa.table({"n": [1, 2]})}
    state = {"completed": {"outputs": {name: to_value(value) for name, value in outputs.items()}}}
    run = PlatformRun(name="x", create_time=datetime.now(UTC), state_object=state)
    async with PlatformClient("kgn_pat_x", base_url=await answers(answer)) as client:
        assert await SNIPPETS["save"].namespace()["save"](client, run, tmp_path) == [{"n": 1}, {"n": 2}]
    assert (tmp_path / "report.pdf").read_bytes() == b"%PDF"
