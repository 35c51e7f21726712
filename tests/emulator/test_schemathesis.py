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


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_answer_is_what_the_spec_promises(tmp_path):
    """All checks of schemathesis, on examples, boundary values, generated requests and chains of them."""
    spec = tmp_path / "openapi.json"
    spec.write_text(json.dumps(documented()))
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    async with KognitosServer(
        agent_id=AGENTS[0], capacity=None, schedule=Schedule.random(0, 1), time_format="offset"
    ) as server:
        for agent_id in AGENTS:
            for stage in ("Draft", "Published"):
                server.add_process("Process invoice", id=PROCESS, stage=stage, agent_id=agent_id)
        for file_id in IDS:
            server.add_file("document.pdf", id=file_id)
            server.add_run(PROCESS, id=file_id)
        command = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(config),
            "run",
            str(spec),
            "--url",
            server.base_url,
            "--header",
            f"x-api-key: {server.api_key}",
            "--seed",
            "1",
            "--no-color",
            cwd=tmp_path,
            env=unmeasured.environ(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await command.communicate()
        assert command.returncode == 0, output.decode()
        for operation in ("get_health", "list_processes", "get_process", "list_runs", "get_run"):
            assert server.count(operation, status=200), operation
        for operation in ("create_run", "create_file"):
            assert server.count(operation, status=201), operation
