"""Estimates of clocks: differences widen what is possible and prove nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async.server_clock import MARGIN, PROCESSING, ServerClock, StartWindow

NOW = 1_780_000_000.0
HOUR = 3600.0
offs = st.floats(-30 * HOUR, 30 * HOUR)
latencies = st.floats(0.001, 60.0)


class Times:
    """True time, and clocks with offsets."""

    def __init__(self, *, wall: float = 0.0, stamps: float = 0.0, whole_seconds: bool = False) -> None:
        self.now = 0.0
        self.wall, self.stamps, self.whole_seconds = wall, stamps, whole_seconds
        self.stood_still = 0.0
        self.clock = self.process()

    def process(self):
        return ServerClock(
            wall=lambda: NOW + self.now + self.wall, monotonic=lambda: 5.0 + self.now - self.stood_still
        )

    def stamp(self, when: float) -> datetime:
        time = NOW + when + self.stamps
        return datetime.fromtimestamp(int(time) if self.whole_seconds else time, UTC)

    def start(self, before: float = 0.1, after: float = 0.1) -> None:
        """A start that is answered, as evidence."""
        sent = self.clock.monotonic()
        self.now += before
        made = self.stamp(self.now)
        self.now += after
        self.clock.note_stamp(made, sent=sent, received=self.clock.monotonic())


def allows(span, stamp: datetime) -> bool:
    return span.likely_from <= stamp.timestamp() <= span.likely_until


@given(
    offs, offs, st.booleans(), st.lists(st.tuples(latencies, latencies), min_size=1, max_size=4), latencies
)
def test_own_runs_locate_the_stamping_clock_at_any_offset(wall, stamps, whole, starts, latency):
    """A run lies in the span of its start, for any offset and latency."""
    times = Times(wall=wall, stamps=stamps, whole_seconds=whole)
    for before, after in starts:
        times.start(before, after)
    window = times.clock.window()
    times.now += latency
    stamp = times.stamp(times.now)
    for clock, known in ((times.clock, window), (times.process(), again(window))):
        span = clock.span(known)
        assert span.proven
        assert allows(span, stamp)
        assert span.possible_from <= stamp.timestamp()


@given(offs, st.floats(10, 30 * HOUR))
def test_own_runs_exclude_earlier_runs(stamps, earlier):
    """Although the local clock and the stamping clock differ by hours."""
    times = Times(stamps=stamps)
    times.start()
    window = times.clock.window()
    assert not allows(times.clock.span(window), times.stamp(times.now - earlier))


@given(st.floats(-4, 4), latencies)
def test_without_evidence_the_clocks_count_as_equal(wall, latency):
    """Within a few seconds, which a first start has to rely on."""
    times = Times(wall=wall)
    window = times.clock.window()
    times.now += latency
    span = times.clock.span(window)
    assert not span.proven
    assert allows(span, times.stamp(times.now))
    assert not allows(span, times.stamp(-2 * MARGIN))
    assert not allows(span, times.stamp(window.until - NOW + 3 * MARGIN))


@given(offs, offs)
def test_a_date_only_widens(stamps, gateway):
    """The gateway's clock does not stamp: what is likely stays, what is possible grows."""
    times = Times(stamps=stamps)
    window = times.clock.window()
    before = times.clock.span(window)
    times.clock.note_date(f"{datetime.fromtimestamp(NOW + gateway, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    after = times.clock.span(window)
    assert after[1:] == before[1:]
    assert after.possible_from <= before.possible_from
    assert after.possible_from <= NOW + gateway


def test_a_date_does_not_age():
    """It is compared with the clock at its receipt; that of a cached answer is ignored."""
    times = Times()
    times.clock.note_date(f"{datetime.fromtimestamp(NOW, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    times.now += HOUR
    assert times.clock.difference() == timedelta()
    since = datetime.fromtimestamp(NOW + HOUR, UTC)
    assert times.clock.earliest(since) >= since - timedelta(seconds=MARGIN + 1)
    times.clock.note_date("Thu, 01 Jan 2015 00:00:00 GMT", age="86400")
    assert times.clock.earliest(since) >= since - timedelta(seconds=MARGIN + 1)
    for nonsense in (None, "", "soon", "Thu, 99 Jan 2015"):
        times.clock.note_date(nonsense)
    times.clock.note_date("Thu, 01 Jan 2015 00:00:00 -0000")
    assert times.clock.difference() < -timedelta(days=4000)


def test_the_difference_follows_the_best_evidence():
    """Own runs before Date, which has a resolution of 1 s."""
    times = Times(stamps=-HOUR)
    assert times.clock.now() == datetime.fromtimestamp(NOW, UTC)
    times.clock.note_date(f"{datetime.fromtimestamp(NOW + 1.5, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    assert times.clock.difference() == timedelta()
    times.clock.note_date(f"{datetime.fromtimestamp(NOW + 100, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    assert times.clock.difference() == timedelta(seconds=100)
    times.start()
    assert abs(times.clock.difference() + timedelta(hours=1)) < timedelta(seconds=1)


@pytest.mark.parametrize("step", [-HOUR, 60.0, 5 * HOUR])
def test_the_local_clock_is_set_while_a_start_is_in_doubt(step):
    """Without own runs nothing is likely; with them the monotonic clock still counts."""
    times = Times(wall=step)
    window = times.clock.window()
    times.now += 1
    times.wall = 0.0
    span = times.clock.span(window)
    # Where it was sent, by either setting: the run and one from the other time are both possible.
    assert span.possible_from <= min(NOW, NOW + step)
    if abs(step) > 2 * (MARGIN + PROCESSING):
        assert span.likely_from > span.likely_until
    times = Times(wall=step)
    times.start()
    window = times.clock.window()
    times.wall = 0.0
    times.start()
    assert allows(times.clock.span(window), times.stamp(times.now))


def test_the_local_clock_was_set_before_a_start():
    """Older observations may be off by the step, until a new run decides."""
    times = Times()
    times.start()
    times.now += HOUR
    times.stood_still = HOUR  # suspended: the monotonic clock of Linux does not count that
    window = times.clock.window()
    stamp = times.stamp(times.now + 0.5)
    span = times.clock.span(window)
    assert not allows(span, times.stamp(-HOUR))
    assert not allows(span, times.stamp(0.3))
    assert span.possible_from <= stamp.timestamp()
    times.start()
    window = times.clock.window()
    assert allows(times.clock.span(window), times.stamp(times.now + 0.5))


def test_the_stamping_clock_is_corrected():
    """Own runs that contradict each other leave nothing likely and everything possible."""
    times = Times(stamps=300)
    times.start()
    window = times.clock.window()
    times.stamps = 0.0
    times.start()
    span = times.clock.span(window)
    assert span.likely_from > span.likely_until
    assert span.possible_from <= NOW
    assert times.clock.contradiction is not None


@pytest.mark.parametrize(
    ("stamps", "differs"), [(0.0, False), (4.0, False), (-4.0, False), (9.0, True), (-9.0, True)]
)
def test_times_that_are_not_echoed_contradict(stamps, differs):
    """With more than a few seconds between start and stamp, no list proves absence."""
    times = Times(stamps=stamps)
    times.start()
    assert (times.clock.contradiction is not None) == differs
    assert times.clock.window().contradiction == times.clock.contradiction


def test_a_list_shows_a_lower_bound_of_the_stamping_clock():
    """Any run stamped an hour ahead shows that the local clock is behind."""
    times = Times(stamps=HOUR)
    window = times.clock.window()
    span = times.clock.span(window)
    ours = times.stamp(0.5)
    assert allows(span, times.stamp(-HOUR))
    span = times.clock.not_before(span, window, ours.timestamp(), times.clock.monotonic())
    assert not allows(span, times.stamp(-HOUR))
    assert span.likely_from <= ours.timestamp()


@given(st.floats(0, HOUR), offs)
def test_windows_of_several_starts_are_joined(pause, stamps):
    """The run of either start lies in the joined span."""
    times = Times(stamps=stamps)
    times.start()
    first = times.clock.window()
    earlier = times.stamp(times.now + 0.2)
    times.now += pause
    second = times.clock.window()
    later = times.stamp(times.now + 0.2)
    for clock, window in (
        (times.clock, second.joined(first)),
        (times.clock, first.joined(second)),
        (times.process(), again(second.joined(first))),
    ):
        span = clock.span(window)
        assert allows(span, earlier)
        assert allows(span, later)
    assert second.joined(None) is second


def test_joined_windows_know_no_more_than_either():
    """A window known only by its time leaves the other's evidence unproven."""
    times = Times(stamps=HOUR)
    times.start()
    window = times.clock.window()
    bare = times.clock.window_at(window.since - timedelta(seconds=30))
    joined = window.joined(bare)
    assert (joined.stamped_from, joined.stamped_until, joined.clock) == (None, None, "")
    assert joined.contradiction == window.contradiction
    assert (joined.sent_at, joined.until) == (bare.sent_at, window.until)


def test_a_time_at_the_edge_of_the_calendar_is_not_widened():
    """What cannot be widened any more need not be."""
    edge = datetime.min.replace(tzinfo=UTC)
    assert ServerClock().earliest(edge) == edge


def again(window: StartWindow) -> StartWindow:
    """The window as decoded by another process."""
    return msgspec.json.decode(msgspec.json.encode(window), type=StartWindow)


@pytest.mark.parametrize(
    ("one", "other", "possible"), [(5.0, 3.0, 3.0), (3.0, 5.0, 3.0), (None, 5.0, 5.0), (5.0, None, 5.0)]
)
def test_joined_windows_keep_the_earliest_bounds(one, other, possible):
    """The monotonic time too, if both are of one process."""
    later = StartWindow(sent_at=20.0, until=30.0, possible_from=one, clock="a", moment=9.0, attempts=("a-2",))
    earlier = StartWindow(
        sent_at=10.0, until=20.0, possible_from=other, clock="a", moment=7.0, attempts=("a-1",)
    )
    joined = later.joined(earlier)
    assert joined.possible_from == possible
    assert (joined.clock, joined.moment, joined.attempts) == ("a", 7.0, ("a-1", "a-2"))
    assert joined.joined(joined).attempts == later.joined(joined).attempts == ("a-1", "a-2")  # each once
    elsewhere = later.joined(msgspec.structs.replace(earlier, clock="b"))
    assert (elsewhere.clock, elsewhere.moment) == ("", 0.0)


def test_a_window_known_by_its_time_alone_lasts_as_long_as_any():
    """From its sending to the latest possible answer."""
    times = Times()
    window = times.clock.window_at(datetime.fromtimestamp(NOW, UTC))
    assert window == StartWindow(sent_at=NOW, until=NOW + times.clock.request_timeout + PROCESSING)


def test_every_attempt_has_an_id_of_its_own():
    """It distinguishes the start from others of this client and of other clients."""
    times = Times()
    attempts = [clock.window().attempts for clock in (times.clock, times.clock, times.process())]
    assert [len(ids) for ids in attempts] == [1, 1, 1]
    assert len(set(attempts)) == 3


def test_only_what_was_sent_in_the_time_of_a_window_can_be_its_start():
    """Exactly on the clock that made the window, within a few seconds on another."""
    times = Times()
    window = times.clock.window()
    sent, length = times.clock.monotonic(), window.until - window.sent_at
    for clock, tolerance in ((times.clock, 0.0), (times.process(), MARGIN)):
        assert clock.within(sent - tolerance, window)
        assert not clock.within(sent - tolerance - 0.01, window)
        assert clock.within(sent + length + MARGIN, window)
        assert not clock.within(sent + length + MARGIN + 0.01, window)


def test_another_process_takes_the_same_to_be_possible():
    """The lower bound is that of the window, neither widened again nor narrowed."""
    times = Times()
    times.clock.note_date(f"{datetime.fromtimestamp(NOW - 100, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    window = times.clock.window()
    assert window.possible_from == NOW - 100 - MARGIN
    assert times.process().span(again(window)).possible_from == window.possible_from


def test_an_answer_of_age_zero_did_not_come_from_a_cache():
    """Its Date is that of the gateway, as without an Age."""
    times = Times()
    times.clock.note_date(f"{datetime.fromtimestamp(NOW + 100, UTC):%a, %d %b %Y %H:%M:%S GMT}", age=" 0 ")
    assert times.clock.difference() == timedelta(seconds=100)


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "Fri, 31 Dec 9999 23:59:59 -1400"]
)
def test_a_date_beyond_the_calendar_is_ignored(date):
    """The one before it counts on."""
    times = Times()
    times.clock.note_date(f"{datetime.fromtimestamp(NOW + 100, UTC):%a, %d %b %Y %H:%M:%S GMT}")
    assert times.clock.difference() == timedelta(seconds=100)
    times.clock.note_date(date)
    assert times.clock.difference() == timedelta(seconds=100)
    assert times.clock.window().attempts


@pytest.mark.parametrize("stamps", [9.0, -9.0])
def test_a_contradiction_says_by_how_much(stamps):
    """In seconds of this machine's clock."""
    times = Times(stamps=stamps)
    times.start()
    assert "9 s off" in times.clock.contradiction


def test_evidence_of_another_process_is_not_mixed_with_that_of_its_window():
    """What a window has on record of the stamping clock is kept to: this clock may have been set since."""
    times = Times(stamps=HOUR)
    times.start()
    window = again(times.clock.window())
    other = times.process()
    times.clock, times.stamps = other, 0.0
    times.start()
    span = other.span(window)
    assert (span.likely_from, span.likely_until) == (window.stamped_from, window.stamped_until)
    assert span.proven
