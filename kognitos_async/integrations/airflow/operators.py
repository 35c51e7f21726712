"""Operators: start a run once, then defer until it has settled."""

# pyright: reportMissingImports=false
# Airflow is large and not among the development dependencies.

from __future__ import annotations

import asyncio
from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from airflow.sdk import BaseHook, BaseOperator, BaseOperatorLink
from airflow.sdk.exceptions import AirflowException
from airflow.sdk.execution_time.xcom import XCom

from kognitos_async.errors import KognitosError, StartUncertainError
from kognitos_async.integrations.airflow.hooks import KognitosHook, KognitosPlatformHook
from kognitos_async.integrations.airflow.outcomes import Outcome, outcome_of, outcome_of_error
from kognitos_async.integrations.airflow.start_record import (
    KEY,
    StartRecord,
    next_step,
    read_record,
    run_name,
)
from kognitos_async.integrations.airflow.triggers import KognitosInvokeTrigger, KognitosRunTrigger
from kognitos_async.platform_v1.client import HOSTS as PLATFORM_HOSTS
from kognitos_async.platform_v1.models.runs import ENDED as ENDED_STATES
from kognitos_async.platform_v1.models.runs import (
    AutomationStage,
    InvokeRequest,
    PlatformRun,
    RunState,
    StartedRun,
)
from kognitos_async.rest_v2.client import HOSTS
from kognitos_async.rest_v2.models import ENDED, Run, RunHandle, RunRequest, RunStatus, Stage
from kognitos_async.settings import api_url
from kognitos_async.shared_clients import shared_client, shared_platform_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from airflow.sdk import Connection, Context
    from airflow.sdk.types import TaskInstanceKey

_LINK = "_link_KognitosRunLink"


class KognitosRunLink(BaseOperatorLink):
    """The link to the run, available from its start: `run_url` of the connection, else the API address."""

    name = "Kognitos run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        """The address; empty before the run is started."""
        return XCom.get_value(key=_LINK, ti_key=ti_key) or ""


class _StartAndWait(BaseOperator):
    """Common part of both operators; subclasses call the API."""

    operator_extra_links = (KognitosRunLink(),)
    ui_color = "#e8e4ff"
    _hook: ClassVar[type[KognitosHook]]
    _trigger: ClassVar[type[KognitosRunTrigger]]
    _ended: ClassVar[frozenset[Any]]

    def __init__(
        self,
        *,
        kognitos_conn_id: str,
        rerun: Collection[str],
        run_timeout: timedelta | None,
        absence_delay: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kognitos_conn_id = kognitos_conn_id
        self.rerun = sorted(map(str, rerun))
        self.run_timeout = run_timeout
        self.absence_delay = absence_delay

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the run or find that of an earlier try; then defer, or return its outputs."""
        connection = BaseHook.get_connection(self.kognitos_conn_id)
        try:
            run = asyncio.run(self._started(context, connection))
        except KognitosError as error:
            return outcome_of_error(error).result(())  # which raises
        ti = context["ti"]
        ti.xcom_push(key="run_id", value=run.id)
        ti.xcom_push(key=_LINK, value=self._address(connection, run))
        self.log.info("Kognitos run %s", run.id)
        if isinstance(run, Run | PlatformRun) and run.settled:
            return outcome_of(run).result(self.rerun)
        self.defer(
            trigger=self._trigger(self.kognitos_conn_id, msgspec.to_builtins(run.handle)),
            method_name="execute_complete",
            timeout=self.run_timeout,
        )
        raise AssertionError("defer() returned")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The outputs of the run, after the trigger has fired. Raises what `Outcome.result` raises."""
        return msgspec.convert(event, Outcome).result(self.rerun)

    def on_kill(self) -> None:
        """Do nothing: killing the task ends only the wait; the run continues."""

    async def _started(self, context: Context, connection: Connection) -> Any:
        store, ti = context.get("task_state_store"), context["ti"]
        if store is None:
            raise AirflowException("no task state store: the operators need Airflow 3.3 or newer")
        record = read_record(store.get(KEY), ti.max_tries)
        cleared = record.max_tries != ti.max_tries
        record = msgspec.structs.replace(record, max_tries=ti.max_tries)
        async with self._client(self._hook.settings(connection)) as client:
            if record.handle is not None:
                run = await self._read(client, record.handle)
                status = run.state if isinstance(run, PlatformRun) else run.status
                step = next_step(
                    status=str(status),
                    succeeded=run.succeeded,
                    settled=run.settled,
                    ended=status in self._ended,
                    cleared=cleared,
                    rerun=self.rerun,
                )
                self.log.info("run %s of an earlier try is %s: %s", run.id, status, step)
                if step != "start":
                    if cleared:  # further tries are retries
                        store.set(KEY, record.stored())
                    return run
                record = StartRecord(generation=record.generation + 1, max_tries=ti.max_tries)
            return await self._start_once(client, store, record, self._name(context, record))

    async def _start_once(self, client: Any, store: Any, record: StartRecord, name: str) -> Any:
        earlier = record.sending_at
        sent = False

        async def about_to_send() -> None:
            # Intent and fence in one write: once Airflow has given the task to another try, or a person has
            # cleared it, the id of this try is invalid, the write fails, and nothing is sent.
            nonlocal record, sent
            # Each attempt has its own time: those before it certainly created no run.
            record = msgspec.structs.replace(record, sending_at=datetime.now(UTC))
            store.set(KEY, record.stored())
            sent = True

        if earlier is not None:
            self.log.info("looking up the run %r, whose start was about to be sent at %s", name, earlier)
        try:
            run = await self._send(client, name, earlier, about_to_send)
        except StartUncertainError:
            raise  # the record is kept: the next try looks it up again
        except KognitosError:
            if sent:  # and certainly started nothing; an earlier try is decided by look-ups only
                store.set(KEY, msgspec.structs.replace(record, sending_at=None).stored())
            raise
        handle = msgspec.to_builtins(run.handle)
        store.set(KEY, msgspec.structs.replace(record, sending_at=None, handle=handle).stored())
        return run

    def _name(self, context: Context, record: StartRecord) -> str:
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        prefix = getattr(self, "name_prefix", None) or f"{ti.dag_id}.{ti.task_id}"
        return run_name(prefix, (ti.dag_id, ti.run_id, ti.task_id, map_index), record.generation)

    def _address(self, connection: Connection, run: Any) -> str:
        template = connection.extra_dejson.get("run_url") or self._api_address(connection)
        members = ("id", "name", "agent_id", "process_id")
        for member in members:
            template = template.replace(f"{{{member}}}", str(getattr(run, member, "")))
        return str(template)

    @abstractmethod
    def _client(self, settings: dict[str, Any]) -> AbstractAsyncContextManager[Any]: ...

    @abstractmethod
    def _api_address(self, connection: Connection) -> str: ...

    @abstractmethod
    async def _read(self, client: Any, handle: dict[str, Any]) -> Any: ...

    @abstractmethod
    async def _send(
        self,
        client: Any,
        name: str,
        earlier: datetime | None,
        before_send: Callable[[], Awaitable[object]],
    ) -> Any: ...


class KognitosRunOperator(_StartAndWait):
    """Start a run of a process (REST API v2) and wait for it in the triggerer; returns its outputs by name.

    All tries of the task share one run: it is recorded in Airflow's task state store before it is sent, and
    found again afterwards. Its name is `name_prefix` and a digest of dag_id, run_id, task_id and map_index.
    XCom holds the outputs, and the id under `run_id`. If the run settles without success, or the API rejects
    the request, its key or its agent, the task fails without retries (`AirflowFailException`); after any
    other failure it is retried, and starts nothing that may exist. Killing or clearing the task, or its
    timeout, ends only the wait; the run continues. Clearing a task whose run has ended starts another run.

    Args:
        process_id: The process.
        inputs: Inputs by name: str, int and finite float.
        stage: Published or Draft.
        file_ids: Files already uploaded.
        files: Paths on the worker, uploaded by each try that starts the run.
        agent_id: The agent, by default that of the connection.
        name_prefix: Beginning of the run's name, by default dag_id and task_id.
        rerun: Statuses, such as "Failed", after which a retry of the task starts another run.
        run_timeout: Maximum wait in one try; the run continues, and the next try waits for it.
        absence_delay: Seconds after which a run certainly shows in lists, see `runs.start_once`.
        kognitos_conn_id: A connection of type `kognitos`.
    """

    template_fields: Sequence[str] = (
        "process_id", "inputs", "stage", "file_ids", "files", "agent_id", "name_prefix", "kognitos_conn_id",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"inputs": "json"}
    _hook = KognitosHook
    _trigger = KognitosRunTrigger
    _ended = ENDED

    def __init__(
        self,
        *,
        process_id: str,
        inputs: Mapping[str, str | float] | None = None,
        stage: str = "Published",
        file_ids: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        agent_id: str | None = None,
        name_prefix: str | None = None,
        rerun: Collection[RunStatus | str] = (),
        run_timeout: timedelta | None = None,
        absence_delay: float = 5.0,
        kognitos_conn_id: str = KognitosHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kognitos_conn_id=kognitos_conn_id,
            rerun=rerun,
            run_timeout=run_timeout,
            absence_delay=absence_delay,
            **kwargs,
        )
        self.process_id = process_id
        self.inputs = inputs
        self.stage = stage
        self.file_ids = file_ids
        self.files = files
        self.agent_id = agent_id
        self.name_prefix = name_prefix

    def _client(self, settings: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        return shared_client(**settings)

    def _api_address(self, connection: Connection) -> str:
        url, region = (connection.extra_dejson.get(member) for member in ("base_url", "region"))
        return api_url(url, region, hosts=HOSTS, default_region="us", suffix="/v2") + "/runs/{id}"

    async def _read(self, client: Any, handle: dict[str, Any]) -> Run:
        run: Run = await client.runs.get(msgspec.convert(handle, RunHandle).id)
        return run

    async def _send(
        self,
        client: Any,
        name: str,
        earlier: datetime | None,
        before_send: Callable[[], Awaitable[object]],
    ) -> Run:
        request = RunRequest(
            process_id=self.process_id,
            name=name,
            stage=Stage(self.stage),
            inputs=self.inputs,
            file_ids=self.file_ids,
            files=self.files,
            agent_id=self.agent_id,
        )
        run: Run = await client.runs.start_once(
            request, earlier=earlier, before_send=before_send, absence_delay=self.absence_delay
        )
        return run


class KognitosInvokeOperator(_StartAndWait):
    """Invoke an automation (platform API) and wait for its run in the triggerer; returns its outputs by name.

    Like `KognitosRunOperator`, but invocations have no name: after a lost answer the run is found by its
    inputs, time and user, or else the task and every retry fail; it never invokes a second time. If the
    invocation certainly created no run, delete the key `kognitos_run` from the task state store and clear the
    task. Outputs are JSON-ready: decimals and times as text, tables as lists of rows.

    Args:
        automation: The id or the full resource name.
        inputs: Python values by name, as in `automations.invoke`.
        stage: PUBLISHED or DRAFT.
        workspace_id: The workspace, by default that of the connection.
        organization_id: The organization, likewise.
        rerun: States, such as "failed", after which a retry of the task invokes again.
        run_timeout: Maximum wait in one try; the run continues, and the next try waits for it.
        absence_delay: Seconds after which a run certainly shows in lists.
        kognitos_conn_id: A connection of type `kognitos_platform`.
    """

    template_fields: Sequence[str] = (
        "automation", "inputs", "stage", "workspace_id", "organization_id", "kognitos_conn_id",
    )  # fmt: skip
    template_fields_renderers: ClassVar[dict[str, str]] = {"inputs": "json"}
    _hook = KognitosPlatformHook
    _trigger = KognitosInvokeTrigger
    _ended = ENDED_STATES

    def __init__(
        self,
        *,
        automation: str,
        inputs: Mapping[str, object] | None = None,
        stage: str = "PUBLISHED",
        workspace_id: str | None = None,
        organization_id: str | None = None,
        rerun: Collection[RunState | str] = (),
        run_timeout: timedelta | None = None,
        absence_delay: float = 5.0,
        kognitos_conn_id: str = KognitosPlatformHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kognitos_conn_id=kognitos_conn_id,
            rerun=rerun,
            run_timeout=run_timeout,
            absence_delay=absence_delay,
            **kwargs,
        )
        self.automation = automation
        self.inputs = inputs
        self.stage = stage
        self.workspace_id = workspace_id
        self.organization_id = organization_id

    def _client(self, settings: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        return shared_platform_client(**settings)

    def _api_address(self, connection: Connection) -> str:
        url, region = (connection.extra_dejson.get(member) for member in ("base_url", "region"))
        base = api_url(url, region, hosts=PLATFORM_HOSTS, default_region="us-1", suffix="/api/v1")
        return f"{base}/{{name}}"

    async def _read(self, client: Any, handle: dict[str, Any]) -> PlatformRun:
        run: PlatformRun = await client.runs.get(msgspec.convert(handle, StartedRun).name)
        return run

    async def _send(
        self,
        client: Any,
        name: str,
        earlier: datetime | None,
        before_send: Callable[[], Awaitable[object]],
    ) -> StartedRun:
        request = InvokeRequest(
            automation=self.automation,
            inputs=self.inputs,
            stage=AutomationStage(self.stage),
            workspace_id=self.workspace_id,
            organization_id=self.organization_id,
            name=name,
        )
        run: StartedRun = await client.automations.start_once(
            request, earlier=earlier, before_send=before_send, absence_delay=self.absence_delay
        )
        return run
