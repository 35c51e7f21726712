"""`kognitos engine demo`, and the clock that tells it which starts are in doubt."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import psycopg
import pytest
from psycopg import sql

from kognitos_async import ConfigurationError
from kognitos_async.cli import engine_demo
from kognitos_async.cli.app import run
from kognitos_async.integrations.dbos.database import Database, database_url
from tests.fork_server import ENGINE
from tests.support import dbos_on_sqlite


class Forking:
    """`subprocess` for the demo: its commands are forked."""

    DEVNULL, PIPE, TimeoutExpired = subprocess.DEVNULL, subprocess.PIPE, subprocess.TimeoutExpired

    def __init__(self, fork_server):
        self._fork_server = fork_server

    def Popen(self, command, *, env, stdout, stderr=subprocess.DEVNULL, **_):  # noqa: N802 - as it is called
        python, *arguments = command
        assert python == sys.executable
        return self._fork_server.start(*arguments, env=env, stdout=stdout, stderr=stderr, imports=ENGINE)

    def run(self, command, **options):
        with self.Popen(command, **options) as process:
            assert process.wait(50) == 0


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "options",
    [pytest.param([], marks=dbos_on_sqlite, id="sqlite"), pytest.param(["--postgres"], id="postgres")],
)
def test_every_run_is_started_once(options, request, fork_server, monkeypatch, capsys):
    """Although one worker is killed and answers get lost."""
    if options:
        request.getfixturevalue("postgres")  # skips where none can be started
    monkeypatch.setattr(engine_demo, "subprocess", Forking(fork_server))
    code = run(["engine", "demo", "--runs", "30", *options])
    out, err = capsys.readouterr()
    assert code == 0, out + err
    workers = 3 if options else 1
    summary = rf"runs 30  settled 30  workers {workers}  killed 1  requests \d+  duplicates 0  lost 0\n"
    assert re.fullmatch(summary, out)


def test_a_sqlite_too_old_is_refused(tmp_path, monkeypatch):
    """On a Python for which DBOS needs a newer one, with what to do instead."""
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 41, 2))
    with pytest.raises(ConfigurationError, match=r"needs SQLite 3.42.*use a PostgreSQL"):
        database_url(f"sqlite:///{tmp_path}/d.sqlite")
    assert database_url("postgresql://localhost/d").startswith("postgresql:")


def test_options_of_a_postgresql_url_are_kept(postgres_url):
    """Beside that which frees the locks of a frozen worker; both arrive at the server."""
    url = database_url(f"{postgres_url}?options=-c%20work_mem%3D12MB")
    with psycopg.connect(url) as session:
        settings = [
            session.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()[0]
            for name in ("work_mem", "idle_in_transaction_session_timeout")
        ]
    assert settings == ["12MB", "12s"]


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_the_clock_of_the_database_is_a_number_of_seconds(where, tmp_path, request):
    """Without it a start that may have been sent would be sent again after a crash."""
    url = request.getfixturevalue("postgres_url") if where == "postgres" else f"sqlite:///{tmp_path}/d.sqlite"
    database = Database(url)
    [(now,)] = database.execute("SELECT {now}")
    database.close()
    assert float(now) == pytest.approx(time.time(), abs=60)
