"""What an import costs, and a client that does nothing."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.measuring import Settings, memory_now, run, spent

CLIENTS = 100


def measure(*, modules: list[str]) -> dict[str, float]:
    """Time that `import a, b` takes in an interpreter that has imported nothing yet."""
    if Settings.samples is not None:
        with spent():
            for module in modules:
                importlib.import_module(module)
    program = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"import {', '.join(modules)}; "
        "print([1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE)
    wall, cpu = json.loads(done.stdout)
    return {"ms": wall, "CPU ms": cpu}


def idle(*, contender: str) -> dict[str, float]:
    """Memory of a process with one open client, and of each client more."""

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
