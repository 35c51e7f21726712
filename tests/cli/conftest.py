"""The command in a process of its own, as users start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fork_server import ForkServer, Process

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "default::ResourceWarning", "-c"]
START = "from kognitos_async.cli import main; main()"


class Command:
    """Starts `kognitos` with the test's arguments, and ends what is left over."""

    def __init__(self, fork_server: ForkServer) -> None:
        self._fork_server = fork_server
        self._started: list[subprocess.Popen[str] | Process] = []

    @property
    def environ(self) -> dict[str, str]:
        """The environment of every command: one that finds the package, and a width for tables."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return {**os.environ, "PYTHONPATH": path, "COLUMNS": "100"}

    def start(
        self,
        *arguments: str,
        code: str = START,
        measured: bool = True,
        stdout: int = subprocess.PIPE,
        **environ: str,
    ) -> subprocess.Popen[str] | Process:
        """The command, forked; a process of its own where the code is not the command's."""
        env = {**self.environ, **environ}
        if not measured:
            env = {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}
        started: subprocess.Popen[str] | Process
        if code == START:
            started = self._fork_server.start("-c", code, *arguments, env=env, stdout=stdout)
        else:
            command = [*COMMAND, code, *arguments]
            started = subprocess.Popen(command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True)
        self._started.append(started)
        return started

    def run(
        self, *arguments: str, code: str = START, measured: bool = True, timeout: float = 50, **environ: str
    ) -> tuple[int, str, str]:
        """Exit code, output and errors. Coverage counts, and takes memory, unless `measured` is False."""
        started = self.start(*arguments, code=code, measured=measured, **environ)
        out, err = started.communicate(timeout=timeout)
        return started.returncode, out, err

    def serve(self, *options: str) -> tuple[subprocess.Popen[str] | Process, dict[str, str]]:
        """The started emulator, and the environment that it prints."""
        started = self.start("serve", *options)
        assert started.stdout
        lines = []
        while not (line := started.stdout.readline()).startswith("#"):
            assert line.startswith("export KOGNITOS_"), lines
            lines.append(line)
        pairs = (line.removeprefix("export ").rstrip("\n").partition("=") for line in lines)
        return started, {name: value for name, _, value in pairs}

    def end(self) -> None:
        for started in self._started:
            if started.poll() is None:
                started.send_signal(signal.SIGTERM)
            started.communicate(timeout=20)


@pytest.fixture
def command(fork_server):
    command = Command(fork_server)
    yield command
    command.end()
