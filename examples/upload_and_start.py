"""Upload a file with progress, and start a run with it.

Set KOGNITOS_API_KEY, KOGNITOS_AGENT_ID and KOGNITOS_PROCESS_ID (`kognitos serve` prints values to try), then

    python examples/upload_and_start.py invoices.csv
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from kognitos_async import KognitosClient, UploadError


def show(sent: int, size: int | None) -> None:
    print(f"{sent} of {size} bytes")


async def main(path: Path) -> int:
    async with KognitosClient() as client:
        try:
            file = await client.files.upload(path, on_progress=show)
        except UploadError as refused:
            print(f"{refused} ({refused.code or refused.status})", file=sys.stderr)
            return 1
        print(f"{file.file_name}: {file.size} bytes, id {file.id}")
        run = await client.runs.start(
            os.environ["KOGNITOS_PROCESS_ID"],
            name=f"{path.name}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"[-100:],
            file_ids=[file.id],
        )
        print(f"{run.id} {run.status}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))
