"""The fence: what an execution that has lost its workflow may still record, and what not."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from dbos import DBOSClient

from kognitos_async import RunHandle
from kognitos_async.errors import JournalError
from kognitos_async.integrations.dbos.database import Database
from kognitos_async.integrations.dbos.ledger import NotOwnerError, WorkflowLedger
from tests.support import dbos_on_sqlite

pytestmark = dbos_on_sqlite

WORKFLOW = "kognitos:p:invoice 1"
OWNER = "UPDATE {workflows} SET status = :status, owner_xid = :token WHERE workflow_uuid = :workflow_id"


@pytest.fixture
def database(database_url):
    opened = Database(database_url)
    opened.prepare()
    client = DBOSClient(system_database_url=database_url)
    client.enqueue({"workflow_name": "kognitos_run", "queue_name": "q", "workflow_id": WORKFLOW})
    client.destroy()
    yield opened
    opened.close()


def owned_by(database, token, status="PENDING"):
    database.execute(OWNER, {"status": status, "token": token, "workflow_id": WORKFLOW})
    return WorkflowLedger(database, WORKFLOW, token, lambda: None)


async def test_only_the_owner_sends(database):
    """An execution that another one has replaced records no attempt, and so sends none."""
    frozen = owned_by(database, "first")
    assert (await frozen.begin("invoice 1")).state == "planned"
    successor = owned_by(database, "second")
    with pytest.raises(NotOwnerError, match="the start of 'invoice 1' was taken over"):
        await frozen.about_to_send("invoice 1", 1)
    assert (await successor.begin("invoice 1")).state == "planned"
    await successor.about_to_send("invoice 1", 1)
    entry = await successor.begin("invoice 1")
    assert (entry.state, entry.attempts) == ("starting", 1)
    assert entry.age is not None
    await frozen.not_sent()  # says nothing about the attempt of another
    assert (await successor.begin("invoice 1")).state == "starting"


async def test_a_cancelled_workflow_sends_nothing(database):
    """Nor does one that was put back into the queue."""
    for status in ("CANCELLED", "ENQUEUED"):
        ledger = owned_by(database, "first", status)
        await ledger.begin("invoice 1")
        with pytest.raises(JournalError):
            await ledger.about_to_send("invoice 1", 1)
        assert (await ledger.begin("invoice 1")).attempts == 0


async def test_a_run_that_is_known_forbids_another_start(database):
    """Also where it is told by the execution that was replaced: its answer came late."""
    frozen = owned_by(database, "first")
    await frozen.begin("invoice 1")
    await frozen.about_to_send("invoice 1", 1)
    successor = owned_by(database, "second")
    first, second = (
        RunHandle(id=one, agent_id="a", process_id="p", created_at=datetime.now(UTC)) for one in ("r1", "r2")
    )
    await frozen.started("invoice 1", first)
    with pytest.raises(JournalError):
        await successor.about_to_send("invoice 1", 2)
    await successor.started("invoice 1", second)
    assert (await successor.begin("invoice 1")).handle == msgspec.to_builtins(first)
