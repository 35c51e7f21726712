"""`kognitos runs sync` of a long history, as a process: requests, time and memory of each pass.

    python -m benchmarks.histories [RUNS] [STORE]

The emulator is in this process. A first pass mirrors all runs; then 50 runs change, 50 are new, and a second
pass follows. STORE is runs.sqlite (the default), runs.duckdb or a folder/; Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from kognitos_async.mirror.store import read_mirror
from kognitos_async.testing import KognitosServer, Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.mirror.rows import MirroredRun

CHANGED = NEW = 50
_FIRST = datetime(2025, 1, 1, tzinfo=UTC)
_PROGRAM = """
import sys
from kognitos_async.cli.app import run
code = run(sys.argv[1:])
# Not ru_maxrss, which counts what the process was before it became this program.
with open("/proc/self/status") as lines:
    status = dict(line.split(":", 1) for line in lines)
print(int(status["VmHWM"].split()[0]) // 1024, file=sys.stderr)
sys.exit(code)
"""


class Pass(NamedTuple):
    """One pass: what the command printed, its requests by operation, seconds, and MB at its peak."""

    result: dict[str, Any]
    requests: Counter[str]
    seconds: float
    megabytes: int


class History:
    """Runs of one API of a server, a minute apart, the last one now."""

    def __init__(self, api: str, server: KognitosServer) -> None:
        self.server = server
        self.is_v2 = api == "v2"
        self._count = 0
        self._going: list[Any] = []

    @property
    def environ(self) -> dict[str, str]:
        """The environment that leads the command to this API."""
        other = "KOGNITOS_TOKEN" if self.is_v2 else "KOGNITOS_API_KEY"
        return {name: value for name, value in self.server.environ.items() if name != other}

    def grow(self, runs: int, *, going: int = 0) -> None:
        """Add runs, of which `going`, spread evenly, have not ended."""
        every = runs // max(going, 1)
        for number in range(runs):
            is_going = number % every == every // 2 and going > 0
            run = self._add(self._count, is_going=is_going)
            self._count += 1
            if is_going:
                self._going.append(run)

    def _add(self, number: int, *, is_going: bool) -> Any:
        at = _FIRST + timedelta(minutes=number)
        if self.is_v2:
            status, outputs = ("Running", None) if is_going else ("Succeeded", {"the output number": number})
            return self.server.add_run(name=f"run {number}", status=status, created_at=at, outputs=outputs)
        state = "awaiting_guidance" if is_going else "completed"
        return self.server.platform.add_run(
            state=state, created_at=at, outputs=None if is_going else {"number": number}
        )

    def settle(self) -> None:
        """End all runs that had not ended."""
        for run in self._going:
            if self.is_v2:
                self.server.set_status(run.id, "Succeeded", {"the output number": 0})
            else:
                self.server.platform.set_state(run.id, "completed", outputs={"number": {"number": {}}})
        self._going.clear()

    def truth(self) -> dict[str, str]:
        """The status of each run by what a mirror calls it."""
        if self.is_v2:
            return {run.id: run.status for run in self.server.runs.values()}
        return {run.name: run.state for run in self.server.platform.runs.values()}

    def sync(
        self,
        into: str,
        environ: Mapping[str, str] | None = None,
        run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
    ) -> Pass:
        """One pass of the command, by `run`. Raises RuntimeError if it fails."""
        before = Counter({name: self.server.count(name) for name in _OPERATIONS})
        began = time.monotonic()
        ended = run(
            [sys.executable, "-c", _PROGRAM, "runs", "sync", "--into", into, "--json", "-q"],
            env={**(os.environ if environ is None else environ), **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(ended.stderr)
        seconds = time.monotonic() - began
        after = Counter({name: self.server.count(name) for name in _OPERATIONS})
        return Pass(json.loads(ended.stdout), after - before, seconds, int(ended.stderr))


_OPERATIONS = ("list_processes", "list_runs", "get_run", "ListAutomations", "ListRuns", "GetRun")


def mirrored(into: str) -> dict[str, MirroredRun]:
    """What a mirror holds."""
    return read_mirror(into, lambda rows: {run.key: run for run in rows})


def main(runs: int = 100_000, store: str = "runs.sqlite") -> int:
    """Print a line a pass; 0 if the mirrors equal the emulator's truth."""
    wrong = 0
    for api in ("v2", "platform"):
        with (
            KognitosServer(schedule=Schedule.manual(), capacity=None, log_limit=1) as server,
            tempfile.TemporaryDirectory() as folder,
        ):
            history, into = History(api, server), f"{folder}/{store}"
            history.grow(runs, going=CHANGED)
            for which in ("first", "second"):
                found = history.sync(into)
                print(
                    f"{api}, {runs:,} runs, {which} pass: {found.result['summary']}; "
                    f"{dict(found.requests)}, {found.seconds:.1f} s, {found.megabytes} MB"
                )
                if which == "first":
                    history.settle()
                    history.grow(NEW)
            truth = {key: run.status for key, run in mirrored(into).items()}
            wrong += truth != history.truth()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2]), *sys.argv[2:3]))
