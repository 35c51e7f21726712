"""A report as one self-contained HTML page, with charts as inline SVG."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2
import markupsafe
from matplotlib import rc_context
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kognitos_async.cli.report_tables import UNTOLD, duration, percent, tables_of

if TYPE_CHECKING:
    from datetime import date

    from kognitos_async.mirror.figures import Figures

_TEXT = "#010203"
"""Placeholder for the text colour of the page, replaced after drawing."""
_COLORS = {
    "Succeeded": "#2da44e",
    "completed": "#2da44e",
    "Exception": "#d4a72c",
    "awaiting_guidance": "#d4a72c",
    "Stopped": "#8c959f",
    "stopped": "#8c959f",
    "Cancelled": "#8c959f",
    "Failed": "#cf222e",
    "failed": "#cf222e",
    "TimedOut": "#a40e26",
}
_OTHER = ("#0969da", "#8250df", "#bf3989", "#1b7c83", "#bc4c00")
_MOST_BARS = 120
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays searchable and accessible
    "svg.hashsalt": "kognitos",
    "font.family": "sans-serif",
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _TEXT),
}


def page_of(figures: Figures, title: str) -> str:
    """Render the page."""
    text = resources.files("kognitos_async.cli").joinpath("report.html").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(text)
    days = list(figures.days)
    total = figures.total
    settling = total.settling
    return template.render(
        title=title,
        period=f"Created from {days[0]} to {days[-1]}" if days else "No runs",
        read_at=f"{figures.read_at:%Y-%m-%d %H:%M}",
        tiles=[
            ("Runs", f"{total.runs:,}"),
            ("Succeeded", percent(total.succeeded, total.runs)),
            ("Failed", percent(total.failed, total.runs)),
            ("Needed a person", percent(total.needed_person, total.runs)),
            ("Open", f"{total.going:,}"),
            ("Median to settle", duration(settling.median) if settling else UNTOLD),
            ("p90", duration(settling.p90) if settling else UNTOLD),
            ("p99", duration(settling.p99) if settling else UNTOLD),
        ],
        charts=[_runs_a_day(figures)] if days else [],
        tables=[
            {"title": t.title, "columns": t.columns, "rows": t.rows, "empty": t.empty}
            for t in tables_of(figures)
        ],
    )


def _runs_a_day(figures: Figures) -> dict[str, Any]:
    """Stacked bars of one day each, or of more days to limit their number."""
    days = list(figures.days)
    span = (days[-1] - days[0]).days + 1
    width = -(-span // _MOST_BARS)
    starts = [days[0] + timedelta(days=offset) for offset in range(0, span, width)]
    unit = "day" if width == 1 else f"{width} days"
    with rc_context(_STYLE):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.add_subplot()
        bottom = [0] * len(starts)
        others = iter(_OTHER * len(figures.statuses))
        for status in figures.statuses:
            heights = [0] * len(starts)
            for day, counts in figures.days.items():
                heights[(day - days[0]).days // width] += counts.get(status, 0)
            color = _COLORS.get(status) or next(others)
            axes.bar(_middles(starts, width), heights, 0.9 * width, bottom=bottom, color=color, label=status)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        axes.set_ylabel(f"runs a {unit}")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=6))
        axes.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))
        axes.set_xlim(_middles([starts[0]], 0)[0], _middles([starts[-1]], 2 * width)[0])
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?(?=<svg)", "", drawn.getvalue(), flags=re.DOTALL)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace(_TEXT, "currentColor")
    busiest = max(figures.days.items(), key=lambda item: sum(item[1].values()))
    label = (
        f"Runs a {unit} by status; the busiest day was {busiest[0]} with {sum(busiest[1].values()):,} runs."
    )
    return {"title": f"Runs a {unit}", "label": label, "svg": markupsafe.Markup(svg)}  # noqa: S704 - drawn here


def _middles(starts: list[date], width: int) -> list[Any]:
    """The middle of each bar on the time axis, in days."""
    return [date2num(start) + width / 2 for start in starts]
