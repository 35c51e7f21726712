"""Start one run, wait until it settles, and print its outputs.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/start_and_wait.py
"""

import asyncio
import os
import sys
from datetime import UTC, datetime

from kognitos_async import KognitosClient, RunError, WaitTimeoutError


async def main() -> int:
    async with KognitosClient() as client:
        name = f"one invoice, {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
        try:
            run = await client.run_and_wait(
                os.environ["KOGNITOS_PROCESS_ID"],
                name=name,
                inputs={"invoice": "INV-0001", "amount": 129.5},
                timeout=600,
            )
            run.raise_for_status()
        except RunError as failed:
            print(f"needs attention: {failed}", file=sys.stderr)
            return 1
        except WaitTimeoutError as late:
            print(f"not settled yet: {late}", file=sys.stderr)
            return 1
        print(f"{run.id} {run.status}")
        for fact, value in run.outputs_by_name.items():
            print(f"{fact}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
