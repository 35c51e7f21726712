"""The client for REST API v2."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from kognitos_async import settings
from kognitos_async.base_client import BaseClient, attribute
from kognitos_async.messages import Request, decoder_for
from kognitos_async.rest_v2.bulk import RunJobs
from kognitos_async.rest_v2.files import Files
from kognitos_async.rest_v2.look_up import LookUps
from kognitos_async.rest_v2.models import ENDED, SETTLED, Health, Run, RunRequest, RunStatus, Stage
from kognitos_async.rest_v2.processes import Processes
from kognitos_async.rest_v2.run_reader import RunReader
from kognitos_async.rest_v2.runs import Runs, check_run
from kognitos_async.rest_v2.scope import Scope
from kognitos_async.rest_v2.starts import Starts
from kognitos_async.retry import RetryPolicy
from kognitos_async.secret import Secret
from kognitos_async.uncertain_start import OwnStarts
from kognitos_async.waiting.policy import PollPolicy
from kognitos_async.waiting.recent_starts import RecentStarts
from kognitos_async.waiting.waits import Waits, checked_wait, several_runs

if TYPE_CHECKING:
    import os
    from collections.abc import (
        AsyncIterable,
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from kognitos_async.bulk.types import RunOutcome
    from kognitos_async.rest_v2.models import RequestFiles, RunHandle, RunInput, Value

HOSTS = {
    "us": "rest-api.app.kognitos.com",
    "eu": "rest-api.eu.kognitos.com",
    "uk": "rest-api.uk.kognitos.com",
}
_HEALTH = decoder_for(Health)


class KognitosClient(BaseClient):
    """Client for REST API v2. Use it in `async with`, or between `await open()` and `await aclose()`.

    The operations are methods of `client.runs`, `client.processes` and `client.files`. Settings left out come
    from KOGNITOS_API_KEY, KOGNITOS_REGION (us, eu or uk; default us), KOGNITOS_BASE_URL and
    KOGNITOS_AGENT_ID. `request_timeout` bounds one attempt, in seconds; `max_connections` the requests in
    flight; `requests_per_second` their rate (None: no limit). A `session` is left open; only its connections,
    proxies and TLS settings are used. A client belongs to one event loop: create one and share it.

    Raises `ConfigurationError` for a missing or invalid setting. Every request may raise `APIStatusError`
    (its subclass by status), `TransportError`, `DecodeError` and `ClientClosedError`; invalid arguments raise
    `TypeError` or `ValueError` before anything is sent. Methods document what they raise beyond that.
    """

    runs: Runs = attribute(Runs)
    """Start, read, list, look up, follow and mirror runs."""
    processes: Processes = attribute(Processes)
    """List and read the processes of an agent."""
    files: Files = attribute(Files)
    """Upload files for runs."""
    _waits: Waits[Run]
    _starts = re.compile("/runs")
    _confidential = re.compile("/files")

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
        given = Secret[object](api_key)
        del api_key  # keep it out of the locals in tracebacks
        key = settings.api_key(
            given,
            name="api_key",
            variable="KOGNITOS_API_KEY",
            foreign_prefix="kgn_pat_",
            other_client="PlatformClient",
        )
        super().__init__(
            settings.api_url(base_url, region, hosts=HOSTS, default_region="us", suffix="/v2"),
            key,
            Secret({"x-api-key": key.reveal()}),
            request_timeout=request_timeout,
            max_connections=max_connections,
            requests_per_second=requests_per_second,
            retry=retry,
            poll=poll,
            session=session,
            trace_configs=trace_configs,
        )
        self._scope = scope = Scope(settings.setting("agent_id", agent_id, "KOGNITOS_AGENT_ID"))
        recent = RecentStarts()
        self._reader = RunReader(self._sender, recent)
        self._look_ups = LookUps(self._sender, scope, self._reader, OwnStarts())
        self.files = Files(self._sender, scope)
        self._run_starts = Starts(self._sender, scope, recent, self._look_ups, self.files)
        self.runs = Runs(self._sender, scope, poll, self._reader, self._run_starts, self._look_ups)
        self.processes = Processes(self._sender, scope)
        self._waits = Waits(self._reader, self._sender, ended=ENDED, policy=poll)

    async def health(self) -> Health:
        """The health of the API. Needs a valid key, as every request does. (get_health)"""
        return await self._sender.send(Request("GET", "/health"), _HEALTH)

    async def wait_for_run(
        self,
        run: Run | RunHandle | str,
        *,
        timeout: float | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
        on_update: Callable[[Run], object] | None = None,
    ) -> Run:
        """The run with its outputs, once its status is in `until`. A failed run is returned, not raised.

        A run in a final status outside `until` is returned too, since it will never leave it; Exception is
        not final. `timeout` bounds the whole wait in seconds; None means no limit. `poll` overrides the
        client's `PollPolicy`. `on_update` is called with the run whenever a poll finds its status changed.
        Waits on one client share polls, which run in an empty context (contextvars).

        Transient failures (lost connections, 5xx, 429, error pages of a proxy) do not end the wait. Raises
        `WaitTimeoutError` with the last run seen; `NotFoundError`, except in the 5 s after the start;
        `AuthenticationError` and other permanent errors at once; `OutcomeUnknownError` for an answer over 64
        MiB; `UnknownStatusError` for a status unknown to this version; `DecodeError` for a third answer in a
        row about another run; `ClientClosedError`. Cancelling the wait stops polling; the run continues.
        (get_run, list_runs)
        """
        arguments = checked_wait(timeout, until, poll, on_update)
        check_run(run)
        return await self._waits.one(self._reader.waited(run), arguments, on_update)

    def watch_run(
        self,
        run: Run | RunHandle | str,
        *,
        timeout: float | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Run]]:
        """An async context manager over an async iterator of the run: now, then after each status change.

        The last item is settled, or in another status of `until`. A status that comes and goes between two
        polls is missed. A run just started is yielded as given; any other is read first. Cancelling one step,
        for instance by a timeout, loses nothing: iterate again. Leaving the block stops polling. Arguments
        and errors as in `wait_for_run`; the iterator raises the errors. (get_run, list_runs)
        """
        arguments = checked_wait(timeout, until, poll, None)
        check_run(run)
        return self._waits.watch(self._reader.waited(run), arguments)

    def wait_for_runs(
        self,
        runs: Iterable[Run | RunHandle | str],
        *,
        timeout: float | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Run]]:
        """An async context manager over an async iterator of the runs, each yielded as it settles.

        Arguments as in `wait_for_run`; `timeout` bounds all waits together. The iterator raises the error of
        a failed wait in its turn; iterate again for the remaining runs. Leaving the block ends all waits.
        (get_run, list_runs)
        """
        arguments = checked_wait(timeout, until, poll, None)
        waited = several_runs(runs)
        for run in waited:
            check_run(run)
        return self._waits.several((self._reader.waited(run) for run in waited), arguments)

    def run_many(
        self,
        requests: Iterable[RunRequest] | AsyncIterable[RunRequest],
        *,
        max_in_flight: int = 100,
        journal: str | os.PathLike[str] | None = None,
        poll: PollPolicy | None = None,
        run_timeout: float | None = None,
        absence_delay: float = 5.0,
        max_uploads: int = 8,
        rerun: Collection[RunStatus | str] = (),
        recheck: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[RunRequest, Run]]]:
        """An async context manager over an async iterator of `RunOutcome`, in order of completion.

        Starts a run for each of `requests` and waits for it as `wait_for_run` does, up to `run_timeout`
        seconds. At most `max_in_flight` runs are unsettled at a time. `requests` may be endless: they are
        read no further ahead, and encoded when read, so later changes to them have no effect. A failure is
        the outcome of its request; the others continue.

        Starts pause while the organization is at capacity or the API is unreachable, apart from single probes
        every 0.5 s to 15 s (logged at WARNING), and while a 429 pauses the client. An error that concerns all
        starts ends the job: 401, 403, a Retry-After above `RetryPolicy.retry_after_limit`, or no contact with
        the API in the first minute. No more runs are started, those started are awaited, and the iterator
        raises the error; the same call resumes the job. Leaving the block stops starting and waiting; starts
        in flight finish and are recorded, and runs continue.

        With `journal`, a file, every step is durable before it is taken. After a crash the same call resumes:
        settled runs are yielded with `resumed` set and not run again, started ones are awaited, and an
        ambiguous start is looked up by name no sooner than `absence_delay` seconds later. It is repeated only
        if the run is certainly absent; if that cannot be decided, the outcome is a `StartUncertainError`
        until `Journal.resolve` decides. Without a journal, every ambiguous start is one. Names identify
        requests and must be unique. Order and number of requests may change between calls, and so may a
        request that never started; a duplicate name, or a changed request that has a run, is an outcome with
        a `JournalError`.

        The `files` of requests are uploaded first, at most `max_uploads` at a time and that many requests
        ahead, each distinct file (name and content) once a job; a journal keeps their ids. Files that the
        service no longer knows when the run is started are uploaded once more. Like starts, uploads wait as
        long as the API cannot be reached. A file that cannot be read or is refused is an `UploadError`, and
        an upload that fails otherwise after its retries a `TransportError` or `APIStatusError`, in the
        outcome of every request that needs it; the same call uploads it again.

        `rerun` are statuses of settled runs whose requests are started again; the earlier run stays on
        record. `recheck` reads again the runs that settled in a status a person can change (Exception), and
        waits for them.

        The iterator raises `JournalError` for a journal of the other API, or one that is damaged, in use,
        deleted during the job or not writable, and whatever iterating `requests` raises.
        """
        arguments = checked_wait(run_timeout, SETTLED, poll, None, name="run_timeout")

        async def wait(run: Run | RunHandle | str, group: tuple[str, str]) -> Run:
            return await self._waits.one(self._reader.waited(run, group), arguments)

        # Imported late: it loads SQLite.
        from kognitos_async.bulk.job import run_many  # noqa: PLC0415

        return run_many(
            RunJobs(self._scope, self._run_starts, self._look_ups, self.files, wait),
            self._sender,
            requests,
            max_in_flight=max_in_flight,
            journal=journal,
            absence_delay=absence_delay,
            rerun=rerun,
            recheck=recheck,
            max_uploads=max_uploads,
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
        files: RequestFiles = (),
        agent_id: str | None = None,
        until: Collection[RunStatus] = SETTLED,
        poll: PollPolicy | None = None,
        on_update: Callable[[Run], object] | None = None,
    ) -> Run:
        """The settled run that this call starts: `runs.start`, then `wait_for_run`.

        `files` (paths or `FileSource`) are uploaded concurrently first; their ids follow `file_ids`.
        `timeout` bounds all of it in seconds, but never interrupts uploads or the start, whose outcome would
        be unknown; if they use it up, `WaitTimeoutError.run` is the run just started. Raises what
        `files.upload`, `runs.start` and `wait_for_run` raise. (create_file, create_run, get_run, list_runs)
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Checked before the start: a refusal afterwards would leave a run unattended.
        arguments = checked_wait(timeout, until, poll, on_update)
        request = RunRequest(
            process_id=process_id,
            name=name,
            stage=stage,
            inputs=inputs,
            file_ids=file_ids,
            agent_id=agent_id,
            files=files,
        )
        run = await self._run_starts.send(request, await self._run_starts.encoded(request))
        return await self._waits.one(
            self._reader.waited(run), arguments.after(loop.time() - began), on_update
        )
