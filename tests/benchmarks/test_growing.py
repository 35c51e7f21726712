"""The fitted exponents and their verdicts, from numbers made up here, and the faces' runs."""

from __future__ import annotations

import pytest

from benchmarks.faces.jobs import JOBS, LONGEST, Clock, duration
from benchmarks.figures import OURS
from benchmarks.growing import COST, MEMORY, Growth, Job, draw, growing, growths
from benchmarks.growing import JOBS as GROWING_JOBS
from benchmarks.report import report

FLAT = Job("a job", "job", (1_000, 10_000, 100_000), (), flat=True)
SIZES = FLAT.sizes


def grown(cost: tuple[float, ...], memory: tuple[float, ...] = (1, 1, 1), job: Job = FLAT) -> Growth:
    return Growth(job, SIZES, cost, memory)


@pytest.mark.parametrize(
    ("cost", "exponent", "too_fast"),
    [
        ((5, 5, 5), 1.0, False),
        ((3, 4, 5), 1.11, False),
        ((1, 10, 100), 2.0, True),
        ((9, 3, 1), 0.52, False),
        ((10, 5, 20), 1.15, True),
    ],
)
def test_the_exponent_is_that_of_the_whole_cost(cost, exponent, too_fast):
    """A cost of an item that falls first and then rises is found by its last step."""
    growth = grown(cost)
    assert growth.exponent == pytest.approx(exponent, abs=0.01)
    assert growth.too_fast is too_fast


def test_memory_may_grow_until_caches_are_full():
    assert not grown((1, 1, 1), (2, 20, 40)).swells
    assert grown((1, 1, 1), (2, 20, 200)).swells
    assert not grown((1, 1, 1), (2, 20, 200), FLAT._replace(flat=False)).swells
    assert grown((1, 1, 1), (2, 20, 200)).verdict == "memory not flat"


def raw(job: Job) -> dict:
    return {growing(job, size): {OURS: {COST: [2.0], MEMORY: [3.0]}} for size in job.sizes}


def test_growth_is_reported_once_in_a_table_of_its_own(tmp_path):
    job = GROWING_JOBS[1]
    (growth,) = growths(raw(job))
    assert (growth.sizes, growth.verdict) == (job.sizes, "as it should")
    text = report([], raw(job), {}, [growth], "growth.svg")
    assert text.count(job.title) == 1
    assert "](growth.svg)" in text


def test_the_charts_are_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the report extra")
    draw(growths(raw(GROWING_JOBS[0])), tmp_path / "growth.svg")
    assert (tmp_path / "growth.svg").read_text().startswith("<?xml")


def test_a_single_size_is_no_growth():
    job = GROWING_JOBS[0]
    assert growths({growing(job, job.sizes[0]): raw(job)[growing(job, job.sizes[0])]}) == []


def test_the_runs_of_the_faces_settle_within_the_time_they_say():
    durations = sorted(duration(job) for job in JOBS)
    assert len(set(durations)) == len(JOBS)
    assert durations[0] == 1.0
    assert durations[-1] < LONGEST
    clock = Clock()
    assert clock.left("one that settled long ago") == 0
    assert 0 < clock.left(JOBS[0]) <= duration(JOBS[0])
