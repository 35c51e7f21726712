"""What all tests share: the package's own pytest plugin, a clean environment, steady hypothesis settings."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import linecache
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from kognitos_async.testing import pytest_plugin
from tests import browser as in_a_browser
from tests import fork_server as forks
from tests import unmeasured
from tests.browser import browser  # noqa: F401 - a fixture

settings.register_profile(
    "suite",
    deadline=None,
    database=None,
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")

# In debug mode asyncio keeps a stack for every future and task, and looks at the date of each file on it: a
# third of the suite's time. Two frames tell who made it, and files do not change while tests run.
linecache.checkcache = lambda filename=None: None
asyncio.constants.DEBUG_STACK_DEPTH = 2
sys.tracebacklimit = 3


# The cyclic collector looks neither at imports, of which there are many, nor later at what they made.
gc.disable()


def pytest_collection(session: pytest.Session) -> None:
    """In each process of xdist, begin with other test modules: what one compiles the others find compiled."""
    worker = getattr(session.config, "workerinput", None)
    if worker and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        root = Path(__file__).parents[1]
        modules = sorted(root.glob("tests/**/test_*.py"))
        for path in modules[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
            with contextlib.suppress(ImportError, pytest.skip.Exception):  # the collection reports them
                importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


def pytest_configure(config: pytest.Config) -> None:
    # An installed package is registered by its entry point; one that is only on the path is not.
    if not config.pluginmanager.is_registered(pytest_plugin):
        config.pluginmanager.register(pytest_plugin, "kognitos")
    if getattr(config.option, "numprocesses", None):
        gc.enable()  # this process collects no tests
        server = contextlib.ExitStack()
        os.environ[forks.ADDRESS] = server.enter_context(forks.serving())
        server.callback(os.environ.pop, forks.ADDRESS)
        config.add_cleanup(server.close)
        # What hypothesis knows of Unicode it keeps in a file: one process makes it, before all need it.
        unicode = subprocess.Popen(
            [sys.executable, "-c", "from hypothesis.strategies import text; text().validate()"],
            env=unmeasured.environ(),
        )
        config.add_cleanup(unicode.wait)


SHARING = ("tests/dbos/", "tests/distributed/", "tests/unit/test_surface.py", "tests/web/test_web_app.py")
"""Starts of the ids of tests that share what is costly to start or to read: for one process of xdist each."""
WAITING = {"benchmarks", "bulk", "cli", "client", "dbos", "distributed", "docs", "stress", "web"}
"""Folders of tests that wait for processes, databases and time limits."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep together what shares something. Newer versions of pytest ignore the groups of xdist 3.8."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - not in every environment

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((start for start in SHARING if nodeid.startswith(start)), nodeid)

    return Scheduling(config, log) if config.option.dist == "load" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of xdist, spread the tests that wait: the processors then always have work."""
    if hasattr(config, "workerinput"):
        parts: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            parts[item.path.parent.name in WAITING].append(item)
        mixed = [(place / len(part), item) for part in parts.values() for place, item in enumerate(part)]
        items[:] = [item for _, item in sorted(mixed, key=lambda each: each[0])]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    lines = in_a_browser.skipped_lines(skipped)
    if importlib.util.find_spec("psycopg"):  # which is not in every environment
        from tests import postgres  # noqa: PLC0415 - as above

        lines += postgres.skipped_lines(skipped)
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KOGNITOS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def fork_server():
    """Starts Python programs at a fraction of an interpreter's start-up."""
    return forks.shared()


def open_sockets() -> set[str]:
    """The sockets this process holds, by inode; none where the system does not list them."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(entry.readlink()))
    return {target for target in found if target.startswith("socket:")}


def client_tasks() -> set[asyncio.Task[object]]:
    """The tasks beside this one, without those that aiohttp's server keeps for each connection."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return {task for task in others if "RequestHandler.start" not in repr(task.get_coro())}


@pytest.fixture
async def nothing_left():
    """After the test, with its clients and servers closed: no task and no socket more than before."""
    before = open_sockets()
    loop = asyncio.get_running_loop()
    yield
    deadline = loop.time() + 2
    while left := (client_tasks(), open_sockets() - before):
        if not left[0] and not left[1]:
            break
        assert loop.time() < deadline, f"left behind: {left}"
        await asyncio.sleep(0.01)
