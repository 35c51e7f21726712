"""The fixtures that pytest finds in the installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kognitos_async import testing
from tests.fork_server import shared

ROOT = Path(__file__).parents[2]

SYNCHRONOUS = """
import asyncio
import os
import subprocess
import sys
import unittest
import urllib.request

import pytest

from kognitos_async.testing import KognitosServer, faults

PROGRAM = '''
import asyncio
from kognitos_async import KognitosClient
async def main():
    async with KognitosClient() as client:
        print((await client.health()).status)
asyncio.run(main())
'''

def health(server):
    asked = urllib.request.Request(server.base_url + "/health", headers={"x-api-key": server.api_key})
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return answer.status

def test_urllib(kognitos_server):
    assert health(kognitos_server) == 200
    assert kognitos_server.count("get_health", status=200) == 1

def test_a_program(kognitos_server):
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env={**os.environ, **kognitos_server.environ},
                         capture_output=True, text=True, timeout=20)
    assert ran.stdout == "OK\\n", ran.stderr

def test_a_client_to_open(kognitos_client, platform_client, kognitos_server):
    async def main():
        async with kognitos_client, platform_client:
            run = await kognitos_client.run_and_wait(kognitos_server.process.id, name="a", timeout=5)
            other = await platform_client.run_and_wait(kognitos_server.platform.automation.id, timeout=5)
            return run.succeeded and other.succeeded
    assert asyncio.run(main())

@pytest.fixture(scope="session")
def shared():
    with KognitosServer() as server:
        yield server

@pytest.mark.parametrize("number", [1, 2])
def test_one_server_for_the_session(shared, number):
    assert health(shared) == 200
    assert shared.count() == number

class TestPlain(unittest.TestCase):
    def test_it(self):
        with KognitosServer() as server:
            server.misbehave("get_health", faults.unavailable())
            with self.assertRaises(urllib.error.HTTPError) as raised:
                health(server)
            raised.exception.close()
            self.assertEqual(health(server), 200)
"""

ASYNCIO = """
import subprocess
import sys
import pytest

%s

class TestRuns:
    async def test_both_clients(self, kognitos_server, kognitos_client, platform_client):
        run = await kognitos_client.run_and_wait(kognitos_server.process.id, name="a", timeout=5)
        other = await platform_client.run_and_wait(kognitos_server.platform.automation.id, timeout=5)
        assert run.succeeded and other.succeeded
        assert list(kognitos_server.runs) == [run.id]

    async def test_each_test_has_a_fresh_server(self, kognitos_server):
        assert not kognitos_server.runs

    async def test_a_loop_that_stands_still(self, kognitos_server):
        code = "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1], headers={'x-api-key': sys.argv[2]}), timeout=5)"
        url = kognitos_server.base_url + "/health"
        subprocess.run([sys.executable, "-c", code, url, kognitos_server.api_key], check=True)
"""  # noqa: E501 - a line of the program

WIDER_SERVER = """
import pytest
from kognitos_async.testing import KognitosServer

@pytest.fixture(scope="module")
def kognitos_server():
    with KognitosServer() as server:
        yield server

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_one_server_for_all(kognitos_server, kognitos_client, number):
    await kognitos_client.runs.start(kognitos_server.process.id, name="a")
    assert len(kognitos_server.runs) == number
"""

# Whether the package's entry point is installed must not matter here: plugins are named one by one.
OURS = ("-p", "kognitos_async.testing.pytest_plugin")
WITH_ASYNCIO = ("-p", "pytest_asyncio.plugin", *OURS)


def forked(*call, **options):
    return shared().run(*call, imports=["pytest"], **options)


def in_an_interpreter(*call, **options):
    command = [sys.executable, "-X", "dev", *call]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def pytest_on(folder, source, *options, ini="", start=forked):
    """Warnings are errors and asyncio is in debug mode in these runs."""
    (folder / "test_mine.py").write_text(source)
    if "pytest_asyncio.plugin" in options and "fixture_loop_scope" not in ini:
        ini += "\nasyncio_default_fixture_loop_scope = function"  # unset, pytest-asyncio warns
    (folder / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}\n")
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "PYTHONASYNCIODEBUG": "1",
    }
    call = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
    ran = start(*call, cwd=folder, env=environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.timeout(120)
@pytest.mark.parametrize("plugins", [OURS, WITH_ASYNCIO])
def test_synchronous_tests_programs_and_unittest(tmp_path, plugins):
    """The server answers although nothing in the test runs an event loop."""
    assert "6 passed" in pytest_on(tmp_path, SYNCHRONOUS, *plugins)


@pytest.mark.timeout(120)
def test_every_loop_scope_of_a_marker(tmp_path):
    """The clients are open in the loop of the test."""
    for scope in ("function", "class", "module", "package", "session"):
        source = ASYNCIO % f"pytestmark = pytest.mark.asyncio(loop_scope='{scope}')"
        (tmp_path / f"test_{scope}.py").write_text(source)
    assert "18 passed" in pytest_on(tmp_path, source, *WITH_ASYNCIO)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "ini",
    [
        "asyncio_mode = auto",
        "asyncio_mode = auto\nasyncio_debug = true\nasyncio_default_fixture_loop_scope = function",
        "asyncio_mode = auto\nasyncio_default_test_loop_scope = session",
        "asyncio_mode = auto\nasyncio_default_test_loop_scope = module",
        "asyncio_default_fixture_loop_scope = session\nasyncio_mode = auto",
    ],
)
def test_every_loop_scope_of_a_setting(tmp_path, ini):
    """Whatever loop fixtures of the user's own run in."""
    assert "3 passed" in pytest_on(tmp_path, ASYNCIO % "", *WITH_ASYNCIO, ini=ini)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("plugins", [OURS, WITH_ASYNCIO])
def test_anyio_s_plugin(tmp_path, plugins):
    """With pytest-asyncio installed beside it, and without."""
    source = ASYNCIO % (
        "pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'"
    )
    assert "3 passed" in pytest_on(tmp_path, source, "-p", "anyio.pytest_plugin", *plugins)


@pytest.mark.timeout(120)
def test_a_server_of_a_wider_scope_replaces_the_fixture(tmp_path):
    """And the client goes to that one."""
    assert "3 passed" in pytest_on(tmp_path, WIDER_SERVER, *WITH_ASYNCIO)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_xdist(tmp_path):
    """Each worker has servers of its own."""
    source = ASYNCIO % "pytestmark = pytest.mark.asyncio"
    assert "3 passed" in pytest_on(tmp_path, source, *WITH_ASYNCIO, "-p", "xdist.plugin", "-n", "2")


def test_the_plugin_loads_nothing_until_a_fixture_is_used(tmp_path):
    """A run of tests that have nothing to do with Kognitos."""
    source = (
        "import sys\ndef test_it():\n"
        "    loaded = sorted(name for name in sys.modules if name.startswith('kognitos_async'))\n"
        "    assert loaded == ['kognitos_async', 'kognitos_async.testing', "
        "'kognitos_async.testing.pytest_plugin']\n"
        "    assert not {'aiohttp', 'msgspec', 'jsonschema', 'pytest_asyncio'} & set(sys.modules)\n"
    )
    assert "1 passed" in pytest_on(tmp_path, source, *OURS, start=in_an_interpreter)


def test_without_jsonschema_the_server_says_what_to_install():
    script = "import sys; sys.modules['jsonschema'] = None; from kognitos_async.testing import KognitosServer"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "pip install 'kognitos-async[testing]'" in ran.stderr


def test_every_exported_name_is_there():
    assert all(getattr(testing, name) for name in testing.__all__)
    with pytest.raises(AttributeError):
        testing.no_such_name  # noqa: B018 - the access raises
