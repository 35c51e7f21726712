"""A run that shows only after it was looked up in vain, and its start sent again."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import ClassVar

from kognitos_async.bulk.job import BulkJob
from kognitos_async.bulk.types import EncodedStart
from kognitos_async.errors import StartUncertainError
from kognitos_async.server_clock import ServerClock
from kognitos_async.uncertain_start import Absent, Found
from tests.bulk.journals import RunRecord


class LosingJobs:
    """Every start is lost; notes the window of each look-up."""

    api = "rest_v2"
    unfinished: ClassVar = ()
    changeable: ClassVar = ()

    def __init__(self, clock, found_at: int) -> None:
        self.windows = []
        self._clock = clock
        self._found_at = found_at

    def encode(self, request):
        return EncodedStart(request, request.encode(), request.encode())

    def decode(self, name, record):
        return record.decode()

    def fingerprint(self, record):
        return record

    async def start(self, request, record, before_send):
        await before_send()
        window = self._clock.window()
        raise StartUncertainError("lost", request=request, since=window.since, window=window)

    def recall(self, recorded):
        pass

    async def look_up(self, request, window, *, known_ids, in_doubt_too):
        self.windows.append(window)
        return Found(RunRecord("the run")) if len(self.windows) == self._found_at else Absent()

    async def wait(self, request, run):
        return run

    def run_of(self, request, begun):
        return begun


class Calm:
    """A sender without delays."""

    gate = SimpleNamespace(cuts=0)
    chance = random.Random(1)

    def __init__(self) -> None:
        self.clock = ServerClock()
        self.lifetime = self

    async def sleep(self, seconds):
        pass

    async def wait_closed(self):
        await asyncio.Event().wait()


async def test_every_look_up_goes_back_to_the_first_start_in_doubt(tmp_path):
    """A run that the first of three lost starts made is found although it shows only at the third look-up."""
    sender = Calm()
    jobs = LosingJobs(sender.clock, found_at=3)
    job = BulkJob(jobs, sender, ["one"], max_in_flight=1, journal=tmp_path / "job", absence_delay=0.0)
    outcomes = []

    async def take(outcome):
        outcomes.append(outcome)

    await job.work(take)
    [outcome] = outcomes
    assert (outcome.run.id, outcome.attempts) == ("the run", 3)
    assert len(jobs.windows) == 3
    assert len({window.sent_at for window in jobs.windows}) == 1
    assert len({window.until for window in jobs.windows}) == 3
