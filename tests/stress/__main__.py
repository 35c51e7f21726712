"""Stress: random stories of bulk jobs against the emulator, each judged by what really was started.

    python -m tests.stress [--seeds 1000] [--first 0] [--jobs 2]

Exit code 1 if any run was started twice, lost or wrongly adopted, or a job hung.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.stress.oracle import play


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    began = time.monotonic()
    bad = requests = in_doubt = 0
    with ProcessPoolExecutor(options.jobs) as workers:
        for verdict in workers.map(play, range(options.first, options.first + options.seeds)):
            requests += verdict.requests
            in_doubt += verdict.in_doubt
            if verdict.wrong:
                bad += 1
                print(verdict.story)
                for line in verdict.wrong[:10]:
                    print("   ", line)
                sys.stdout.flush()
    print(
        f"{options.seeds} seeds in {time.monotonic() - began:.0f} s: {bad} bad; {requests} requests, "
        f"{in_doubt} of them ended in doubt"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
