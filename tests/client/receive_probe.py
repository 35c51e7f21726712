"""Reads in a process of its own and prints how many pages of memory each request made the system map."""

from __future__ import annotations

import asyncio
import resource

from kognitos_async import KognitosClient

REQUESTS = 300


async def main() -> None:
    async with KognitosClient() as client:
        for _ in range(REQUESTS // 2):
            await client.health()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(REQUESTS):
            await client.health()
        print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / REQUESTS)


asyncio.run(main())
