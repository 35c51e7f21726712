"""Cost of imports, and of idle clients."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.measuring import Settings, memory_now, run, spent

CLIENTS = 100


FIRST_CLIENT = """import asyncio, kognitos_async
async def main():
    async with kognitos_async.KognitosClient("test-key", agent_id="agent-1"):
        pass
asyncio.run(main())"""
FIRST_SESSION = """import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession():
        pass
asyncio.run(main())"""
HELP = """import io, sys
from kognitos_async.cli import main
sys.stdout = io.StringIO()
try:
    main(["--help"])
except SystemExit:
    sys.stdout = sys.__stdout__"""
WHOLE = """import kognitos_async, kognitos_async.cli.app
for name in kognitos_async.__all__:
    getattr(kognitos_async, name)"""
NO_PLUGIN = """import contextlib, io, os, pytest
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
with contextlib.redirect_stdout(io.StringIO()):
    pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "."])"""
PLUGIN = NO_PLUGIN.replace('"."', '"-p", "kognitos_async.testing.pytest_plugin", "."')
_MEASURED = """import time
wall, cpu = time.perf_counter(), time.process_time()
{program}
print([1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)])"""


def measure(*, program: str) -> dict[str, float]:
    """Time of a program in a fresh interpreter and an empty folder."""
    if Settings.samples is not None:
        with spent():
            exec(program, {})
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED.format(program=program)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
    wall, cpu = json.loads(done.stdout.splitlines()[-1])
    return {"ms": wall, "CPU ms": cpu}


def idle(*, contender: str) -> dict[str, float]:
    """Memory of a process with one open client, and of each additional client."""

    async def main() -> dict[str, float]:
        before = memory_now()
        opened: Any = importlib.import_module(f"benchmarks.contenders.{contender}").opened
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(opened("http://127.0.0.1:9/v2", "agent-1"))
            process = memory_now()
            for _ in range(CLIENTS):
                await stack.enter_async_context(opened("http://127.0.0.1:9/v2", "agent-1"))
            another = (memory_now() - process) / CLIENTS
            return {
                "process MB": process,
                "of it import and client MB": process - before,
                "kB a client more": 1024 * another,
            }

    return run(main())
