"""One pass of a bulk job over its file."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.bulk_progress import BulkProgress
from kognitos_async.cli.connection import connect
from kognitos_async.cli.input_text import UnreadableFileError
from kognitos_async.cli.limits import follow_limit
from kognitos_async.cli.requests_file import BadRow, MissingFile, Row
from kognitos_async.cli.results_file import ResultsFile
from kognitos_async.cli.running import FAILED, SOME_FAILED, complain, lines_of, usage_errors
from kognitos_async.cli.uploads import Uploads
from kognitos_async.errors import JournalError, KognitosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kognitos_async.cli.api import Api
    from kognitos_async.cli.bulk_requests import RowRequests
    from kognitos_async.cli.command import Call
    from kognitos_async.cli.first_pass import Checked
    from kognitos_async.cli.recorded import Recorded
    from kognitos_async.cli.requests_file import RequestsFile

_REFRESH = 0.5
"""Seconds between two looks at how many runs are under way."""
_UPLOADS = 8
"""Files on their way at a time, ahead of the starts that need them."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How a bulk job runs."""

    journal: Path
    output: Path | None
    max_in_flight: int
    requests_per_second: float | None
    run_timeout: float | None
    absence_delay: float
    rerun: frozenset[Any]
    recheck: bool


class BulkRun:
    """One pass of a bulk job: rows to requests, outcomes to the results, counts to stderr."""

    def __init__(
        self,
        call: Call,
        rows: RequestsFile,
        requests: RowRequests,
        recorded: Recorded,
        checked: Checked,
        options: BulkOptions,
    ) -> None:
        self._call = call
        self._rows = rows
        self._requests = requests
        self._recorded = recorded
        self._checked = checked
        self._options = options
        self._results = None if options.output is None else ResultsFile(options.output)
        self._progress = BulkProgress(
            checked.good,
            failed=checked.bad,
            quiet=call.output.quiet,
            has_output=options.output is not None,
        )

    def on_interrupt(self) -> None:
        """Say what happens now."""
        self._progress.say("stopping: starts under way are finished first; once more ends it at once")

    async def dry_run(self, source: str) -> int:
        """Check that the key is valid and the process or automation there, and say what would be started."""
        states = self._recorded.states()
        async with connect(self._call.target) as api:
            with usage_errors():
                await api.find_source(source)
        known = sum(states.values())
        self._call.output.show(
            {
                "requests": self._checked.good,
                "bad_rows": self._checked.bad,
                "files": len(self._checked.files),
                "bytes": sum(file.stat().st_size for file in self._checked.files),
                "recorded": known,
                "settled": states.get("settled", 0),
            }
        )
        self._call.output.note("nothing was started")
        return SOME_FAILED if self._checked.bad else 0

    async def run(self) -> int:
        """The exit code."""
        options = self._options
        try:
            async with connect(self._call.target, requests_per_second=options.requests_per_second) as api:
                with self._progress:
                    await self._work(api)
            if self._results is not None:
                self._write_bad_rows()
                self._results.finish()
        except UnreadableFileError as problem:  # it was readable in the first pass
            complain(str(problem))
            return FAILED
        except asyncio.CancelledError:
            self._progress.say(f"stopped: {self._progress.line()}")
            if self._results is not None and self._results.opened and self._results.destination.is_file:
                self._progress.say(f"outcomes so far are in {self._results.destination.part}")
            self._progress.say(
                f"runs that were started go on; the same command with --journal {options.journal} resumes"
            )
            raise
        finally:
            if self._results is not None:
                self._results.close()
        self._progress.finish()
        return SOME_FAILED if self._progress.failed else 0

    async def _work(self, api: Api) -> None:
        options = self._options

        async def upload(path: Path) -> str:
            return str((await api.upload(path, None))["id"])

        uploads = Uploads(upload, options.journal)
        again: dict[str, Any] = {}
        if options.rerun:
            again["rerun"] = options.rerun
        if options.recheck:
            again["recheck"] = True
        async with AsyncExitStack() as stack:
            stack.push_async_callback(uploads.close)
            with usage_errors():
                stream = api.client.run_many(
                    self._start_requests(uploads),
                    max_in_flight=options.max_in_flight,
                    journal=options.journal,
                    run_timeout=options.run_timeout,
                    absence_delay=options.absence_delay,
                    **again,
                )
            outcomes = await stack.enter_async_context(stream)
            self._progress.running = lambda: outcomes.running
            for beside in (self._follow_limit(outcomes), self._refresh()):
                stack.callback(asyncio.create_task(beside).cancel)
            async for outcome in outcomes:
                self._take(outcome)
        for outcome in self._recorded.settled(self._checked.without_file):
            self._take(outcome)

    async def _follow_limit(self, outcomes: Any) -> None:
        def apply(limit: int) -> None:
            outcomes.max_in_flight = limit
            self._progress.note(f"at most {limit} runs are unsettled from now on")

        await follow_limit(self._options.journal, apply)

    async def _refresh(self) -> None:
        """Show starts too while nothing settles."""
        while True:
            await asyncio.sleep(_REFRESH)
            self._progress.refresh()

    def _take(self, outcome: Any) -> None:
        result = self._requests.result(outcome)
        run = outcome.run
        self._write(result)
        if outcome.error is None and run is not None:
            self._progress.add(result, settled=True, succeeded=run.succeeded)
        else:
            self._progress.add(result, settled=False, succeeded=False)

    async def _start_requests(self, uploads: Uploads) -> AsyncIterator[Any]:
        """The requests in the order of the file, their files uploaded side by side ahead of them.

        A file that is refused or cannot be read is the outcome of the rows that need it.
        """
        ahead: deque[tuple[Row, asyncio.Task[str] | None]] = deque()
        try:
            for row in self._rows.rows():
                if not isinstance(row, Row):
                    continue
                task = None if row.file is None else asyncio.create_task(uploads.id_of(row.file))
                ahead.append((row, task))
                if len(ahead) >= _UPLOADS or task is None:
                    async for request in self._uploaded(ahead, _UPLOADS - 1 if task else 0):
                        yield request
            async for request in self._uploaded(ahead, 0):
                yield request
        finally:
            for _, task in ahead:
                if task is not None:
                    task.cancel()

    async def _uploaded(
        self, ahead: deque[tuple[Row, asyncio.Task[str] | None]], leave: int
    ) -> AsyncIterator[Any]:
        while len(ahead) > leave:
            row, task = ahead[0]
            try:
                file_id = None if task is None else await task
            except JournalError:
                raise
            except (KognitosError, OSError) as problem:
                self._refused(row, next(lines_of(problem)))
            else:
                ahead.popleft()
                yield self._requests.request(row, file_id)
                continue
            ahead.popleft()

    def _refused(self, row: Row, problem: str) -> None:
        result = {**_NOTHING, "name": row.name, "error": problem}
        self._write(result)
        self._progress.add(result, settled=False, succeeded=False)

    def _write_bad_rows(self) -> None:
        for row in self._rows.rows() if self._checked.bad else ():
            if isinstance(row, BadRow | MissingFile) and row.name not in self._checked.without_file:
                self._write({**_NOTHING, "name": row.name, "error": f"row {row.number}: {row.problem}"})

    def _write(self, result: dict[str, Any]) -> None:
        if self._results is not None:
            self._results.write(result)


_NOTHING = {"run_id": "", "status": "", "error": "", "attempts": 0, "resumed": False, "outputs": {}}
