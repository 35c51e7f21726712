"""A bulk job to be killed: starts `count` runs with a journal and writes a line for each outcome."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from kognitos_async import KognitosClient, PollPolicy, RetryPolicy, RunRequest


async def main(process_id: str, journal: str, prefix: str, count: int, results: Path) -> int:
    requests = (
        RunRequest(process_id=process_id, name=f"{prefix}-{n}", inputs={"n": n}) for n in range(count)
    )
    failed = 0
    async with (
        KognitosClient(
            poll=PollPolicy(initial=0.05, maximum=0.2), retry=RetryPolicy(base_delay=0.01, max_delay=0.1)
        ) as client,
        client.run_many(requests, max_in_flight=20, journal=journal, absence_delay=0.1) as outcomes,
    ):
        with results.open("w") as lines:
            async for outcome in outcomes:
                failed += outcome.error is not None
                status = outcome.run.status if outcome.run is not None else "none"
                print(outcome.request.name, status, outcome.error or "", sep="\t", file=lines, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    logging.getLogger("kognitos_async").setLevel(logging.ERROR)
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))))
