"""Run every measurement, print the table, and write `benchmarks/RESULTS.md`.

    python -m benchmarks [--quick] [--json FILE] [--only NAME …]

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
from benchmarks.static_server import static_server

HERE = Path(__file__).parent
CONTENDERS = ("bare", "ours", "httpx_pydantic")
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

    def ratio(self, subject: str, name: str, ours: str, theirs: str) -> tuple[float, str]:
        value = self.median(subject, ours, name) / self.median(subject, theirs, name)
        detail = f"{name}: {self.shown(subject, ours, name)} against {self.shown(subject, theirs, name)}"
        return value, detail


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
        for concurrency in (1, 50):
            subject = f"GET, {concurrency} at once"
            figures.take(
                subject,
                {
                    c: (
                        "requests.get",
                        {
                            "contender": c,
                            "base_url": url,
                            "concurrency": concurrency,
                            "count": count // 4 if c == "httpx_pydantic" else count,
                        },
                    )
                    for c in CONTENDERS
                },
            )
        figures.take(
            "history",
            {
                c: ("requests.history", {"contender": c, "base_url": url, "rounds": rounds})
                for c in CONTENDERS
            },
        )
    cpu = "CPU µs a request"
    for concurrency in (1, 50):
        subject = f"GET, {concurrency} at once"
        rows.append(
            Row(
                f"{subject} ({kind}): CPU, ours / bare",
                *_split(figures.ratio(subject, cpu, "ours", "bare"), 1.25, True),
            )
        )
        rows.append(
            Row(
                f"{subject} ({kind}): CPU, httpx + pydantic / ours",
                *_split(figures.ratio(subject, cpu, "httpx_pydantic", "ours"), 10.0, False),
            )
        )
    rows.append(
        Row(
            f"history ({kind}): CPU an item, ours / bare",
            *_split(figures.ratio("history", "CPU µs an item", "ours", "bare"), 1.15, True),
        )
    )
    rows.append(
        Row(
            f"history ({kind}): items a second, ours / httpx + pydantic",
            *_split(figures.ratio("history", "items a second", "ours", "httpx_pydantic"), 5.0, False),
        )
    )
    with static_server(latency=0.02) as (url, kind):
        figures.take(
            "latency",
            {
                c: ("requests.history", {"contender": c, "base_url": url, "rounds": 1, "consumer": 0.02})
                for c in ("bare", "ours")
            },
        )
    took = figures.median("latency", "ours", "seconds")
    ideal = 1.1 * 50 * 0.02 + 0.02
    rows.append(
        Row(
            "history with 20 ms latency and a 20 ms consumer: time / (1.1 × 50 × 20 ms + 20 ms)",
            took / ideal,
            1.0,
            True,
            f"seconds: {figures.shown('latency', 'ours', 'seconds')} against {figures.shown('latency', 'bare', 'seconds')} without look-ahead",
        )
    )
    return rows


def _split(measured: tuple[float, str], figure: float, at_most: bool) -> tuple[float, float, bool, str]:
    return measured[0], figure, at_most, measured[1]


def waiting_rows(figures: Figures, quick: bool) -> list[Row]:
    """Shared polls against one GET per poll."""
    rows = []
    once = Figures(1)
    for title, arguments, most in (
        ("20 waiters", {"waiters": 20}, 1.0),
        ("2,000 waiters, newest first", {"waiters": 2000}, 0.05),
        ("2,000 waiters, oldest first", {"waiters": 2000, "order": "oldest"}, 0.05),
        ("2,000 waiters, 50 ms latency", {"waiters": 2000, "latency": 0.05}, 0.05),
        ("2,000 waiters, bare ids", {"waiters": 2000, "bare_ids": True}, 0.05),
        ("10,000 waiters", {"waiters": 10_000}, 0.05),
    ):
        if quick and title not in ("20 waiters", "2,000 waiters, newest first"):
            continue
        once.take(title, {way: ("waiting.measure", {"way": way, **arguments}) for way in ("shared", "plain")})
        rows.append(
            Row(
                f"{title}: requests, shared / plain",
                *_split(once.ratio(title, "requests a run", "shared", "plain"), most, True),
            )
        )
        rows.append(
            Row(
                f"{title}: mean delay, shared / plain",
                *_split(once.ratio(title, "mean delay s", "shared", "plain"), 1.0, True),
            )
        )
        rows.append(
            Row(
                f"{title}: CPU, shared / plain",
                *_split(once.ratio(title, "CPU s", "shared", "plain"), 1.0, True),
            )
        )
    figures.raw.update(once.raw)
    return rows


def fanout_rows(figures: Figures, quick: bool) -> list[Row]:
    """run_many, its journal, and a rate limit."""
    runs = 1000 if quick else 5000
    figures.take(
        "fan-out",
        {
            "no journal": ("fanout.measure", {"runs": runs, "journal": False}),
            "journal": ("fanout.measure", {"runs": runs, "journal": True}),
        },
    )
    rows = [
        Row(
            "fan-out: runs a second, with journal / without",
            *_split(figures.ratio("fan-out", "runs a second", "journal", "no journal"), 0.75, False),
        )
    ]
    once = Figures(1)
    once.take(
        "rate limit",
        {"50 a second": ("fanout.measure_rate_limit", {"runs": 300 if quick else 1000, "rate": 50})},
    )
    figures.raw.update(once.raw)
    rows.append(
        Row(
            "limit of 50 requests a second: share of it used",
            once.median("rate limit", "50 a second", "of the limit"),
            0.85,
            False,
            "1 is all of it",
        )
    )
    rows.append(
        Row(
            "limit of 50 requests a second: answered 429",
            once.median("rate limit", "50 a second", "throttled share"),
            0.02 if not quick else 0.05,
            True,
            "share of all requests",
        )
    )
    return rows


def upload_rows(figures: Figures, quick: bool) -> list[Row]:
    """One large file."""
    size = (60 if quick else 300) * 1_000_000
    with tempfile.NamedTemporaryFile(suffix=".bin") as file, emulator() as emulated:
        file.truncate(size)
        arguments = {
            "base_url": emulated.base_url,
            "agent_id": emulated.agent_id,
            "path": file.name,
            "size": size,
        }
        figures.take("upload", {c: ("requests.upload", {"contender": c, **arguments}) for c in CONTENDERS})
    return [
        Row(
            "upload: MB a second, ours / bare",
            *_split(figures.ratio("upload", "MB a second", "ours", "bare"), 0.95, False),
        ),
        Row(
            "upload: memory growth / 30 MB",
            figures.median("upload", "ours", "memory growth MB") / 30,
            1.0,
            True,
            f"MB: {figures.shown('upload', 'ours', 'memory growth MB')}",
        ),
    ]


def import_rows(figures: Figures, _quick: bool) -> list[Row]:
    """Importing, and a client that does nothing."""
    figures.take("import", {m: ("imports.measure", {"module": m}) for m in ("aiohttp", "kognitos_async")})
    figures.take("idle", {c: ("requests.idle", {"contender": c}) for c in CONTENDERS})
    return [
        Row(
            "import: kognitos_async / aiohttp",
            *_split(figures.ratio("import", "import ms", "kognitos_async", "aiohttp"), 1.15, True),
        )
    ]


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
