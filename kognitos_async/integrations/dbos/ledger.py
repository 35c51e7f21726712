"""The ledger of starts: intent and fence in one statement, in the database of the workflows."""

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
"""The state of a start that somebody has to decide about."""

_BEGIN = (
    "INSERT INTO {starts} (workflow_id, name, state) VALUES (:workflow_id, :name, 'planned') "
    "ON CONFLICT (workflow_id) DO NOTHING"
)
_READ = "SELECT state, attempts, {now} - since, handle FROM {starts} WHERE workflow_id = :workflow_id"
# The rows of the workflow and of its lock are read where they cannot change before this is committed.
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
# Not fenced: that the run exists is true whoever says so. The first one counts.
_STARTED = (
    "UPDATE {starts} SET state = 'started', run_id = :run_id, handle = :handle "
    "WHERE workflow_id = :workflow_id AND handle IS NULL"
)
_SETTLED = (
    "UPDATE {starts} SET state = 'settled', status = :status, run = :run "
    "WHERE workflow_id = :workflow_id AND state <> 'settled'"
)


class NotOwnerError(JournalError):
    """Another execution has taken the workflow over, or it was cancelled: this one must not start its run."""


class RunTakenError(JournalError):
    """The run is on record for another workflow."""


class LockLostError(JournalError):
    """The lock of this worker is gone, so that others may take its workflows over."""


class StartEntry(NamedTuple):
    """What is recorded of a start: `age` is in seconds, by the database's clock, and `handle` JSON-ready."""

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

    `token` is the ownership token of the execution: DBOS writes another one into the workflow's row whenever
    it hands the workflow to an executor, and none when it is cancelled or put back. `lock` gives
    that of the worker as it is, None on SQLite.
    """

    def __init__(
        self, database: Database, workflow_id: str, token: str, lock: Callable[[], Lock | None]
    ) -> None:
        self._database = database
        self._key = {"workflow_id": workflow_id}
        self._owned = {**self._key, "token": token}
        self._lock = lock

    async def begin(self, name: str) -> StartEntry:
        """What is recorded of the start, which is planned now if nothing was."""
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
        """Record that an attempt goes out next, if this execution still owns the workflow.

        Raises `NotOwnerError` where it does not, `LockLostError` where the worker's lock is gone, and
        `JournalError` when the database cannot be reached: nothing is recorded then, and nothing may be sent.
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
            raise LockLostError("the lock of this worker is gone")
        raise NotOwnerError(f"another worker has taken the start of {name!r} over, or it was cancelled")

    async def not_sent(self) -> None:
        """Record that the attempts so far certainly made no run."""
        await self._database.run_surely(_NOT_SENT, self._owned)

    async def uncertain(self) -> None:
        """Record that somebody has to decide about the start."""
        await self._database.run_surely(_UNCERTAIN, self._owned)

    async def started(self, name: str, handle: Any) -> None:
        """Record the run by its handle. Raises `RunTakenError` when it is another workflow's."""
        values = {**self._key, "run_id": run_key(handle), "handle": msgspec.json.encode(handle).decode()}
        try:
            await self._database.run_surely(_STARTED, values)
        except IntegrityError as problem:
            raise RunTakenError(
                f"run {run_key(handle)} is another request's, not that of {name!r}"
            ) from problem

    async def settled(self, name: str, run: Any) -> None:  # noqa: ARG002 - known by the workflow
        """Record the settled run: its status and itself."""
        await record_settled(self._database, self._key["workflow_id"], run)


async def record_settled(database: Database, workflow_id: str, run: Any) -> None:
    """Record the settled run of a workflow, whoever has read it."""
    values = {
        "workflow_id": workflow_id,
        "status": str(run.status),
        "run": msgspec.json.encode(run).decode(),
    }
    await database.run_surely(_SETTLED, values)
