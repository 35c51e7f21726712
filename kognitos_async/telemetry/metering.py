"""The metrics of a client."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kognitos_async.messages import Request, StoreRequest
from kognitos_async.observed_work import Job, JobRequest, Poll, Start, StartOnce, Wait
from kognitos_async.observers import Observer
from kognitos_async.telemetry import attributes as names
from kognitos_async.telemetry.attributes import error_type, request_attributes, result_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Meter

    from kognitos_async.errors import KognitosError
    from kognitos_async.observed_work import Work
    from kognitos_async.telemetry.attributes import Server

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets recommended by the semantic conventions."""
_RUN_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)


class Metrics(Observer):
    """Records metrics of attempts, starts, runs, polls, pauses and journals."""

    def __init__(self, meter: Meter, server: Server, wanted: Callable[[], bool]) -> None:
        self._server = server
        self._wanted = wanted
        self._waits: Counter[str] = Counter()
        self._states: dict[Job, Counter[str]] = {}
        self._requests = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP attempts",
            explicit_bucket_boundaries_advisory=_REQUEST_SECONDS,
        )
        self._retries = meter.create_counter("kognitos.retries", "{retry}", "Attempts that are sent again")
        self._pauses = meter.create_counter("kognitos.pauses", "{pause}", "Pauses of the client after a 429")
        self._starts = meter.create_counter("kognitos.starts", "{start}", "Starts of runs, by outcome")
        self._settled = meter.create_counter("kognitos.runs.settled", "{run}", "Runs that settled")
        self._durations = meter.create_histogram(
            "kognitos.run.duration",
            "s",
            "Time from a run's creation to the poll that found it settled",
            explicit_bucket_boundaries_advisory=_RUN_SECONDS,
        )
        self._pending = meter.create_up_down_counter("kognitos.runs.pending", "{run}", "Runs waited for")
        self._polls = meter.create_counter("kognitos.polls", "{poll}", "Shared polls, by method")
        self._journal = meter.create_up_down_counter(
            "kognitos.journal.requests", "{request}", "Requests of open journals, by state"
        )

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Record the duration, by operation and status."""
        if self._wanted() and isinstance(what, Request | StoreRequest):
            found = {**request_attributes(what, self._server), **result_attributes(result)}
            self._requests.record(seconds, found)

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Count a retry, by error."""
        self._retries.add(1, {names.ERROR: error_type(failure)})

    def paused(self, request: Request, seconds: float) -> None:
        """Count a pause."""
        self._pauses.add(1)

    def work_began(self, work: Work) -> None:
        """Count a run as pending from its first wait on; track the states of a job's journal."""
        if isinstance(work, Wait):
            self._waits[work.run_id] += 1
            if self._waits[work.run_id] == 1:
                self._pending.add(1)
        elif isinstance(work, Job):
            self._states[work] = Counter()

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """Count starts by outcome, settled runs by status, polls by method."""
        if isinstance(work, Wait):
            self._wait_ended(work)
        elif isinstance(work, Poll):
            self._polls.add(1, {"kognitos.poll.method": work.method})
        elif isinstance(work, Job):
            for state, count in self._states.pop(work, Counter()).items():
                self._journal.add(-count, {"kognitos.journal.state": state})
        elif isinstance(work, Start) and not isinstance(work, StartOnce | JobRequest):
            self._starts.add(1, {} if error is None else {names.ERROR: error_type(error)})

    def _wait_ended(self, wait: Wait) -> None:
        self._waits[wait.run_id] -= 1
        if not self._waits[wait.run_id]:
            del self._waits[wait.run_id]
            self._pending.add(-1)
        if wait.settled_after is not None:
            status = {names.RUN_STATUS: str(wait.run.status)}
            self._settled.add(1, status)
            self._durations.record(wait.settled_after, status)

    def journal_moved(self, job: Job, before: str | None, after: str) -> None:
        """Move a request from one state to the next."""
        states = self._states.get(job)
        if states is None:
            return
        for state, change in ((before, -1), (after, 1)):
            if state is not None:
                states[state] += change
                self._journal.add(change, {"kognitos.journal.state": state})
