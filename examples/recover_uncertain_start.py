"""Start one run exactly once, even if the answer is lost or the program is killed.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/recover_uncertain_start.py "invoice INV-0001, 2026-03" attempt.txt

and again as long as attempt.txt exists.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime

from anyio import Path

from kognitos_async import KognitosClient, Run, RunRequest

SECONDS_TO_APPEAR = 5.0


async def start_exactly_once(client: KognitosClient, process_id: str, name: str, attempt: Path) -> Run:
    earlier = datetime.fromisoformat(await attempt.read_text()) if await attempt.exists() else None
    if earlier is not None:
        print(f"looking up the start sent at {earlier}")

    async def about_to_send() -> None:
        await attempt.write_text(datetime.now(UTC).isoformat())

    # If it is uncertain whether the run exists, this raises StartUncertainError and starts nothing.
    return await client.runs.start_once(
        RunRequest(process_id=process_id, name=name),
        earlier=earlier,
        before_send=about_to_send,
        absence_delay=SECONDS_TO_APPEAR,
    )


async def main(name: str, attempt: Path) -> None:
    async with KognitosClient() as client:
        run = await start_exactly_once(client, os.environ["KOGNITOS_PROCESS_ID"], name, attempt)
        print(f"{run.id} {run.status}")
    await attempt.unlink(missing_ok=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
