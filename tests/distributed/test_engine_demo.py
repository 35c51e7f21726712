"""`kognitos engine demo`, and the clock that tells it which starts are in doubt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest

from kognitos_async.integrations.dbos.database import Database


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("options", [[], ["--postgres"]], ids=["sqlite", "postgres"])
def test_every_run_is_started_once(options, request):
    """Although one worker is killed and answers get lost."""
    if options:
        request.getfixturevalue("postgres")  # skips where none can be started
    ended = subprocess.run(
        [sys.executable, "-m", "kognitos_async.cli", "engine", "demo", "--runs", "30", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    workers = 3 if options else 1
    told = rf"runs 30  settled 30  workers {workers}  killed 1  requests \d+  duplicates 0  lost 0\n"
    assert re.fullmatch(told, ended.stdout)


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_the_clock_of_the_database_is_a_number_of_seconds(where, tmp_path, request):
    """Without it a start that may have been sent would be sent again after a crash."""
    url = request.getfixturevalue("postgres_url") if where == "postgres" else f"sqlite:///{tmp_path}/d.sqlite"
    database = Database(url)
    [(now,)] = database.execute("SELECT {now}")
    database.close()
    assert float(now) == pytest.approx(time.time(), abs=60)
