"""`kognitos runs bulk`: a run for each row of a file, exactly once, whatever happens to the process."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path  # noqa: TC003 - typer reads it
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kognitos_async import checks
from kognitos_async.cli.requests_file import (
    PROBLEMS_SHOWN,
    BadRow,
    RequestsFile,
    Row,
    UnreadableFileError,
)
from kognitos_async.cli.results_file import ResultsFile
from kognitos_async.cli.running import complain, run_command
from kognitos_async.cli.uploads import Uploads
from kognitos_async.errors import KognitosError
from kognitos_async.rest_v2.client import KognitosClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kognitos_async.bulk.types import RunOutcome
    from kognitos_async.rest_v2.models import Run, RunRequest

SOME_FAILED = 3
_LINES = 20
"""Without a terminal, progress is told so many times."""


def bulk(
    requests: Annotated[Path, typer.Argument(help="A .csv or .jsonl file, a request a row.")],
    process: Annotated[str, typer.Option(help="The process to run.")],
    journal: Annotated[Path, typer.Option(help="Where each step is recorded; the same again to resume.")],
    agent: Annotated[str | None, typer.Option(help="The agent; else KOGNITOS_AGENT_ID.")] = None,
    stage: Annotated[str, typer.Option(help="Draft or Published, for rows that do not say.")] = "Published",
    max_in_flight: Annotated[int, typer.Option(min=1, help="Runs unsettled at a time.")] = 100,
    output: Annotated[Path | None, typer.Option(help="Where outcomes go, .csv or .jsonl.")] = None,
    number: Annotated[
        list[str] | None, typer.Option(help="A column that holds numbers; the others are text.")
    ] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option(help="Run the good rows although there are bad ones.")
    ] = False,
    run_timeout: Annotated[float | None, typer.Option(help="Seconds to wait for each run.")] = None,
) -> None:
    """Start a run for each row of a file and wait for all of them.

    Columns: name, optionally stage and file (a path, uploaded first), every other one an input. Exit code 0
    when every run succeeded, 3 when some did not, 2 when the file is refused, before anything was started.
    """
    rows = RequestsFile(requests, process_id=process, stage=stage, numbers=number or ())
    if output is not None and output.suffix.lower() not in (".csv", ".jsonl"):
        raise typer.BadParameter("is neither .csv nor .jsonl", param_hint="--output")
    if output is not None and output.resolve() in (requests.resolve(), journal.resolve()):
        raise typer.BadParameter("would replace a file this job reads", param_hint="--output")
    client = KognitosClient(agent_id=agent)
    with wrong_call():
        checks.seconds_or_none("run_timeout", run_timeout)
        client.runs.list(process, stage=stage)  # sends nothing, but wants an agent
    good, bad = _first_pass(rows)
    if bad and not skip_bad_rows:
        complain(f"{bad} bad rows, nothing was started; --skip-bad-rows runs the others")
        raise typer.Exit(2)
    job = _Job(rows, journal, output, max_in_flight, run_timeout, good, bad)
    run_command(job.run(client))


@contextmanager
def wrong_call() -> Iterator[None]:
    """A block in which a `ValueError` about an argument becomes a wrong call, exit code 2."""
    try:
        yield
    except KognitosError:  # some are ValueErrors too
        raise
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None


def _first_pass(rows: RequestsFile) -> tuple[int, int]:
    """How many rows are good and how many bad; the first bad ones are told."""
    good = bad = 0
    try:
        for row in rows.rows():
            if isinstance(row, BadRow):
                bad += 1
                if bad <= PROBLEMS_SHOWN:
                    complain(f"row {row.number}{f' ({row.name})' if row.name else ''}: {row.problem}")
            else:
                good += 1
    except (UnreadableFileError, OSError) as problem:
        complain(str(problem))
        raise typer.Exit(2) from None
    if bad > PROBLEMS_SHOWN:
        complain(f"and {bad - PROBLEMS_SHOWN} more")
    return good, bad


class _Job:
    """One pass of a bulk job over its file."""

    def __init__(
        self,
        rows: RequestsFile,
        journal: Path,
        output: Path | None,
        max_in_flight: int,
        run_timeout: float | None,
        good: int,
        bad: int,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._results = None if output is None else ResultsFile(output)
        self._max_in_flight = max_in_flight
        self._run_timeout = run_timeout
        self._good = good
        self._bad = bad
        self._taken = self._settled = self._succeeded = 0
        self._began = time.monotonic()
        self._console = Console(stderr=True)

    async def run(self, client: KognitosClient) -> int:
        """The exit code."""
        try:
            async with client:
                if self._results is None:
                    await self._work(client)
                else:
                    with self._results:
                        await self._work(client)
        except UnreadableFileError as problem:  # it was readable in the first pass
            complain(str(problem))
            return 1
        except asyncio.CancelledError:
            self._say(f"stopped: {self._told()}")
            if self._results is not None:
                self._say(f"outcomes so far are in {self._results.part}")
            self._say(
                f"runs that were started go on; the same command with --journal {self._journal} resumes"
            )
            raise
        self._say(self._told())
        return 0 if self._succeeded == self._good and not self._bad else SOME_FAILED

    async def _work(self, client: KognitosClient) -> None:
        for row in self._rows.rows() if self._bad else ():
            if isinstance(row, BadRow):
                self._write({"name": row.name, "error": f"row {row.number}: {row.problem}"})
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} runs/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        bar = progress.add_task("", total=self._good, rate=0.0)
        every = max(1, self._good // _LINES)
        uploads = Uploads(client, self._journal)
        # Before rich 14 even a disabled progress ends with an empty line.
        with progress if self._console.is_terminal else nullcontext():
            async with client.run_many(
                self._requests(uploads),
                max_in_flight=self._max_in_flight,
                journal=self._journal,
                run_timeout=self._run_timeout,
            ) as outcomes:
                async for outcome in outcomes:
                    self._settled += 1
                    self._succeeded += (
                        outcome.error is None and outcome.run is not None and outcome.run.succeeded
                    )
                    self._write(_result(outcome))
                    progress.update(bar, completed=self._settled, description=self._told(), rate=self._rate())
                    if not self._console.is_terminal and self._settled % every == 0:
                        self._say(self._told())

    async def _requests(self, uploads: Uploads) -> AsyncIterator[RunRequest]:
        for row in self._rows.rows():
            if isinstance(row, Row):
                file_id = None if row.file is None else await uploads.id_of(row.file)
                self._taken += 1
                yield self._rows.request(row, file_id)

    def _rate(self) -> float:
        return self._settled / max(0.001, time.monotonic() - self._began)

    def _told(self) -> str:
        return (
            f"started {self._taken}, running {self._taken - self._settled}, settled {self._settled} "
            f"of {self._good}, failed {self._settled - self._succeeded + self._bad}"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _write(self, result: dict[str, Any]) -> None:
        if self._results is not None:
            self._results.write(result)


def _result(outcome: RunOutcome[RunRequest, Run]) -> dict[str, Any]:
    run = outcome.run
    return {
        "name": outcome.request.name,
        "run_id": run.id if run is not None else "",
        "status": str(run.status) if run is not None else "",
        "error": str(outcome.error or ""),
        "attempts": outcome.attempts,
        "resumed": outcome.resumed,
        "outputs": run.outputs_by_name if run is not None else {},
    }
