"""Invoices on their way in, a small file for each: a restart neither loses one nor starts it twice."""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from kognitos_async import FileRef, InvokeRequest, KognitosError, PlatformClient, StartUncertainError
from kognitos_async.uploads.sources import AsyncReader


class Invoice(msgspec.Struct, kw_only=True):
    """What is recorded of one invoice: before its run is started all that is needed to find it again."""

    id: str
    file_name: str
    step: Literal["uploading", "starting", "started", "failed"] = "uploading"
    file: str | None = None
    """The full name of the stored file: no other run has it as its input."""
    sent_at: datetime | None = None
    run_id: str | None = None
    problem: str | None = None


class Intake:
    """Takes invoices in and starts their runs; `folder` holds the records."""

    def __init__(self, client: PlatformClient, automation: str, folder: Path) -> None:
        self._client = client
        self._automation = automation
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, invoice_id: uuid.UUID) -> Invoice | None:
        """What is recorded, None if nothing is."""
        try:
            return msgspec.json.decode(self._path(str(invoice_id)).read_bytes(), type=Invoice)
        except FileNotFoundError:
            return None

    async def take(self, invoice_id: uuid.UUID, file_name: str, content: AsyncReader, size: int) -> Invoice:
        """The invoice once its run is started, or the reason why there is none in `problem`."""
        invoice = Invoice(id=str(invoice_id), file_name=file_name)
        self._record(invoice)
        try:
            stored = await self._client.files.upload(content, file_name=file_name, size=size)
        except KognitosError as error:
            return self._failed(invoice, f"The file could not be uploaded: {error}")
        invoice.file, invoice.step = stored.name, "starting"
        self._record(invoice)
        return await self._start(invoice)

    async def go_on(self) -> None:
        """Finish what an earlier process left: a start that may have been sent is looked up, not repeated."""
        for path in self._folder.glob("*.json"):
            invoice = msgspec.json.decode(path.read_bytes(), type=Invoice)
            if invoice.step == "uploading":
                self._failed(invoice, "The server was restarted during the upload. Drop the file again.")
            elif invoice.step == "starting":
                await self._start(invoice)

    async def _start(self, invoice: Invoice) -> Invoice:
        request = InvokeRequest(
            automation=self._automation,
            inputs={"invoice": FileRef(invoice.file), "file name": invoice.file_name},
        )

        async def before_send() -> None:
            invoice.sent_at = datetime.now(UTC)
            self._record(invoice)

        try:
            run = await self._client.automations.start_once(
                request, earlier=invoice.sent_at, before_send=before_send
            )
        except StartUncertainError:
            return self._failed(
                invoice,
                "The answer of Kognitos was lost, and no run of this file is listed. "
                "Look at the history before dropping it again.",
            )
        except KognitosError as error:
            return self._failed(invoice, f"The run could not be started: {error}")
        invoice.run_id, invoice.step = run.id, "started"
        self._record(invoice)
        return invoice

    def _failed(self, invoice: Invoice, problem: str) -> Invoice:
        invoice.step, invoice.problem = "failed", problem
        self._record(invoice)
        return invoice

    def _record(self, invoice: Invoice) -> None:
        """Replace the record in one step, on disk before anything else happens."""
        path = self._path(invoice.id)
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(msgspec.json.encode(invoice))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def _path(self, invoice_id: str) -> Path:
        return self._folder / f"{invoice_id}.json"
