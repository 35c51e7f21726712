"""Execution of `kognitos runs bulk`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.bulk_progress import BulkProgress
from kognitos_async.cli.connection import connect
from kognitos_async.cli.input_text import UnreadableFileError
from kognitos_async.cli.limits import follow_limit
from kognitos_async.cli.recorded import Recorded
from kognitos_async.cli.requests_file import BadRow, Row
from kognitos_async.cli.results_file import ResultsFile
from kognitos_async.cli.running import FAILED, SOME_FAILED, complain, usage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kognitos_async.cli.api import Api
    from kognitos_async.cli.bulk_requests import RowRequests
    from kognitos_async.cli.command import Call
    from kognitos_async.cli.first_pass import Checked
    from kognitos_async.cli.requests_file import RequestsFile

_REFRESH = 0.5
"""Seconds between updates of the progress bar while nothing settles."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """Options of a bulk job."""

    journal: Path
    output: Path | None
    max_in_flight: int
    max_uploads: int
    requests_per_second: float | None
    run_timeout: float | None
    absence_delay: float
    rerun: frozenset[Any]
    recheck: bool


class BulkRun:
    """One pass of a bulk job: rows to requests, outcomes to the results file, counts to stderr."""

    def __init__(
        self,
        call: Call,
        rows: RequestsFile,
        requests: RowRequests,
        checked: Checked,
        options: BulkOptions,
    ) -> None:
        self._call = call
        self._rows = rows
        self._requests = requests
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
        """Announce the shutdown."""
        self._progress.say("stopping after the starts in flight; interrupt again to exit at once")

    async def dry_run(self, source: str) -> int:
        """Check that the key is valid and the process or automation exists; print what would be started."""
        checked, states = self._checked, Recorded(self._options.journal).states()
        async with connect(self._call.target) as api:
            with usage_errors():
                await api.find_source(source)
        self._call.output.show(
            {
                "requests": checked.good,
                "bad_rows": checked.bad,
                "files": checked.files,
                "bytes": checked.bytes,
                "recorded": sum(states.values()),
                "settled": states.get("settled", 0),
            }
        )
        self._call.output.note("nothing was started")
        return SOME_FAILED if checked.bad else 0

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
        except UnreadableFileError as problem:  # changed since the first pass
            complain(str(problem))
            return FAILED
        except asyncio.CancelledError:
            self._progress.stopped(Recorded(options.journal).states())
            if self._results is not None and self._results.opened and self._results.destination.is_file:
                self._progress.say(f"outcomes so far: {self._results.destination.part}")
            self._progress.say(
                f"started runs continue; run the same command with --journal {options.journal} to resume"
            )
            raise
        finally:
            if self._results is not None:
                self._results.close()
        self._progress.finish()
        return SOME_FAILED if self._progress.failed else 0

    async def _work(self, api: Api) -> None:
        options = self._options

        again: dict[str, Any] = {}
        if options.rerun:
            again["rerun"] = options.rerun
        if options.recheck:
            again["recheck"] = True
        async with AsyncExitStack() as stack:
            with usage_errors():
                stream = api.client.run_many(
                    self._start_requests(),
                    max_in_flight=options.max_in_flight,
                    max_uploads=options.max_uploads,
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

    async def _follow_limit(self, outcomes: Any) -> None:
        def apply(limit: int) -> None:
            outcomes.max_in_flight = limit
            self._progress.note(f"--max-in-flight is now {limit}")

        await follow_limit(self._options.journal, apply)

    async def _refresh(self) -> None:
        """Update the progress bar while nothing settles."""
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

    def _start_requests(self) -> Iterator[Any]:
        """The requests, in file order."""
        for row in self._rows.rows():
            if isinstance(row, Row):
                yield self._requests.request(row)

    def _write_bad_rows(self) -> None:
        for row in self._rows.rows() if self._checked.bad else ():
            if isinstance(row, BadRow):
                self._write({**_NOTHING, "name": row.name, "error": f"row {row.number}: {row.problem}"})

    def _write(self, result: dict[str, Any]) -> None:
        if self._results is not None:
            self._results.write(result)


_NOTHING = {"run_id": "", "status": "", "error": "", "attempts": 0, "resumed": False, "outputs": {}}
