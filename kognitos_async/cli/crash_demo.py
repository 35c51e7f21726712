"""The bulk job of `kognitos demo`: 500 runs with a journal, killed halfway and resumed."""

from __future__ import annotations

import asyncio
import csv
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from rich.console import Console

    from kognitos_async.testing import KognitosServer

_RUNS = 500
_KILLED_AFTER = 200
"""Started runs at which the process is killed."""
_LONGEST = 20.0
_SHOWN = 2000
"""Characters shown of the stderr of a failed job."""


async def survive_a_kill(testing: ModuleType, console: Console) -> bool:
    """Whether all 500 runs were started exactly once and have an outcome; prints a summary line."""
    server: KognitosServer = testing.KognitosServer(
        schedule=testing.Schedule.random(0.2, 0.5, seed=2, outcomes={"Succeeded": 1.0})
    )
    for fault in (testing.faults.reset(after_work=True), testing.faults.server_error(after_work=True)):
        server.misbehave("create_run", fault, times=None, probability=0.02)
    with tempfile.TemporaryDirectory() as folder:
        names = [f"bulk {number:03}" for number in range(1, _RUNS + 1)]
        requests, results = Path(folder) / "requests.csv", Path(folder) / "results.csv"
        _write_requests(requests, names)
        async with server:
            console.print(
                f"starting a bulk job of {_RUNS} runs with a journal, in its own process", highlight=False
            )
            stderr = Path(folder) / "stderr"
            await _run_job(server, requests, results, stderr, killed_after=_KILLED_AFTER)
            begun = len(server.runs)
            console.print(
                f"killed its process after {begun} starts; resuming from the journal", highlight=False
            )
            code = await _run_job(server, requests, results, stderr, killed_after=None)
        if code:
            console.print(stderr.read_text(errors="replace")[-_SHOWN:], highlight=False, markup=False)
        duplicates = sum(count - 1 for count in server.duplicates().values())
        recorded = _recorded(results)
        lost = sum(name not in recorded or not server.runs_named(name) for name in names)
    console.print(
        f"bulk runs {len(server.runs)}  kills 1  requests {server.count()}  "
        f"duplicates {duplicates}  lost {lost}",
        highlight=False,
        soft_wrap=True,
    )
    return code == 0 and not duplicates and not lost


def _write_requests(path: Path, names: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "invoice"])
        rows.writerows([name, name.removeprefix("bulk ")] for name in names)


def _recorded(path: Path) -> set[str]:
    """The names that have a successful run in the results."""
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file) if row["status"] == "Succeeded"}


async def _run_job(
    server: KognitosServer, requests: Path, results: Path, stderr: Path, *, killed_after: int | None
) -> int:
    """The exit code of `kognitos runs bulk`; kills it after `killed_after` starts, if given."""
    with stderr.open("wb") as errors:
        job = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kognitos_async.cli", "runs", "bulk", str(requests)),
            *("--process", server.process.id, "--journal", f"{requests}.journal", "--output", str(results)),
            *("--max-in-flight", "140", "--absence-delay", "0.5"),
            env={**os.environ, **server.environ},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        async with asyncio.timeout(_LONGEST):
            if killed_after is not None:
                # The progress of another process shows only at the server.
                while len(server.runs) < killed_after and job.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                return 0
            return await job.wait()
    except TimeoutError:
        return 1
    finally:
        if job.returncode is None:
            job.kill()
            await job.wait()
