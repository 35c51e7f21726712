"""Progress of a bulk job on stderr, counted from its outcomes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kognitos_async.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LINES = 20
"""Progress lines printed without a terminal."""
_REASONS = 5
"""Failures printed with their reason."""


class BulkProgress:
    """Counts of a bulk job: a bar on a terminal, lines elsewhere, nothing if `quiet`.

    `expected` is the number of requests; a resumed job may yield more outcomes. `running` returns the number
    of started runs that have not settled.
    """

    def __init__(self, expected: int, *, failed: int, quiet: bool, has_output: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._has_output = has_output
        self._expected = expected
        self.ended: int = 0
        self.settled: int = 0
        self.succeeded: int = 0
        self._reported = 0
        self.failed: int = failed
        self._begun = 0
        """Outcomes with a run, settled or not."""
        self._started = 0
        self.running: Callable[[], int] = lambda: 0
        self._began = time.monotonic()
        self._last = ""
        self._every = max(1, expected // _LINES)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} runs/s"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
            transient=True,  # the last line says the same
        )
        self._bar = self._bars.add_task("", total=expected, rate=0.0)

    @property
    def _live(self) -> bool:
        return self._console.is_terminal and not self._quiet

    def __enter__(self) -> Self:
        # Before rich 14 a disabled progress still prints an empty line at the end.
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            self._bars.stop()

    def add(self, result: dict[str, Any], *, settled: bool, succeeded: bool) -> None:
        """Count an outcome and print the reason of the first failures."""
        self.ended += 1
        self.settled += settled
        self.succeeded += succeeded
        self._begun += bool(result["run_id"])
        if not succeeded:
            self.failed += 1
            self._report(result)
        if not self._live and self.ended % self._every == 0:
            self.note(self.line())
        self.refresh()

    def refresh(self) -> None:
        """Update the bar."""
        if self._live:
            elapsed = max(0.001, time.monotonic() - self._began)
            self._bars.update(
                self._bar,
                completed=self.ended,
                total=self._total,
                description=self.line(),
                rate=self.ended / elapsed,
            )

    @property
    def _total(self) -> int:
        return max(self._expected, self.ended)

    def line(self) -> str:
        """The counts in words. `started` counts the runs known to exist."""
        running = self.running()
        # A run whose outcome is still to come counts nowhere once it has settled: keep the count seen before.
        self._started = max(self._started, self._begun + running)
        return self._counts(self._started, running, self.settled)

    def stopped(self, states: Mapping[str, int]) -> None:
        """Print the counts of an interrupted job, by the `states` of its requests in the journal.

        Only the journal knows them: starts that were in flight have become runs that nothing waits for.
        """
        running, settled = states.get("started", 0), states.get("settled", 0)
        self.say(f"stopped: {self._counts(running + settled, running, settled)}")

    def _counts(self, started: int, running: int, settled: int) -> str:
        total = max(self._total, settled)
        return f"started {started}, running {running}, settled {settled} of {total}, failed {self.failed}"

    def note(self, line: str) -> None:
        """Print a line on stderr unless quiet or unchanged."""
        if not self._quiet and line != self._last:
            self._last = line
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line on stderr."""
        self._console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)

    def finish(self) -> None:
        """Print the final counts and the number of failures not shown."""
        more = self.failed - self._reported
        if self._reported and more > 0:
            where = "" if self._has_output else "; use --output FILE to record all"
            self.say(f"kognitos: and {more} more failed{where}")
        self.note(self.line())

    def _report(self, result: dict[str, Any]) -> None:
        if self._reported < _REASONS:
            self._reported += 1
            reason = result["error"] or f"run {result['run_id']} settled as {result['status']}"
            self.say(f"kognitos: {result['name']}: {reason}")
