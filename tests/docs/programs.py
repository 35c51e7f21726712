"""Programs run to their end beside a server of the test's own event loop."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.fork_server import shared

if TYPE_CHECKING:
    from kognitos_async.testing import KognitosServer

ROOT = Path(__file__).parents[2]
LONGEST = 45.0
PLUGINS = ("-p", "pytest_asyncio.plugin", "-p", "kognitos_async.testing.pytest_plugin")
"""What pytest loads by itself where the package is installed. Others take a second."""


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
    """The output of a Python program, and its exit code."""
    called = ("-W", "error", *map(str, arguments))
    imports = ("pytest",) if "pytest" in called else ()
    ended = await asyncio.to_thread(
        shared().run, *called, timeout=LONGEST, env=environ(server), cwd=cwd, imports=imports
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
