"""The ledger of starts in the database of the workflows: intent and fence in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from kognitos_async.bulk.ledger import run_key
from kognitos_async.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.integrations.dbos.database import Database

UNCERTAIN = "uncertain"
"""The state of a start that a person must decide."""

_BEGIN = (
    "INSERT INTO {starts} (workflow_id, name, state) VALUES (:workflow_id, :name, 'planned') "
    "ON CONFLICT (workflow_id) DO NOTHING"
)
_READ = "SELECT state, attempts, {now} - since, handle FROM {starts} WHERE workflow_id = :workflow_id"
# The row of the workflow is locked, so that it cannot change before this is committed.
_ABOUT_TO_SEND = (
    "WITH owned AS (SELECT 1 FROM {workflows} WHERE workflow_uuid = :workflow_id AND status = 'PENDING' "
    "AND owner_xid = :token {share}) "
    "UPDATE {starts} SET state = 'starting', attempts = attempts + 1, since = {now} "
    "WHERE workflow_id = :workflow_id AND handle IS NULL AND EXISTS (SELECT 1 FROM owned)"
)
_LOCKED = (
    " AND EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = :lock_pid "
    "AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = :lock_key)"
)
_NOT_SENT = (
    "UPDATE {starts} SET state = 'planned', since = NULL "
    "WHERE workflow_id = :workflow_id AND state IN ('starting', 'uncertain') AND handle IS NULL "
    "AND EXISTS (SELECT 1 FROM {workflows} WHERE workflow_uuid = :workflow_id AND owner_xid = :token)"
)
_UNCERTAIN = (
    "UPDATE {starts} SET state = 'uncertain' WHERE workflow_id = :workflow_id AND handle IS NULL "
    "AND EXISTS (SELECT 1 FROM {workflows} WHERE workflow_uuid = :workflow_id AND owner_xid = :token)"
)
# Not fenced: that the run exists is true, whoever records it. The first one counts.
_STARTED = (
    "UPDATE {starts} SET state = 'started', run_id = :run_id, handle = :handle "
    "WHERE workflow_id = :workflow_id AND handle IS NULL"
)
_SETTLED = (
    "UPDATE {starts} SET state = 'settled', status = :status, run = :run "
    "WHERE workflow_id = :workflow_id AND state <> 'settled'"
)


class NotOwnerError(JournalError):
    """The workflow was taken over or cancelled: this execution must not start its run."""


class RunTakenError(JournalError):
    """The run is recorded for another workflow."""


class LockLostError(JournalError):
    """The worker has lost its lock, so that others may take over its workflows."""


class StartEntry(NamedTuple):
    """The record of a start. `age` is in seconds by the clock of the database, `handle` is JSON-ready."""

    state: str
    attempts: int
    age: float | None
    handle: dict[str, Any] | None


class Lock(NamedTuple):
    """The advisory lock of a worker: the server process that holds it, and its key."""

    pid: int
    key: int


class WorkflowLedger:
    """The `StartLedger` of one execution of a workflow.

    `token` is the ownership token of the execution: DBOS replaces it in the workflow's row whenever it
    assigns the workflow to an executor, and clears it on cancellation or requeueing. `lock` returns the
    current lock of the worker, None on SQLite.
    """

    def __init__(
        self, database: Database, workflow_id: str, token: str, lock: Callable[[], Lock | None]
    ) -> None:
        self._database = database
        self._key = {"workflow_id": workflow_id}
        self._owned = {**self._key, "token": token}
        self._lock = lock

    async def begin(self, name: str) -> StartEntry:
        """The record of the start, new if there is none."""
        rows = await self._database.run_surely(_READ, self._key)
        if not rows:
            await self._database.run_surely(_BEGIN, {**self._key, "name": name})
            rows = await self._database.run_surely(_READ, self._key)
        state, attempts, age, handle = rows[0]
        return StartEntry(
            state,
            attempts,
            None if age is None else max(0.0, float(age)),
            None if handle is None else msgspec.json.decode(handle),
        )

    async def about_to_send(self, name: str, attempt: int) -> None:  # noqa: ARG002 - the ledger counts
        """Record that an attempt is about to be sent, if this execution still owns the workflow.

        Raises `NotOwnerError` if it does not, `LockLostError` if the worker has lost its lock, `JournalError`
        if the database cannot be reached. Then nothing is recorded, and nothing may be sent.
        """
        statement = _ABOUT_TO_SEND
        values: dict[str, Any] = dict(self._owned)
        lock = self._lock()
        if lock is not None:
            statement += _LOCKED
            values |= {"lock_pid": lock.pid, "lock_key": lock.key}
        try:
            if await self._database.run(f"{statement} RETURNING 1", values):
                return
            owned = await self._database.run(
                "SELECT 1 FROM {workflows} WHERE workflow_uuid = :workflow_id AND status = 'PENDING' "
                "AND owner_xid = :token",
                self._owned,
            )
            started = await self._database.run(
                "SELECT 1 FROM {starts} WHERE workflow_id = :workflow_id AND handle IS NOT NULL", self._key
            )
        except SQLAlchemyError as problem:
            raise JournalError(f"cannot record the start of {name!r}: {problem}") from problem
        if owned and not started and lock is not None:
            raise LockLostError("this worker has lost its lock")
        raise NotOwnerError(f"the start of {name!r} was taken over by another worker, or cancelled")

    async def not_sent(self) -> None:
        """Record that the attempts so far certainly created no run."""
        await self._database.run_surely(_NOT_SENT, self._owned)

    async def uncertain(self) -> None:
        """Record that a person must decide the start."""
        await self._database.run_surely(_UNCERTAIN, self._owned)

    async def started(self, name: str, handle: Any) -> None:
        """Record the run by its handle. Raises `RunTakenError` if it belongs to another workflow."""
        values = {**self._key, "run_id": run_key(handle), "handle": msgspec.json.encode(handle).decode()}
        try:
            await self._database.run_surely(_STARTED, values)
        except IntegrityError as problem:
            raise RunTakenError(
                f"run {run_key(handle)} belongs to another request, not to {name!r}"
            ) from problem

    async def settled(self, name: str, run: Any) -> None:  # noqa: ARG002 - known by the workflow
        """Record the settled run and its status."""
        await record_settled(self._database, self._key["workflow_id"], run)


async def record_settled(database: Database, workflow_id: str, run: Any) -> None:
    """Record the settled run of a workflow."""
    values = {
        "workflow_id": workflow_id,
        "status": str(run.status),
        "run": msgspec.json.encode(run).decode(),
    }
    await database.run_surely(_SETTLED, values)
