"""A run that shows only after it was looked up in vain, and its start sent again."""

from __future__ import annotations

from kognitos_async.bulk.job import BulkJob
from kognitos_async.errors import StartUncertainError
from kognitos_async.server_clock import ServerClock, StartWindow
from kognitos_async.uncertain_start import Absent, Found

CLOCK = ServerClock()


class LosingJobs:
    """Every start is lost; notes from when on each look-up searches."""

    def __init__(self, found_at: int) -> None:
        self.looked_up: list[StartWindow] = []
        self._found_at = found_at

    def encode(self, request):
        return request, request.encode()

    async def start(self, request):
        window = CLOCK.window()
        raise StartUncertainError("lost", request=request, since=window.since, window=window)

    async def look_up(self, request, window, *, known_ids, in_doubt_too):
        self.looked_up.append(window)
        return Found("the run") if len(self.looked_up) == self._found_at else Absent()

    async def wait(self, request, run):
        return run

    def id_of(self, run):
        return run

    def dump(self, run):
        return run.encode()


class Calm:
    """A sender that nobody slows down."""

    cuts = 0
    clock = CLOCK

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
    assert len({window.sent_at for window in jobs.looked_up}) == 1
    assert len({window.until for window in jobs.looked_up}) == 3
