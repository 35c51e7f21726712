"""When a quick run fails, with measurements made up here."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from benchmarks import __main__ as command
from benchmarks.figures import HISTORY, HTTPX, OURS, ratios
from benchmarks.growing import COST, JOBS, MEMORY, growing
from benchmarks.plan import GROUPS, Plan
from benchmarks.recorder import Recorder
from benchmarks.verdict import failures

SPEED = "items a second"
GOOD, BAD = 500.0, 200.0
"""Speeds beside an opponent's 100, of which the figure asks five times as much."""


def history(*speeds: float) -> dict:
    return {HISTORY: {OURS: {SPEED: list(speeds)}, HTTPX: {SPEED: [100.0] * len(speeds)}}}


def grown(*costs: float) -> dict:
    job = JOBS[1]
    return {
        growing(job, size): {OURS: {COST: [1.0] if size == job.quick[0] else list(costs), MEMORY: [1.0]}}
        for size in job.quick
    }


def test_a_failure_names_the_subject_and_the_reason():
    assert failures(history(GOOD)) == []
    (failure,) = failures(history(BAD))
    assert failure.subject == HISTORY
    assert "is worse than 1.5 times the figure" in failure.reason


def test_growth_is_judged_by_the_least_noisy_measurement():
    assert failures(grown(9.0, 1.0)) == []
    (failure,) = failures(grown(9.0, 8.0))
    assert failure.subject == growing(JOBS[1], JOBS[1].quick[-1])


@pytest.mark.parametrize(
    ("speeds", "rounds", "code"),
    [([GOOD], 1, 0), ([BAD, GOOD], 2, 0), ([BAD, BAD, GOOD], 3, 0), ([BAD, BAD, BAD, GOOD], 3, 1)],
)
def test_a_quick_run_measures_again_before_it_fails(monkeypatch, capsys, speeds, rounds, code):
    measured: list[Plan] = []

    def requests(plan: Plan) -> None:
        speed = speeds[len(measured)]
        measured.append(plan)
        monkeypatch.setattr(Recorder, "_measured", lambda _, call: {SPEED: {"ours": speed}.get(call, 100.0)})
        plan.recorder.take(HISTORY, {OURS: "ours", HTTPX: "theirs"}, 1)

    monkeypatch.setitem(GROUPS, "requests", requests)
    monkeypatch.setattr(command, "generated_client", lambda: nullcontext(None))
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "--only", "requests"])
    assert command.main() == code
    assert len(measured) == rounds
    found = [ratio for ratio in ratios(measured[0].recorder.raw) if ratio.figure.to == HTTPX]
    assert [ratio.values for ratio in found] == [tuple(speed / 100 for speed in speeds[:rounds])]
    shown = capsys.readouterr()
    assert ("measured again" in shown.out) is (rounds > 1)
    assert ("is worse than" in shown.err) is (code == 1)
