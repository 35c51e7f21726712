"""Uploads a file in a process of its own and prints how many KiB its memory grew."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from kognitos_async import KognitosClient


def peak() -> int:
    """The largest resident size so far, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


async def main(path: str, how: str) -> None:
    async with KognitosClient() as client:
        await client.files.upload(b"warm", file_name="warm.txt")
        gc.collect()
        before = peak()
        if how == "path":
            file = await client.files.upload(path)
        else:
            file = await client.files.upload(_pieces(path), file_name="a.bin")
        print(file.size, peak() - before)


async def _pieces(path: str):
    with Path(path).open("rb") as opened:  # noqa: ASYNC230 - a sparse file
        while piece := opened.read(1 << 20):
            yield piece


asyncio.run(main(*sys.argv[1:]))
