"""Every snippet of the emulator's page passes as a test file of its own, and its tables are complete."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys

import pytest

from kognitos_async.testing import KognitosServer, faults
from tests.docs.programs import ROOT

PAGE = (ROOT / "kognitos_async" / "testing" / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONFTEST = """
from kognitos_async.testing import pytest_plugin

def pytest_configure(config):
    # The package's entry point may not be installed where only PYTHONPATH leads to it.
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "kognitos")
"""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_all_snippets_pass(tmp_path):
    for number, source in enumerate(SNIPPETS):
        (tmp_path / f"test_snippet_{number}.py").write_text(source)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    tests = sum(len(re.findall(r"def test_", source)) for source in SNIPPETS)
    assert f"{tests + 1} passed" in ran.stdout  # one has two parameters


def test_the_tables_name_every_fault_and_existing_settings():
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", PAGE, re.MULTILINE))))
    made = {
        name
        for name, value in inspect.getmembers(faults, inspect.isfunction)
        if value.__module__ == faults.__name__ and not name.startswith("_")
    }
    settings = set(inspect.signature(KognitosServer).parameters)
    fixtures = {"kognitos_server", "kognitos_client", "platform_client"}
    assert made <= named
    assert named - made - fixtures <= settings
