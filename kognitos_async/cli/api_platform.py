"""The platform API for the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from kognitos_async.cli.whole_pages import whole_items, whole_pages
from kognitos_async.errors import NotFoundError
from kognitos_async.platform_v1.encoding import stage_word
from kognitos_async.platform_v1.files import file_ref
from kognitos_async.platform_v1.filters import F
from kognitos_async.platform_v1.models.runs import PlatformRun, StartedRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from kognitos_async.cli.api import Columns, Record, Skipped, Start
    from kognitos_async.cli.target import Target
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.client import PlatformClient
    from kognitos_async.platform_v1.models.generated.automations import Automation
    from kognitos_async.platform_v1.models.generated.exceptions import Event, RunException

_PAGE = 1000
_EVENTS = 50


class PlatformApi:
    """A `PlatformClient` and the settings of the command."""

    run_columns: tuple[str, ...] = ("id", "state", "stage", "create_time", "update_time", "reason")
    settled_columns: tuple[str, ...] = ("id", "state", "reason")
    record_columns: tuple[str, ...] = (
        *("id", "name", "automation", "stage", "state", "create_time", "update_time", "reason"),
        *("exception", "inputs", "outputs"),
    )

    def __init__(self, client: PlatformClient, target: Target) -> None:
        self.client = client
        self.target = target

    async def health(self) -> Record:
        """List one organization: the API has no health operation."""
        await self.client.organizations.list(page_size=1)
        return {"status": "OK", "ok": True}

    async def automations(self, state: str | None, skipped: Skipped) -> AsyncIterator[Record]:
        """The automations; `skipped` is called for items that cannot be decoded, here and below."""
        chosen = None if state is None else F.state == state.upper()
        async for automation in whole_items(self.client.automations.list(filter=chosen), skipped):
            yield _automation(automation)

    async def automation(self, name: str) -> Record:
        """One automation, with its inputs and its code in English."""
        automation = await self.client.automations.get(name)
        return {
            **_automation(automation),
            "description": automation.description,
            "inputs": [spec.name for spec in automation.input_specs],
            "english_code": automation.english_code,
        }

    async def runs(
        self,
        source: str,
        stage: str | None,
        since: datetime | None,
        skipped: Skipped,
        *,
        page: int | None = None,
    ) -> AsyncIterator[PlatformRun]:
        """The runs of an automation, newest first."""
        wanted = None if stage is None else stage_word(stage)
        after = None if since is None else F.create_time >= since
        pager = self.client.runs.list(source, filter=after, page_size=min(page or _PAGE, _PAGE))
        async for run in whole_items(pager, skipped):
            if wanted is None or str(run.stage) == wanted:
                yield run

    def history(
        self, source: str, stage: str | None, since: datetime | None, token: str | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[PlatformRun], str | None]]:
        """Pages of runs from `token` on, each with the token of the next page."""
        wanted = None if stage is None else stage_word(stage)
        after = None if since is None else F.create_time >= since
        pager = self.client.runs.list(source, filter=after, page_size=_PAGE, page_token=token)
        return self._history(pager, wanted, skipped)

    async def _history(
        self, pager: Pager[PlatformRun], wanted: str | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[PlatformRun], str | None]]:
        async for page in whole_pages(pager, skipped):
            runs = [run for run in page.items if wanted is None or str(run.stage) == wanted]
            yield runs, page.continuation_token

    async def find_source(self, source: str) -> None:
        """Raise `NotFoundError` if the automation does not exist."""
        await self.client.automations.get(source)

    def record(self, run: PlatformRun | StartedRun) -> Record:
        """A run under the API's names. `reason` says why it waits, failed or stopped."""
        if isinstance(run, StartedRun):
            return {"id": run.id, "name": run.name, "automation": run.automation, "state": "pending"}
        guidance, failure = run.guidance, run.failure
        reason = guidance.description if guidance else failure.description if failure else run.stop_reason
        return {
            "id": run.id,
            "name": run.name,
            "automation": run.automation,
            "stage": str(run.stage).removeprefix("AUTOMATION_STAGE_").lower(),
            "state": str(run.state),
            "create_time": run.create_time,
            "update_time": run.update_time,
            "reason": reason,
            "exception": guidance.exception if guidance else None,
            "inputs": run.user_inputs,
            "outputs": run.outputs,
        }

    def columns(self, runs: Sequence[PlatformRun]) -> Columns:
        """The records of `runs` by column."""
        records = [self.record(run) for run in runs]
        return {column: [record[column] for record in records] for column in self.record_columns}

    def status(self, run: PlatformRun | StartedRun) -> str:
        """The state of a run."""
        return "pending" if isinstance(run, StartedRun) else str(run.state)

    def run_name(self, run: str, automation: str | None) -> str:
        """The full name of a run; a bare id needs its automation."""
        if "/" in run:
            return run
        within = automation or self.target.get("automation_id")
        if within is None:
            raise typer.BadParameter(
                f"{run} is an ID without its automation: give --automation, or the full name of the run"
            )
        return f"{within}/runs/{run}" if "/" in within else f"automations/{within}/runs/{run}"

    async def start(self, start: Start) -> StartedRun:
        """Upload the files, then start the run."""
        inputs: dict[str, Any] = dict(start.inputs)
        for name, path in start.files:
            if name is None:
                raise typer.BadParameter("must be NAME=PATH on the platform API", param_hint="--file")
            inputs[name] = file_ref(await self.client.files.upload(path))
        return await self.client.automations.invoke(start.source, inputs, stage=stage_word(start.stage))

    async def upload(self, path: Path, file_name: str | None) -> Record:
        """Upload a file; its `id` is the full name."""
        file = await self.client.files.upload(path, file_name=file_name)
        return {"id": file.name, "file_name": file.filename, "size": file.size_bytes}

    async def exceptions(
        self, source: str | None, state: str | None, skipped: Skipped
    ) -> AsyncIterator[Record]:
        """The exceptions of the workspace, optionally of one automation or in one state."""
        chosen = None if state is None else F.state == state.upper()
        async for exception in whole_items(self.client.exceptions.list(filter=chosen), skipped):
            if source is None or (exception.automation or "").rpartition("/")[2] == source.rpartition("/")[2]:
                yield _exception(exception)

    async def exception(self, name: str, automation: str | None, skipped: Skipped) -> Record:
        """One exception with its messages; a run stands for its pending exception."""
        exception = await self._exception(name, automation, skipped)
        events = []
        async for event in whole_items(self.client.exceptions.events(exception.run), skipped):
            events.append(event)
            if len(events) == _EVENTS:
                break
        return {
            **_exception(exception),
            "description": exception.description,
            "automation": exception.automation,
            "extra": exception.extra,
            "said": [said for event in reversed(events) if (said := _said(event)) is not None],
        }

    async def _exception(self, name: str, automation: str | None, skipped: Skipped) -> RunException:
        """The exception, or the pending one of the run given instead: also by the ID of the run alone."""
        try:
            return await self.client.exceptions.get(await self._exception_name(name, automation))
        except NotFoundError:
            if "/" in name:
                raise
            pending = self.client.exceptions.list(filter=F.state == "PENDING")
            async for exception in whole_items(pending, skipped):
                if exception.run.rpartition("/")[2] == name:
                    return exception
            raise

    async def _exception_name(self, name: str, automation: str | None) -> str:
        if "/runs/" not in name and not (automation and "/" not in name):
            return name
        run = await self.client.runs.get(self.run_name(name, automation))
        if run.guidance is None or run.guidance.exception is None:
            raise typer.BadParameter(f"run {run.id} does not wait for a person: it is {run.state}")
        return run.guidance.exception

    async def reply(self, name: str, message: str, automation: str | None, skipped: Skipped) -> Record:
        """Answer an exception."""
        exception = await self._exception(name, automation, skipped)
        event = await self.client.exceptions.reply(exception.run, message)
        return {"id": event.id, "run": exception.run, "exception": exception.name, "message": message}


def _automation(automation: Automation) -> Record:
    return {
        "id": automation.id,
        "display_name": automation.display_name,
        "version": automation.version,
        "published_version": automation.latest_published_version,
        "update_time": automation.update_time,
    }


def _exception(exception: RunException) -> Record:
    return {
        "id": exception.id,
        "name": exception.name,
        "state": str(exception.state or "").removeprefix("EXCEPTION_STATE_").lower(),
        "create_time": exception.create_time,
        "run": exception.run,
        "message": exception.message or exception.description,
    }


def _said(event: Event) -> Record | None:
    """A message of a person or an agent; None for other events."""
    text = getattr(event.content, "content", None)
    if not isinstance(text, str):
        return None
    return {"by": event.kind.removesuffix("_message"), "at": event.create_time, "text": text}
