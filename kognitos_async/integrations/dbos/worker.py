"""A worker: DBOS executes the workflows, one client in its own event loop sends the requests."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, StepOptions

# The ownership token of an execution, also in the workflow's row; DBOS has no public name for it.
from dbos._context import current_owner_xid

from kognitos_async.errors import ConfigurationError
from kognitos_async.integrations.dbos.apis import Api, Plan
from kognitos_async.integrations.dbos.executor_lock import AdvisoryLock, FilePresence, Presence
from kognitos_async.integrations.dbos.handing_on import hand_on
from kognitos_async.integrations.dbos.starting import Starter
from kognitos_async.integrations.dbos.waiting import Arrivals, Poller, kept_up
from kognitos_async.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbos._queue import QueueRateLimit

    from kognitos_async.integrations.dbos.database import Database

WORKFLOW = "kognitos_run"
START_STEP = "kognitos_start"
_DRAINING = 45.0
"""Seconds for which a closing worker waits for starts in flight."""
_CONNECTIONS = 8
"""Database connections of DBOS; with ours and its listener a worker has at most 13."""
_QUEUE_LOOK = 0.5
"""Seconds between checks of the queue."""

_current: Worker | None = None


@DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
async def run_workflow(stored: dict[str, Any]) -> dict[str, Any]:
    """Upload the files of a request, start its run, wait for it, and return the settled run."""
    worker = _worker()
    plan = msgspec.convert(stored, Plan)
    ids = {}
    uploading = StepOptions(name="kognitos_upload", preemptible=True)
    for mark in plan.files:
        ids[mark] = await DBOS.run_step_async(uploading, worker.upload, plan, mark)
    await DBOS.run_step_async(StepOptions(name=START_STEP), worker.start, plan, ids)
    waiting = StepOptions(name="kognitos_wait", preemptible=True)
    run: dict[str, Any] = await DBOS.run_step_async(waiting, worker.wait, plan)
    if worker.on_settled is not None:
        await DBOS.run_step_async(StepOptions(name="kognitos_on_settled"), worker.hand_on, run)
    return run


def _worker() -> Worker:
    if _current is None:
        raise RuntimeError("this process is not a worker: call launch() first")
    return _current


class Worker:
    """The worker of this process, started by `KognitosWorkflows.launch`; one per process."""

    def __init__(
        self,
        api: Api,
        database: Database,
        *,
        scope: str,
        role: str,
        executor_id: str | None,
        capacity: int,
        starts_per_second: float | None,
        on_settled: Callable[[Any], object] | None,
        absence_delay: float,
        log_level: str,
    ) -> None:
        self.on_settled = on_settled
        self._api = api
        self._database = database
        self._scope = scope
        self._role = role
        # SQLite has one worker, with a fixed id: it resumes the workflows of the last one.
        local = None if database.is_postgres else "local"
        self._executor_id = (
            executor_id or local or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        )
        self._capacity = capacity
        self._starts_per_second = starts_per_second
        self._absence_delay = absence_delay
        self._log_level = log_level
        self._presence = self._make_presence()
        self._loop = LoopThread("kognitos-client")
        self._has_loop = False
        self._stack = AsyncExitStack()
        self._starter: Starter | None = None
        self._arrivals: Arrivals | None = None

    def _make_presence(self) -> Presence:
        may_poll = self._role != "start"
        if self._database.is_postgres:
            return AdvisoryLock(self._database.url, self._scope, self._executor_id, may_poll=may_poll)
        if self._role != "both":
            raise ConfigurationError("role must be both on SQLite, which supports one worker")
        return FilePresence(str(sa.make_url(self._database.url).database), polls=may_poll)

    def launch(self) -> None:
        """Start working; returns when the queues are served."""
        global _current  # noqa: PLW0603 - like DBOS, of which there is one per process
        if _current is not None:
            raise RuntimeError("this process is already a worker: call launch() once per process")
        _current = self
        try:
            self._database.prepare()
            self._presence.acquire()
            self._loop.start()
            self._has_loop = True
            self._loop.call(self._open())
            # In a thread without an event loop, so that DBOS creates its own instead of using the caller's.
            _in_thread(self._launch_dbos)
            self._presence.watch(self._take_over)
        except BaseException:
            self.close()
            raise

    async def _open(self) -> None:
        client = await self._stack.enter_async_context(self._api.client())
        self._starter = Starter(
            self._api, client, self._database, self._presence, absence_delay=self._absence_delay
        )
        self._arrivals = Arrivals(self._database)
        poller = Poller(self._api, client, self._database, self._presence, self._scope)
        for work in (poller.run, self._arrivals.run):
            self._stack.push_async_callback(_ended, asyncio.create_task(kept_up(work)))

    def _launch_dbos(self) -> None:
        # Before the launch, which serves only the queues that it finds: new ones are noticed a second later.
        client = DBOSClient(system_database_url=self._database.url, application_name=self._scope)
        try:
            client.register_queue(
                queue_name(self._scope),
                global_concurrency=self._capacity,
                limiter=_limiter(self._starts_per_second),
                polling_interval_sec=_QUEUE_LOOK,
            )
        finally:
            client.destroy()
        DBOS(
            config=DBOSConfig(
                name=self._scope,
                system_database_url=self._database.url,
                application_version=version_name(self._scope),
                executor_id=self._executor_id,
                log_level=self._log_level,
                sys_db_pool_size=_CONNECTIONS,
            )
        )
        if self._role == "wait":
            DBOS.listen_queues([])
        DBOS.launch()

    def close(self) -> None:
        """Shut down: record the starts in flight and leave everything else to other workers."""
        global _current  # noqa: PLW0603
        if self._starter is not None:
            with suppress(TimeoutError):
                self._loop.call(asyncio.wait_for(self._starter.drain(), _DRAINING))
        _in_thread(DBOS.destroy)
        if self._has_loop:
            self._loop.call(self._stack.aclose())
            self._loop.close()
        self._presence.release()
        _current = None

    def _take_over(self, executors: Sequence[str]) -> None:
        # The recovery that DBOS does at startup, and its Conductor for dead executors.
        DBOS._recover_pending_workflows(list(executors))  # noqa: SLF001

    async def upload(self, plan: Plan, mark: str) -> str:
        """Upload a file of the request and return its reference."""
        if self._starter is None:
            raise RuntimeError("a file is uploaded by its workflow")
        return await self._loop.run(self._starter.upload(plan, mark))

    async def start(self, plan: Plan, ids: dict[str, str]) -> dict[str, Any]:
        """Start the run and return its handle."""
        token = current_owner_xid(plan.workflow_id)
        starter = self._starter
        if token is None or starter is None:
            raise RuntimeError("a run is started by its workflow")
        return await self._loop.run(starter.start(plan, plan.body(ids), token))

    async def wait(self, plan: Plan) -> dict[str, Any]:
        """Wait for the settled run."""
        if self._arrivals is None:
            raise RuntimeError("a run is waited for by its workflow")
        return await self._loop.run(self._arrivals.settled(plan.workflow_id))

    async def hand_on(self, run: dict[str, Any]) -> None:
        """Call the user's function with the run."""
        if self.on_settled is not None:
            await hand_on(self.on_settled, self._api.load_run(msgspec.json.encode(run)))


def version_name(scope: str) -> str:
    """The version of the workflow, constant so that a deployment resumes the workflows of the last one.

    DBOS requires different versions for the applications in one database.
    """
    return f"{scope}-1"


def queue_name(scope: str) -> str:
    """The name of the queue."""
    return f"{scope}_runs"


def _limiter(starts_per_second: float | None) -> QueueRateLimit | None:
    """The rate limit of the queue: several starts in about a second, or one in several seconds."""
    if starts_per_second is None:
        return None
    if starts_per_second >= 1:
        limit = int(starts_per_second)
        return {"limit": limit, "period": limit / starts_per_second}
    return {"limit": 1, "period": 1 / starts_per_second}


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _in_thread(work: Callable[[], object]) -> None:
    """Run blocking work in a thread without an event loop."""
    with ThreadPoolExecutor(1, thread_name_prefix="kognitos-dbos") as pool:
        pool.submit(work).result()
