"""Run every measurement, print the table, and write `benchmarks/RESULTS.md`.

    python -m benchmarks [--quick] [--json FILE] [--only NAME …]

The opponents come with the `bench` extra.

`--quick` measures less of everything, leaves RESULTS.md alone, and fails when a ratio is worse than 1.5 times
its figure.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.emulator import emulator
from benchmarks.static_server import PAGES, static_server

HERE = Path(__file__).parent
CONTENDERS = ("bare", "ours", "httpx_pydantic")
OURS_BARE = ("ours", "bare")
WAITS: list[tuple[str, dict[str, object], float]] = [
    ("20 waiters", {"waiters": 20}, 1.0),
    ("2,000 waiters, newest first", {"waiters": 2000}, 0.05),
    ("2,000 waiters, oldest first", {"waiters": 2000, "order": "oldest"}, 0.05),
    ("2,000 waiters, 50 ms latency", {"waiters": 2000, "latency": 0.05}, 0.05),
    ("2,000 waiters, bare ids", {"waiters": 2000, "bare_ids": True}, 0.05),
    ("10,000 waiters", {"waiters": 10_000}, 0.05),
]
"""Each with the most requests that shared polls may take, as a share of the plain way's."""
SLACK = 1.5
"""How much worse than its figure a ratio may be on a noisy machine before `--quick` fails."""


class Row(NamedTuple):
    """A ratio, the figure it should reach, and what it was made of."""

    subject: str
    ratio: float
    figure: float
    at_most: bool
    detail: str

    @property
    def reached(self) -> bool:
        return self.ratio <= self.figure if self.at_most else self.ratio >= self.figure

    @property
    def failed(self) -> bool:
        """Whether it is worse than noise explains."""
        if self.at_most:
            return self.ratio > SLACK * self.figure
        return self.ratio < self.figure / SLACK


class Figures:
    """Repeated measurements of several contenders, interleaved."""

    def __init__(self, repetitions: int) -> None:
        self._repetitions = repetitions
        self.raw: dict[str, dict[str, list[float]]] = {}

    def take(self, subject: str, calls: dict[str, tuple[str, dict[str, object]]]) -> None:
        """Measure each contender in turn, again and again, each time in a process of its own."""
        for _ in range(self._repetitions):
            for contender, (function, arguments) in calls.items():
                print(f"{subject}: {contender}", file=sys.stderr)
                for name, value in _measured(function, arguments).items():
                    self.raw.setdefault(f"{subject} | {contender}", {}).setdefault(name, []).append(value)

    def median(self, subject: str, contender: str, name: str) -> float:
        return statistics.median(self.raw[f"{subject} | {contender}"][name])

    def shown(self, subject: str, contender: str, name: str) -> str:
        values = self.raw[f"{subject} | {contender}"][name]
        return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"

    def row(
        self, title: str, subject: str, name: str, pair: tuple[str, str], *, most: float = 0, least: float = 0
    ) -> Row:
        """The ratio of what one contender of the pair took or reached to the other's, in the median."""
        ours, theirs = pair
        value = self.median(subject, ours, name) / self.median(subject, theirs, name)
        detail = f"{name}: {self.shown(subject, ours, name)} against {self.shown(subject, theirs, name)}"
        return Row(f"{subject}: {title}", value, most or least, bool(most), detail)


def _measured(function: str, arguments: dict[str, object]) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", function, json.dumps(arguments)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=600,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def requests_rows(figures: Figures, quick: bool) -> list[Row]:
    """GETs and histories from prepared answers."""
    rows = []
    count, rounds = (2000, 4) if quick else (6000, 12)
    with static_server() as (url, kind):
        print(f"answers come from {kind}", file=sys.stderr)
        figures.raw[f"server | {kind}"] = {}
        for concurrency in (1, 50):
            subject = f"GET, {concurrency} at once"
            arguments = {"base_url": url, "concurrency": concurrency}
            figures.take(
                subject,
                {
                    c: ("requests.get", {"contender": c, "count": count // slower, **arguments})
                    for c, slower in (("bare", 1), ("ours", 1), ("httpx_pydantic", 4))
                },
            )
            cpu = "CPU µs a request"
            rows.append(figures.row("CPU, ours / bare", subject, cpu, OURS_BARE, most=1.25))
            rows.append(
                figures.row(
                    "CPU, httpx + pydantic / ours", subject, cpu, ("httpx_pydantic", "ours"), least=10
                )
            )
        arguments = {"base_url": url, "rounds": rounds}
        figures.take("history", {c: ("requests.history", {"contender": c, **arguments}) for c in CONTENDERS})
    rows.append(figures.row("CPU an item, ours / bare", "history", "CPU µs an item", OURS_BARE, most=1.15))
    rows.append(
        figures.row(
            "items a second, ours / httpx + pydantic",
            "history",
            "items a second",
            ("ours", "httpx_pydantic"),
            least=5,
        )
    )
    return [*rows, *latency_rows(figures)]


def latency_rows(figures: Figures) -> list[Row]:
    """A history whose pages take 20 ms to come and 20 ms to consume."""
    subject = "history, 20 ms latency, 20 ms consumer"
    with static_server(latency=0.02) as (url, _):
        arguments = {"base_url": url, "rounds": 1, "consumer": 0.02}
        figures.take(subject, {c: ("requests.history", {"contender": c, **arguments}) for c in OURS_BARE})
    took = figures.median(subject, "ours", "seconds")
    ideal = 1.1 * PAGES * 0.02 + 0.02
    return [Row(f"{subject}: time / (1.1 * 50 * 20 ms + 20 ms)", took / ideal, 1.0, True, "")]


def waiting_rows(figures: Figures, quick: bool) -> list[Row]:
    """Shared polls against one GET per poll."""
    rows = []
    once = Figures(1)
    pair = ("shared", "plain")
    for subject, arguments, most in WAITS[:2] if quick else WAITS:
        once.take(subject, {way: ("waiting.measure", {"way": way, **arguments}) for way in pair})
        rows.append(once.row("requests, shared / plain", subject, "requests a run", pair, most=most))
        rows.append(once.row("mean delay, shared / plain", subject, "mean delay s", pair, most=1.0))
        rows.append(once.row("CPU, shared / plain", subject, "CPU s", pair, most=1.0))
    figures.raw.update(once.raw)
    return rows


def fanout_rows(figures: Figures, quick: bool) -> list[Row]:
    """run_many, its journal, and a rate limit."""
    arguments: dict[str, object] = {"runs": 1000 if quick else 5000}
    figures.take(
        "fan-out",
        {
            "no journal": ("fanout.measure", {"journal": False, **arguments}),
            "journal": ("fanout.measure", {"journal": True, **arguments}),
        },
    )
    pair = ("journal", "no journal")
    rows = [
        figures.row("runs a second, with journal / without", "fan-out", "runs a second", pair, least=0.75)
    ]
    once, subject = Figures(1), "limit of 50 requests a second"
    limit: dict[str, object] = {"runs": 300 if quick else 1000, "rate": 50}
    once.take(subject, {"ours": ("fanout.measure_rate_limit", limit)})
    figures.raw.update(once.raw)
    used, refused = (once.median(subject, "ours", name) for name in ("of the limit", "throttled share"))
    rows.append(Row(f"{subject}: share of it used", used, 0.85, False, ""))
    rows.append(Row(f"{subject}: share answered 429", refused, 0.02, True, ""))
    return rows


def upload_rows(figures: Figures, quick: bool) -> list[Row]:
    """One large file."""
    size = (60 if quick else 300) * 1_000_000
    with tempfile.NamedTemporaryFile(suffix=".bin") as file, emulator() as emulated:
        file.truncate(size)
        arguments: dict[str, object] = {
            "base_url": emulated.base_url,
            "agent_id": emulated.agent_id,
            "path": file.name,
            "size": size,
        }
        figures.take("upload", {c: ("requests.upload", {"contender": c, **arguments}) for c in CONTENDERS})
    growth = figures.median("upload", "ours", "memory growth MB")
    return [
        figures.row("MB a second, ours / bare", "upload", "MB a second", OURS_BARE, least=0.95),
        Row("upload: memory growth / 30 MB", growth / 30, 1.0, True, ""),
    ]


def import_rows(figures: Figures, _quick: bool) -> list[Row]:
    """Importing, and a client that does nothing."""
    pair = ("kognitos_async", "aiohttp")
    figures.take("import", {m: ("imports.measure", {"module": m}) for m in pair})
    figures.take("idle", {c: ("requests.idle", {"contender": c}) for c in CONTENDERS})
    return [figures.row("kognitos_async / aiohttp", "import", "import ms", pair, most=1.15)]


GROUPS = {
    "requests": requests_rows,
    "waiting": waiting_rows,
    "fanout": fanout_rows,
    "upload": upload_rows,
    "import": import_rows,
}


def report(rows: list[Row], figures: Figures) -> str:
    """The results as Markdown: ratios first, then what they are made of."""
    lines = ["| ratio | | figure | reached |", "| --- | ---: | ---: | --- |"]
    for row in rows:
        sign = "at most" if row.at_most else "at least"
        lines.append(
            f"| {row.subject} | {row.ratio:.3g} | {sign} {row.figure:g} | {'yes' if row.reached else 'no'} |"
        )
    lines += ["", "| measured | median (least to most) |", "| --- | --- |"]
    for key, values in figures.raw.items():
        subject, _, contender = key.partition(" | ")
        if not values:
            lines.append(f"| {subject} | {contender} |")
        for name in values:
            lines.append(f"| {subject}, {contender}: {name} | {figures.shown(subject, contender, name)} |")
    return "\n".join(lines)


def surroundings() -> str:
    """Versions and machine."""
    packages = ("aiohttp", "msgspec", "anyio", "httpx", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} cores."


def main() -> int:
    """0, or 1 when a ratio is worse than 1.5 times its figure in a quick run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    options = parser.parse_args()
    figures = Figures(3 if options.quick else 5)
    rows = [row for name in options.only for row in GROUPS[name](figures, options.quick)]
    text = report(rows, figures)
    print(text)
    if options.json:
        options.json.write_text(
            json.dumps({"rows": [row._asdict() for row in rows], "raw": figures.raw}, indent=1)
        )
    if not options.quick and options.only == list(GROUPS):
        (HERE / "RESULTS.md").write_text(
            f"# What the library costs\n\nWritten by `python -m benchmarks`. {surroundings()}\n\n{text}\n"
        )
    failed = [row.subject for row in rows if row.failed]
    if failed:
        print("worse than 1.5 times the figure: " + "; ".join(failed), file=sys.stderr)
    return 1 if failed and options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
