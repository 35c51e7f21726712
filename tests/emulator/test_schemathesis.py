"""schemathesis holds the emulator against the vendor's own OpenAPI file."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib import resources
from typing import Any

import pytest

from kognitos_async.testing import KognitosServer, Schedule
from tests import unmeasured
from tests.emulator.platform_v1.helpers import OPERATIONS, SPEC, closed
from tests.fork_server import ROOT

# What the spec leaves out and the vendor's pages say: keys are refused, rates and capacity are limited, and a
# page holds 1 to 100 items (the spec gives the maximum alone). Members that are not named are refused.
UNDOCUMENTED = {"401": "Missing or unknown key", "403": "Capacity reached", "429": "Rate limit exceeded"}

CONFIG = """
[generation]
max-examples = 20
deterministic = true

[phases.stateful.generation]
max-examples = 10

# Tokens are opaque: an invented one is refused, though the spec allows any string.
[parameters]
"query.continuation_token" = ""
"""

# The agents, processes and files of the spec's examples.
AGENTS = ("a7xm2kp9qwj3v5nh8t4c6r1e9z", "b4fznghynbdemslfd5k044fgd")
PROCESS = "b4fznghynbdemslfd5k044fgd"
IDS = ("b4fznghynbdemslfd5k044fgd", "9nvx1hdm9bd74rp585oe81t5i")


def documented() -> dict[str, Any]:
    """The vendor's spec with the answers and the minimum it leaves out."""
    text = resources.files("kognitos_async.testing").joinpath("rest_v2.openapi.json").read_text()
    spec: dict[str, Any] = json.loads(text)
    for item in spec["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "limit":
                    parameter["schema"]["anyOf"][0]["minimum"] = 1
            for status, description in UNDOCUMENTED.items():
                operation["responses"][status] = {
                    "description": description,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorModel"}}},
                }
    for schema in spec["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return spec


async def judge(folder, spec, url, config, header, *options):
    """Raise AssertionError, with its report, unless schemathesis finds nothing wrong."""
    (folder / "openapi.json").write_text(json.dumps(spec))
    (folder / "schemathesis.toml").write_text(config)
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml"),
        *("run", "openapi.json", "--url", url, "--header", header, "--seed", "1", "--no-color", *options),
        cwd=folder,
        env=unmeasured.environ({"HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / ".hypothesis")}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await command.communicate()
    assert command.returncode == 0, output.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_answer_is_what_the_spec_promises(tmp_path):
    """All checks of schemathesis, on examples, boundary values, generated requests and chains of them."""
    async with KognitosServer(
        agent_id=AGENTS[0], capacity=None, schedule=Schedule.random(0, 1), time_format="offset"
    ) as server:
        for agent_id in AGENTS:
            for stage in ("Draft", "Published"):
                server.add_process("Process invoice", id=PROCESS, stage=stage, agent_id=agent_id)
        for file_id in IDS:
            server.add_file("document.pdf", id=file_id)
            server.add_run(PROCESS, id=file_id)
        await judge(tmp_path, documented(), server.base_url, CONFIG, f"x-api-key: {server.api_key}")
        for operation in ("get_health", "list_processes", "get_process", "list_runs", "get_run"):
            assert server.count(operation, status=200), operation
        for operation in ("create_run", "create_file"):
            assert server.count(operation, status=201), operation


PLATFORM_CONFIG = """
[generation]
max-examples = 3
deterministic = true

[parameters]
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_answer_of_the_platform_api_is_what_the_spec_promises(tmp_path):
    """Generated requests to all 102 operations, for things that are there.

    That valid requests are accepted is not checked: unions, filters and page tokens, which schemas cannot
    describe, are.
    """
    spec = closed(SPEC)
    download = OPERATIONS["DownloadFile"][1]
    responses = spec["paths"][download]["get"]["responses"]
    # Its note: errors are declared as application/octet-stream.
    responses["default"]["content"] = {"application/octet-stream": {"schema": {"type": "string"}}}
    async with KognitosServer(schedule=Schedule.manual(), capacity=None) as server:
        platform = server.platform
        run = platform.add_run(state="awaiting_guidance")
        names = {
            "organization_id": platform.organization_id,
            "workspace_id": platform.workspace_id,
            "automation_id": platform.automation.id,
            "run_id": run.id,
            "agent_id": "astral",
            "event_id": run.threads["astral"][0].id,
            "exception_id": next(iter(platform.exceptions)),
            "execution_id": run.execution_id,
            "revision_id": "latest",
        }
        config = PLATFORM_CONFIG + "".join(f'"path.{name}" = "{value}"\n' for name, value in names.items())
        header = f"Authorization: Bearer {platform.token}"
        options = ("--phases", "fuzzing", "--exclude-checks", "positive_data_acceptance")
        await judge(tmp_path, spec, server.url, config, header, *options)
        assert [name for name in OPERATIONS if not server.count(name)] == []
