"""A run that shows only after it was looked up in vain, and its start sent again."""

from __future__ import annotations

from datetime import UTC, datetime

from kognitos_async.bulk.job import BulkJob
from kognitos_async.errors import StartUncertainError


class LosingJobs:
    """Every start is lost; notes from when on each look-up searches."""

    absence_proves = True

    def __init__(self, found_at: int) -> None:
        self.looked_up: list[datetime] = []
        self._found_at = found_at

    def encode(self, request):
        return request, request.encode()

    async def start(self, request):
        raise StartUncertainError("lost", request=request, since=datetime.now(UTC))

    async def find(self, request, since):
        self.looked_up.append(since)
        return ["the run"] if len(self.looked_up) == self._found_at else []

    async def wait(self, request, run):
        return run

    def id_of(self, run):
        return run

    def dump(self, run):
        return run.encode()


class Calm:
    """A sender that nobody slows down."""

    cuts = 0

    async def sleep(self, seconds):
        pass


async def test_every_look_up_goes_back_to_the_first_start_in_doubt(tmp_path):
    """A run that the first of three lost starts made is found although it shows only at the third look-up."""
    jobs = LosingJobs(found_at=3)
    job = BulkJob(jobs, Calm(), ["one"], max_in_flight=1, journal=tmp_path / "job", absence_delay=0.0)
    outcomes = []

    async def take(outcome):
        outcomes.append(outcome)

    await job.work(take)
    [outcome] = outcomes
    assert (outcome.run, outcome.attempts) == ("the run", 3)
    assert len(set(jobs.looked_up)) == 1
