"""Journals without a client: fingerprints are the records themselves, runs hold what is recorded of them."""

from __future__ import annotations

import msgspec

from kognitos_async import Journal
from kognitos_async.bulk.journal_writer import JournalWriter


class RunRecord(msgspec.Struct):
    id: str
    status: str = "Succeeded"


def writer(path, api="rest_v2"):
    return JournalWriter(path, api=api, fingerprint=lambda record: record)


def summary(path):
    with Journal(path) as journal:
        return journal.summary()


async def record(path, name, *, state="settled", request=b"{}", run_id="r1"):
    """Bring one request into a state."""
    async with writer(path) as journal:
        await journal.begin(name, request)
        if state != "planned":
            await journal.about_to_send(name, 1)
        if state in ("started", "settled"):
            await journal.started(name, RunRecord(run_id))
        if state == "settled":
            await journal.settled(name, RunRecord(run_id))
