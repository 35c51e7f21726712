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
from kognitos_async.waiting.waits import Waits, checked_wait

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
    """A client for REST API v2, usable inside `async with`, or between `await open()` and `await aclose()`.

    `client.runs`, `client.processes` and `client.files` hold the operations: `help(client.runs)`.
    Settings left out come from KOGNITOS_API_KEY, KOGNITOS_REGION (us, eu or uk; else us),
    KOGNITOS_BASE_URL and KOGNITOS_AGENT_ID. Times are in seconds: `request_timeout` bounds one attempt.
    At most `max_connections` requests are under way at once, and `requests_per_second` of them begin if it
    is set. A `session` stays open; its connections, proxies and TLS settings apply, nothing else.

    Raises `ConfigurationError` for a setting that is missing or cannot be right. One client belongs to one
    event loop; make one and share it.
    """

    runs: Runs = attribute(Runs)
    """Start, read, list, look up and follow runs."""
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
        del api_key  # frames of errors from here on do not show it
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
        """The API's word on itself; needs a valid key like everything else. (get_health)"""
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
        """The run, read with its outputs, once its status is in `until`. A failed run is returned too.

        A run that ends in a status outside `until` is returned as well, for it will never leave it; one in
        Exception may. `timeout` in seconds covers the whole wait; None waits for ever. `on_update` is called
        with the run whenever a poll finds its status changed. `poll` replaces the client's `PollPolicy`.
        Waits on one client share their polls, in a context (contextvars) that belongs to none of them.

        Lost connections, 5xx, 429 and a proxy's error pages do not end the wait. Raises `WaitTimeoutError`
        with the last run seen, `NotFoundError` (later than 5 s after the start), `AuthenticationError` and
        other errors that polling again cannot help, `OutcomeUnknownError` for an answer larger than 64 MiB,
        `UnknownStatusError` for a status that this version does not know, `ClientClosedError`. Cancelling it
        stops polling and nothing else. (get_run, list_runs)
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
        """An async context manager over an async iterator: the run now, then at each change of its status.

        The last one is settled, or whatever else is in `until`. A status that comes and goes between two
        polls is not seen. A run given as just started comes first as it is, any other is read first.
        Cancelling one step, by a time limit for instance, loses nothing: iterate again. Leaving the block
        stops polling. Arguments and errors as those of `wait_for_run`; the iterator raises them. (get_run,
        list_runs)
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
        """An async context manager over an async iterator: each run as it settles, in that order.

        Arguments as those of `wait_for_run`; `timeout` covers the whole. An error of one wait is raised by
        the iterator when its turn comes; iterate again for the other runs. Leaving the block ends all waits.
        """
        arguments = checked_wait(timeout, until, poll, None)
        waited = tuple(runs)
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
        """An async context manager over an async iterator of outcomes, in the order of completion.

        Starts a run for each of `requests` and waits for it as `wait_for_run` does, at most `run_timeout`
        seconds. `requests` are read no further ahead than `max_in_flight`, may be endless, and are encoded
        as they are read: what is sent is what was recorded. At most `max_in_flight` are unsettled at a time.
        A failure is an outcome of its own and stops no other run.

        Starts wait while the organization is full or the API cannot be reached, with one probe at a time
        after 0.5 s, at most 15 s (a WARNING says so), and while a 429 pauses the client. What concerns all
        starts ends the job: a refused key (401, 403), a Retry-After above `RetryPolicy.retry_after_limit`,
        an API that was never reached within a minute. Then nothing more is started, the runs that were are
        awaited, and the iterator raises the error; the same call goes on later. Leaving the block stops
        starting and waiting; starts under way finish and are recorded first, and runs go on.

        With `journal`, a file, every step is on disk before it is taken. After a crash the same call goes
        on: settled runs are not run again but yielded with `resumed`, started ones are awaited, and a start
        whose outcome is not known is looked up by its name no sooner than `absence_delay` seconds later and
        sent again only when certainly absent; else its outcome is a `StartUncertainError`, until
        `Journal.resolve` decides. Names tell requests apart and must be unique: they may come in another
        order, be more or fewer, and one that never started may have changed. The second of two of a name,
        and a changed one that has a run, are outcomes with a `JournalError`. Without a journal an uncertain
        start is an outcome with `StartUncertainError`.

        The `files` of requests are uploaded first, at most `max_uploads` at a time and that many requests
        ahead, each file once a job: content and name tell which are the same. A journal remembers their ids.
        A file that cannot be read or is refused is the outcome (`UploadError`) of the requests that need it.

        `rerun` starts requests again whose run settled in one of these statuses; `recheck` reads those runs
        again that settled in a status a person can change (Exception) and waits for them. Every run of a
        request stays on record.

        The iterator raises `JournalError` when the journal is of the other API, damaged, in use, deleted
        meanwhile or cannot be written, and what iterating `requests` raises.
        """
        arguments = checked_wait(run_timeout, SETTLED, poll, None, name="run_timeout")

        async def wait(run: Run | RunHandle | str, group: tuple[str, str]) -> Run:
            return await self._waits.one(self._reader.waited(run, group), arguments)

        # Loaded with the first bulk job: it brings SQLite.
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
        """The run that this starts, once it has settled: `runs.start`, then `wait_for_run`.

        `files`, paths or `FileSource`, are uploaded side by side first; their ids come after `file_ids`.
        `timeout` covers all of it, but never cuts uploads or the start short, whose outcome would then be
        unknown: when they took it all, `WaitTimeoutError.run` is the run just started. Raises what
        `files.upload`, `runs.start` and `wait_for_run` raise.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Before the start: afterwards an argument refused would leave a run that nobody waits for.
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
