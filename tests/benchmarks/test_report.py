"""What RESULTS.md shows of numbers made up here."""

from __future__ import annotations

from benchmarks.figures import UVLOOP, Figure, ratios
from benchmarks.report import report, table

RAW = {
    "GET": {
        "ours": {"CPU µs": [30.0, 40.0]},
        "theirs": {"CPU µs": [10.0, 20.0]},
        f"ours{UVLOOP}": {"CPU µs": [15.0, 20.0]},
    }
}
FIGURE = Figure("GET", "CPU µs", "ours", "theirs", 1.25, why="Because of this.")


def lines(samples: dict[str, dict[str, dict[str, float]]], figure: Figure = FIGURE) -> list[str]:
    text = report(ratios(RAW, [figure]), RAW, samples)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_ratios_come_first_with_spread_figure_and_verdict():
    shown = lines({})
    assert shown[0] == "## Ratios"
    assert "| GET: CPU µs, ours / theirs | 2.5 | 3 | 2 to 3 | at most 1.25 | worse than 1.5 times |" in shown


def test_a_missed_figure_is_explained_by_its_reason_and_the_samples():
    shown = lines({"GET": {"ours": {"asyncio": 3, "aiohttp": 1}, "theirs": {"asyncio": 1}}})
    assert "GET: CPU µs, ours / theirs: 2.5. Because of this." in shown
    assert "| asyncio | 26.2 | 15 |" in shown
    assert "| aiohttp | 8.75 | 0 |" in shown
    assert "| all | 35 | 15 |" in shown


def test_nothing_is_explained_where_all_is_reached():
    assert not any(line.startswith("## Where") for line in lines({}, FIGURE._replace(limit=10.0)))


def test_uvloop_has_a_column():
    assert "| GET: CPU µs, ours | 0.5 | 35 (30 to 40) | 17.5 (15 to 20) |" in lines({})


def test_tables_are_padded():
    assert table(["a", "b"], [["long", ""]]) == "| a    | b |\n|------|---|\n| long |   |"
