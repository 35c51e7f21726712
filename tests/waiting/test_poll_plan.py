"""The arithmetic of shared polls: which sweep is worth its pages, and when each wait is due again."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async import SETTLED, NotFoundError, PollPolicy, RateLimitError, ServerError
from kognitos_async.rest_v2.models import ENDED
from kognitos_async.waiting.pending import Waiter
from kognitos_async.waiting.poll_plan import Plan, plan_sweep
from kognitos_async.waiting.watch import Watch
from tests.waiting.fakes import run_of

STEADY = PollPolicy(initial=1, factor=1.5, maximum=15, jitter=0)
CHANCE = random.Random(0)


def watch(**fields):
    return Watch(**{"run_id": "r", "until": SETTLED, "ended": ENDED, "policy": STEADY, **fields})


located_pages = st.lists(st.integers(0, 40), max_size=60)
unlocated_counts = st.one_of(st.integers(0, 500).map(float), st.floats(0, 500))


@given(located_pages, unlocated_counts)
def test_a_sweep_is_never_dearer_than_reading_each_run(located, unlocated):
    """The pages of a planned sweep, fruitless exploring included, are fewer than the runs it looks for."""
    plan = plan_sweep(located, unlocated)
    if plan is not None:
        assert plan.depth + plan.explore < len(located) + unlocated


@given(located_pages, unlocated_counts)
def test_the_pages_read_in_any_case_pay_for_themselves(located, unlocated):
    """No other depth saves more than the one planned, and one that saves nothing is not planned."""

    def saved(depth):
        return sum(page < depth for page in located) - depth

    plan = plan_sweep(located, unlocated)
    best = max(saved(depth) for depth in range(43))
    if plan is None:
        assert best == 0
        assert unlocated < 2
    else:
        assert saved(plan.depth) == best
        assert plan.depth == 0 or best > 0


@given(located_pages, unlocated_counts)
def test_exploring_is_bounded_by_what_it_may_find(located, unlocated):
    """One page, and 0.6 more for each run missing beyond 50; none if all are located."""
    plan = plan_sweep(located, unlocated)
    if plan is not None:
        assert plan.explore <= 1 + 0.6 * max(0.0, unlocated - 50)
        assert plan.explore == 0 or unlocated >= 1


@pytest.mark.parametrize(("located", "unlocated"), [((), 0), ((), 1), ((0,), 0), ((3,), 0), ((5, 9), 0)])
def test_what_one_read_each_answers_cheaper_is_not_swept(located, unlocated):
    """A single run is read by itself, and so are a few that lie far apart."""
    assert plan_sweep(located, unlocated) is None


@pytest.mark.parametrize(
    ("located", "unlocated", "plan"),
    [
        ([], 1, None),
        ([], 1.5, None),
        ([], 2, Plan(0, 1)),
        ([0, 0], 0, Plan(1, 0)),
        ([0, 0], 0.5, Plan(1, 0)),
        ([0, 0], 1, Plan(1, 1)),
        ([0, 0, 1], 0, Plan(1, 0)),
        ([0, 0, 1, 1, 1], 0, Plan(2, 0)),
        ([0, 0, 0, 2, 2, 2], 0, Plan(3, 0)),
        ([], 50, Plan(0, 1)),
        ([], 60, Plan(0, 7)),
    ],
)
def test_plans_by_example(located, unlocated, plan):
    """A page pays for itself with two runs; looking costs one page, and 0.6 for each beyond 50."""
    assert plan_sweep(located, unlocated) == plan


@given(st.integers(0, 60))
def test_a_sweep_reaches_the_page_of_many(page):
    """Runs that share a page are swept exactly when they are more than the pages down to it."""
    assert plan_sweep([page] * (page + 1), 0) is None
    plan = plan_sweep([page] * (page + 2), 0)
    assert plan is not None
    assert (plan.depth, plan.explore) == (page + 1, 0)


# When a wait is due again


def test_readings_in_time_let_the_interval_grow():
    """A wait read when it is due takes one step of its policy after the other."""
    waiter, now, steps = Waiter(watch()), 100.0, []
    for _ in range(9):
        due = waiter.next_due(now, CHANCE, None)
        steps.append(due - now)
        now = due
    assert steps == pytest.approx([1, 1.5, 2.25, 3.375, 5.0625, 7.59375, 11.390625, 15, 15])


def test_readings_for_others_do_not_let_the_interval_grow():
    """A reading before half of the interval puts the next off, but does not count as a step."""
    waiter = Waiter(watch())
    now = waiter.next_due(0.0, CHANCE, None)
    now = waiter.next_due(now, CHANCE, None)
    assert now == pytest.approx(2.5)
    for _ in range(20):  # the interval is 1.5
        start, now = now - 1.5 + 0.7, waiter.next_due(now - 1.5 + 0.7, CHANCE, None)
        assert now - start == pytest.approx(1.5)
    assert waiter.next_due(now - 1.5 + 0.8, CHANCE, None) - (now - 0.7) == pytest.approx(2.25)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=50))
def test_the_next_reading_is_never_later_than_the_policys_maximum(shares):
    """However often a page answers in between, the next poll is one interval away and no more."""
    waiter, now = Waiter(watch()), 0.0
    for share in shares:
        due = waiter.next_due(now, CHANCE, None)
        assert now + 1 <= due <= now + 15
        now += share * (due - now)


def test_retry_after_is_not_shortened():
    """What the API asked for outweighs the policy, and only while it is the longer of the two."""
    one = watch()
    assert one.next_delay(CHANCE, RateLimitError("slow", status=429, retry_after=40.0)) == 40.0
    assert one.next_delay(CHANCE, RateLimitError("slow", status=429, retry_after=0.1)) == 1.5
    assert one.next_delay(CHANCE, ServerError("down", status=500)) == 2.25


def test_repeating_a_step_does_not_take_the_next():
    """`again` keeps the schedule where it is; the very first delay is a step in any case."""
    one = watch()
    assert [one.next_delay(CHANCE, None, again=True) for _ in range(3)] == [1.0, 1.0, 1.0]
    assert one.next_delay(CHANCE, None) == 1.5
    assert one.next_delay(CHANCE, None, again=True) == 1.5


# What a wait wakes up for


def delivered(waiter):
    """What the wait would find if it looked now."""
    reading, waiter._reading = waiter._reading, None
    return reading


def test_a_reading_without_news_does_not_wake_the_wait():
    """Only a change, an end, an unknown word or an error does."""
    waiter = Waiter(watch())
    running = run_of("r", "Running")
    waiter.deliver(running)
    assert delivered(waiter) is running
    waiter.deliver(run_of("r", "Running"))
    assert delivered(waiter) is None
    for news in (run_of("r", "Odd"), run_of("r", "Odd"), run_of("r", "Succeeded"), run_of("r", "Succeeded")):
        waiter.deliver(news)
        assert delivered(waiter) is news
    problem = ServerError("down", status=500)
    waiter.deliver(problem)
    assert delivered(waiter) is problem


def test_a_404_is_patience_only_just_after_the_start():
    """Until `grace_until` a run that is not found is waited for, from then on it raises."""
    one = watch(grace_until=5.0)
    error = NotFoundError("none", status=404)
    one.failed(error, now=4.9)
    assert one.problem is error
    with pytest.raises(NotFoundError):
        one.failed(error, now=5.0)


def test_the_timeout_says_what_was_seen_and_what_went_wrong():
    """Its message and cause name the last poll's failure, its run is the last one seen."""
    one = watch()
    assert "never seen" in str(one.timed_out(3))
    one.found(run_of("r", "Running"))
    problem = ServerError("bad gateway", status=502)
    one.failed(problem, now=0.0)
    error = one.timed_out(3)
    assert error.run is one.run
    assert error.__cause__ is problem
    assert "last seen Running" in str(error)
    assert "bad gateway" in str(error)
