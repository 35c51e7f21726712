"""Invoke an automation of the platform API, answer it if it needs a person, and print its outputs.

Set KOGNITOS_TOKEN, KOGNITOS_ORGANIZATION_ID, KOGNITOS_WORKSPACE_ID and KOGNITOS_AUTOMATION_ID
(`kognitos serve` prints values to try), then

    python examples/invoke_and_answer.py "Use the second line"
"""

import asyncio
import os
import sys
from datetime import date
from decimal import Decimal

from kognitos_async import PlatformClient, RunError


async def main(answer: str) -> int:
    async with PlatformClient() as client:
        run = await client.run_and_wait(
            os.environ["KOGNITOS_AUTOMATION_ID"],
            {"invoice": "INV-0001", "amount": Decimal("129.50"), "due": date(2026, 12, 1)},
            timeout=600,
        )
        if run.guidance is not None:
            print(f"asked: {run.guidance.description}")
            await client.exceptions.reply(run, answer)
            run = await client.wait_for_run(run, until={"completed", "failed", "stopped"}, timeout=3600)
        try:
            run.raise_for_status()
        except RunError as failed:
            print(f"needs attention: {failed}", file=sys.stderr)
            return 1
        print(f"{run.id} {run.state}")
        for name, value in run.outputs.items():
            print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
