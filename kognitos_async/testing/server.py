"""`KognitosServer`: an HTTP server on loopback that behaves, or misbehaves, as the Kognitos APIs do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kognitos_async.testing.clock import Clock
from kognitos_async.testing.control import ControlApi
from kognitos_async.testing.dispatch import Dispatcher
from kognitos_async.testing.fault_queue import FaultHandle
from kognitos_async.testing.faults import CAPACITY_MESSAGE
from kognitos_async.testing.keyset import Order, Ranking
from kognitos_async.testing.listener import Listener
from kognitos_async.testing.platform_v1.control import EmulatedPlatform, platform_api
from kognitos_async.testing.platform_v1.files import PlatformFiles
from kognitos_async.testing.platform_v1.world import PlatformWorld
from kognitos_async.testing.rate import TokenBucket
from kognitos_async.testing.rest_v2.api import RestV2, TimeFormat
from kognitos_async.testing.rest_v2.control import EmulatedRestV2
from kognitos_async.testing.rest_v2.file_store import FileStore
from kognitos_async.testing.rest_v2.world import World
from kognitos_async.testing.schedule import Schedule
from kognitos_async.testing.state import StateFile, Transient

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from os import PathLike

    from kognitos_async import KognitosClient, PlatformClient
    from kognitos_async.testing.fault_kinds import Fault
    from kognitos_async.testing.platform_v1.runs import RunIdForm
    from kognitos_async.testing.request_log import SeenRequest


class KognitosServer(EmulatedRestV2, Listener):
    """An emulated Kognitos organization: both APIs at one address, without shared runs, files or limits.

    REST API v2 starts with one process, `server.process`, published and as a draft. Everything of the
    platform API is at `server.platform`.

    `with server:` serves in its own thread: for synchronous tests, subprocesses, and fixtures of any scope.
    `async with server:`, or `await start()` and `await stop()`, serves in the running event loop. Attributes
    and methods may be used from any thread either way. Times are in seconds. Raises `ValueError` for settings
    out of range.

    Args:
        schedule: How runs move; default `Schedule.fixed(0.2)`.
        order: Sort order of run lists.
        order_jitter: Maximum error of that order, in seconds: neighbours may be swapped.
        list_lag: Age at which a new run first appears in lists.
        capacity: Maximum number of unsettled runs; further starts are refused. None: no limit.
        capacity_message: Message of that refusal; `{capacity}` is replaced by the number.
        rate_limit: Requests per second for each API; further ones are answered 429. None: no limit.
        rate_burst: Requests admitted at once within that limit; default `rate_limit`.
        retry_after: Retry-After of those 429s; None for none.
        form_lifetime: Validity of an upload form.
        time_format: Format of `created_at` in REST API v2.
        created_at: Function from the time of a start to its `created_at`, for a wrong clock or a local time
            without offset.
        date: Function from the time of an answer to its Date header, for a wrong clock or a cache.
        stored_name: Function from the name in a start to the name of the run, such as `str.strip`.
        list_outputs: Whether listed runs have outputs.
        strict_files: Whether a start with an unknown file is refused.
        run_id_form: How an invocation names the new run.
        max_file_size: Maximum size of an upload, in bytes.
        keep_content_limit: Maximum size of a file whose content is kept, in bytes.
        latency: Delay of each answer.
        log_limit: Number of requests kept in `log`.
        worker_header: Header that identifies workers; requests without it are identified by User-Agent.
        seed: Seed of ids, outcomes and probabilities.
        host: Address to listen on.
        port: Port to listen on; 0 for a free one.
        state: File that keeps runs and files, so that a later server, in another process too, continues with
            them. Raises `OSError` if it is in use or not such a file.
        control_token: Token for `ServerControl`; None disables it.
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
        order_jitter: float = 0.0,
        list_lag: float = 0.0,
        capacity: int | None = 150,
        capacity_message: str = CAPACITY_MESSAGE,
        rate_limit: float | None = None,
        rate_burst: float | None = None,
        retry_after: float | None = None,
        form_lifetime: float = 300.0,
        time_format: TimeFormat = "naive",
        created_at: Callable[[datetime], datetime] | None = None,
        date: Callable[[datetime], datetime] | None = None,
        stored_name: Callable[[str], str] = str,
        list_outputs: bool = True,
        strict_files: bool = True,
        run_id_form: RunIdForm = "name",
        max_file_size: int = 1_000_000_000,
        keep_content_limit: int = 1024 * 1024,
        latency: float = 0.0,
        log_limit: int = 10_000,
        worker_header: str = "X-Worker",
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        state: str | PathLike[str] | None = None,
        control_token: str | None = None,
    ) -> None:
        self.api_key = api_key
        """The accepted key of REST API v2."""
        clock = Clock()
        kept = Transient() if state is None else StateFile(state, clock, seed=seed)
        schedule = schedule or Schedule.fixed(0.2)
        ranking = Ranking(order, jitter=order_jitter, seed=seed)
        world = World(
            clock=clock,
            schedule=schedule,
            ranking=ranking,
            capacity=capacity,
            seed=seed,
            list_lag=list_lag,
            created_at=created_at,
            state=kept,
        )
        store = FileStore(
            clock, lifetime=form_lifetime, max_size=max_file_size, keep_limit=keep_content_limit, state=kept
        )
        EmulatedRestV2.__init__(self, world, store, agent_id=agent_id)
        rest_v2 = RestV2(
            world,
            store,
            api_key=api_key,
            bucket=_bucket(clock, rate_limit, rate_burst),
            retry_after=retry_after,
            time_format=time_format,
            list_outputs=list_outputs,
            strict_files=strict_files,
            stored_name=stored_name,
            capacity_message=capacity_message,
            secret=kept.secret,
        )
        platform_world = PlatformWorld(
            clock=clock,
            schedule=schedule,
            ranking=ranking,
            capacity=capacity,
            seed=seed,
            organization_id=organization_id,
            workspace_id=workspace_id,
            list_lag=list_lag,
            created_at=created_at,
            state=kept,
        )
        self._objects = PlatformFiles(platform_world, max_size=max_file_size, keep_limit=keep_content_limit)
        self.platform: EmulatedPlatform = EmulatedPlatform(
            platform_world, self._objects, token=token, url=lambda: self.url
        )
        """The emulated platform API."""
        platform_v1 = platform_api(
            platform_world,
            self._objects,
            token=token,
            bucket=_bucket(clock, rate_limit, rate_burst),
            retry_after=retry_after,
            list_outputs=list_outputs,
            strict_files=strict_files,
            run_id_form=run_id_form,
            capacity_message=capacity_message,
            secret=kept.secret,
        )
        dispatcher = Dispatcher(
            (rest_v2, platform_v1, store, self._objects),
            clock,
            latency=latency,
            log_limit=log_limit,
            seed=seed,
            date=date,
            worker_header=worker_header,
            state=kept,
        )
        if control_token is not None:
            dispatcher.control = ControlApi(self, dispatcher.summary, control_token)
        Listener.__init__(self, dispatcher, clock, host=host, port=port)

    @property
    def base_url(self) -> str:
        """Base URL of REST API v2."""
        return f"{self.url}/v2"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables that direct clients of both APIs, and the examples, to this server."""
        return {
            **self.platform.environ,
            "KOGNITOS_BASE_URL": self.base_url,
            "KOGNITOS_API_KEY": self.api_key,
            "KOGNITOS_AGENT_ID": self.agent_id,
            "KOGNITOS_PROCESS_ID": self.process.id,
            "KOGNITOS_AUTOMATION_ID": self.platform.automation.id,
        }

    def client(self, **options: Any) -> KognitosClient:
        """A client of this server that polls fast, not open yet. `options` go to `KognitosClient`."""
        from kognitos_async import KognitosClient  # noqa: PLC0415 - not needed by the server

        given = {"api_key": self.api_key, "base_url": self.base_url, "agent_id": self.agent_id}
        return KognitosClient(**{**given, "poll": _fast_polls(), **options})

    def platform_client(self, **options: Any) -> PlatformClient:
        """A client of the platform API that polls fast, not open yet. `options` go to `PlatformClient`."""
        from kognitos_async import PlatformClient  # noqa: PLC0415 - not needed by the server

        platform = self.platform
        given = {
            "token": platform.token,
            "organization_id": platform.organization_id,
            "workspace_id": platform.workspace_id,
            "base_url": platform.base_url,
        }
        return PlatformClient(**{**given, "poll": _fast_polls(), **options})

    @property
    def leaks(self) -> int:
        """Number of requests that sent an API key or a token to a file store."""
        return self._store.leaks + self._objects.leaks

    def advance(self, seconds: float) -> None:
        """Advance runs, upload forms and rate limits by `seconds`; `created_at` keeps the real time.

        Raises `ValueError` for a negative number.
        """
        with self._world.lock, self.platform.lock:
            self._clock.advance(seconds)

    def misbehave(
        self,
        operation: str,
        fault: Fault,
        *,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        worker: str | None = None,
    ) -> FaultHandle:
        """Apply a fault to the next `times` answers (None: all) of an operation; return its handle.

        `operation` is an operationId, `upload_file`, `put_object` or `get_object` for the file stores, or `*`
        for any. The first `skip` requests are answered normally; each later one gets the fault with this
        `probability`. `worker` limits the fault to requests of that worker: see `worker_header`. Raises
        `ValueError` for an unknown operation and for numbers out of range.
        """
        known = self._dispatcher.router.operations
        if operation != "*" and operation not in known:
            message = f"operation must be one of {', '.join(sorted(known))} or *, got {operation!r}"
            raise ValueError(message)
        handle = FaultHandle(operation, fault, times=times, skip=skip, probability=probability, worker=worker)
        with self._dispatcher.lock:
            return self._dispatcher.faults.arm(handle)

    def behave(self) -> None:
        """Cancel every fault."""
        with self._dispatcher.lock:
            self._dispatcher.faults.clear()

    def count(
        self, operation: str | None = None, *, status: int | None = None, worker: str | None = None
    ) -> int:
        """The number of requests, of an operation and a worker; with `status`, of those answered with it."""
        with self._dispatcher.lock:
            return self._dispatcher.log.count(operation, status, worker)

    @property
    def log(self) -> list[SeenRequest]:
        """The last `log_limit` requests, oldest first."""
        with self._dispatcher.lock:
            return list(self._dispatcher.log.seen)


def _bucket(clock: Clock, rate: float | None, burst: float | None) -> TokenBucket | None:
    """The rate limiter of one API; None without a limit."""
    if rate is None:
        return None
    return TokenBucket(clock, rate, max(1.0, rate or 0.0) if burst is None else burst)


def _fast_polls() -> Any:
    from kognitos_async import PollPolicy  # noqa: PLC0415 - not needed by the server

    return PollPolicy(initial=0.02, factor=1.5, maximum=0.2)
