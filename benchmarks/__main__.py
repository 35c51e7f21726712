"""Run all benchmarks, print the tables, and write `benchmarks/RESULTS.md`.

    python -m benchmarks [--quick] [--growth] [--json FILE] [--resume FILE] [--only NAME …]

The extra `bench` installs the other clients. `--quick` measures less, does not write RESULTS.md, and fails if
a ratio misses its figure by more than 1.5 times, a cost grows faster than n log n, or memory grows that
should be constant. Before it fails, it measures that group up to twice more and judges all measurements: a
busy neighbour slows a contender for many seconds. Ctrl-C reports what was measured so far; `--resume` loads
its `--json` file and measures the missing groups. `--growth` measures only growth and draws growth.svg.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import surroundings
from benchmarks.figures import GENERATED, ratios
from benchmarks.generated import generated_client
from benchmarks.growing import draw, growths
from benchmarks.plan import GROUPS, Plan
from benchmarks.recorder import Recorder
from benchmarks.report import report
from benchmarks.verdict import failures

WITHOUT_SNIFFIO = (
    "sniffio is not installed. httpcore tries to import it several times in each request, in vain, so httpx "
    "and the generated client cost more than they would with it."
)
RESULTS = Path(__file__).parent / "RESULTS.md"
CHART = RESULTS.with_name("growth.svg")
MORE_ROUNDS = 2
"""Rounds in which a quick run measures again what would make it fail."""


def main() -> int:
    """Exit code 1 if a quick run misses a figure by more than 1.5 times, 2 if other clients are missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="measure less, in about three minutes, for CI")
    parser.add_argument("--growth", action="store_true", help="short for --only growth")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers to FILE")
    parser.add_argument(
        "--resume", type=Path, metavar="FILE", help="resume an interrupted run from its --json file"
    )
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="NAME")
    options = parser.parse_args()
    if options.growth:
        options.only = ["growth"]
    missing = [name for name in ("httpx", "pydantic", "jsonschema") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{', '.join(missing)} missing: pip install 'kognitos-async[bench]'", file=sys.stderr)
        return 2
    began, ran_on = time.monotonic(), surroundings.machine()
    with generated_client() as folder:
        recorder = Recorder(folder, explaining=not options.quick)
        if folder is None:
            recorder.note(f"{GENERATED} is not installed: its client was not measured.")
        if importlib.util.find_spec("sniffio") is None:
            recorder.note(WITHOUT_SNIFFIO)
        done = recorder.take_up(options.resume) if options.resume else []
        plan = Plan(recorder, options.quick, folder is not None)
        try:
            for name in options.only:
                if name not in done:
                    plan.measure(name)
                    done.append(name)
            for _ in range(MORE_ROUNDS if options.quick else 0):
                plan.measure_again([failure.subject for failure in failures(recorder.raw)])
        except KeyboardInterrupt:
            missing = ", ".join(one for one in options.only if one not in done)
            recorder.note(f"Interrupted; incomplete or missing: {missing}.")
    found = ratios(recorder.raw)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, in {(time.monotonic() - began) / 60:.1f} minutes.",
        f"{surroundings.versions()}.",
        f"{ran_on}.",
        *recorder.notes,
    ]
    grown = growths(recorder.raw)
    chart = None if options.quick or not grown else CHART
    if chart is not None:
        draw(grown, chart)
    text = "\n".join(f"- {line}" for line in lines) + "\n\n"
    text += report(found, recorder.raw, recorder.samples, grown, chart and chart.name)
    print(text)
    if options.json:
        written = {
            "surroundings": lines,
            "ratios": [
                {
                    **ratio.figure._asdict(),
                    "values": ratio.values,
                    "actual": ratio.actual,
                    "best": ratio.best,
                    "verdict": ratio.verdict,
                }
                for ratio in found
            ],
            "done": done,
            "notes": recorder.notes,
            "raw": recorder.raw,
            "samples": recorder.samples,
        }
        options.json.write_text(json.dumps(written, indent=1))
    if not options.quick and options.only == list(GROUPS):
        RESULTS.write_text(f"# What the library costs\n\nWritten by `python -m benchmarks`.\n\n{text}\n")
    failed = [failure.reason for failure in failures(recorder.raw)]
    if failed:
        print("; ".join(failed), file=sys.stderr)
    return 1 if failed and options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
