"""The tables of a report, for the page and the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kognitos_async.mirror.figures import Figures, Group, Listed

UNTOLD = "-"
"""Shown for a figure that the API does not provide."""


class Column(NamedTuple):
    """A column; numbers are right-aligned."""

    name: str
    number: bool = False


class ReportTable(NamedTuple):
    """A table; `empty` is shown if it has no rows."""

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[str, ...]]
    empty: str = "None."


def tables_of(figures: Figures) -> list[ReportTable]:
    """By process or automation, by status, the longest runs, the latest failures."""
    return [
        ReportTable(
            "By process or automation",
            (
                Column("process or automation"),
                Column("runs", number=True),
                Column("succeeded", number=True),
                Column("failed", number=True),
                Column("open", number=True),
                Column("needed a person", number=True),
                Column("median", number=True),
                Column("p90", number=True),
                Column("p99", number=True),
            ),
            [_group_row(group) for group in figures.groups],
        ),
        ReportTable(
            "By status",
            (Column("status"), Column("runs", number=True), Column("share", number=True)),
            [
                (status, f"{count:,}", percent(count, figures.total.runs))
                for status, count in figures.statuses.items()
            ],
        ),
        ReportTable(
            "Longest to settle",
            (Column("run"), Column("status"), Column("created"), Column("time to settle", number=True)),
            [_run_row(run, duration(run.seconds)) for run in figures.longest],
            "REST API v2 does not report when a run settled.",
        ),
        ReportTable(
            "Latest failures, and what waits for a person",
            (Column("run"), Column("status"), Column("created"), Column("process or automation")),
            [_run_row(run, _short(run.parent)) for run in figures.latest_failures],
        ),
    ]


def _group_row(group: Group) -> tuple[str, ...]:
    settling = group.settling
    return (
        _short(group.name),
        f"{group.runs:,}",
        percent(group.succeeded, group.runs),
        percent(group.failed, group.runs),
        f"{group.going:,}",
        percent(group.needed_person, group.runs),
        *(
            [UNTOLD] * 3
            if settling is None
            else [duration(settling.median), duration(settling.p90), duration(settling.p99)]
        ),
    )


def _run_row(run: Listed, last: str) -> tuple[str, ...]:
    return (_short(run.name), run.status, f"{run.created_at:%Y-%m-%d %H:%M}", last)


def _short(name: str) -> str:
    """The last segment of a full resource name; other names unchanged."""
    return name.rpartition("/")[2] if name.startswith("organizations/") else name


def percent(part: int, whole: int) -> str:
    """A share in percent; 0 % and 100 % only if exact."""
    if not whole:
        return UNTOLD
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %"


def duration(seconds: float | None) -> str:
    """Seconds in at most two units."""
    if seconds is None:
        return UNTOLD
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    hours, rest = divmod(round(minutes), 60)
    if hours < 48:
        return f"{hours} h {rest} min"
    return f"{hours // 24} d {hours % 24} h"
