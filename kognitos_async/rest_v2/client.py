"""The client for REST API v2."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Self, TypeVar, overload

import anyio
import msgspec

from kognitos_async import checks, settings
from kognitos_async.bulk import BulkJob, check_requests
from kognitos_async.coalescing import Coalescer
from kognitos_async.errors import ConfigurationError, KognitosError
from kognitos_async.messages import START, Redactor, Request, decoder_for, with_query
from kognitos_async.rest_v2.files import Files
from kognitos_async.rest_v2.jobs import RunJobs
from kognitos_async.rest_v2.models import ENDED, SETTLED, Health, Run, RunRequest, RunStatus, Stage
from kognitos_async.rest_v2.processes import Processes
from kognitos_async.rest_v2.runs import Runs
from kognitos_async.rest_v2.scope import Scope
from kognitos_async.rest_v2.waits import RaisingStream, check_run, checked_wait
from kognitos_async.retry import RetryPolicy
from kognitos_async.sender import Sender
from kognitos_async.streams import WorkStream
from kognitos_async.transport import Transport
from kognitos_async.waiting import PATIENCE, PollPolicy, Watch

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterable,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    import aiohttp

    from kognitos_async.bulk import RunOutcome
    from kognitos_async.rest_v2.models import RunInput, Value

T = TypeVar("T")

HOSTS = {
    "us": "rest-api.app.kognitos.com",
    "eu": "rest-api.eu.kognitos.com",
    "uk": "rest-api.uk.kognitos.com",
}
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_HEALTH = decoder_for(Health)


class KognitosClient:
    """A client for REST API v2, usable inside `async with`, or between `await open()` and `await aclose()`.

    Settings left out come from KOGNITOS_API_KEY, KOGNITOS_REGION (us, eu or uk; else us),
    KOGNITOS_BASE_URL and KOGNITOS_AGENT_ID. Times are in seconds: `request_timeout` bounds one attempt.
    At most `max_connections` requests are under way at once, and `requests_per_second` of them begin if it
    is set. A `session` is used as it is and stays open; its own cookies, proxies and TLS settings apply.

    Raises `ConfigurationError` for a setting that is missing or cannot be right. One client belongs to one
    event loop; make one and share it.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        region: str | None = None,
        base_url: str | None = None,
        agent_id: str | None = None,
        request_timeout: float = 30.0,
        max_connections: int = 100,
        requests_per_second: float | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        poll: PollPolicy = PollPolicy(),  # noqa: B008 - frozen
        session: aiohttp.ClientSession | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        key = settings.api_key(
            api_key,
            variable="KOGNITOS_API_KEY",
            foreign_prefix="kgn_pat_",
            other_client="PlatformClient",
        )
        self._base_url = settings.api_url(base_url, region, hosts=HOSTS, default_region="us", suffix="/v2")
        self._scope = scope = Scope(settings.setting("agent_id", agent_id, "KOGNITOS_AGENT_ID"))
        settings.positive("request_timeout", request_timeout)
        settings.positive("max_connections", max_connections, whole=True)
        if requests_per_second is not None:
            settings.positive("requests_per_second", requests_per_second)
        for name, value, kind in (("retry", retry, RetryPolicy), ("poll", poll, PollPolicy)):
            if not isinstance(value, kind):
                raise ConfigurationError(f"{name} is a {kind.__name__}, not {type(value).__name__}")
        self._poll = poll
        self._sender = Sender(
            Transport(
                self._base_url,
                {"x-api-key": key, "Accept": "application/json", "User-Agent": settings.USER_AGENT},
                request_timeout=request_timeout,
                max_connections=max_connections,
                session=session,
                trace_configs=trace_configs,
            ),
            policy=retry,
            redactor=Redactor(key),
            max_concurrent=max_connections,
            requests_per_second=requests_per_second,
        )
        self.runs = Runs(self._sender, scope, poll)
        self.processes = Processes(self._sender, scope)
        self.files = Files(self._sender, scope)
        self._waits = Coalescer(self.runs, self._sender.chance)

    def __repr__(self) -> str:
        return f"KognitosClient(base_url={self._base_url!r})"

    async def open(self) -> Self:
        """The client itself, ready for use. A client opens once. No request is sent."""
        await self._sender.open()
        return self

    async def aclose(self) -> None:
        """Close connections and end what is under way: their calls raise `ClientClosedError`."""
        try:
            await self._waits.close()
        finally:
            await self._sender.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def health(self) -> Health:
        """The API's word on itself; needs a valid key like everything else. (get_health)"""
        return await self._sender.send(Request("GET", "/health"), _HEALTH)

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | float | bool | None] | None = None,
        json: object = None,
    ) -> msgspec.Raw: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | float | bool | None] | None = None,
        json: object = None,
        response_type: type[T],
    ) -> T: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | float | bool | None] | None = None,
        json: object = None,
        response_type: type[T] = msgspec.Raw,  # type: ignore[assignment]  # as the overloads say
    ) -> T:
        """The answer of any endpoint, decoded as `response_type`, the raw JSON if that is left out.

        `path` starts with / and is below /v2, percent-encoded; `params` become its query (None is left out)
        and `json` its body, unless None. GET, HEAD and OPTIONS are retried as everywhere; other methods are
        sent again only when the first try certainly was not carried out. Raises what `runs.get` raises,
        `OutcomeUnknownError` when the answer to one of those was lost.
        """
        if not isinstance(method, str) or (verb := method.upper()) not in _METHODS:
            raise ValueError(f"method is one of {', '.join(sorted(_METHODS))}, not {method!r}")
        if not isinstance(path, str):
            raise TypeError(f"path is a str, not {type(path).__name__}")
        if not _PATH.fullmatch(path) or path.startswith("//") or {".", ".."} & set(path.split("/")):
            raise ValueError(
                "path starts with one / and is a percent-encoded path; the query goes into params"
            )
        safe = verb in ("GET", "HEAD", "OPTIONS")
        return await self._sender.send(
            Request(
                verb,
                with_query(path, params or {}),
                None if json is None else msgspec.json.encode(json),
                repeatable=safe,
                priority=START if (verb, path) == ("POST", "/runs") else 1,
                confidential=path == "/files",
            ),
            decoder_for(response_type),
        )

    async def wait_for_run(
        self,
        run: Run | str,
        *,
        timeout: float | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
        on_update: Callable[[Run], object] | None = None,
    ) -> Run:
        """The run, read with its outputs, once its status is in `until`. A failed run is returned too.

        A run that ends in a status outside `until` is returned as well, for it will never leave it; one in
        Exception may. `timeout` covers the whole wait, None waits for ever. `on_update` is called with the
        run whenever a poll finds its status changed. `poll` replaces the client's `PollPolicy`.

        Lost connections, 5xx, 429 and pages of proxies do not end the wait. Raises `WaitTimeoutError` with
        the last run seen, `NotFoundError` (later than 5 s after the start), `AuthenticationError` and other
        errors that polling cannot mend, `UnknownStatusError` for a status word this version does not know.
        Cancelling it stops polling and nothing else. (get_run)
        """
        patience = checked_wait(timeout, until, poll, on_update)
        check_run(run)
        return await self._follow(run, None, patience, until, poll, on_update)

    def wait_for_runs(
        self,
        runs: Iterable[Run | str],
        *,
        timeout: float | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Run]]:
        """An async context manager over an async iterator: each run as it settles, the soonest first.

        Arguments as those of `wait_for_run`; `timeout` covers the whole. What a wait raises, the iterator
        raises in its turn, and may be asked for the others afterwards. Leaving the block ends all waits.
        """
        patience = checked_wait(timeout, until, poll, None)
        waited = tuple(runs)
        for run in waited:
            check_run(run)

        async def work(emit: Callable[[Run | KognitosError], Awaitable[None]]) -> None:
            async def one(run: Run | str) -> None:
                try:
                    settled: Run | KognitosError = await self._follow(run, None, patience, until, poll, None)
                except KognitosError as error:
                    settled = error
                await emit(settled)

            async with anyio.create_task_group() as tasks:
                for run in waited:
                    tasks.start_soon(one, run)

        return RaisingStream(work, buffered=True)

    def run_many(
        self,
        requests: Iterable[RunRequest] | AsyncIterable[RunRequest],
        *,
        max_in_flight: int = 100,
        journal: str | os.PathLike[str] | None = None,
        poll: PollPolicy | None = None,
        run_timeout: float | None = None,
        absence_delay: float = 5.0,
    ) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[RunRequest, Run]]]:
        """An async context manager over an async iterator of outcomes, in the order of completion.

        Starts a run for each of `requests`, which are read no further ahead than `max_in_flight` and may be
        endless, and waits for each as `wait_for_run` does, at most `run_timeout` seconds. At most
        `max_in_flight` are unsettled at a time. A failure is an outcome of its own and stops no other run;
        when the organization is full or the rate short, starts wait. Leaving the block stops starting and
        waiting; runs go on.

        With `journal`, a file, every step is on disk before it is taken. After a crash the same call goes
        on: settled runs are not run again but yielded with `resumed`, started ones are awaited, and a start
        whose outcome is not known is looked up by its name no sooner than `absence_delay` seconds later and
        sent again only when certainly absent. Names must then be unique; the second of two is an outcome
        with a `JournalError`. Without a journal an uncertain start is an outcome with `StartUncertainError`.

        The iterator raises `JournalError` when the journal is of other requests, damaged, in use or cannot
        be written, and what iterating `requests` raises.
        """
        check_requests(requests, max_in_flight)
        patience = checked_wait(run_timeout, SETTLED, poll, None, name="run_timeout")
        delay = checks.seconds_or_none("absence_delay", absence_delay)
        if delay is None:
            raise ValueError("absence_delay is a finite number of seconds")

        async def follow(run: Run | str, group: tuple[str, str]) -> Run:
            return await self._follow(run, group, patience, SETTLED, poll, None)

        job = BulkJob(
            RunJobs(self._sender, self.runs, self._scope, follow),
            requests,
            max_in_flight=max_in_flight,
            journal=journal,
            absence_delay=delay,
            chance=self._sender.chance,
        )

        async def work(emit: Callable[[RunOutcome[RunRequest, Run]], Awaitable[None]]) -> None:
            self._sender.check_open()
            await job.work(emit)

        return WorkStream(work)

    async def _follow(
        self,
        run: Run | str,
        group: tuple[str, str] | None,
        patience: float | None,
        until: Collection[RunStatus],
        poll: PollPolicy | None,
        on_update: Callable[[Run], object] | None,
    ) -> Run:
        """`wait_for_run` with arguments that were checked, and the group of a bare id where it is known."""
        known = run if isinstance(run, Run) else None
        over = known is not None and (known.status in until or known.status in ENDED)
        if known is not None and over and not self.runs.incomplete(known):
            return known
        age = self.runs.started_ago(run)
        watch = Watch(
            run_id=run if isinstance(run, str) else run.id,
            until=until,
            ended=ENDED,
            policy=poll or self._poll,
            on_update=on_update,
            patient_until=asyncio.get_running_loop().time() + PATIENCE - age,
            run=known,
        )
        # A run that is over but without outputs may come from a list, which may leave them out.
        at_once = known is None or over or age > PATIENCE
        return await self._waits.wait(
            watch,
            group if known is None or over else self.runs.group_of(known),
            delay=0.0 if at_once else watch.next_delay(self._sender.chance, None),
            timeout=patience,
        )

    async def run_and_wait(
        self,
        process_id: str,
        *,
        name: str,
        timeout: float | None = None,
        stage: Stage | str = Stage.PUBLISHED,
        inputs: Mapping[str, Value] | Sequence[RunInput] | None = None,
        file_ids: Sequence[str] | None = None,
        agent_id: str | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
        on_update: Callable[[Run], object] | None = None,
    ) -> Run:
        """The run that this starts, once it has settled: `runs.start`, then `wait_for_run`.

        `timeout` covers both, but never cuts the start short, whose outcome would then be unknown: when the
        start took it all, `WaitTimeoutError.run` is the run just started. Raises what both raise.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Before the start: afterwards an argument refused would leave a run that nobody waits for.
        patience = checked_wait(timeout, until, poll, on_update)
        request = RunRequest(
            process_id=process_id, name=name, stage=stage, inputs=inputs, file_ids=file_ids, agent_id=agent_id
        )
        run = await self.runs.start_request(request)
        return await self.wait_for_run(
            run,
            timeout=None if patience is None else max(0.0, patience - (loop.time() - began)),
            until=until,
            poll=poll,
            on_update=on_update,
        )
