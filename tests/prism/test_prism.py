"""Stoplight's Prism between client and emulator holds both to the specifications.

It is a program for Node: `npm install @stoplight/prism-cli`, and the path of the command in PRISM. `.ci/run`
does so where there is npm.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib import resources

import aiohttp
import pytest

from kognitos_async import APIStatusError, KognitosClient, PlatformClient, RetryPolicy, Table, to_value
from kognitos_async.testing import KognitosServer, Schedule
from tests.platform.test_operations import CALLS, streamed

pytestmark = [
    pytest.mark.skipif("PRISM" not in os.environ, reason="PRISM names no command of @stoplight/prism-cli"),
    pytest.mark.slow,
    pytest.mark.timeout(180),
]
ONCE = RetryPolicy(max_attempts=1)
START = 60.0


def spec_of(name, prefix):
    """The vendor's description with paths as they are sent, and no servers."""
    spec = json.loads(resources.files("kognitos_async.testing").joinpath(name).read_text())
    spec["servers"] = []
    spec["paths"] = {prefix + path: item for path, item in spec["paths"].items()}
    return spec


@asynccontextmanager
async def judged(spec, server, folder):
    """The address of a proxy before the server that answers 4xx and 500 to whatever breaks the spec."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(spec))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "prism.log").open("wb")
    prism = await asyncio.create_subprocess_exec(
        os.environ["PRISM"],
        "proxy",
        path,
        server.url,
        "--errors",
        "--port",
        str(port),
        stdout=log,
        stderr=log,
    )
    try:
        async with asyncio.timeout(START):
            # It says that it listens in words for people; a connection tells for certain.
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert prism.returncode is None, (folder / "prism.log").read_text()
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        prism.terminate()
        await prism.wait()
        log.close()


def platform_calls(server):
    """A call for each operation, of things that are there."""
    platform = server.platform
    platform.add_automation("Process invoice", id="a")
    run = platform.add_run("a", id="r", state="awaiting_guidance")
    file, asked = platform.add_file("a.txt", b"abc").id, next(iter(platform.exceptions))
    event = run.threads["astral"][0].id
    table = Table(columns={"line": [1, 2], "text": ["a", None]})
    platform.add_run(
        "a", id="done", state="completed", outputs={"lines": to_value(table), "total": Decimal("1.50")}
    )
    there = {
        # The others send a token that no list has given, and no table.
        "ListOrganizationUsers": lambda c: c.organizations.list_users(order_by="email desc"),
        "InvokeAutomation": lambda c: c.automations.invoke("a", {"n": Decimal("1.5"), "lines": table}),
        "GetRun": lambda c: c.runs.get("done", automation="a"),
        "DownloadFile": lambda c: streamed(c.files.download(file)),
        "GetFileMetadata": lambda c: c.files.metadata(file),
        "GenerateDownloadUrl": lambda c: c.files.generate_download_url(file),
        "DeleteFile": lambda c: c.files.delete(file),
        "GetException": lambda c: c.exceptions.get(asked),
        "GetEvent": lambda c: c.exceptions.get_event(event, run="r", automation="a"),
        "GetExecutionOutputs": lambda c: c.runs.execution_outputs(run.execution_id),
    }
    platform.add_run("a", id="running", state="executing")
    platform.add_run("a", id="stopped", state="stopped")
    there["PauseRun"] = lambda c: c.runs.pause("running", automation="a", reason="lunch")
    there["ContinueRun"] = lambda c: c.runs.resume("stopped", automation="a")
    last = ("StreamEvents", "DeleteFile")  # the stream ends with the run; the file is gone then
    names = [*(name for name in CALLS if name not in last), *last]
    return {name: there.get(name, CALLS[name]) for name in names}


async def test_every_operation_of_the_platform_api(tmp_path):
    """All 102 are asked and answered as the specification says, tables included."""
    async with (
        KognitosServer(organization_id="o", workspace_id="w", schedule=Schedule.manual()) as server,
        judged(spec_of("platform.openapi.json", ""), server, tmp_path) as url,
        PlatformClient(
            server.platform.token, organization_id="o", workspace_id="w", base_url=url, retry=ONCE
        ) as client,
    ):
        faults = {}
        for name, call in platform_calls(server).items():
            try:
                await call(client)
            except APIStatusError as error:
                faults[name] = f"{error} {error.body!r}"
        assert not faults, "\n".join(f"{name}: {message}" for name, message in faults.items())
        assert all(server.count(name) for name in CALLS)


async def test_every_operation_of_rest_api_v2(tmp_path):
    """All 7, with the file that goes to the file store past the proxy."""
    async with (
        # Times with their offset, as the spec's format wants them; its own examples have none.
        KognitosServer(schedule=Schedule.fixed(0.0), time_format="offset") as server,
        judged(spec_of("rest_v2.openapi.json", "/v2"), server, tmp_path) as url,
        KognitosClient(server.api_key, agent_id=server.agent_id, base_url=url, retry=ONCE) as client,
    ):
        assert (await client.health()).ok
        [process, *_] = await client.processes.list(limit=3).collect()
        assert (await client.processes.get(process.id)).id == process.id
        file = await client.files.upload(b"abc", file_name="a.txt")
        run = await client.runs.start(
            process.id, name="INV-1", inputs={"amount": 2.5, "number": 7, "text": "x"}, file_ids=[file.id]
        )
        assert (await client.runs.get(run.id)).succeeded
        listed = await client.runs.list(process.id, stage="Published", limit=1)
        assert [one.id for one in listed.items] == [run.id]


async def test_the_judge_objects(tmp_path):
    """To a request and to an answer that the specification does not allow."""
    async with (
        KognitosServer() as server,
        judged(spec_of("rest_v2.openapi.json", "/v2"), server, tmp_path) as url,
        aiohttp.ClientSession(headers={"x-api-key": server.api_key}) as session,
    ):
        async with session.post(f"{url}/v2/runs", json={"name": "INV-1"}) as answer:
            assert (answer.status, server.count("create_run")) == (422, 0)
        run = server.add_run()
        async with session.get(f"{url}/v2/runs/{run.id}") as answer:  # a time without its offset
            assert (answer.status, b"created_at" in await answer.read()) == (500, True)
