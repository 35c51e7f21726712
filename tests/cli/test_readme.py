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


MEMBERS = {
    row.partition(" | ")[0]: re.findall(r"`([a-z_ ]+)`", row)
    for row in re.findall(r"^\| ((?:an?|`journal show`) .*?)\|$", README, re.MULTILINE)
}
"""For each kind of object the member names in the README: those listed, then those of another form."""


def test_the_member_names_of_json_are_those_of_the_table(command, tmp_path):
    (tmp_path / "rows.csv").write_text("name\none\n")
    journal = str(tmp_path / "j")
    with KognitosServer(schedule=Schedule.fixed(0.0)) as server:
        waits = server.add_run(name="a", status="Exception", outputs={"total": 1}).id
        asks = server.platform.add_run(state="awaiting_guidance")
        platform = ("--api", "platform", "--json")
        other = ("--api", "v2", "--json")
        process, automation = server.process.id, server.platform.automation.id
        bulk = ("runs", "bulk", str(tmp_path / "rows.csv"), "--process", process, "--journal", journal)

        def names(*call, code=0):
            ended, out, err = command.run(*call, **server.environ)
            assert ended == code, err
            return list(json.loads(out.splitlines()[0]))

        v2_run, [platform_run, started] = MEMBERS["a run of REST API v2"], MEMBERS["a run of the platform"]
        assert [" ".join(names("runs", "show", waits, *other))] == v2_run
        assert [" ".join(names("exceptions", "show", waits, *other))] == v2_run
        shown = names("runs", "show", asks.id, "--automation", automation, *platform)
        assert " ".join(shown) == platform_run
        assert " ".join(names("automations", "invoke", automation, "--json")) == started
        assert [" ".join(names("processes", "list", "--json"))] == MEMBERS["a process"]
        listed, more = MEMBERS["an automation"]
        assert " ".join(names("automations", "list", "--json")) == listed
        assert " ".join(names("automations", "show", automation, "--json")) == f"{listed} {more}"
        listed, more = MEMBERS["an exception of the platform"]
        assert " ".join(names("exceptions", "list", *platform)) == listed
        assert " ".join(names("exceptions", "show", asks.id, *platform)) == f"{listed} {more}"
        (listed,) = MEMBERS["an exception of REST API v2, a run in Exception"]
        assert " ".join(names("exceptions", "list", "--process", process, *other)) == listed
        answer = names("exceptions", "reply", asks.id, "use 42", "--json")
        assert [" ".join(answer)] == MEMBERS["an answer to an exception"]
        upload = names("files", "upload", str(tmp_path / "rows.csv"), *other)
        assert [" ".join(upload)] == MEMBERS["a file"]
        outcome = names(*bulk, "--output", "-", "--json")
        assert [" ".join(outcome)] == MEMBERS["an outcome of `runs bulk`"][-1:]
        assert [" ".join(names("journal", "show", journal, "--json"))] == MEMBERS["`journal show`"][-1:]


def test_every_command_is_in_the_readme():
    assert all(f"`{name}" in README or f"kognitos {name}" in README for name in COMMANDS)
