"""The figures of a report."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kognitos_async.cli.report_tables import duration, percent
from kognitos_async.mirror.figures import figures_of
from kognitos_async.mirror.rows import MirroredRun

START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number, status="completed", *, seconds=None, parent="a", hours=0, needed_person=False):
    created = START + timedelta(hours=hours)
    return MirroredRun(
        key=f"r{number}",
        id=f"r{number}",
        name=f"run {number}",
        parent=parent,
        stage="PUBLISHED",
        status=status,
        settled=status != "executing",
        ended=status in ("completed", "failed"),
        needed_person=needed_person,
        created_at=created,
        settled_at=None if seconds is None else created + timedelta(seconds=seconds),
        outputs={},
        content=b"{}",
    )


def test_runs_are_counted_by_status_day_and_parent():
    """And those that needed a person, whatever became of them."""
    found = figures_of(
        [
            row(1, seconds=10),
            row(2, "failed", seconds=20, hours=5),
            row(3, "awaiting_guidance", hours=30, parent="b", needed_person=True),
            row(4, hours=31, parent="b", needed_person=True),
            row(5, "executing", hours=32, parent="b"),
        ]
    )
    total = found.total
    assert (total.runs, total.succeeded, total.failed, total.going, total.needed_person) == (5, 2, 1, 2, 2)
    assert [(group.name, group.runs) for group in found.groups] == [("b", 3), ("a", 2)]
    assert found.statuses == {"completed": 2, "failed": 1, "awaiting_guidance": 1, "executing": 1}
    assert found.days == {
        date(2026, 1, 1): {"completed": 1, "failed": 1},
        date(2026, 1, 2): {"awaiting_guidance": 1, "completed": 1, "executing": 1},
    }
    assert [run.id for run in found.longest] == ["r2", "r1"]
    assert [run.id for run in found.latest_failures] == ["r3", "r2"]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_a_quantile_is_the_smallest_that_enough_runs_do_not_exceed(seconds):
    """Of 100 runs, 50, 90 and 99."""
    settling = figures_of([row(n, seconds=value) for n, value in enumerate(seconds)]).total.settling
    for share, value in ((50, settling.median), (90, settling.p90), (99, settling.p99)):
        assert value in seconds
        assert 100 * sum(other <= value for other in seconds) >= share * len(seconds)
        assert 100 * sum(other < value for other in seconds) < share * len(seconds)


def test_only_the_ten_longest_and_latest_are_named():
    """However many there are."""
    found = figures_of([row(n, "failed", seconds=n) for n in range(100)])
    assert [run.id for run in found.longest] == [f"r{n}" for n in range(99, 89, -1)]
    assert [run.id for run in found.latest_failures] == [f"r{n}" for n in range(99, 89, -1)]


def test_no_runs_are_no_error():
    """A mirror may be empty."""
    found = figures_of([])
    assert (found.total.runs, found.total.settling, found.days) == (0, None, {})


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (1, 2, "50.0 %"),
        (0, 5, "0.0 %"),
        (5, 5, "100.0 %"),
        (1, 9999, "< 0.1 %"),
        (9998, 9999, "> 99.9 %"),
        (0, 0, "-"),
    ],
)
def test_a_share_never_reads_as_none_or_all_unless_it_is(part, whole, text):
    """One failure in ten thousand is one."""
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.25, "0.2 s"),
        (31, "31 s"),
        (301, "5 min"),
        (2 * 3600 + 60, "2 h 1 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, text):
    """In the two largest units."""
    assert duration(seconds) == text
