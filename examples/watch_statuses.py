"""Start three runs and print every change of status until all have settled.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/watch_statuses.py
"""

import asyncio
import os
from datetime import UTC, datetime

from kognitos_async import KognitosClient, PollPolicy, Run


def show(run: Run) -> None:
    print(f"{run.name}: {run.status}", flush=True)


async def watch(client: KognitosClient, name: str) -> Run:
    run = await client.runs.start(os.environ["KOGNITOS_PROCESS_ID"], name=name)
    show(run)
    return await client.wait_for_run(run, on_update=show)


async def main() -> None:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    # Waits on one client share their polls: one request reads all three.
    async with (
        KognitosClient(poll=PollPolicy(initial=0.5, maximum=5.0)) as client,
        asyncio.TaskGroup() as tasks,
    ):
        watches = [
            tasks.create_task(watch(client, f"{colour}, {now}")) for colour in ("red", "green", "blue")
        ]
    failed = [task.result().name for task in watches if not task.result().succeeded]
    print(f"{len(watches) - len(failed)} succeeded, {len(failed)} did not")


if __name__ == "__main__":
    asyncio.run(main())
