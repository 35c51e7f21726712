"""What runs do, without HTTP: courses, tokens, capacity."""

from __future__ import annotations

import time

import pytest

from kognitos_async.testing.clock import Clock
from kognitos_async.testing.keyset import Ranking
from kognitos_async.testing.rate import TokenBucket
from kognitos_async.testing.rest_v2.world import World
from kognitos_async.testing.schedule import Schedule
from kognitos_async.testing.tokens import InvalidTokenError, Tokens


def world(schedule: Schedule, capacity: int | None = 150) -> tuple[World, Clock]:
    clock = Clock()
    clock.follow(lambda: 0.0)
    ranking = Ranking("newest", jitter=0.0, seed=0)
    return World(clock=clock, schedule=schedule, ranking=ranking, capacity=capacity, seed=0), clock


def test_a_fixed_course_is_created_running_settled():
    course = Schedule.fixed(10, "Stopped", created=2).plan(0)
    assert [course.status(age) for age in (0, 2, 2.1, 9.9, 10, 1e9)] == [
        "Created",
        "Created",
        "Running",
        "Running",
        "Stopped",
        "Stopped",
    ]


def test_a_run_may_settle_at_once():
    assert Schedule.fixed(0).plan(0).status(0) == "Succeeded"


def test_random_courses_lie_in_their_range_and_mix_outcomes():
    plan = Schedule.random(5, 6, seed=4, outcomes={"Succeeded": 3, "Exception": 1}).plan
    courses = [plan(number) for number in range(400)]
    assert all(5 <= course.settled_after <= 6 for course in courses)
    assert 250 < sum(course.outcome == "Succeeded" for course in courses) < 350
    assert [plan(number) for number in range(400)] == courses


def test_manual_runs_stay_created():
    assert Schedule.manual().plan(3).status(1e12) == "Created"


def test_capacity_counts_ten_thousand_runs_cheaply():
    """Settled runs leave the count as time goes on, at the cost of a heap."""
    known, clock = world(Schedule.random(10, 100), capacity=20_000)
    process = known.add_process("p", process_id=None, stage="Draft", agent_id="a")
    runs = [known.add_run(process, name=str(number)) for number in range(10_000)]
    assert known.unsettled() == 10_000
    began = time.process_time()
    assert sum(run.status == "Created" for run in runs) <= 10_000
    counting, began = time.process_time() - began, time.process_time()
    for _ in range(1000):
        known.is_full()
    # Looking at each of them would cost a thousand times one count.
    assert time.process_time() - began < 20 * counting
    clock.advance(50)
    assert known.unsettled() == sum(run.status == "Running" for run in runs)
    clock.advance(51)
    assert known.unsettled() == 0


def test_a_run_set_back_by_hand_holds_its_place_again():
    known, clock = world(Schedule.fixed(1))
    process = known.add_process("p", process_id=None, stage="Draft", agent_id="a")
    run = known.add_run(process, name="r")
    known.set_status(run.id, "Running", None)
    clock.advance(5)
    assert known.unsettled() == 1
    known.set_status(run.id, "Stopped", None)
    assert known.unsettled() == 0


def test_a_token_bucket_never_holds_more_than_its_burst():
    clock = Clock()
    bucket = TokenBucket(clock, rate=10, burst=5)
    clock.advance(1000)
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]


def test_tokens_read_back_what_was_issued_for_that_query_only():
    tokens = Tokens(b"secret")
    key = (1706932800.123456, 7)
    token = tokens.issue(("list", "a", None), key)
    assert tokens.read(("list", "a", None), token) == key
    assert token == tokens.issue(("list", "a", None), key)
    again = tokens.issue(("list", "a", None), key, reworded=True)
    assert again != token
    assert tokens.read(("list", "a", None), again) == key
    assert tokens.read(("x",), tokens.issue(("x",), None)) is None
    for query, wrong in (
        (("list", "a", "b"), token),
        (("list", "a", None), Tokens(b"other").issue(("x",), key)),
    ):
        with pytest.raises(InvalidTokenError):
            tokens.read(query, wrong)


def test_the_clock_changes_its_source_without_a_jump():
    clock = Clock()
    before = clock.now()
    clock.follow(lambda: 5.0)
    assert 0 <= clock.now() - before < 1
