"""Programs run to their end beside a server of the test's own event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kognitos_async.testing import KognitosServer

ROOT = Path(__file__).parents[2]
LONGEST = 45.0


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def environ(server: KognitosServer) -> dict[str, str]:
    """The environment of a program that is to use the server."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    items = {
        "KOGNITOS_PROCESS_ID": server.process.id,
        "KOGNITOS_AUTOMATION_ID": server.platform.automation.id,
        "PYTHONPATH": path,
    }
    ours = {**server.platform.environ, **server.environ, **items}
    return {**os.environ, **ours, "PYTHONUNBUFFERED": "1"}


async def python(*arguments: str | Path, server: KognitosServer, cwd: Path) -> Ended:
    """What a Python program said, and its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        *arguments,
        env=environ(server),
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), LONGEST)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, out.decode(), err.decode())
