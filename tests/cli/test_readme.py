"""The command's README: its shell snippets run, its tables name what is printed."""

from __future__ import annotations

import json
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import kognitos_async.cli
from kognitos_async.cli.app import COMMANDS
from kognitos_async.cli.profiles import SETTINGS
from kognitos_async.testing import KognitosServer, Schedule

README = Path(kognitos_async.cli.__file__).with_name("README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


KOGNITOS = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as starter:
    starter.connect(os.path.join(os.path.dirname(__file__), "socket"))
    called = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)])
    socket.send_fds(starter, [b"+"], [1, 2])
    starter.sendall(called.encode() + b"\\n")
    sys.exit(int(starter.recv(16)))
"""


@pytest.fixture
def kognitos(fork_server):
    """A folder with a `kognitos` that is started at a fraction of an interpreter's start-up."""

    class Starter(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            _, (out, err), _, _ = socket.recv_fds(self.request, 1, 2)
            with self.request.makefile("rb", buffering=0) as text:
                arguments, cwd, env = json.loads(text.readline())
            call = ("-m", "kognitos_async", *arguments)
            process = fork_server.start(*call, env=env, cwd=cwd, stdout=out, stderr=err)
            os.close(out)
            os.close(err)
            with process:
                self.request.sendall(str(process.wait()).encode())

    with TemporaryDirectory() as folder:  # tmp_path may be too long for a socket
        program = Path(folder, "kognitos")
        program.write_text(KOGNITOS)
        program.chmod(0o755)
        with socketserver.ThreadingUnixStreamServer(f"{folder}/socket", Starter) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield folder
            server.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(command, kognitos, tmp_path, number):
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        server.add_run(name="earlier", status="Succeeded", outputs={"total": 1})
        environ = {
            **command.environ,
            **server.environ,
            "KOGNITOS_PROCESS_ID": server.process.id,
            "KOGNITOS_AUTOMATION_ID": server.platform.automation.id,
            "PATH": f"{kognitos}:{command.environ['PATH']}",
        }
        ended = subprocess.run(
            ["bash", "-e", "-c", SNIPPETS[number]],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


def test_the_profiles_shown_are_ones_that_may_be_written():
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    profiles = tomllib.loads(text)["profiles"]
    assert profiles
    assert all(set(profile) <= set(SETTINGS) for profile in profiles.values())


def test_every_command_is_in_the_readme():
    assert all(f"`{name}" in README or f"kognitos {name}" in README for name in COMMANDS)
