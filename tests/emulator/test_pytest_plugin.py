"""The fixtures that pytest finds in the installed package."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kognitos_async import testing

TESTS = """
async def test_server_and_client(kognitos_server, kognitos_client):
    run = await kognitos_client.runs.start(kognitos_server.process.id, name="from the plugin")
    assert kognitos_server.runs[run.id].name == "from the plugin"
    done = await kognitos_client.wait_for_run(run)
    assert done.succeeded

async def test_each_test_has_a_fresh_server(kognitos_server):
    assert not kognitos_server.runs
"""


@pytest.mark.timeout(120)
def test_fixtures_serve_a_test_and_clean_up(tmp_path):
    """A user's own tests, with warnings as errors and asyncio in debug mode."""
    (tmp_path / "test_mine.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_debug = true\nfilterwarnings = error\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    # Named one by one: whether the package's entry point is installed must not matter here.
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "kognitos_async.testing.pytest_plugin"]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "pytest", "-q", *plugins],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout


@pytest.mark.parametrize("missing", ["pytest_asyncio", "jsonschema"])
def test_the_plugin_loads_whatever_is_missing(missing):
    """Importing it never fails and starts no web server."""
    script = (
        f"import sys; sys.modules[{missing!r}] = None; import kognitos_async.testing.pytest_plugin as p; "
    )
    script += "assert 'kognitos_async.testing.server' not in sys.modules; assert p.kognitos_server"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_without_jsonschema_the_server_says_what_to_install():
    script = "import sys; sys.modules['jsonschema'] = None; from kognitos_async.testing import KognitosServer"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "pip install 'kognitos-async[testing]'" in ran.stderr


def test_every_exported_name_is_there():
    assert all(getattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError):
        testing.no_such_name  # noqa: B018 - the access raises
