from __future__ import annotations

import subprocess
import time

import pytest

from kognitos_async import PollPolicy
from kognitos_async.integrations.dbos import (
    KognitosPlatformWorkflows,
    KognitosWorkflows,
    handing_on,
    handles,
    starting,
    waiting,
    worker,
)
from kognitos_async.integrations.dbos.executor_lock import AFTER_RESTART, LIFETIME
from kognitos_async.testing import KognitosServer
from tests import unmeasured
from tests.fork_server import ENGINE
from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

FAST = PollPolicy(initial=0.05, maximum=0.2)


@pytest.fixture
def server():
    with KognitosServer() as running:
        yield running


@pytest.fixture
def database_url(tmp_path):
    return f"sqlite:///{tmp_path}/engine.sqlite"


@pytest.fixture
def hurry(monkeypatch):
    """Workers of this process look for work and outcomes more often, and retry sooner."""
    for module, name in ((handles, "_LOOK"), (waiting, "_LOOK"), (worker, "_QUEUE_LOOK")):
        monkeypatch.setattr(module, name, 0.15)
    monkeypatch.setattr(handing_on, "_PAUSE", 0.005)
    monkeypatch.setattr(starting, "_SHORTEST", 0.1)
    monkeypatch.setattr(starting, "_LONGEST", 0.3)


@pytest.fixture
def make(server, database_url, hurry):
    """Makes the workflows of `server`, closed after the test."""
    made = []

    def workflows(**options):
        settings = {
            "api_key": server.api_key,
            "base_url": server.base_url,
            "agent_id": server.agent_id,
            "poll": FAST,
            **options.pop("client", {}),
        }
        given = {"database_url": database_url, "starts_per_second": None, "absence_delay": 0.3, **options}
        made.append(KognitosWorkflows(settings, **given))
        return made[-1]

    yield workflows
    for one in made:
        one.close()


@pytest.fixture
def make_platform(server, database_url, hurry):
    """Makes the workflows of the platform API of `server`, closed after the test."""
    made = []

    def workflows(**options):
        platform = server.platform
        settings = {
            "token": platform.token,
            "base_url": platform.base_url,
            "organization_id": platform.organization_id,
            "workspace_id": platform.workspace_id,
            "poll": FAST,
        }
        given = {"database_url": database_url, "starts_per_second": None, "absence_delay": 0.2, **options}
        made.append(KognitosPlatformWorkflows(settings, **given))
        return made[-1]

    yield workflows
    for one in made:
        one.close()


WORKER = """
from kognitos_async.cli import main
from kognitos_async.integrations.dbos import database, executor_lock

executor_lock.LIFETIME, executor_lock.TICK = {lifetime}, {lifetime} / 6
executor_lock.AFTER_RESTART = {after_restart}
database._FROZEN = round({lifetime} * 1000)
main()
"""


class Fleet:
    """Workers that are processes: `kognitos engine worker`."""

    def __init__(self, fork_server, server, url):
        self._fork_server = fork_server
        self.environ = {**unmeasured.environ(server.environ), "KOGNITOS_DATABASE_URL": url}
        self.processes = []

    def worker(self, *, lifetime=LIFETIME, after_restart=AFTER_RESTART):
        """A worker that works."""
        process = self.start(
            *("worker", "--absence-delay", "1", "--starts-per-second", "50"),
            program=("-c", WORKER.format(lifetime=lifetime, after_restart=after_restart)),
        )
        self.processes.append(process)
        for line in process.stderr:
            if line.startswith("worker running"):
                return process
        raise AssertionError(f"the worker has ended with {process.wait()}")

    def start(self, command, *options, program=("-m", "kognitos_async.cli")):
        """A process of `kognitos engine`."""
        arguments = (*program, "engine", command, "--api", "v2", *options)
        return self._fork_server.start(
            *arguments, env=self.environ, stdout=subprocess.DEVNULL, imports=ENGINE
        )

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
            process.close()


@pytest.fixture
def fleet(fork_server, server, postgres_url):
    running = Fleet(fork_server, server, postgres_url)
    yield running
    running.close()


def wait_until(condition, *, within=60.0, every=0.05):
    """Wait for what another process does: there is nothing to be told by."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(every)
