"""An emulator, a PostgreSQL server and workers, each in its own process, and their failures."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Self

import psycopg

from kognitos_async.testing import ServerControl
from kognitos_async.testing.postgres import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

COMMAND = (sys.executable, "-m", "kognitos_async.cli")
_TOKEN = "many-machines"
_AGAIN_AFTER = 1.0
"""Seconds until an ended worker is restarted, as by systemd or Kubernetes."""
_STATES = "SELECT state, count(*) FROM dbos.kognitos_starts GROUP BY 1"
_ENDED = "SELECT status, count(*) FROM dbos.workflow_status WHERE name = 'kognitos_run' GROUP BY 1"


class Emulator:
    """`kognitos serve` in its own process: the record of what was started."""

    def __init__(self, *, capacity: int, rate_limit: float, duration: str) -> None:
        self._process = subprocess.Popen(
            (
                *(*COMMAND, "serve", "--control-token", _TOKEN, "--duration", duration),
                *("--capacity", str(capacity), "--rate-limit", str(rate_limit)),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.environ: dict[str, str] = {}
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.match(r"export (\w+)=(.*)", line):
                self.environ[found[1]] = found[2].strip()
            elif found := re.search(r"served at (\S+)", line):
                self.control = ServerControl(found[1], _TOKEN)
                return
        raise RuntimeError("the emulator has ended before it served")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Worker:
    """A supervised `kognitos engine worker`, restarted whenever it ends."""

    def __init__(self, number: int, options: Sequence[str], environ: dict[str, str], log: Path) -> None:
        self.number = number
        self._options = options
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at = 0.0
        self.frozen_until: float | None = None
        self.returns = True
        self.exits: list[int] = []

    @property
    def runs(self) -> bool:
        """Whether the worker is alive and not frozen."""
        return self._process is not None and self._process.poll() is None and self.frozen_until is None

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (*COMMAND, "engine", "worker", *self._options),
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def look(self) -> None:
        """Thaw the worker when due; restart it if it has ended."""
        if self._process is None:
            return
        if self.frozen_until is not None and time.monotonic() >= self.frozen_until:
            self.frozen_until = None
            self._process.send_signal(signal.SIGCONT)
        if (code := self._process.poll()) is None:
            return
        if not self._ended_at:
            self._ended_at = time.monotonic()
            self.exits.append(code)
        if self.returns and time.monotonic() - self._ended_at > _AGAIN_AFTER:
            self._ended_at = 0.0
            self.start()

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        if self._process is not None:
            self._process.kill()

    def freeze(self, seconds: float) -> None:
        """Freeze the process for some seconds."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self.frozen_until = time.monotonic() + seconds

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Fleet:
    """A context manager over all processes."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int,
        capacity: int,
        rate_limit: float,
        starts_per_second: float,
        duration: str,
        seed: int,
    ) -> None:
        self.kills = self.freezes = self.restarts = 0
        self.last_death = 0.0
        self._chance = random.Random(seed)
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self.postgres = stack.enter_context(PostgresServer())
            self.emulator = Emulator(capacity=capacity, rate_limit=rate_limit, duration=duration)
            stack.callback(self.emulator.close)
            self.environ = {
                **{name: value for name, value in os.environ.items() if not name.startswith("KOGNITOS_")},
                **self.emulator.environ,
                "KOGNITOS_DATABASE_URL": self.postgres.url(),
            }
            options = (
                *("--capacity", str(capacity), "--starts-per-second", str(starts_per_second)),
                *("--requests-per-second", str(rate_limit / 2), "--absence-delay", "2"),
            )
            self.workers = [
                Worker(number, options, self.environ, folder / f"worker-{number}.log")
                for number in range(workers)
            ]
            for worker in self.workers:
                stack.callback(worker.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def submit(self, names: Sequence[str], folder: Path) -> None:
        """Enqueue a run for each name."""
        requests = folder / "requests.csv"
        requests.write_text("name\n" + "".join(f"{name}\n" for name in names))
        subprocess.run((*COMMAND, "-q", "engine", "submit", str(requests)), env=self.environ, check=True)

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers:
            worker.start()

    def look(self) -> None:
        """Supervise all workers."""
        for worker in self.workers:
            worker.look()

    def kill_one(self, *, returns: bool = True) -> bool:
        """Kill a random running worker; False if too few are left."""
        victim = self._victim()
        if victim is None:
            return False
        victim.returns = returns
        victim.kill()
        self.kills += 1
        self.last_death = time.monotonic()
        return True

    def freeze_one(self, seconds: float) -> bool:
        """Freeze a random running worker; False if too few are left."""
        victim = self._victim()
        if victim is None:
            return False
        victim.freeze(seconds)
        self.freezes += 1
        return True

    def restart_postgres(self) -> bool:
        """Restart the database server."""
        self.postgres.restart()
        self.restarts += 1
        return True

    def _victim(self) -> Worker | None:
        running = [worker for worker in self.workers if worker.runs]
        return self._chance.choice(running) if len(running) > 1 else None

    @property
    def is_any_frozen(self) -> bool:
        """Whether a worker is still frozen."""
        return any(worker.frozen_until is not None for worker in self.workers)

    def created(self) -> int:
        """Number of runs."""
        runs: int = self.emulator.control.summary()["runs"]
        return runs

    def ended(self) -> dict[str, int]:
        """Number of workflows by DBOS status; empty while the database is unavailable."""
        return self._counts(_ENDED)

    def states(self) -> dict[str, int]:
        """Number of starts in the ledger by state."""
        return self._counts(_STATES)

    def _counts(self, statement: str) -> dict[str, int]:
        try:
            with psycopg.connect(self.postgres.url(), autocommit=True, connect_timeout=5) as session:
                return dict(deque(session.execute(statement)))  # type: ignore[arg-type]  # constants of this file
        except psycopg.Error:
            return {}
