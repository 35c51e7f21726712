"""Every snippet of the emulator's page passes as a test file of its own, and its tables are complete."""

from __future__ import annotations

import inspect
import os
import re

import pytest

from kognitos_async.testing import KognitosServer, faults
from tests.docs.programs import PLUGINS, ROOT
from tests.fork_server import shared

PAGE = (ROOT / "kognitos_async" / "testing" / "README.md").read_text()
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_all_snippets_pass(tmp_path):
    for number, source in enumerate(SNIPPETS):
        (tmp_path / f"test_snippet_{number}.py").write_text(source)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    call = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS)
    ran = shared().run(*call, cwd=tmp_path, env=environ, imports=["pytest"])
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
