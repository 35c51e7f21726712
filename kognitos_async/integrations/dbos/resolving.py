"""Resume a workflow that has ended without an outcome, with what a person decided about its start."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from dbos._error import DBOSException  # public as `dbos.error`, which is no module
from sqlalchemy.exc import IntegrityError

from kognitos_async.bulk.ledger import run_key
from kognitos_async.errors import KognitosError
from kognitos_async.integrations.dbos.apis import Api, Plan
from kognitos_async.integrations.dbos.worker import START_STEP, WORKFLOW, queue_name

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kognitos_async.integrations.dbos.database import Database

# A workflow that ended before its first step has no start on record; its id ends with the name.
_NAMED = (
    "SELECT w.workflow_uuid FROM {workflows} w LEFT JOIN {starts} s ON s.workflow_id = w.workflow_uuid "
    "WHERE w.name = :workflow AND w.application_name = :scope AND w.status IN ('ERROR', 'CANCELLED') "
    "AND (s.name = :name OR (s.name IS NULL AND "
    "substr(w.workflow_uuid, length(w.workflow_uuid) - :length) = :ending))"
)
_KNOWN = "SELECT state, run_id FROM {starts} WHERE workflow_id = :workflow_id"
# Only while the workflow is ended: once it is resumed, its start may be in flight.
_DECIDED = (
    "WITH ended AS (SELECT workflow_uuid FROM {workflows} WHERE workflow_uuid = :workflow_id "
    "AND status IN ('ERROR', 'CANCELLED') {share}) "
    "INSERT INTO {starts} AS known (workflow_id, name, state, run_id, handle) "
    "SELECT workflow_uuid, CAST(:name AS TEXT), CAST(:state AS TEXT), CAST(:run_id AS TEXT), "
    "CAST(:handle AS TEXT) FROM ended WHERE true "
    "ON CONFLICT (workflow_id) DO UPDATE SET state = excluded.state, run_id = excluded.run_id, "
    "handle = excluded.handle, since = NULL, status = NULL, run = NULL "
    "WHERE known.state <> 'settled' AND (known.handle IS NULL OR excluded.handle IS NOT NULL) RETURNING 1"
)


async def plan_of(client: DBOSClient, workflow_id: str) -> Plan:
    """The request of a workflow, as stored."""
    handle: Any = await client.retrieve_workflow_async(workflow_id)
    stored = (await handle.get_status()).input
    return msgspec.convert(stored["args"][0], Plan)


class Resolution:
    """The decision about one request; `run` is the id of its run, None if it was not started."""

    def __init__(
        self, api: Api, database: Database, client: DBOSClient, scope: str, name: str, run: str | None
    ) -> None:
        self._api = api
        self._database = database
        self._client = client
        self._scope = scope
        self._name = name
        self._run = run

    async def apply(self) -> str:
        """Record the decision, resume the workflow, and return its id. Raises `KognitosError`."""
        workflow_id, plan = await self._ended()
        made = None if self._run is None else self._api.handle(self._run, plan.body(), datetime.now(UTC))
        for state, run_id in await self._database.run(_KNOWN, {"workflow_id": workflow_id}):
            if run_id is not None and (made is None or run_key(made) != run_id):
                raise self._refusal(f"it already has run {run_id}, give that one to resume it")
            if state == "settled":
                await self._rewind(workflow_id)
                return workflow_id
        await self._record(workflow_id, made)
        await self._rewind(workflow_id)
        return workflow_id

    async def _ended(self) -> tuple[str, Plan]:
        """The one ended workflow of that name."""
        ending = f":{self._name}"
        values = {"workflow": WORKFLOW, "scope": self._scope, "name": self._name}
        rows = await self._database.run(_NAMED, {**values, "ending": ending, "length": len(ending) - 1})
        plans = {workflow_id: await plan_of(self._client, workflow_id) for (workflow_id,) in rows}
        found = [(workflow_id, plan) for workflow_id, plan in plans.items() if plan.name == self._name]
        if len(found) != 1:
            several = "several workflows of that name have" if found else "no workflow of that name has"
            raise self._refusal(f"{several} ended without an outcome")
        return found[0]

    async def _record(self, workflow_id: str, made: Any) -> None:
        decided = {
            "workflow_id": workflow_id,
            "name": self._name,
            "state": "planned" if made is None else "started",
            "run_id": None if made is None else run_key(made),
            "handle": None if made is None else msgspec.json.encode(made).decode(),
        }
        try:
            recorded = await self._database.run(_DECIDED, decided)
        except IntegrityError:
            raise self._refusal(f"run {self._run} belongs to another request") from None
        if not recorded:
            raise self._refusal("it was resumed or got a run meanwhile")

    async def _rewind(self, workflow_id: str) -> None:
        """Resume with the first step that has not succeeded, at the latest with the start."""
        steps = await self._client.list_workflow_steps_async(workflow_id)
        again = (
            step["function_id"]
            for step in steps
            if step["error"] is not None or step["function_name"] == START_STEP
        )
        after_all = steps[-1]["function_id"] + 1 if steps else 1
        try:
            await asyncio.to_thread(
                self._client.rewind_workflow,
                workflow_id,
                start_step=next(again, after_all),
                queue_name=queue_name(self._scope),
            )
        except DBOSException as problem:
            raise self._refusal(f"it cannot be resumed: {problem}") from problem

    def _refusal(self, why: str) -> KognitosError:
        return KognitosError(f"{self._name!r} cannot be resolved: {why}")
