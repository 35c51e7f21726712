"""Following a list: what appears and what changes, once each, under virtual time."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async import (
    AuthenticationError,
    BadRequestError,
    DecodeError,
    OutcomeUnknownError,
    PaginationError,
    PollPolicy,
    ServerError,
)
from kognitos_async.paging import PartialPage
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
    passes = 0

    async def sleep(self, seconds):
        self.passes += 1
        await asyncio.sleep(seconds)

    @property
    def clock(self):
        return self

    def now(self):
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())

    live = False
    """Whether tokens count from the newest, so that new runs move the pages."""
    refuse = check_size = None
    undecoded = ()

    async def read_page(self, group, token, since=None, *, size=None):
        if self.refuse is not None:
            self.refuse(token)
        if self.check_size is not None:
            self.check_size(size or self.largest_page)
        if self.live or self.filters_by_time:
            now = asyncio.get_running_loop().time()
            earliest = (since - EPOCH).total_seconds() if self.filters_by_time and since else float("-inf")
            self._lists[group] = [i for i in self._ordered(group) if earliest <= self.born[i] <= now]
        page = await super().read_page(group, token, since, size=size)
        if self.undecoded:
            error = DecodeError("bad", path="$", body=b"", undecoded=self.undecoded)
            return PartialPage(page.items, page.continuation_token, error=error)
        return page

    _known = 0

    def shown(self):
        now = asyncio.get_running_loop().time()
        later = self.hidden if self._known == len(self.born) else self.born
        self._known = len(self.born)
        self.hidden = {run_id for run_id in later if self.born[run_id] > now}


def follow(listing, seconds, *, since=EPOCH, before_page=None):
    """What is emitted in so many seconds, as (id, status), and the follower."""
    seen = []

    def prepare(group, token):
        listing.shown()
        if before_page is not None:
            before_page()

    listing.before_page = prepare

    async def main():
        follower = Follower(listing, GROUP, since=since, ended=ENDED, policy=POLL, pace=listing)
        async with WorkStream(follower.work) as runs:
            try:
                async with asyncio.timeout(seconds):
                    async for run in runs:
                        seen.append((run.id, str(run.status)))  # noqa: PERF401 - ends with a timeout
            except TimeoutError:
                pass
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return follower

    return seen, run_virtually(main())


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


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_without_since_changes_count_and_not_what_is_there(order):
    """Of the runs of the last day what changes from now on; of older ones nothing."""
    listing = Listing(order)
    listing.add("long ago", 20.0, born=-90_000.0)
    listing.add("early", 20.0, born=-100.0)
    listing.add("over", -50.0, born=-100.0)
    listing.add("late", 20.0, born=5.0)
    seen, _ = follow(listing, 40, since=None)
    assert seen[0] == ("late", "Running")
    assert sorted(seen[1:]) == [("early", "Succeeded"), ("late", "Succeeded")]


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_quiet_pass_costs_the_pages_with_open_runs(order):
    """Not a read for each open run, and not the history: ten pages apart from each other hold them."""
    listing = Listing(order)
    for number in range(10_000):
        stays_open = number % 1000 < 20 and number < 9500
        listing.add(f"r{number}", 1e9 if stays_open else -1.0, born=-80_000.0 + 7 * number)
    seen, follower = follow(listing, 100, since=EPOCH - timedelta(days=2))
    assert len(seen) == 10_000
    assert len(follower._open) == 200
    pages, reads = listing.pages, listing.reads.total()
    listing.pages = 0
    passes = (pages + reads - 100) / 11
    assert 30 < passes < 60  # one in two seconds, each of ten pages and the one for new runs
    assert reads == 0


def test_runs_that_no_page_shows_are_read_singly():
    """A list that leaves them out costs requests, and loses nothing."""
    listing = listing_of("newest", 30)
    shown = listing.shown

    def hide():
        shown()
        if asyncio.get_running_loop().time() > 5:
            listing.hidden |= {"r1", "r2", "r3"}

    listing.shown = hide
    seen, _ = follow(listing, 60)
    assert sorted(seen) == both(f"r{n}" for n in range(30))
    assert set(listing.reads) == {"r1", "r2", "r3"}


def test_a_listed_run_that_cannot_be_read_is_no_longer_followed(caplog):
    """Its id is none, for instance; the others are followed on."""
    listing = listing_of("newest", 30)
    shown = listing.shown

    def hide():
        shown()
        if asyncio.get_running_loop().time() > 5:
            listing.hidden |= {"r1", "r2"}

    def refuse(run_id):
        if run_id == "r1":
            raise DecodeError("run 'r1' is listed, but that is no id", path="$.id", body=b"")

    listing.shown = hide
    listing.before_read = refuse
    seen, _ = follow(listing, 60)
    assert sorted(seen) == sorted({*both(f"r{n}" for n in range(30))} - {("r1", "Succeeded")})
    assert "no longer followed" in caplog.text


@pytest.mark.parametrize(("strays", "followed"), [(2, True), (3, False)])
def test_a_run_whose_reads_answer_with_another_is_no_longer_followed(strays, followed):
    """After three in a row; fewer are stray answers."""
    listing = listing_of("newest", 30)
    shown = listing.shown
    reads = []

    def hide():
        shown()
        if asyncio.get_running_loop().time() > 5:
            listing.hidden.add("r1")

    def refuse(run_id):
        reads.append(run_id)
        if len(reads) <= strays:
            raise DecodeError("another's", path="$.id", body=b"", malformed=True, other_resource=True)

    listing.shown = hide
    listing.before_read = refuse
    seen, _ = follow(listing, 60)
    assert (("r1", "Succeeded") in seen) == followed
    assert len(seen) == 59 + followed
    assert len(reads) == 3 or followed


def test_new_runs_push_open_ones_to_later_pages():
    """Each is found all the same, mostly by pages, whichever tokens the API gives."""
    listing = Listing("newest")
    listing.live = True
    for number in range(150):
        listing.add(f"open{number}", 300.0 + number, born=-1000.0 - number)
    for number in range(900):
        listing.add(f"new{number}", number / 3 + 5.0, born=number / 3)
    seen, _ = follow(listing, 500, since=EPOCH - timedelta(hours=1))
    assert sorted(seen) == sorted(both(listing.born))
    passes = 500 / 1.1
    assert listing.requests < 6 * passes


def test_small_inversions_do_not_read_the_history():
    """A run that stands some milliseconds out of its order is no reason to doubt the order."""
    listing = Listing("newest")
    for number in range(5000):
        listing.add(f"r{number}", -1.0, born=-50_000.0 + 10 * number)
    ids = listing._ordered(GROUP)
    ids[10], ids[11] = ids[11], ids[10]
    ids[150], ids[151] = ids[151], ids[150]
    listing._lists[GROUP] = ids
    _, follower = follow(listing, 60, since=EPOCH - timedelta(days=1))
    assert not follower._open
    assert listing.pages < 50 + 60 + 10


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
def test_expired_tokens_begin_the_walk_anew(order):
    """Whether they expire within a walk or between two; nothing comes twice and nothing is lost."""
    chance = random.Random(5)
    listing = Listing(order)
    for number in range(450):
        listing.add(f"r{number}", 20.0 + number / 10, born=-500.0 + number)

    def expire(token):
        if token is not None and chance.random() < 0.05:
            raise BadRequestError("the token has expired", status=400)

    listing.refuse = expire
    seen, _ = follow(listing, 300, since=EPOCH - timedelta(hours=1))
    assert sorted(seen) == both(f"r{n}" for n in range(450))


def test_after_tokens_have_expired_one_walk_finds_the_pages_again():
    """Open runs are not read one by one from then on."""
    listing = Listing("newest")
    for number in range(450):
        listing.add(f"r{number}", 1e9, born=-50_000.0 + 100 * number)
    issued = set()

    def expire(token):
        now = asyncio.get_running_loop().time()
        if token is not None and now > 50 and token not in issued:
            issued.add(token)
            raise BadRequestError("the token has expired", status=400)

    listing.refuse = expire
    seen, _ = follow(listing, 150, since=EPOCH - timedelta(days=1))
    assert len(seen) == 450
    assert listing.reads.total() < 10
    assert listing.pages < 5 * 80


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("live", [True, False])
def test_what_a_follower_costs_stays_the_same(live, filters):
    """Runs that come all the time, some of which stay open, are spread over no more requests than pages."""
    listing = Listing("newest")
    listing.live, listing.filters_by_time = live, filters
    for number in range(500):
        listing.add(f"r{number}", 1e9 if number % 10 == 0 else 2 * number + 5.0, born=2.0 * number)
    _, follower = follow(listing, 1000)
    assert len(follower._open) >= 50
    # In the end the history has five pages, and one is for new runs.
    assert listing.requests < 6 * listing.passes


def test_a_token_refused_for_ever_is_raised():
    """With the refusal of the API, after some walks without a result."""
    listing = Listing("newest")
    for number in range(450):
        listing.add(f"r{number}", 1e9, born=-500.0 + number)

    def refuse(token):
        if token is not None:
            raise BadRequestError("no such token", status=400)

    listing.refuse = refuse
    with pytest.raises(BadRequestError, match="no such token"):
        follow(listing, 300, since=EPOCH - timedelta(hours=1))


def test_pages_that_are_too_large_are_asked_for_in_smaller_ones():
    """And the size stays small; a single run that is too large is raised."""
    listing = listing_of("newest", 30)
    sizes = []

    def too_large(size, limit):
        sizes.append(size)
        if size > limit:
            raise OutcomeUnknownError("the answer is larger than 67108864 bytes", too_large=True)

    listing.check_size = lambda size: too_large(size, 10)
    seen, _ = follow(listing, 60)
    assert sorted(seen) == both(f"r{n}" for n in range(30))
    assert sizes[:4] == [100, 25, 6, 6]
    assert set(sizes[4:]) == {6}
    listing.check_size = lambda size: too_large(size, 0)
    with pytest.raises(OutcomeUnknownError, match="larger"):
        follow(listing, 60)


def test_a_list_that_leads_in_circles_is_raised():
    """PaginationError instead of a walk without an end."""
    listing = listing_of("shuffled", 250)
    listing.change_token = lambda token, following: "100"
    with pytest.raises(PaginationError):
        follow(listing, 60)


def test_runs_that_cannot_be_decoded_are_logged_once(caplog):
    """The others are followed."""
    listing = listing_of("newest", 5)
    listing.undecoded = (b'{"id": 3}',)
    seen, _ = follow(listing, 60)
    assert sorted(seen) == both(f"r{n}" for n in range(5))
    assert len([record for record in caplog.records if "cannot be decoded" in record.message]) == 1


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


def test_memory_is_bounded(monkeypatch, caplog):
    """Of more open runs than it may hold the newest stay, and none comes twice; ended ones are forgotten."""
    monkeypatch.setattr(module, "_MAX_OPEN", 10)
    listing = Listing()
    for number in range(40):
        listing.add(f"r{number}", 1e9 if number % 2 else 5.0, born=number / 10)
    listing.add("last", 250.0, born=200.0)
    seen, follower = follow(listing, 300)
    assert len(seen) == len(set(seen))
    assert sorted(follower._open) == ["r31", "r33", "r35", "r37", "r39"]
    assert set(follower._closed) == {"last"}
    assert "no longer following" in caplog.text


def test_a_permanent_error_of_a_poll_is_raised():
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
