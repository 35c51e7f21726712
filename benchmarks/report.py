"""The results as Markdown, readable in a terminal: ratios, then measurements."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benchmarks.figures import UVLOOP
from benchmarks.growing import GROWING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Ratio, Raw
    from benchmarks.growing import Growth

    Samples = Mapping[str, Mapping[str, Mapping[str, float]]]

GROWTH = (
    "Each size in a process of its own. The exponent is that of the whole cost as a power of the number of "
    "items, fitted to the sizes; n log n comes to 1.11. Memory is what the process took beyond what it had."
)
PACKAGES_SHOWN = 12
LEGEND = (
    "The median of the repetitions' ratios, each of two measurements one right after the other; the ratio of "
    "each side's best repetition; the least and the greatest. The verdict is the median's."
)
SAMPLED = (
    "Samples of the CPU time, each counted for the package whose Python code was running or had called "
    "what was running. Work in other threads counts for what the main thread did meanwhile."
)


def report(
    ratios: Sequence[Ratio],
    raw: Raw,
    samples: Samples,
    grown: Sequence[Growth] = (),
    chart: str | None = None,
) -> str:
    """The report of a run, without the machine; `chart` is the image of the growth."""
    parts = ["## Ratios", LEGEND, ratio_table(ratios)]
    if grown:
        parts += ["## How it grows", GROWTH, growth_table(grown)]
        parts += [f"![Cost of an item and memory by the number of items]({chart})"] if chart else []
    missed = [ratio for ratio in ratios if not ratio.reached]
    if missed:
        parts += ["## Where the time goes in what was missed", *_explained(missed, raw, samples)]
    if uvloop := _uvloop_table(raw):
        parts += ["## What uvloop changes", uvloop]
    parts.append("## What the ratios are made of: the median (least to most)")
    for subject, contenders in raw.items():
        if subject.startswith(GROWING):
            continue
        parts += [f"### {subject}", _subject_table(contenders)]
    return "\n\n".join(parts)


def ratio_table(ratios: Sequence[Ratio]) -> str:
    """The ratios with spread, figure and verdict."""
    rows = []
    for ratio in ratios:
        limit, sign = ratio.figure.limit, "at most" if ratio.figure.at_most else "at least"
        rows.append(
            [
                ratio.figure.title,
                f"{ratio.actual:.3g}",
                f"{ratio.best:.3g}" if len(ratio.values) > 1 else "",
                f"{min(ratio.values):.3g} to {max(ratio.values):.3g}" if len(ratio.values) > 1 else "",
                "" if limit is None else f"{sign} {limit:g}",
                ratio.verdict,
            ]
        )
    return table(["ratio", "median", "of the best", "least to most", "figure", "verdict"], rows)


def growth_table(grown: Sequence[Growth]) -> str:
    """Cost per item and memory at each size, fitted exponent and verdict."""
    rows = [
        [
            growth.job.title,
            " / ".join(f"{size:,}" for size in growth.sizes),
            " / ".join(f"{cost:.3g}" for cost in growth.cost),
            f"{growth.exponent:.2f}",
            " / ".join(f"{memory:.3g}" for memory in growth.memory),
            growth.verdict,
        ]
        for growth in grown
    ]
    return table(["job", "items", "CPU µs an item", "exponent", "memory MB", "verdict"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _subject_table(contenders: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    measures = list(dict.fromkeys(name for taken in contenders.values() for name in taken))
    rows = [
        [contender, *(_shown(taken.get(measure, ())) for measure in measures)]
        for contender, taken in contenders.items()
    ]
    return table(["", *measures], rows)


def _shown(values: Sequence[float]) -> str:
    if not values:
        return ""
    middle = f"{statistics.median(values):.4g}"
    return f"{middle} ({min(values):.4g} to {max(values):.4g})" if len(values) > 1 else middle


def _uvloop_table(raw: Raw) -> str:
    rows = []
    for subject, contenders in raw.items():
        for name, on_uvloop in contenders.items():
            if not name.endswith(UVLOOP):
                continue
            plain = name.removesuffix(UVLOOP)
            for measure, values in on_uvloop.items():
                before = contenders[plain][measure]
                least, more = statistics.median(before), statistics.median(values)
                ratio = f"{more / least:.3g}" if least else ""
                rows.append([f"{subject}: {measure}, {plain}", ratio, _shown(before), _shown(values)])
    return table(["", "uvloop / asyncio", "asyncio", "uvloop"], rows) if rows else ""


def _explained(missed: Sequence[Ratio], raw: Raw, samples: Samples) -> list[str]:
    parts = [SAMPLED]
    for subject in dict.fromkeys(ratio.figure.subject for ratio in missed):
        parts.append(f"### {subject}")
        parts += [
            f"{ratio.figure.title}: {ratio.actual:.3g}. {ratio.figure.why}".rstrip()
            for ratio in missed
            if ratio.figure.subject == subject
        ]
        if taken := samples.get(subject):
            parts.append(_samples_table(raw[subject], taken))
    return parts


def _samples_table(
    contenders: Mapping[str, Mapping[str, Sequence[float]]], taken: Mapping[str, Mapping[str, float]]
) -> str:
    """The share of each package in the CPU time, and the CPU time if it was measured."""
    measure = next((name for name in contenders[next(iter(taken))] if name.startswith("CPU")), None)
    shares = {
        contender: {package: count / max(1, sum(counts.values())) for package, count in counts.items()}
        for contender, counts in taken.items()
    }
    cpu = {
        contender: statistics.median(contenders[contender][measure])
        if measure in contenders[contender]
        else 100.0
        for contender in taken
    }
    packages = {package for share in shares.values() for package in share}
    most = sorted(packages, key=lambda name: -max(share.get(name, 0) for share in shares.values()))
    rows = [
        [package, *(f"{share.get(package, 0) * cpu[contender]:.3g}" for contender, share in shares.items())]
        for package in most[:PACKAGES_SHOWN]
    ]
    rows.append(["all", *(f"{cpu[contender]:.4g}" for contender in shares)])
    return table([measure or "% of the CPU time", *shares], rows)
