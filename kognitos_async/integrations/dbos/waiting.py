"""Waiting: one worker polls for the runs of all, and each worker reads settled runs from the database."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.integrations.dbos.ledger import record_settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kognitos_async.integrations.dbos.apis import Api
    from kognitos_async.integrations.dbos.database import Database
    from kognitos_async.integrations.dbos.executor_lock import Presence

_logger = logging.getLogger("kognitos_async")

_LOOK = 0.5
"""Seconds between queries of the database."""
_AGAIN = 15.0
"""Seconds until a failed wait is retried."""

_OPEN = (
    "SELECT s.workflow_id, s.handle FROM {starts} s JOIN {workflows} w ON w.workflow_uuid = s.workflow_id "
    "WHERE s.state = 'started' AND w.status IN ('PENDING', 'ENQUEUED') AND w.application_name = :scope"
)
_SETTLED = "SELECT workflow_id, run FROM {starts} WHERE state = 'settled' AND workflow_id IN ({ids})"


class Poller:
    """Waits for the runs of all workers while this worker is the poller.

    All waits share one client and its list polls: a hundred runs of a process cost one request. Cancelling a
    workflow ends only its wait. Two pollers at the same time are harmless.
    """

    def __init__(self, api: Api, client: Any, database: Database, presence: Presence, scope: str) -> None:
        self._api = api
        self._client = client
        self._database = database
        self._presence = presence
        self._scope = scope
        self._waits: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                rows = []
                if self._presence.polls:
                    rows = await self._database.run_surely(_OPEN, {"scope": self._scope})
                self._follow(dict(map(tuple, rows)))
                await asyncio.sleep(_LOOK)
        finally:
            self._follow({})

    def _follow(self, handles: dict[str, str]) -> None:
        """Wait for exactly these runs."""
        for workflow_id in [one for one in self._waits if one not in handles]:
            self._waits.pop(workflow_id).cancel()
        for workflow_id, handle in handles.items():
            if workflow_id not in self._waits:
                self._waits[workflow_id] = asyncio.create_task(self._wait(workflow_id, handle))

    async def _wait(self, workflow_id: str, handle: str) -> None:
        run = self._api.load_handle(msgspec.json.decode(handle))
        while True:
            try:
                settled = await self._client.wait_for_run(run)
            except Exception as problem:  # noqa: BLE001 - may be fixed from outside, such as a key: retried
                _logger.warning("the wait for run %s failed and will be retried: %s", run.id, problem)
                await asyncio.sleep(_AGAIN)
            else:
                await record_settled(self._database, workflow_id, settled)
                return


class Arrivals:
    """Delivers settled runs to the workflows of this worker."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._expected: dict[str, set[asyncio.Future[dict[str, Any]]]] = {}

    async def settled(self, workflow_id: str) -> dict[str, Any]:
        """Wait for the settled run of a workflow, JSON-ready."""
        expected = self._expected.setdefault(
            workflow_id, set()
        )  # an execution that was replaced may wait too
        arrival: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        expected.add(arrival)
        try:
            return await arrival
        finally:
            expected.discard(arrival)
            if not expected and self._expected.get(workflow_id) is expected:
                del self._expected[workflow_id]

    async def run(self) -> None:
        """Check for settled runs until cancelled."""
        while True:
            if self._expected:
                ids = dict(enumerate(self._expected))
                names = ", ".join(f":id{number}" for number in ids)
                rows = await self._database.run_surely(
                    _SETTLED.replace("{ids}", names), {f"id{number}": one for number, one in ids.items()}
                )
                for workflow_id, run in rows:
                    for arrival in self._expected.pop(workflow_id, ()):
                        if not arrival.done():
                            arrival.set_result(msgspec.json.decode(run))
            await asyncio.sleep(_LOOK)


async def kept_up(work: Callable[[], Awaitable[None]]) -> None:
    """Restart endless work when it fails: otherwise this worker would hold its runs forever."""
    while True:
        try:
            await work()
        except Exception:
            _logger.exception("checking for runs failed and will be retried")
        await asyncio.sleep(_AGAIN)
