"""The workload of `kognitos demo`: upload a file, start each run exactly once, wait, read the history."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import random
import secrets
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from kognitos_async.errors import KognitosError, StartUncertainError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from kognitos_async.rest_v2.client import KognitosClient
    from kognitos_async.rest_v2.models import Run, UploadedFile

_AT_ONCE = 30
"""Maximum concurrent runs."""
_MOST_STARTS = 5


class LogCounter(logging.Handler):
    """Counts the library's log records without printing them: DEBUG for an attempt, WARNING for a retry."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.attempts: int = 0
        self.retries: int = 0
        self._logger = logging.getLogger("kognitos_async")
        self._before = self._logger.level, self._logger.propagate

    def emit(self, record: logging.LogRecord) -> None:
        """Count the record."""
        self.attempts += record.levelno == logging.DEBUG
        self.retries += record.levelno == logging.WARNING

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.setLevel(logging.DEBUG)
        self._logger.propagate = False
        return self

    def __exit__(self, *_error: object) -> None:
        self._logger.removeHandler(self)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)


@dataclass(slots=True)
class Job:
    """One requested run and its outcome."""

    name: str
    inputs: dict[str, str | int | float]
    run: Run | None = None
    error: KognitosError | None = None


@dataclass(slots=True)
class Lost:
    """Starts with a lost answer, by the result of the look-up."""

    found: int = 0
    absent: int = 0


@dataclass(slots=True)
class History:
    """The result of reading the whole list."""

    items: int = 0
    ids: set[str] = field(default_factory=set)
    names: Counter[str] = field(default_factory=Counter)


class Workload:
    """Many runs of one process, each with its own inputs and a unique name.

    `on_change` is called after each change of `jobs`, `say` with lines to print.
    """

    def __init__(
        self,
        client: KognitosClient,
        process_id: str,
        count: int,
        *,
        absence_delay: float,
        timeout: float,
        on_change: Callable[[], object],
        say: Callable[[str], object],
    ) -> None:
        self.jobs: list[Job] = make_jobs(count)
        self.lost: Lost = Lost()
        self._client = client
        self._process_id = process_id
        self._absence_delay = absence_delay
        self._timeout = timeout
        self._on_change = on_change
        self._say = say

    @property
    def started(self) -> int:
        """Number of runs known to be started."""
        return sum(job.run is not None for job in self.jobs)

    @property
    def settled(self) -> int:
        """Number of settled runs."""
        return sum(job.run is not None and job.run.settled for job in self.jobs)

    async def upload(self) -> UploadedFile:
        """Upload a file with all invoices from a temporary folder."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "invoices.csv"
            path.write_bytes(invoices_csv(self.jobs))
            return await self._client.files.upload(path)

    async def run(self, file: UploadedFile) -> None:
        """Start all runs and wait for them; outcomes are in `jobs`."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(job: Job) -> None:
            async with slots:
                try:
                    job.run = await self._start_once(job, file)
                    self._on_change()
                    see = partial(self._see, job)
                    job.run = await self._client.wait_for_run(job.run, timeout=self._timeout, on_update=see)
                except KognitosError as error:
                    job.error = error
                self._on_change()

        async with asyncio.TaskGroup() as tasks:
            for job in self.jobs:
                tasks.create_task(one(job))

    async def read_history(self) -> History:
        """Read all runs of the process; keep the ids and names of this workload."""
        history = History()
        ours = {job.name for job in self.jobs}
        async for run in self._client.runs.list(self._process_id):
            history.items += 1
            if run.name in ours:
                history.ids.add(run.id)
                history.names[run.name] += 1
        return history

    async def _start_once(self, job: Job, file: UploadedFile) -> Run:
        """Start the run of a job. After a lost answer, look it up and start it again only if absent."""
        starts = 0
        first: datetime | None = None
        while True:
            starts += 1
            try:
                return await self._client.runs.start(
                    self._process_id, name=job.name, inputs=job.inputs, file_ids=[file.id]
                )
            except StartUncertainError as lost:
                # Since the first start: a run that appeared after an earlier look-up is found by the next.
                first = first or lost.since
                await asyncio.sleep(self._absence_delay)
                found = await self._client.runs.find_started(lost.request, since=first)
                if len(found) > 1:
                    raise
                if found:
                    self.lost.found += 1
                    self._say(f"answer lost: {job.name} was started as {found[0].id}; adopted")
                    return found[0]
                self.lost.absent += 1
                self._say(f"answer lost: {job.name} was not started; starting it again")
                if starts >= _MOST_STARTS:
                    raise

    def _see(self, job: Job, run: Run) -> None:
        job.run = run
        self._on_change()


def make_jobs(count: int) -> list[Job]:
    """`count` invoices with unique names."""
    mark = secrets.token_hex(4)
    chance = random.Random(count)  # noqa: S311 - amounts for show
    return [
        Job(
            name=f"demo {mark} INV-{number:04}",
            inputs={"invoice": f"INV-{number:04}", "amount": round(chance.uniform(10, 5000), 2)},
        )
        for number in range(1, count + 1)
    ]


def invoices_csv(jobs: list[Job]) -> bytes:
    """The inputs of all jobs as a CSV file."""
    text = io.StringIO()
    lines = csv.DictWriter(text, ["invoice", "amount"])
    lines.writeheader()
    lines.writerows(job.inputs for job in jobs)
    return text.getvalue().encode()
