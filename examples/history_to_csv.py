"""Append the history of runs to a CSV file, page by page, and resume where an earlier call stopped.

The token of the next page is kept in a file beside the CSV file and deleted at the end of the history. Set
KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/history_to_csv.py history.csv
"""

import asyncio
import csv
import os
import sys
from pathlib import Path

from kognitos_async import KognitosClient


async def main(target: Path) -> None:
    mark = target.with_suffix(".token")
    token = mark.read_text() if mark.exists() else None
    count = 0
    async with KognitosClient() as client:
        history = client.runs.list(os.environ["KOGNITOS_PROCESS_ID"], continuation_token=token)
        with target.open("a" if token else "w", newline="") as lines:
            writer = csv.writer(lines)
            if token is None:
                writer.writerow(["id", "name", "status", "created_at"])
            async for page in history.pages():
                writer.writerows([run.id, run.name, run.status, run.created_at] for run in page.items)
                lines.flush()
                count += len(page.items)
                # The page is written before the token: a crash in between repeats one page.
                if page.continuation_token is not None:
                    mark.write_text(page.continuation_token)
    mark.unlink(missing_ok=True)
    print(f"{count} runs written to {target}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
