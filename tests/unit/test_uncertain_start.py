"""Memory of own starts, and what a complete list proves about one whose answer was lost."""

from __future__ import annotations

import asyncio
import time

import pytest

from kognitos_async import (
    APIStatusError,
    BadRequestError,
    CapacityError,
    DecodeError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    StartUncertainError,
)
from kognitos_async.observed_work import Start
from kognitos_async.observers import Observer, Observers
from kognitos_async.server_clock import MARGIN, ServerClock, Span, StartWindow
from kognitos_async.uncertain_start import (
    Absent,
    Candidate,
    Found,
    OwnStart,
    OwnStarts,
    Undecided,
    decide,
    started,
    uncertain_error,
)
from tests.virtual_time import run_virtually

KEY = ("list", "name")
SPAN = Span(possible_from=0.0, likely_from=100.0, likely_until=200.0, proven=True)


def candidate(stamp, *, fits=True, run_id="r1"):
    return Candidate(f"run {run_id}", run_id, stamp, fits)


@pytest.mark.parametrize("stamp", [100.0, 150.0, 200.0])
def test_the_only_run_with_the_name_and_time_is_found(stamp):
    """Also beside one that is too old by any clock."""
    for others in ([], [candidate(-1.0, run_id="r0")]):
        found = decide([candidate(stamp), *others], SPAN, absence="no", unexplained_later=True)
        assert found == Found("run r1")


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        ([candidate(99.0)], "run r1 was created outside the time of this start"),
        ([candidate(201.0)], "run r1 was created outside the time of this start"),
        ([candidate(-1.0)], "run r1 was created outside the time of this start"),
        ([candidate(150.0, fits=False)], "run r1 resembles it, but may be another's"),
        (
            [candidate(150.0), candidate(160.0, run_id="r2")],
            "2 runs may be it or others', such as r1",
        ),
        (
            [candidate(150.0), candidate(1.0, fits=False, run_id="r2"), candidate(-1.0, run_id="r3")],
            "3 runs may be it or others', such as r1",
        ),
    ],
)
@pytest.mark.parametrize("unexplained_later", [True, False])
def test_ambiguous_candidates_are_undecided(candidates, reason, unexplained_later):
    """The answer has the reason."""
    answer = decide(candidates, SPAN, absence=None, unexplained_later=unexplained_later)
    assert answer == Undecided(reason)


def test_an_unexplained_later_run_makes_the_answer_undecided():
    """A second run of a unique name is unexplained; one of the same inputs is not."""
    candidates = [candidate(150.0), candidate(201.0, run_id="r2")]
    assert isinstance(decide(candidates, SPAN, absence=None, unexplained_later=True), Undecided)
    assert decide(candidates, SPAN, absence=None, unexplained_later=False) == Found("run r1")


def test_an_empty_list_proves_absence_unless_contradicted():
    """For instance by names that are not echoed."""
    assert decide([], SPAN, absence=None, unexplained_later=True) == Absent()
    answer = decide([], SPAN, absence="names are not echoed", unexplained_later=True)
    assert answer == Undecided("no such run is listed, but names are not echoed")


def window_of(sent, *attempts, length=90.0):
    return StartWindow(sent_at=sent, until=sent + length, attempts=attempts)


def doubt(own, window, key=KEY):
    """A start whose answer is lost."""
    with pytest.raises(StartUncertainError), own.under_way(key):
        raise StartUncertainError("lost", request=None, since=window.since, window=window)


def test_a_start_in_flight_is_in_doubt_for_other_look_ups_only():
    """Until it has been answered."""
    own, window = OwnStarts(), window_of(1000.0, "a-1")
    with own.under_way(KEY):
        assert own.are_others_in_doubt(KEY, window, own=0)
        assert not own.are_others_in_doubt(KEY, window, own=1)
        assert not own.are_others_in_doubt(("list", "other"), window, own=0)
        with own.under_way(KEY):
            assert own.are_others_in_doubt(KEY, window, own=1)
        assert not own.are_others_in_doubt(KEY, window, own=1)
    assert not own.are_others_in_doubt(KEY, window, own=0)


@pytest.mark.parametrize(
    ("other", "doubtful"),
    [
        (window_of(1060.0, "a-2"), True),
        (window_of(1090.0, "a-2"), True),
        (window_of(910.0, "a-2"), True),
        (window_of(1091.0, "a-2"), False),
        (window_of(909.0, "a-2"), False),
    ],
)
@pytest.mark.parametrize("own_recorded", [True, False])
def test_another_lost_start_of_the_key_may_have_made_the_run(other, doubtful, own_recorded):
    """If both can have been processed at the same time."""
    own, window = OwnStarts(), window_of(1000.0, "a-1")
    if own_recorded:
        doubt(own, window)
    doubt(own, other)
    assert own.are_others_in_doubt(KEY, window, own=0) == doubtful
    assert not own.are_others_in_doubt(("list", "other"), window, own=0)


def test_a_lost_start_known_by_its_time_alone_is_recognised():
    """If it is the only one of its time; two are ambiguous."""
    own, bare = OwnStarts(), window_of(1000.0)
    doubt(own, window_of(1000.0, "a-1"))
    assert not own.are_others_in_doubt(KEY, bare, own=0)
    doubt(own, window_of(1000.0 + MARGIN + 1, "a-2"))
    assert own.are_others_in_doubt(KEY, bare, own=0)
    own = OwnStarts()
    doubt(own, window_of(1000.0, "a-1"))
    doubt(own, window_of(1002.0, "a-2"))
    assert own.are_others_in_doubt(KEY, bare, own=0)


def test_the_window_of_a_lost_start_is_found_by_its_time():
    """To the millisecond, among those of its key."""
    own, first, second = OwnStarts(), window_of(1000.0, "a-1"), window_of(1000.5, "a-2")
    doubt(own, first)
    doubt(own, second)
    assert own.window_at(KEY, 1000.0) is first
    assert own.window_at(KEY, 1000.5004) is second
    assert own.window_at(KEY, 1000.1) is None
    assert own.window_at(("list", "other"), 1000.0) is None


@pytest.mark.parametrize("by", [window_of(1000.0), window_of(5000.0, "a-1")])
def test_a_resolved_start_is_no_longer_in_doubt(by):
    """Identified by its time or its attempt; the others stay."""
    own, later = OwnStarts(), window_of(2000.0, "a-2")
    doubt(own, window_of(1000.0, "a-1"))
    doubt(own, later)
    own.resolved(KEY, by)
    assert own.window_at(KEY, 1000.0) is None
    assert own.window_at(KEY, 2000.0) is later
    own.resolved(KEY, later)
    assert own.window_at(KEY, 2000.0) is None
    own.resolved(KEY, later)


def test_a_list_must_show_the_recent_runs_of_its_group():
    """Those answered before the reading began, at most 15 minutes earlier."""
    own = OwnStarts()
    for run_id, group, received in (
        ("old", "g", 99.0),
        ("first", "g", 100.0),
        ("elsewhere", "h", 500.0),
        ("last", "g", 1000.0),
        ("later", "g", 1000.5),
    ):
        own.note(run_id, OwnStart(group, "name", received - 1.0, received))
    assert own.expected("g", 1000.0) == {"first", "last"}
    assert own.expected("h", 1000.0) == {"elsewhere"}
    assert own.latest(2) == ["later", "last"]


def test_the_runs_of_an_earlier_process_are_recalled():
    """They are expected in lists; what this client knows itself counts more, and more recent runs too."""
    own = OwnStarts()
    own.note("ours", OwnStart("g", "name", 999.0, 1000.0))
    own.recall({run_id: OwnStart("g", "theirs", 995.0, 995.0) for run_id in ("earlier", "ours")})
    assert own.expected("g", 1000.0) == {"ours", "earlier"}
    assert (own.get("ours").name, own.get("earlier").name) == ("name", "theirs")
    assert own.latest(2) == ["ours", "earlier"]
    own.recall({f"r{number}": OwnStart("g", "theirs", 1.0, 1.0) for number in range(10_000)})
    assert own.get("ours") is not None
    assert own.get("r0") is None
    assert len(own.latest(20_000)) == 10_000


def test_an_own_run_is_unseen_only_once():
    """One found by a look-up was listed before."""
    own, start = OwnStarts(), OwnStart("g", "name", 1.0, 2.0)
    own.note("r1", start)
    own.adopt("r2", start)
    assert (own.unseen("r1"), own.unseen("r1"), own.unseen("r2")) == (start, None, None)
    assert (own.get("r1"), own.get("r2"), own.get("r3")) == (start, start, None)


def test_the_last_ten_thousand_starts_are_remembered():
    """The memory of a client is bounded."""
    own, start = OwnStarts(), OwnStart("g", "name", 1.0, 2.0)
    for number in range(10_002):
        own.note(f"r{number}", start)
    assert (own.get("r1"), own.get("r2"), own.unseen("r1")) == (None, start, None)
    assert len(own.latest(20_000)) == 10_000


class Doubts(Observer):
    def __init__(self):
        self.notes = []

    def start_in_doubt(self, asked, error):
        self.notes.append((asked, error))


async def start(answer, *, before_send=None, read=str, clock=None):
    """The outcome of a start whose attempts end as `answer` says, and the notifications of observers."""
    observers, doubts = Observers(), Doubts()
    observers.add(doubts)

    async def send(hook):
        await hook()
        await asyncio.sleep(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    try:
        result = await started(
            clock or ServerClock(),
            send,
            read,
            what="invoice 7",
            start=Start(observers, "the request"),
            before_send=before_send,
        )
    except Exception as error:  # noqa: BLE001
        result = error
    return result, doubts.notes


def test_an_answered_start_has_the_id_of_its_attempt():
    """With the times between which it was processed; nothing is in doubt."""
    times = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    clock = ServerClock(wall=time.time, monotonic=lambda: next(times, 9.0))

    async def main():
        answered, notes = await start(42, clock=clock)
        assert answered.value == "42"
        assert answered.sent < answered.received
        assert len(answered.attempts) == 1
        assert notes == []

    run_virtually(main())


@pytest.mark.parametrize(
    "problem",
    [
        OutcomeUnknownError("lost"),
        ServerError("down", status=500),
        ServerError("busy, says a proxy", status=503),
        *(APIStatusError("late", status=status) for status in (103, 303, 408, 499)),
    ],
)
def test_a_start_whose_answer_is_lost_is_in_doubt(problem):
    """The error says how to resolve it, and observers are notified."""
    window = window_of(1000.0, "mine-1")

    async def note():
        return window

    async def main():
        error, notes = await start(problem, before_send=note)
        assert isinstance(error, StartUncertainError)
        assert str(error) == (
            f"the start of invoice 7 was sent, but its outcome is not known ({problem}). "
            "Find or start the run with start_once(error.request, earlier=error.since), or list the runs "
            "that it may have made with runs.find_started(error.request, since=error.since)"
        )
        assert (error.request, error.since, error.window) == ("the request", window.since, window)
        assert error.__cause__ is problem
        assert notes == [("the request", error)]

    run_virtually(main())


def test_a_201_without_a_run_leaves_the_start_in_doubt():
    """It was a 201, so that a run was made."""

    def read(answer):
        raise DecodeError("no id", path="$", body=b"")

    async def main():
        error, notes = await start(42, read=read)
        assert isinstance(error, StartUncertainError)
        assert len(notes) == 1

    run_virtually(main())


@pytest.mark.parametrize(
    "refusal",
    [
        BadRequestError("no", status=400),
        RateLimitError("slower", status=429),
        ServerError("busy", status=503, retry_after=1.0),
        CapacityError("full", status=403),
    ],
)
def test_a_refused_start_is_not_in_doubt(refusal):
    """The refusal is raised as it is."""

    async def main():
        assert await start(refusal) == (refusal, [])

    run_virtually(main())


def test_a_hook_that_raises_leaves_nothing_in_doubt():
    """Even if it raises OutcomeUnknownError: nothing was sent."""
    problem = OutcomeUnknownError("lost on the way to the ledger")

    async def fail():
        raise problem

    async def main():
        assert await start(42, before_send=fail) == (problem, [])

    run_virtually(main())


def test_the_error_of_an_undecided_look_up_says_why():
    """With the request and the time of the start."""
    window = window_of(1000.0, "a-1")
    error = uncertain_error(Undecided("2 runs may be it"), "invoice 7", "the request", window)
    assert str(error) == (
        "whether the start of invoice 7 made a run cannot be determined: 2 runs may be it. "
        "Check the runs before starting it again"
    )
    assert (error.request, error.since, error.window) == ("the request", window.since, window)
