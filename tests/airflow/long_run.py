"""A whole Airflow, of which scheduler and triggerer are killed, counted by the emulator. Run it by hand:

    AIRFLOW_ENVIRONMENT/bin/python -m tests.airflow.long_run [--runs 100] [--capacity 12] [--keep FOLDER]

Starts an API server, a DAG processor, a scheduler with LocalExecutor and a triggerer on SQLite in a
temporary folder, and triggers one DAG of `--runs` mapped tasks in a pool of `--capacity` slots that counts
deferred tasks. 5 % of the answers to starts are lost. When a third of the runs has been started, the
scheduler and with it all workers end by SIGKILL, and at two thirds the triggerer; both are started again 2
s later. Takes some minutes. Prints what the emulator has seen; exit status 1 if a run was started twice or
is missing, or a task has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kognitos_async.testing import KognitosServer, Schedule, faults

ROOT = Path(__file__).parents[2]
LIMIT = 900.0


class Airflow:
    """The processes of one Airflow, each with its children in a process group of its own."""

    def __init__(self, home: Path, server: KognitosServer, runs: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        connection = {"agent_id": server.agent_id, "base_url": server.base_url}
        settings = {
            "API__PORT": port,
            "API__WORKERS": 1,
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "API__SECRET_KEY": secrets.token_hex(32),
            "CORE__DAGS_FOLDER": ROOT / "tests" / "airflow" / "dags",
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__LOAD_EXAMPLES": False,
            "CORE__PARALLELISM": 4,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            # What is dead is noticed after seconds, not minutes.
            "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,
            "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 15,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 30,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 15,
        }
        self._environ = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "KOGNITOS_TEST_RUNS": str(runs),
            "AIRFLOW_CONN_KOGNITOS_DEFAULT": json.dumps(
                {"conn_type": "kognitos", "password": server.api_key, "extra": connection}
            ),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        }
        self.home = home
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"airflow {' '.join(words)}: {done.stderr[-3000:]}")
        return done.stdout

    def start(self, component: str) -> None:
        with (self.home / f"{component}.log").open("ab") as log:
            self._running[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", component],
                env=self._environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, component: str) -> None:
        """SIGKILL to the component and all its children, workers among them."""
        process = self._running.pop(component)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_all(self) -> None:
        for component in list(self._running):
            self.kill(component)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with contextlib.closing(
            sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True)
        ) as database:
            return database.execute(query).fetchall()


def wait_until(what: str, true: object, until: float) -> None:
    assert callable(true)
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"gave up after {LIMIT:.0f} s waiting for {what}")
        time.sleep(0.5)


def watch(airflow: Airflow, server: KognitosServer, runs: int) -> float:
    """The seconds from triggering to the end of the DAG's run, with both kills in between."""
    until = time.monotonic() + LIMIT
    wait_until(
        "the DAG", lambda: airflow.ask("SELECT 1 FROM serialized_dag WHERE dag_id = 'many_runs'"), until
    )
    conf = json.dumps({"process_id": server.process.id, "automation": "none"})
    airflow.command("dags", "trigger", "many_runs", "--conf", conf)
    began = time.monotonic()
    for component, share in (("scheduler", 1 / 3), ("triggerer", 2 / 3)):
        wait_until(f"{share:.0%} of the runs", lambda share=share: len(server.runs) >= share * runs, until)
        airflow.kill(component)
        print(
            f"{time.monotonic() - began:4.0f} s: killed the {component} at {len(server.runs)} runs",
            flush=True,
        )
        time.sleep(2)
        airflow.start(component)
    ended = "SELECT 1 FROM dag_run WHERE dag_id = 'many_runs' AND state IN ('success', 'failed')"
    wait_until("the end", lambda: airflow.ask(ended), until)
    return time.monotonic() - began


def report(airflow: Airflow, server: KognitosServer, runs: int, seconds: float) -> bool:
    """Whether nothing was doubled, lost or failed; prints the figures."""
    states = dict(airflow.ask("SELECT state, count(*) FROM task_instance GROUP BY state"))
    retried = airflow.ask("SELECT count(*) FROM task_instance WHERE try_number > 1")[0][0]
    requests, starts = server.count(), server.count("create_run")
    doubled, lost = len(server.duplicates()), runs - len({run.name for run in server.runs.values()})
    print(f"{runs} tasks in {seconds:.0f} s: {states}, {retried} of them tried more than once")
    print(f"doubled {doubled}, lost {lost}")
    refused, lists, single = (
        server.count("create_run", status=403),
        server.count("list_runs"),
        server.count("get_run"),
    )
    print(f"{requests / runs:.2f} requests a run: {starts} starts, {refused} of them refused for capacity,")
    print(f"{lists} pages of lists, {single} runs read singly")
    return not doubled and not lost and states == {"success": runs}


def folder_of_airflow(kept: str | None) -> contextlib.AbstractContextManager[str]:
    if kept is None:
        return tempfile.TemporaryDirectory(prefix="airflow")
    Path(kept).mkdir(parents=True)
    return contextlib.nullcontext(str(Path(kept).resolve()))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--capacity", type=int, default=12)
    parser.add_argument(
        "--keep", metavar="FOLDER", help="where to put the database and the logs, and leave them"
    )
    options = parser.parse_args()
    schedule = Schedule.random(4.0, 12.0, outcomes={"Succeeded": 1.0})
    with (
        folder_of_airflow(options.keep) as folder,
        KognitosServer(schedule=schedule, capacity=options.capacity) as server,
    ):
        server.misbehave("create_run", faults.reset(after_work=True), times=None, probability=0.05)
        airflow = Airflow(Path(folder), server, options.runs)
        airflow.command("db", "migrate")
        pool = ("kognitos", str(options.capacity), "runs at once", "--include-deferred")
        airflow.command("pools", "set", *pool)
        try:
            for component in ("api-server", "dag-processor", "scheduler", "triggerer"):
                airflow.start(component)
            seconds = watch(airflow, server, options.runs)
            return 0 if report(airflow, server, options.runs, seconds) else 1
        finally:
            airflow.kill_all()


if __name__ == "__main__":
    sys.exit(main())
