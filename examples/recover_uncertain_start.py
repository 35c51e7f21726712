"""Start one run exactly once, also when the answer to the start is lost.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/recover_uncertain_start.py "invoice INV-0001, 2026-03"
"""

import asyncio
import os
import sys

from kognitos_async import KognitosClient, Run, StartUncertainError

SECONDS_TO_APPEAR = 5.0


async def start_exactly_once(client: KognitosClient, process_id: str, name: str) -> Run:
    while True:
        try:
            return await client.runs.start(process_id, name=name)
        except StartUncertainError as lost:
            print(f"uncertain: {lost}")
            await asyncio.sleep(SECONDS_TO_APPEAR)
            found = await client.runs.find_started(lost.request, since=lost.since)
            if len(found) > 1:
                raise  # the name is not unique: which of them is ours cannot be told
            if found:
                print("it had been started")
                return found[0]
            print("it had not been started")


async def main(name: str) -> None:
    async with KognitosClient() as client:
        run = await start_exactly_once(client, os.environ["KOGNITOS_PROCESS_ID"], name)
        print(f"{run.id} {run.status}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
