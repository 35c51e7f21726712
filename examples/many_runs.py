"""Start many runs, at most 50 unsettled at a time, and print each as it settles.

With the journal this can be interrupted at any point and run again: no run is started twice or lost. Set
KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/many_runs.py invoices.journal
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator

from kognitos_async import KognitosClient, RunRequest


def requests(process_id: str) -> Iterator[RunRequest]:
    for number in range(1, 101):
        invoice = f"INV-{number:04}"
        yield RunRequest(process_id=process_id, name=f"import {invoice}", inputs={"invoice": invoice})


async def main(journal: str) -> int:
    became: Counter[str] = Counter()
    async with (
        KognitosClient() as client,
        client.run_many(
            requests(os.environ["KOGNITOS_PROCESS_ID"]), max_in_flight=50, journal=journal
        ) as outcomes,
    ):
        async for outcome in outcomes:
            if outcome.run is None or outcome.error is not None:
                became["error"] += 1
                print(f"{outcome.request.name}: {outcome.error}", file=sys.stderr)
            else:
                became[outcome.run.status] += 1
                print(f"{outcome.request.name}: {outcome.run.status}")
    print(", ".join(f"{word} {count}" for word, count in became.most_common()))
    return 1 if became["error"] else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
