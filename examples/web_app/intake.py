"""Invoices on their way in: a restart neither loses one nor starts it twice."""

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
    """What is recorded of one invoice; before its run is started, all that is needed to find it again."""

    id: str
    file_name: str
    step: Literal["uploading", "starting", "started", "failed"] = "uploading"
    file: str | None = None
    """The stored file, once it is uploaded."""
    sent_at: datetime | None = None
    """When a start was sent that may have made the run."""
    run_id: str | None = None
    problem: str | None = None
    can_retry: bool = False
    """Whether sending the same file under the same id again may help."""


class Intake:
    """Takes invoices in and starts their runs. Each has a record in `folder`, written before each step.

    Usable inside `async with`: entering goes on with what an earlier process left, leaving gives starts under
    way some seconds to finish.
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
        for task in late:  # what was sent is on record: the next process looks it up
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def find(self, invoice_id: uuid.UUID) -> Invoice | None:
        """What is recorded, None if nothing is."""
        with suppress(FileNotFoundError):
            return msgspec.json.decode(self._path(str(invoice_id)).read_bytes(), type=Invoice)
        return None

    async def take(
        self, invoice_id: uuid.UUID, content: UploadSource, *, file_name: str, size: int
    ) -> Invoice:
        """The invoice once its run is started, or with the reason why there is none in `problem`.

        The same id again, at the same time or later, joins or returns the first; it goes on where that one
        failed, if that is certain to start nothing twice.
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
        return await asyncio.shield(task)  # a browser that goes away does not end a start half-way

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
                "Kognitos did not say whether the run was started, and it cannot be found. "
                "Look at the history before you send the file again."
            )
            return await self._failed(invoice, problem, can_retry=False)
        except KognitosError as error:
            if isinstance(error, APIStatusError) and error.method == "POST" and error.status < 500:
                invoice.sent_at = None  # the start itself was refused: there is nothing to look for
            return await self._failed(invoice, f"The run could not be started: {error}", can_retry=True)
        invoice.run_id, invoice.step = run_id, "started"
        await self._record(invoice)
        return invoice

    async def _failed(self, invoice: Invoice, problem: str, *, can_retry: bool) -> Invoice:
        invoice.step, invoice.problem, invoice.can_retry = "failed", problem, can_retry
        await self._record(invoice)
        return invoice

    async def _record(self, invoice: Invoice) -> None:
        """Replace the record in one step, on disk before anything else happens."""
        await anyio.to_thread.run_sync(write_safely, self._path(invoice.id), msgspec.json.encode(invoice))

    def _path(self, invoice_id: str) -> Path:
        return self._folder / f"{invoice_id}.json"


def write_safely(path: Path, content: bytes) -> None:
    """Replace a file: after a crash it is the old one or the new one, whole."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
