"""`KognitosWorkflows`: enqueue requests from anywhere, and work on them."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from dbos import DBOSClient, EnqueueOptions
from dbos._error import DBOSWorkflowIDInUseError  # public as `dbos.error`, which is no module
from sqlalchemy.exc import IntegrityError

from kognitos_async import checks
from kognitos_async.bulk.ledger import run_key
from kognitos_async.errors import KognitosError
from kognitos_async.integrations.dbos.apis import Api, Plan, PlatformV1, RestV2
from kognitos_async.integrations.dbos.database import Database, database_url
from kognitos_async.integrations.dbos.handles import ChangedWorkflowError, WorkflowHandle
from kognitos_async.integrations.dbos.status import EngineStatus, read_status
from kognitos_async.integrations.dbos.worker import START_STEP, WORKFLOW, Worker, queue_name, version_name

if TYPE_CHECKING:
    from collections.abc import Callable

ROLES = ("start", "wait", "both")
_NAME = re.compile(r"[a-z0-9_-]{3,64}")

_NAMED = (
    "SELECT s.workflow_id FROM {starts} s JOIN {workflows} w ON w.workflow_uuid = s.workflow_id "
    "WHERE s.name = :name AND w.application_name = :scope AND w.status IN ('ERROR', 'CANCELLED') LIMIT 2"
)
_DECIDED = (
    "UPDATE {starts} SET state = :state, run_id = :run_id, handle = :handle, since = NULL, status = NULL, "
    "run = NULL "
    "WHERE workflow_id = :workflow_id AND state <> 'settled' "
    "AND (handle IS NULL OR CAST(:handle AS TEXT) IS NOT NULL) RETURNING 1"
)


class KognitosWorkflows:
    """Durable runs of REST API v2 (`KognitosPlatformWorkflows` is for the platform API).

    Each request is a workflow of DBOS: its files are uploaded, it is started once, its run waited for, each a
    durable step. Any process may end at any moment; another one goes on, and no run is started twice or lost.

    Args:
        client_settings: The arguments of `KognitosClient`; those left out come from the environment. They
            stay in this process: the database holds requests and runs, no key.
        database_url: PostgreSQL 14 or newer for any number of workers, or a SQLite file for one. Else
            `KOGNITOS_DATABASE_URL`, else `kognitos.sqlite` in the working directory. The connection must hold
            a session: a pooler such as PgBouncer has to be in session mode.
        capacity: How many runs may be unsettled at a time, over all workers.
        starts_per_second: How many workflows may be taken up a second, over all workers; None for no limit.
            Those that a dead worker held count once more.
        on_settled: A function or coroutine function that is called with each settled run, as a step: again
            where its worker ends before the step is recorded, five times where it raises.
        name: What parts one organization's queue from another's in one database: 3 to 64 of a-z, 0-9, - and
            _. All processes of an organization give the same.
        absence_delay: Seconds after which a run certainly shows in lists: see `runs.start_once`.

    Raises `ConfigurationError` for a database that is neither, `TypeError` and `ValueError` for wrong
    arguments. Nothing is connected before the first call.
    """

    _api: ClassVar[type[RestV2 | PlatformV1]] = RestV2

    def __init__(
        self,
        client_settings: Mapping[str, Any] | None = None,
        *,
        database_url: str | None = None,
        capacity: int = 150,
        starts_per_second: float | None = 10.0,
        on_settled: Callable[[Any], object] | None = None,
        name: str = "kognitos",
        absence_delay: float = 5.0,
    ) -> None:
        if client_settings is not None and not isinstance(client_settings, Mapping):
            kind = type(client_settings).__name__
            raise TypeError(f"client_settings must be a mapping of client arguments, got {kind}")
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity must be an int, got {type(capacity).__name__}")
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        _check_rate(starts_per_second)
        if on_settled is not None and not callable(on_settled):
            raise TypeError(f"on_settled must be a callable, got {type(on_settled).__name__}")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"name must be 3 to 64 of a-z, 0-9, - and _, got {name!r}")
        self._requests: Api = self._api(dict(client_settings or {}))
        self._database = Database(_url(database_url))
        self._capacity = capacity
        self._starts_per_second = starts_per_second
        self._on_settled = on_settled
        self._name = name
        self._absence_delay = checks.seconds("absence_delay", absence_delay)
        self._worker: Worker | None = None
        self._client: DBOSClient | None = None
        self._connecting = threading.Lock()

    def launch(
        self, role: str = "both", *, executor_id: str | None = None, log_level: str = "WARNING"
    ) -> None:
        """Work on what is enqueued, in this process until it ends or `close` is called. Returns at once.

        `role` is `start`, `wait` or `both`. Any number of workers start runs; one of those that may wait
        polls for all, so that requests do not grow with workers, and when it dies another one does. SQLite
        is for one worker, in the role `both`.

        A worker on PostgreSQL that has lost the session of its lock (it was frozen for more than 12 s, or
        cut off) ends the process with exit code 75: run it under something that starts it again. A restart
        of the server is survived.

        `executor_id` is who this worker is; by default no two ever are the same, and workflows of a dead one
        are taken over within 15 s. A stable id, such as a StatefulSet's pod name, makes a worker that comes
        back go on with its own at once. `log_level` is that of the logger `dbos`.

        One worker a process: DBOS is launched by it, and workflows of your own that are registered before
        run in it too. Raises `RuntimeError` for a second one, `ConfigurationError` when the database or the
        executor id is in use or the settings are wrong, and what the database raises.
        """
        if role not in ROLES:
            raise ValueError(f"role must be start, wait or both, got {role!r}")
        worker = Worker(
            self._requests,
            self._database,
            scope=self._name,
            role=role,
            executor_id=executor_id,
            capacity=self._capacity,
            starts_per_second=self._starts_per_second,
            on_settled=self._on_settled,
            absence_delay=self._absence_delay,
            log_level=log_level,
        )
        worker.launch()
        self._worker = worker

    def close(self) -> None:
        """Stop working, in good order: starts on their way are finished and recorded, at most 45 s; what is
        waited for is left to other workers, or to the next launch. Blocks.
        """
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        if self._client is not None:
            self._client.destroy()
            self._client = None
        self._database.close()

    async def enqueue(self, request: Any) -> WorkflowHandle:
        """The workflow of `request`, which is enqueued unless it is already.

        What makes a workflow the only one is the process (on the platform API the automation) and the name of
        the request: enqueueing it again, from anywhere and at any time, returns the same one. `files` are
        paths that every worker can read, or content, which goes into the database.

        Raises `ChangedWorkflowError` where another request has that name, `TypeError` and `ValueError` for
        what cannot be sent, `ConfigurationError` where no agent is known.
        """
        plan = self._requests.plan(request)
        client = await asyncio.to_thread(self._connected)
        options = EnqueueOptions(
            workflow_name=WORKFLOW,
            queue_name=queue_name(self._name),
            workflow_id=plan.workflow_id,
            workflow_id_reuse_policy="reject",
            app_version=version_name(self._name),
        )
        try:
            await client.enqueue_async(options, msgspec.to_builtins(plan, builtin_types=(bytes,)))
        except DBOSWorkflowIDInUseError:
            await self._check_equal(client, plan)
        return WorkflowHandle(client, self._requests, plan.workflow_id, plan.name)

    async def handle(self, request: Any) -> WorkflowHandle:
        """The workflow of a request that was enqueued, by its process and name; nothing is asked yet."""
        plan = self._requests.plan(request)
        client = await asyncio.to_thread(self._connected)
        return WorkflowHandle(client, self._requests, plan.workflow_id, plan.name)

    async def status(self) -> EngineStatus:
        """How many runs are where."""
        await asyncio.to_thread(self._connected)
        return await asyncio.to_thread(read_status, self._database, self._name)

    async def resolve(
        self, name: str, *, run: str | None = None, not_started: bool = False
    ) -> WorkflowHandle:
        """Decide about a start that could not be told, and let its workflow go on.

        Exactly one of `run`, the id of the run that it made, and `not_started`: it made none, so it is
        started now. A workflow that was cancelled, or whose start the API refused, goes on too. Raises
        `KognitosError` where there is none of that name that has ended without a run, and for a run that
        is another workflow's.
        """
        checks.text("name", name)
        if (run is None) is not not_started:
            raise ValueError("exactly one of run and not_started must be given")
        client = await asyncio.to_thread(self._connected)
        rows = await self._database.run(_NAMED, {"name": name, "scope": self._name})
        if len(rows) != 1:
            found = "several workflows of that name have" if rows else "no workflow of that name has"
            raise KognitosError(f"{name!r} cannot be resolved: {found} ended without a settled run")
        [(workflow_id,)] = rows
        plan = await self._plan(client, workflow_id)
        decided = {"state": "planned", "run_id": None, "handle": None, "workflow_id": workflow_id}
        if run is not None:
            made = self._requests.handle(checks.text("run", run), plan.body(), datetime.now(UTC))
            decided |= {
                "state": "started",
                "run_id": run_key(made),
                "handle": msgspec.json.encode(made).decode(),
            }
        try:
            known = await self._database.run(_DECIDED, decided)
        except IntegrityError:
            raise KognitosError(f"{name!r} cannot be resolved: run {run} is another request's") from None
        if not known:
            raise KognitosError(f"{name!r} cannot be resolved: it has a run")
        steps = await client.list_workflow_steps_async(workflow_id)
        first = next((one["function_id"] for one in steps if one["function_name"] == START_STEP), 1)
        await asyncio.to_thread(
            client.rewind_workflow, workflow_id, start_step=first, queue_name=queue_name(self._name)
        )
        return WorkflowHandle(client, self._requests, workflow_id, name)

    async def _check_equal(self, client: DBOSClient, plan: Plan) -> None:
        known = await self._plan(client, plan.workflow_id)
        same = self._requests.fingerprint
        if same(known.body()) != same(plan.body()):
            raise ChangedWorkflowError(
                f"another request was enqueued as {plan.name!r} before: give this one another name"
            )

    async def _plan(self, client: DBOSClient, workflow_id: str) -> Plan:
        handle: Any = await client.retrieve_workflow_async(workflow_id)
        stored = (await handle.get_status()).input
        return msgspec.convert(stored["args"][0], Plan)

    def _connected(self) -> DBOSClient:
        with self._connecting:
            if self._client is None:
                self._database.prepare()
                self._client = DBOSClient(system_database_url=self._database.url, application_name=self._name)
            return self._client


class KognitosPlatformWorkflows(KognitosWorkflows):
    """The same for the platform API: `enqueue` takes `InvokeRequest`, `client_settings` are the arguments of
    `PlatformClient`, and `handle.result()` is a `PlatformRun`.

    Nothing marks an invocation, so that its absence cannot be proven: where an answer was lost and the run is
    not found, the outcome is `StartUncertainError` until `resolve` decides. A request without a name is known
    by its content: equal ones are one.
    """

    _api = PlatformV1


def _check_rate(starts_per_second: object) -> None:
    if starts_per_second is None:
        return
    if isinstance(starts_per_second, bool) or not isinstance(starts_per_second, int | float):
        raise TypeError(f"starts_per_second must be a number, got {type(starts_per_second).__name__}")
    if not 0 < starts_per_second < math.inf:
        raise ValueError(f"starts_per_second must be above 0 and finite, got {starts_per_second}")


_url = database_url
