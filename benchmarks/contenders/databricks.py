"""databricks-sdk, which is synchronous, called in threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

THREADS = 200
"""Threads, one for each concurrent wait."""


class Contender:
    """The client, with one connection per thread."""

    def __init__(self, client: WorkspaceClient, threads: ThreadPoolExecutor) -> None:
        self._client = client
        self._threads = threads

    async def get(self, run_id: str) -> object:  # noqa: ARG002 - its ids are numbers
        return await self._in_thread(lambda: self._client.jobs.get_run(0))

    async def history(self, process_id: str, after_page: None) -> int:  # noqa: ARG002 - as the others
        return await self._in_thread(
            lambda: sum(run.start_time is not None for run in self._client.jobs.list_runs(limit=100))
        )

    async def wait(self, run_id: str) -> None:
        number = int(run_id[3:]) + 1
        await self._in_thread(lambda: self._client.jobs.wait_get_run_job_terminated_or_skipped(number))

    async def _in_thread(self, call: Callable[[], object]) -> int:
        result: int = await asyncio.get_running_loop().run_in_executor(self._threads, call)  # type: ignore[assignment]
        return result


@asynccontextmanager
async def opened(base_url: str, agent_id: str) -> AsyncGenerator[Contender]:  # noqa: ARG001 - as the others
    config = Config(host=base_url, token="test-key", max_connections_per_pool=THREADS)
    with ThreadPoolExecutor(THREADS) as threads:
        yield Contender(WorkspaceClient(config=config), threads)
