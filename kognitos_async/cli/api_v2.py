"""REST API v2 for the commands."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from kognitos_async.cli.whole_pages import whole_items, whole_pages
from kognitos_async.rest_v2.models import RunStatus
from kognitos_async.rest_v2.pages import LARGEST_PAGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from kognitos_async.cli.api import Columns, Record, Skipped, Start
    from kognitos_async.cli.target import Target
    from kognitos_async.paging import Pager
    from kognitos_async.rest_v2.client import KognitosClient
    from kognitos_async.rest_v2.models import Process, Run

STAGES = {"draft": "Draft", "published": "Published"}
_RECORD: dict[str, Callable[[Run], Any]] = {
    **{name: attrgetter(name) for name in ("id", "name", "agent_id", "process_id")},
    "stage": attrgetter("stage.value"),
    "status": attrgetter("status.value"),
    "created_at": attrgetter("created_at"),
    "file_ids": lambda run: list(run.file_ids),
    "outputs": attrgetter("outputs_by_name"),
}


class RestV2Api:
    """A `KognitosClient` and the settings of the command."""

    run_columns: tuple[str, ...] = ("id", "status", "stage", "created_at", "name")
    settled_columns: tuple[str, ...] = ("id", "status", "name")
    record_columns: tuple[str, ...] = tuple(_RECORD)

    def __init__(self, client: KognitosClient, target: Target) -> None:
        self.client = client
        self.target = target

    async def health(self) -> Record:
        """The health that the API reports."""
        health = await self.client.health()
        return {"status": health.status, "ok": health.ok}

    async def processes(self, skipped: Skipped) -> AsyncIterator[Record]:
        """The processes; `skipped` is called for items that cannot be decoded, here and below."""
        async for process in whole_items(self.client.processes.list(), skipped):
            yield _process(process)

    async def runs(
        self,
        source: str,
        stage: str | None,
        since: datetime | None,
        skipped: Skipped,
        *,
        page: int | None = None,
    ) -> AsyncIterator[Run]:
        """The runs of a process. The order is not documented, so `since` filters the whole list."""
        limit = min(page or LARGEST_PAGE, LARGEST_PAGE)
        pager = self.client.runs.list(source, stage=_stage(stage), limit=limit)
        async for run in whole_items(pager, skipped):
            if since is None or run.created_at >= since:
                yield run

    def history(
        self, source: str, stage: str | None, since: datetime | None, token: str | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[Run], str | None]]:
        """The pages of the runs of a process, from `token` on, each with the token of the next one."""
        pager = self.client.runs.list(source, stage=_stage(stage), continuation_token=token)
        return self._history(pager, since, skipped)

    async def _history(
        self, pager: Pager[Run], since: datetime | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[Run], str | None]]:
        async for page in whole_pages(pager, skipped):
            runs = [run for run in page.items if since is None or run.created_at >= since]
            yield runs, page.continuation_token

    async def find_source(self, source: str) -> None:
        """Raise `NotFoundError` if the process does not exist."""
        await self.client.processes.get(source)

    def record(self, run: Run) -> Record:
        """A run under the API's names, with its outputs by name."""
        return {name: read(run) for name, read in _RECORD.items()}

    def columns(self, runs: Sequence[Run]) -> Columns:
        """The records of `runs` by column."""
        return {name: list(map(read, runs)) for name, read in _RECORD.items()}

    def status(self, run: Run) -> str:
        """The status of a run."""
        return str(run.status)

    def run_name(self, run: str, automation: str | None) -> str:  # noqa: ARG002 - an id is enough
        """The id, unchanged."""
        return run

    async def start(self, start: Start) -> Run:
        """Upload the files, then start the run."""
        file_ids = [(await self.client.files.upload(path)).id for _, path in start.files]
        inputs: Any = start.inputs
        return await self.client.runs.start(
            start.source,
            name=start.name or "",
            stage=_stage(start.stage) or "Published",
            inputs=inputs,
            file_ids=file_ids or None,
        )

    async def upload(self, path: Path, file_name: str | None) -> Record:
        """Upload a file."""
        file = await self.client.files.upload(path, file_name=file_name)
        return {"id": file.id, "file_name": file.file_name, "size": file.size}

    async def exceptions(
        self,
        source: str | None,
        state: str | None,  # noqa: ARG002 - platform API only
        skipped: Skipped,
    ) -> AsyncIterator[Record]:
        """The runs in Exception: REST API v2 has no resource for exceptions."""
        async for run in whole_items(self.client.runs.list(source or ""), skipped):
            if run.status == RunStatus.EXCEPTION:
                yield {
                    "id": run.id,
                    "status": str(run.status),
                    "created_at": run.created_at,
                    "run": run.id,
                    "message": run.name,
                }

    async def exception(
        self,
        name: str,
        automation: str | None,  # noqa: ARG002 - an id is enough
        skipped: Skipped,  # noqa: ARG002 - not a list
    ) -> Record:
        """The run that needs a person."""
        return self.record(await self.client.runs.get(name))


def _process(process: Process) -> Record:
    return {
        "id": process.id,
        "name": process.name,
        "agent_id": process.agent_id,
        "stage": str(process.stage),
    }


def _stage(stage: str | None) -> str | None:
    return None if stage is None else STAGES.get(stage.lower(), stage)
