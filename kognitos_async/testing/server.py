"""KognitosServer: a real HTTP server on loopback that behaves, or misbehaves, as the Kognitos APIs do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from kognitos_async.testing.clock import Clock
from kognitos_async.testing.delivery import Delivery
from kognitos_async.testing.dispatch import Dispatcher
from kognitos_async.testing.fault_queue import FaultHandle
from kognitos_async.testing.platform_v1.api import PlatformV1
from kognitos_async.testing.platform_v1.control import EmulatedPlatform
from kognitos_async.testing.platform_v1.exceptions import ExceptionHandlers
from kognitos_async.testing.platform_v1.files import PlatformFiles
from kognitos_async.testing.platform_v1.handling import Pages
from kognitos_async.testing.platform_v1.reports import ReportHandlers
from kognitos_async.testing.platform_v1.runs import RunHandlers, RunIdForm
from kognitos_async.testing.platform_v1.sample import SampleHandler
from kognitos_async.testing.platform_v1.world import PlatformWorld
from kognitos_async.testing.rate import TokenBucket
from kognitos_async.testing.rest_v2.api import RestV2, TimeFormat
from kognitos_async.testing.rest_v2.file_store import FileStore, StoredFile
from kognitos_async.testing.rest_v2.world import EmulatedProcess, EmulatedRun, Facts, Order, World
from kognitos_async.testing.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType

    from kognitos_async import KognitosClient, PlatformClient
    from kognitos_async.testing import faults as kinds
    from kognitos_async.testing.request_log import SeenRequest

_GRACE = 1.0
"""Seconds that a request under way has to end when the server stops."""


class KognitosServer:
    """An emulated Kognitos organization, which both APIs serve at one address.

    The REST API v2 has one process, `server.process`, published and as a draft; what belongs to the current
    platform API is at `server.platform`. The two know nothing of each other's runs and files, and each has
    its own capacity and rate limit.

    Usable inside `async with`, or between `await start()` and `await stop()`; it may be started again, with
    the same port and the same world. All times are seconds. Raises ValueError for settings out of range.
    """

    def __init__(
        self,
        *,
        api_key: str = "test-key",
        agent_id: str = "agent-1",
        token: str = "kgn_pat_emulated",  # noqa: S107 - of a test double
        organization_id: str = "emulated-org",
        workspace_id: str = "emulated-workspace",
        schedule: Schedule | None = None,
        order: Order = "newest",
        capacity: int | None = 150,
        rate_limit: float | None = None,
        rate_burst: float | None = None,
        retry_after: float | None = None,
        form_lifetime: float = 300.0,
        time_format: TimeFormat = "naive",
        list_outputs: bool = True,
        strict_files: bool = True,
        run_id_form: RunIdForm = "name",
        max_file_size: int = 1_000_000_000,
        keep_content_limit: int = 1024 * 1024,
        latency: float = 0.0,
        log_limit: int = 10_000,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.agent_id = agent_id
        self._host = host
        self._port = port
        self._clock = Clock()
        self._world = World(
            clock=self._clock,
            schedule=schedule or Schedule.fixed(0.2),
            order=order,
            capacity=capacity,
            seed=seed,
        )
        self._store = FileStore(
            self._clock, lifetime=form_lifetime, max_size=max_file_size, keep_limit=keep_content_limit
        )
        self.process = self._world.add_process(
            "Process invoice", process_id=None, stage="Published", agent_id=agent_id
        )
        """The published process every server starts with; its draft has the same id."""
        self._world.add_process(
            "Process invoice", process_id=self.process.id, stage="Draft", agent_id=agent_id
        )

        def bucket() -> TokenBucket | None:
            if rate_limit is None:
                return None
            burst = max(1.0, rate_limit or 0.0) if rate_burst is None else rate_burst
            return TokenBucket(self._clock, rate_limit, burst)

        rest_v2 = RestV2(
            self._world,
            self._store,
            api_key=api_key,
            bucket=bucket(),
            retry_after=retry_after,
            time_format=time_format,
            list_outputs=list_outputs,
            strict_files=strict_files,
        )
        world = PlatformWorld(
            clock=self._clock,
            schedule=self._world.schedule,
            order=order,
            capacity=capacity,
            seed=seed,
            organization_id=organization_id,
            workspace_id=workspace_id,
        )
        self._objects = PlatformFiles(world, max_size=max_file_size, keep_limit=keep_content_limit)
        self.platform = EmulatedPlatform(world, self._objects, token=token, url=lambda: self.url)
        """What belongs to the current platform API."""
        pages = Pages()
        platform_v1 = PlatformV1(
            world,
            {
                **RunHandlers(world, pages, list_outputs=list_outputs, run_id_form=run_id_form).handlers,
                **ExceptionHandlers(world, pages).handlers,
                **ReportHandlers(world).handlers,
                **self._objects.handlers,
            },
            SampleHandler(pages),
            token=token,
            bucket=bucket(),
            retry_after=retry_after,
        )
        self._dispatcher = Dispatcher(
            (rest_v2, platform_v1, self._store, self._objects),
            self._clock,
            latency=latency,
            log_limit=log_limit,
            seed=seed,
        )
        self._runner: web.ServerRunner | None = None

    # Life cycle

    async def start(self) -> None:
        """Listen. Raises RuntimeError when it does already, OSError when the port is taken."""
        if self._runner is not None:
            message = "the server is running already"
            raise RuntimeError(message)
        self._clock.follow(asyncio.get_running_loop().time)
        self._dispatcher.delivery = Delivery()
        runner = web.ServerRunner(
            web.Server(self._dispatcher.handle, access_log=None), shutdown_timeout=_GRACE
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and end every request under way; nothing happens when it is stopped already."""
        runner, self._runner = self._runner, None
        if runner is None or self._dispatcher.delivery is None:
            return
        self._dispatcher.delivery.stop()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """`http://host:port`. Raises RuntimeError before a start has found a free port."""
        if not self._port:
            message = "the server has no address before it is started"
            raise RuntimeError(message)
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def base_url(self) -> str:
        """Where the REST API v2 begins."""
        return f"{self.url}/v2"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that lead a client here."""
        return {
            "KOGNITOS_BASE_URL": self.base_url,
            "KOGNITOS_API_KEY": self.api_key,
            "KOGNITOS_AGENT_ID": self.agent_id,
        }

    def client(self, **options: Any) -> KognitosClient:
        """A client of this server, not opened yet; `options` go to KognitosClient."""
        from kognitos_async import KognitosClient  # noqa: PLC0415 - the server alone needs no client

        return KognitosClient(
            **{"api_key": self.api_key, "base_url": self.base_url, "agent_id": self.agent_id, **options}
        )

    def platform_client(self, **options: Any) -> PlatformClient:
        """A client of the platform API of this server, not opened yet; `options` go to PlatformClient."""
        from kognitos_async import PlatformClient  # noqa: PLC0415 - the server alone needs no client

        platform = self.platform
        given = {
            "token": platform.token,
            "organization_id": platform.organization_id,
            "workspace_id": platform.workspace_id,
            "base_url": platform.base_url,
        }
        return PlatformClient(**{**given, **options})

    # The world

    @property
    def runs(self) -> Mapping[str, EmulatedRun]:
        """All runs by id, in order of creation."""
        return self._world.runs

    @property
    def files(self) -> Mapping[str, StoredFile]:
        """All uploaded files by id."""
        return self._store.files

    @property
    def leaks(self) -> int:
        """Requests that gave an API key or a token to a file store."""
        return self._store.leaks + self._objects.leaks

    def add_process(
        self, name: str, *, id: str | None = None, stage: str = "Published", agent_id: str | None = None
    ) -> EmulatedProcess:
        """A new process item; with a new `agent_id`, a new agent too. Raises ValueError when it exists."""
        return self._world.add_process(name, process_id=id, stage=stage, agent_id=agent_id or self.agent_id)

    def add_run(
        self,
        process_id: str | None = None,
        *,
        name: str = "Earlier run",
        status: str | None = None,
        created_at: datetime | None = None,
        inputs: Facts | None = None,
        outputs: Facts | None = None,
        file_ids: tuple[str, ...] = (),
        stage: str = "Published",
        agent_id: str | None = None,
        id: str | None = None,
        schedule: Schedule | None = None,
    ) -> EmulatedRun:
        """A run that was there before. With a `status` it stays so; else it moves from `created_at` on.

        Raises ValueError for a process or stage there is not, an id that is taken, a `created_at` without
        an offset, and a status together with a schedule.
        """
        if status is not None and schedule is not None:
            message = "a run with a status stays as it is: give a status or a schedule, not both"
            raise ValueError(message)
        process = self._world.process(agent_id or self.agent_id, process_id or self.process.id, stage)
        if process is None:
            message = f"no process {process_id} with a {stage} stage"
            raise ValueError(message)
        return self._world.add_run(
            process,
            name=name,
            inputs=inputs,
            file_ids=file_ids,
            run_id=id,
            created_at=created_at,
            status=status,
            outputs=outputs,
            schedule=schedule,
        )

    def add_file(self, file_name: str, content: bytes = b"", *, id: str | None = None) -> StoredFile:
        """A file that was uploaded before; its `.id` goes into `file_ids`."""
        return self._store.put(file_name, content, id)

    def runs_named(self, name: str) -> list[EmulatedRun]:
        """The runs that carry this name, in order of creation."""
        return self._world.runs_named(name)

    def duplicates(self) -> dict[str, int]:
        """The names that more than one run carries, and how many do."""
        return self._world.duplicates()

    def set_status(self, run_id: str, status: str, outputs: Facts | None = None) -> EmulatedRun:
        """The run, whose status is any word you like from now on. Raises KeyError for an unknown run."""
        return self._world.set_status(run_id, status, outputs)

    def advance(self, seconds: float) -> None:
        """Move schedules, upload forms and the rate limit forward; `created_at` keeps the real time."""
        self._clock.advance(seconds)

    # Faults, log and counters

    def misbehave(
        self,
        operation: str,
        fault: kinds.Fault,
        *,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
    ) -> FaultHandle:
        """Spoil the next `times` answers (None: all) of an operationId, of `upload_file`, or of any: `*`.

        The first `skip` requests are served well, and each one after them with `1 - probability`. Raises
        ValueError for an operation there is not and for numbers out of range.
        """
        known = self._dispatcher.router.operations
        if operation != "*" and operation not in known:
            message = f"no operation {operation!r}; there are {', '.join(sorted(known))} and *"
            raise ValueError(message)
        if (times is not None and times < 1) or skip < 0 or not 0 <= probability <= 1:
            message = f"times >= 1, skip >= 0, 0 <= probability <= 1, not {times}, {skip}, {probability}"
            raise ValueError(message)
        return self._dispatcher.faults.arm(
            FaultHandle(operation, fault, times=times, skip=skip, probability=probability)
        )

    def behave(self) -> None:
        """Cancel every fault."""
        self._dispatcher.faults.clear()

    def count(self, operation: str | None = None, *, status: int | None = None) -> int:
        """How many requests came in; with a status, how many were answered with it."""
        return self._dispatcher.log.count(operation, status)

    @property
    def log(self) -> list[SeenRequest]:
        """The last `log_limit` requests, oldest first."""
        return list(self._dispatcher.log.seen)
