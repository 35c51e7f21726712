"""`kognitos engine submit`: enqueue the rows of a file as workflows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from kognitos_async.cli.first_pass import first_pass
from kognitos_async.cli.requests_file import Row
from kognitos_async.cli.running import FAILED, SOME_FAILED, WRONG_USE, complain, lines_of
from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from kognitos_async.cli.bulk_requests import RowRequests
    from kognitos_async.cli.command import Call
    from kognitos_async.cli.requests_file import RequestsFile
    from kognitos_async.integrations.dbos import KognitosWorkflows, WorkflowHandle

_AT_ONCE = 16
"""Maximum concurrent calls to the database."""


class Submission:
    """The submission of one requests file."""

    def __init__(self, call: Call, rows: RequestsFile, requests: RowRequests) -> None:
        self._call = call
        self._rows = rows
        self._requests = requests

    def check(self, kognitos: KognitosWorkflows) -> None:
        """Check all rows, and the files of those not enqueued yet. Raises `typer.Exit` if one is invalid."""

        def is_enqueued(name: str) -> bool:
            return kognitos.is_enqueued(self._requests.request(Row(0, name, "published", {}, None)))

        checked = first_pass(self._rows, is_enqueued, quiet=self._call.output.quiet)
        if checked.bad:
            complain(f"invalid rows: {checked.bad}; nothing was enqueued")
            raise typer.Exit(WRONG_USE)

    async def run(self, kognitos: KognitosWorkflows, *, wait: bool) -> int:
        """Enqueue each row and, with `wait`, print each outcome; the exit code."""
        handles, refused = await self._enqueue(kognitos)
        self._call.output.note(f"enqueued {len(handles)} requests")
        code = await self._outcomes(handles) if wait else 0
        return FAILED if refused else code

    async def _enqueue(self, kognitos: KognitosWorkflows) -> tuple[list[WorkflowHandle], int]:
        handles: list[WorkflowHandle] = []
        rows = (row for row in self._rows.rows() if isinstance(row, Row))
        refused = 0

        async def take() -> None:
            nonlocal refused
            for row in rows:
                try:
                    handles.append(await kognitos.enqueue(self._requests.request(row)))
                except KognitosError as problem:
                    complain(f"{row.name}: {next(lines_of(problem))}")
                    refused += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(take())
        return handles, refused

    async def _outcomes(self, handles: list[WorkflowHandle]) -> int:
        code = 0
        open_ones = asyncio.Semaphore(_AT_ONCE)

        async def show(handle: WorkflowHandle) -> None:
            nonlocal code
            record: dict[str, Any] = {
                "name": handle.name,
                "run_id": "",
                "status": "",
                "error": "",
                "outputs": {},
            }
            async with open_ones:
                try:
                    run = await handle.result()
                except Exception as problem:  # noqa: BLE001 - of any kind: what ended the workflow
                    record["run_id"] = getattr(problem, "run_id", "")
                    record["error"] = next(lines_of(problem))
                    code = SOME_FAILED
                else:
                    outputs = getattr(run, "outputs_by_name", None)
                    record |= {
                        "run_id": run.id,
                        "status": str(run.status),
                        "outputs": run.outputs if outputs is None else outputs,
                    }
                    code = code if run.succeeded else SOME_FAILED
            self._call.output.line(record, ("name", "run_id", "status", "error"))

        async with asyncio.TaskGroup() as group:
            for handle in handles:
                group.create_task(show(handle))
        return code
