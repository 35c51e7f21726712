"""The verdicts of the benchmarks, from numbers made up here."""

from __future__ import annotations

import pytest

from benchmarks.figures import FIGURES, Figure, Ratio, ratios

COST = Figure("a subject", "CPU µs", "ours", "theirs", 1.25)
SPEED = Figure("a subject", "items a second", "ours", "theirs", 5.0, at_most=False)
SHOWN = Figure("a subject", "CPU µs", "ours", "theirs")


def measured(measure: str, ours: list[float], theirs: list[float]):
    return {"a subject": {"ours": {measure: ours}, "theirs": {measure: theirs}}}


def test_each_repetition_makes_a_ratio_and_the_median_counts():
    (ratio,) = ratios(measured("CPU µs", [10, 30, 9], [10, 10, 10]), [COST])
    assert ratio.values == (1.0, 3.0, 0.9)
    assert ratio.actual == 1.0


def test_the_best_of_a_cost_is_the_least_and_of_a_rate_the_greatest():
    assert ratios(measured("CPU µs", [12, 30], [20, 10]), [COST])[0].best == 1.2
    assert ratios(measured("items a second", [12, 30], [2, 3]), [SPEED])[0].best == 10


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        (COST, 1.25, "reached"),
        (COST, 1.26, "missed"),
        (COST, 1.87, "missed"),
        (COST, 1.88, "worse than 1.5 times"),
        (SPEED, 5.0, "reached"),
        (SPEED, 4.9, "missed"),
        (SPEED, 3.34, "missed"),
        (SPEED, 3.33, "worse than 1.5 times"),
        (SHOWN, 99.0, ""),
    ],
)
def test_verdicts(figure: Figure, value: float, verdict: str):
    ratio = Ratio(figure, (value,), value)
    assert ratio.verdict == verdict
    assert ratio.failed == verdict.startswith("worse")


@pytest.mark.parametrize(("figure", "bad", "good"), [(COST, 9.0, 1.5), (SPEED, 0.1, 4.0)])
def test_a_figure_fails_only_when_the_best_is_too_bad_as_well(figure: Figure, bad: float, good: float):
    assert Ratio(figure, (bad,), bad).failed
    assert not Ratio(figure, (bad,), good).failed
    assert not Ratio(figure, (bad,), good).reached


def test_time_against_a_number_is_judged_and_never_fails():
    """A slow machine is no fault of a change; a ratio of two times measured in one run is."""
    seconds = Figure("a subject", "seconds", "ours", 2.0, 1.0)
    assert Ratio(seconds, (9.0,), 9.0).verdict == "missed"
    assert not Ratio(seconds, (9.0,), 9.0).failed
    assert Ratio(seconds._replace(to="theirs"), (9.0,), 9.0).failed
    assert Ratio(seconds._replace(measure="memory MB"), (9.0,), 9.0).failed


def test_what_was_not_measured_is_left_out():
    assert ratios({}) == []
    assert ratios({"a subject": {"ours": {"CPU µs": [1.0]}}}, [COST]) == []
    assert ratios(measured("CPU µs", [1.0], []), [COST]) == []


def test_a_figure_may_compare_with_a_number():
    (ratio,) = ratios(
        {"upload": {"ours": {"MB": [15.0, 45.0, 60.0]}}}, [Figure("upload", "MB", "ours", 30.0, 1.0)]
    )
    assert ratio.values == (0.5, 1.5, 2.0)
    assert ratio.best == 0.5


def test_figures_are_distinguished_by_their_titles():
    titles = [figure.title for figure in FIGURES]
    assert len(titles) == len(set(titles))
