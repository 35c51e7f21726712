"""Display of `kognitos demo`: live bars on a terminal, plain lines elsewhere, and a table of outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kognitos_async.errors import RunError

if TYPE_CHECKING:
    from rich.console import Console

    from kognitos_async.cli.workload import Job, Workload

_EXAMPLES = 3
_FAILURES_SHOWN = 12


class Display:
    """A context manager that shows the progress of a workload."""

    def __init__(self, console: Console, count: int) -> None:
        self._console = console
        self._count = count
        self._told = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._bars = {
            word: self._progress.add_task(f"{word:8}", total=count)
            for word in ("started", "running", "settled")
        }

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def show(self, workload: Workload) -> None:
        """Update the bars; without a terminal, print a line for each quarter settled."""
        started, settled = workload.started, workload.settled
        if self._console.is_terminal:
            for word, number in (("started", started), ("running", started - settled), ("settled", settled)):
                self._progress.update(self._bars[word], completed=number)
        elif settled and (quarter := 4 * settled // self._count) > self._told:
            self._told = quarter
            self.say(f"started {started}, running {started - settled}, settled {settled} of {self._count}")


def outcome_table(jobs: list[Job]) -> Table:
    """Number and examples of runs by status."""
    table = Table(title=f"Outcomes of {len(jobs)} runs", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in ("status", "runs", "for example", "output or error"):
        table.add_column(heading, justify="right" if heading == "runs" else "left")
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_word(job), []).append(job)
    for word, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        shown = members[: _EXAMPLES if word == "Succeeded" else _FAILURES_SHOWN]
        for number, job in enumerate(shown):
            first = number == 0
            table.add_row(word if first else "", str(len(members)) if first else "", job.name, _story(job))
        if len(members) > len(shown):
            table.add_row("", "", f"and {len(members) - len(shown)} more", "")
    return table


def _word(job: Job) -> str:
    if job.run is None:
        return "not started"
    return "Succeeded" if job.run.succeeded else str(job.run.status)


def _story(job: Job) -> str:
    """The first output of a successful run, else the reason of the failure."""
    if job.error is not None or job.run is None:
        return str(job.error)
    try:
        outputs = job.run.raise_for_status().outputs_by_name
    except RunError as failed:
        return str(failed).partition(": ")[2]
    first = next((f"{name}: {value}" for name, value in outputs.items()), "no outputs")
    return f"{first}, ..." if len(outputs) > 1 else first
