"""The command's README: its shell snippets run, its tables name what is printed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import kognitos_async.cli
from kognitos_async.cli.app import COMMANDS
from kognitos_async.cli.profiles import SETTINGS
from kognitos_async.testing import KognitosServer, Schedule

README = Path(kognitos_async.cli.__file__).with_name("README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(command, tmp_path, number):
    kognitos = tmp_path / "bin" / "kognitos"
    kognitos.parent.mkdir()
    kognitos.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kognitos_async "$@"\n')
    kognitos.chmod(0o755)
    with KognitosServer(schedule=Schedule.fixed(0.05)) as server:
        server.add_run(name="earlier", status="Succeeded", outputs={"total": 1})
        environ = {
            **command.environ,
            **server.environ,
            "KOGNITOS_PROCESS_ID": server.process.id,
            "KOGNITOS_AUTOMATION_ID": server.platform.automation.id,
            "PATH": f"{kognitos.parent}:{command.environ['PATH']}",
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
