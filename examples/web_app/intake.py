"""Upload of invoices and start of their runs; a restart neither loses one nor starts it twice."""

import asyncio
import os
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import anyio.to_thread
import msgspec
from kognitos_api import KognitosApi

from kognitos_async import APIStatusError, KognitosError, StartUncertainError
from kognitos_async.uploads.sources import UploadSource

GRACE = 5.0


class Invoice(msgspec.Struct, kw_only=True):
    """The record of one invoice, with what is needed to find its run after a crash."""

    id: str
    file_name: str
    step: Literal["uploading", "starting", "started", "failed"] = "uploading"
    file: str | None = None
    """The stored file, once it is uploaded."""
    sent_at: datetime | None = None
    """When a start was sent that may have created the run."""
    run_id: str | None = None
    problem: str | None = None
    can_retry: bool = False
    """Whether to send the same file with the same id again."""


class Intake:
    """Uploads invoices and starts their runs. Each has a record in `folder`, written before each step.

    An async context manager: entering resumes what an earlier process left unfinished, leaving gives starts
    in flight some seconds to finish.
    """

    def __init__(self, api: KognitosApi, folder: Path) -> None:
        self._api = api
        self._folder = folder
        self._tasks: dict[str, asyncio.Task[Invoice]] = {}

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._folder.glob("*.json"):
            invoice = msgspec.json.decode(path.read_bytes(), type=Invoice)
            if invoice.step == "uploading":
                problem = "The server was restarted during the upload. Please send the file again."
                await self._failed(invoice, problem, can_retry=True)
            elif invoice.step == "starting":
                self._begin(invoice.id, self._start(invoice))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if not self._tasks:
            return
        _done, late = await asyncio.wait(self._tasks.values(), timeout=GRACE)
        for task in late:  # recorded as sent: the next process looks it up
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def find(self, invoice_id: uuid.UUID) -> Invoice | None:
        """The record of an invoice, or None."""
        with suppress(FileNotFoundError):
            return msgspec.json.decode(self._path(str(invoice_id)).read_bytes(), type=Invoice)
        return None

    async def take(
        self, invoice_id: uuid.UUID, content: UploadSource, *, file_name: str, size: int
    ) -> Invoice:
        """The invoice once its run is started, or with the reason of the failure in `problem`.

        A repeated id joins or returns the first request, or resumes it after a failure if that certainly
        starts nothing twice.
        """
        key = str(invoice_id)
        if (task := self._tasks.get(key)) is None:
            known = self.find(invoice_id)
            if known is not None and not (known.step == "failed" and known.can_retry):
                return known
            invoice = known or Invoice(id=key, file_name=file_name)
            if invoice.file is None:
                task = self._begin(key, self._upload_and_start(invoice, content, size))
            else:
                task = self._begin(key, self._start(invoice))
        return await asyncio.shield(task)  # a disconnected browser does not cancel a start

    def _begin(self, key: str, work: Coroutine[Any, Any, Invoice]) -> "asyncio.Task[Invoice]":
        self._tasks[key] = task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(key))
        return task

    async def _upload_and_start(self, invoice: Invoice, content: UploadSource, size: int) -> Invoice:
        invoice.step, invoice.problem = "uploading", None
        await self._record(invoice)
        try:
            invoice.file = await self._api.upload(content, file_name=invoice.file_name, size=size)
        except KognitosError as error:
            return await self._failed(invoice, f"The file could not be stored: {error}", can_retry=True)
        return await self._start(invoice)

    async def _start(self, invoice: Invoice) -> Invoice:
        invoice.step, invoice.problem = "starting", None
        await self._record(invoice)

        async def before_send() -> None:
            invoice.sent_at = datetime.now(UTC)
            await self._record(invoice)

        assert invoice.file is not None
        try:
            run_id = await self._api.start_once(
                upload_id=invoice.id,
                file_name=invoice.file_name,
                file=invoice.file,
                earlier=invoice.sent_at,
                before_send=before_send,
            )
        except StartUncertainError:
            problem = (
                "It is uncertain whether Kognitos started the run, and it cannot be found. "
                "Check the history before you send the file again."
            )
            return await self._failed(invoice, problem, can_retry=False)
        except KognitosError as error:
            if isinstance(error, APIStatusError) and error.method == "POST" and error.status < 500:
                invoice.sent_at = None  # the start was rejected: there is nothing to look up
            return await self._failed(invoice, f"The run could not be started: {error}", can_retry=True)
        invoice.run_id, invoice.step = run_id, "started"
        await self._record(invoice)
        return invoice

    async def _failed(self, invoice: Invoice, problem: str, *, can_retry: bool) -> Invoice:
        invoice.step, invoice.problem, invoice.can_retry = "failed", problem, can_retry
        await self._record(invoice)
        return invoice

    async def _record(self, invoice: Invoice) -> None:
        """Replace the record atomically; on disk when this returns."""
        await anyio.to_thread.run_sync(write_safely, self._path(invoice.id), msgspec.json.encode(invoice))

    def _path(self, invoice_id: str) -> Path:
        return self._folder / f"{invoice_id}.json"


def write_safely(path: Path, content: bytes) -> None:
    """Replace a file atomically and durably."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
