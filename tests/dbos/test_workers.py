"""Several workers on PostgreSQL, each a process, and what happens to them."""

from __future__ import annotations

import signal
import time

import psycopg
import pytest

from kognitos_async.integrations.dbos import GIVEN_UP
from tests.dbos.conftest import wait_until

RUNS = 12

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def submitted(fleet, tmp_path, runs=RUNS):
    path = tmp_path / "requests.csv"
    path.write_text("name\n" + "".join(f"run {n}\n" for n in range(runs)))
    submitting = fleet.start("submit", str(path))
    _, errors = submitting.communicate(timeout=50)
    assert submitting.returncode == 0, errors


def settled(url):
    with psycopg.connect(url) as session:
        rows = session.execute(
            "SELECT count(*) FROM dbos.workflow_status WHERE name = 'kognitos_run' AND status = 'SUCCESS'"
        )
        return rows.fetchone()[0]


def lock_sessions(url):
    """The server processes that hold the locks of workers."""
    with psycopg.connect(url, autocommit=True) as session:
        rows = session.execute(
            "SELECT pid FROM pg_stat_activity "
            "WHERE application_name LIKE 'kognitos worker %' AND datname = current_database()"
        )
        return [pid for (pid,) in rows]


def test_workers_that_die_are_taken_over(fleet, server, tmp_path, postgres_url):
    """Two of three, by kill -9, while runs are started and waited for: nothing is doubled, nothing lost."""
    first, second, third = (fleet.worker(after_restart=0.0) for _ in range(3))
    server.latency = 0.2
    submitted(fleet, tmp_path)
    wait_until(lambda: len(server.runs) >= 3)
    for worker in (first, second):
        worker.send_signal(signal.SIGKILL)
    died = time.monotonic()
    wait_until(lambda: settled(postgres_url) == RUNS, every=0.25)
    assert time.monotonic() - died < 60
    assert server.duplicates() == {}
    assert len(server.runs) == RUNS
    third.send_signal(signal.SIGTERM)
    assert third.wait(30) == 0


def test_a_frozen_worker_starts_nothing_when_it_wakes(fleet, server, tmp_path, postgres_url):
    """Others take over while it is frozen; awake it ends with its own exit code."""
    frozen = fleet.worker(lifetime=6.0)
    submitted(fleet, tmp_path)
    wait_until(lambda: len(server.runs) >= 1)
    frozen.send_signal(signal.SIGSTOP)
    fleet.worker(after_restart=0.0)
    wait_until(lambda: settled(postgres_url) == RUNS, every=0.25)
    wait_until(lambda: len(lock_sessions(postgres_url)) == 1, every=0.25)
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(30) == GIVEN_UP
    assert server.duplicates() == {}
    assert len(server.runs) == RUNS


def test_a_worker_whose_session_was_ended_gives_up(fleet, server, postgres_url):
    """It may have been taken over already."""
    worker = fleet.worker()
    with psycopg.connect(postgres_url, autocommit=True) as session:
        for pid in lock_sessions(postgres_url):
            session.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert worker.wait(30) == GIVEN_UP


def test_a_restart_of_the_server_is_survived(fleet, server, tmp_path, postgres, postgres_url):
    """The same workers go on."""
    workers = [fleet.worker() for _ in range(2)]
    server.latency = 0.2
    submitted(fleet, tmp_path)
    wait_until(lambda: len(server.runs) >= 2)
    postgres.restart()
    wait_until(lambda: settled(postgres_url) == RUNS, within=120, every=0.25)
    assert [worker.poll() for worker in workers] == [None, None]
    assert server.duplicates() == {}
    assert len(server.runs) == RUNS
