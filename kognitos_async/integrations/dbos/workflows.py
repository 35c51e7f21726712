"""`KognitosWorkflows`: enqueue requests from any process, and run workers for them."""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from dbos import DBOSClient, EnqueueOptions
from dbos._error import DBOSWorkflowIDInUseError  # public as `dbos.error`, which is no module

from kognitos_async import checks
from kognitos_async.integrations.dbos.apis import Api, Plan, PlatformV1, RestV2
from kognitos_async.integrations.dbos.database import Database, database_url
from kognitos_async.integrations.dbos.handles import ChangedWorkflowError, WorkflowHandle
from kognitos_async.integrations.dbos.resolving import Resolution, plan_of
from kognitos_async.integrations.dbos.status import EngineStatus, read_status
from kognitos_async.integrations.dbos.worker import WORKFLOW, Worker, queue_name, version_name

if TYPE_CHECKING:
    from collections.abc import Callable

ROLES = ("start", "wait", "both")
_ENQUEUED = "SELECT 1 FROM {workflows} WHERE workflow_uuid = :workflow_id"
_NAME = re.compile(r"[a-z0-9_-]{3,64}")


class KognitosWorkflows:
    """Durable runs of REST API v2 (`KognitosPlatformWorkflows` is for the platform API).

    Each request is a DBOS workflow with durable steps: upload its files, start it once, wait for its run. If
    a process ends at any moment, another one continues, and no run is started twice or lost.

    Args:
        client_settings: The arguments of `KognitosClient`; omitted ones come from the environment. They stay
        in
            this process: the database contains requests and runs, but no key.
        database_url: PostgreSQL 14 or newer for any number of workers, or a SQLite file for one. By default
            `KOGNITOS_DATABASE_URL`, else `kognitos.sqlite` in the working directory. A pooler such as
            PgBouncer must use session mode.
        capacity: Maximum number of unsettled runs, over all workers. starts_per_second: Maximum rate at which
        workflows are taken from the queue, over all workers; None for
            no limit. Workflows taken over from a dead worker count again.
        on_settled: A function or coroutine function called with each settled run, as a step: again if the
            worker ends before the step is recorded, and up to seven times in about a minute if it raises.
            After that the outcome is `OnSettledError`; `resolve` with the run calls it again.
        name: The name of the queue, one per organization in a shared database: 3 to 64 of a-z, 0-9, - and _.
            All processes of an organization use the same.
        absence_delay: Seconds after which a run certainly shows in lists, see `runs.start_once`.

    Raises `ConfigurationError` for any other database, `TypeError` or `ValueError` for invalid arguments.
    Connects on first use.
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
        """Start a worker in this process, until the process ends or `close` is called. Does not block.

        `role` is `start`, `wait` or `both`. Any number of workers start runs; one of those that may wait
        polls for all, so that requests do not grow with workers, and is replaced when it dies. SQLite
        supports one worker, with the role `both`.

        A worker on PostgreSQL that has lost the session of its lock (frozen for more than 12 s, or
        disconnected) ends the process with exit code 75: run it under a supervisor that restarts it. It
        survives a restart of the server.

        `executor_id` identifies this worker. By default it is random, and workflows of a dead worker are
        taken over within 15 s. With a stable id, such as the pod name of a StatefulSet, a restarted worker
        resumes its own workflows at once. `log_level` is that of the logger `dbos`.

        One worker per process: it launches DBOS, which also runs workflows of your own registered before.
        Raises `RuntimeError` for a second worker, `ConfigurationError` if the database or the executor id is
        in use or a setting is invalid, and errors of the database.
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
        """Shut down the worker. Blocks until the starts in flight are recorded, at most 45 s.

        Waits are left to other workers or the next launch.
        """
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        if self._client is not None:
            self._client.destroy()
            self._client = None
        self._database.close()

    async def enqueue(self, request: Any) -> WorkflowHandle:
        """Enqueue a request and return the handle of its workflow.

        Idempotent: a workflow is identified by the process (platform API: the automation) and the name of the
        request, and enqueueing it again returns the same one. `files` are paths that every worker can read,
        or content, which is stored in the database.

        Raises `ChangedWorkflowError` if a different request has that name, `TypeError` or `ValueError` if the
        request cannot be sent, `ConfigurationError` if no agent is known.
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
        """The handle of an enqueued request, by its process and name; does not check that it exists."""
        plan = self._requests.plan(request)
        client = await asyncio.to_thread(self._connected)
        return WorkflowHandle(client, self._requests, plan.workflow_id, plan.name)

    def is_enqueued(self, request: Any) -> bool:
        """Whether a request with that process and name was enqueued, whatever became of it. Blocks."""
        plan = self._requests.plan(request)
        if not self._database.exists:
            return False
        self._connected()
        return bool(self._database.execute(_ENQUEUED, {"workflow_id": plan.workflow_id}))

    async def status(self) -> EngineStatus:
        """The number of runs in each state, and the workers."""
        await asyncio.to_thread(self._connected)
        return await asyncio.to_thread(read_status, self._database, self._name)

    async def resolve(
        self, name: str, *, run: str | None = None, not_started: bool = False
    ) -> WorkflowHandle:
        """Decide an uncertain start and resume its workflow.

        Give either `run`, the id of the run that the start created, or `not_started` to start the request
        now. Also resumes a workflow that was cancelled, whose file could not be uploaded, whose start the API
        rejected, or whose settled `run` was not handed on. Raises `KognitosError` if no workflow of that name
        has ended without an outcome, if it has a run and none or another one is given, or if the run belongs
        to another workflow; `ValueError` for text that is no id, on the platform API no run's name.
        """
        checks.text("name", name)
        if run is not None:
            checks.text("run", run)
        if (run is None) is not not_started:
            raise ValueError("exactly one of run and not_started must be given")
        client = await asyncio.to_thread(self._connected)
        decision = Resolution(self._requests, self._database, client, self._name, name, run)
        workflow_id = await decision.apply()
        return WorkflowHandle(client, self._requests, workflow_id, name)

    async def _check_equal(self, client: DBOSClient, plan: Plan) -> None:
        known = await plan_of(client, plan.workflow_id)
        same = self._requests.fingerprint
        if same(known.body()) != same(plan.body()):
            raise ChangedWorkflowError(
                f"a different request was already enqueued as {plan.name!r}: use another name"
            )

    def _connected(self) -> DBOSClient:
        with self._connecting:
            if self._client is None:
                self._database.prepare()
                self._client = DBOSClient(system_database_url=self._database.url, application_name=self._name)
            return self._client


class KognitosPlatformWorkflows(KognitosWorkflows):
    """Like `KognitosWorkflows`, for the platform API.

    `enqueue` takes an `InvokeRequest`, `client_settings` are the arguments of `PlatformClient`, and
    `handle.result()` is a `PlatformRun`. Invocations have no name, so that absence cannot be proven: if an
    answer was lost and the run is not found, the outcome is `StartUncertainError` until `resolve` decides.
    Requests without a name are identified by their content: equal ones share a workflow.
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
