"""Following a list: what appears and what changes, once each, under virtual time."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import AuthenticationError, PollPolicy, ServerError
from kognitos_async.rest_v2.models import ENDED
from kognitos_async.waiting import follow as module
from kognitos_async.waiting.follow import Follower
from kognitos_async.work_stream import WorkStream
from tests.virtual_time import run_virtually
from tests.waiting.fakes import EPOCH, FakeReader

GROUP = ("a", "p")
POLL = PollPolicy(initial=1, maximum=2, jitter=0)


class Listing(FakeReader):
    """A list whose server's clock is the loop's, counted from EPOCH."""

    chance = random.Random(1)
    sleep = staticmethod(asyncio.sleep)

    @property
    def clock(self):
        return self

    def now(self):
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    def shown(self):
        now = asyncio.get_running_loop().time()
        self.hidden = {run_id for run_id, born in self.born.items() if born > now}


def follow(listing, seconds, *, since=EPOCH, before_page=None):
    """What is emitted in so many seconds, as (id, status), and the follower."""
    seen = []

    def prepare(group, token):
        listing.shown()
        if before_page is not None:
            before_page()

    listing.before_page = prepare
    follower = Follower(
        listing,
        GROUP,
        since=since,
        ended=ENDED,
        policy=POLL,
        clock=listing,
    )

    async def main():
        async with WorkStream(follower.work) as runs:
            try:
                async with asyncio.timeout(seconds):
                    async for run in runs:
                        seen.append((run.id, str(run.status)))  # noqa: PERF401 - ends with a timeout
            except TimeoutError:
                pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(main())
    return seen, follower


def both(ids):
    return sorted((run_id, status) for run_id in ids for status in ("Running", "Succeeded"))


def listing_of(order, count=30):
    listing = Listing(order)
    for number in range(count):
        listing.add(f"r{number}", 10.0 + number, born=number / 10)
    return listing


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("older", [0, 250])
def test_each_run_appears_and_changes_once(order, older):
    """In any order of the list, with or without a history before `since`."""
    listing = listing_of(order)
    listing.add_older(older)
    seen, _ = follow(listing, 60)
    assert sorted(seen) == both(f"r{n}" for n in range(30))


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_failing_lists_delay_and_lose_nothing(order):
    """After errors that may mend everything still comes out once."""
    chance = random.Random(3)

    def sometimes():
        if chance.random() < 0.5:
            raise ServerError("down", status=503)

    seen, _ = follow(listing_of(order), 120, before_page=sometimes)
    assert sorted(seen) == both(f"r{n}" for n in range(30))


def test_without_since_only_what_is_new_counts():
    """A run created long before is left out; one created later comes."""
    listing = Listing()
    listing.add("early", 20.0, born=-100.0)
    listing.add("late", 20.0, born=5.0)
    seen, _ = follow(listing, 40, since=None)
    assert seen == [("late", "Running"), ("late", "Succeeded")]


def test_a_deleted_run_is_forgotten():
    """One that the list no longer shows and a read does not find ends silently."""
    listing = listing_of("newest", 3)
    listing.gone = set()

    def delete():
        if asyncio.get_running_loop().time() > 5:
            listing.gone = {"r1"}

    seen, follower = follow(listing, 40, before_page=delete)
    assert sorted(seen) == sorted([*both(["r0", "r2"]), ("r1", "Running")])
    assert "r1" not in follower._open
    assert listing.reads["r1"] == 1


def test_memory_is_bounded(monkeypatch):
    """Of more open runs than it may hold, the oldest are let go; ended ones are forgotten."""
    monkeypatch.setattr(module, "_MOST_OPEN", 10)
    listing = Listing()
    for number in range(40):
        listing.add(f"r{number}", 1e9 if number % 2 else 5.0, born=number / 10)
    _, follower = follow(listing, 300)
    assert len(follower._open) <= 10
    assert follower._closed == {}


def test_what_polling_cannot_mend_is_raised():
    """A revoked key comes out of the iterator."""

    def refuse():
        raise AuthenticationError("revoked", status=401)

    with pytest.raises(AuthenticationError):
        follow(listing_of("newest"), 10, before_page=refuse)


async def test_the_client_follows_one_stage(kognitos_server, kognitos_client):
    """Only runs of the stage named come out, over real sockets."""
    process = kognitos_server.process.id
    kognitos_server.add_run(name="draft", stage="Draft", status="Stopped")
    kognitos_server.add_run(name="published", status="Stopped")
    since = datetime.now(UTC) - timedelta(minutes=1)
    async with asyncio.timeout(5), kognitos_client.runs.follow(process, stage="Draft", since=since) as runs:
        assert (await anext(runs)).name == "draft"
        assert kognitos_server.count("list_runs") >= 1
