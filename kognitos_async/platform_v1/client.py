"""The client for the current platform API."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from kognitos_async import settings
from kognitos_async.base_client import BaseClient, attribute
from kognitos_async.platform_v1.analytics import Analytics
from kognitos_async.platform_v1.automations import Automations
from kognitos_async.platform_v1.books import Books
from kognitos_async.platform_v1.bulk import InvocationJobs
from kognitos_async.platform_v1.exceptions import Exceptions
from kognitos_async.platform_v1.files import Files
from kognitos_async.platform_v1.look_up import LookUps
from kognitos_async.platform_v1.models.runs import (
    ENDED,
    SETTLED_STATES,
    AutomationStage,
    InvokeRequest,
    PlatformRun,
    RunState,
    StartedRun,
)
from kognitos_async.platform_v1.names import Scope
from kognitos_async.platform_v1.organizations import Organizations
from kognitos_async.platform_v1.run_reader import RunReader
from kognitos_async.platform_v1.runs import Runs
from kognitos_async.platform_v1.starts import Starts
from kognitos_async.platform_v1.workspaces import Workspaces
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
    from kognitos_async.platform_v1.names import Named
    from kognitos_async.waiting.reader import Waited

HOSTS = {"us-1": "app.us-1.kognitos.com", "eu-1": "app.eu-1.kognitos.com"}


class PlatformClient(BaseClient):
    """A client for the platform API, usable inside `async with`, or between `open()` and `aclose()`.

    Settings left out come from KOGNITOS_TOKEN, KOGNITOS_ORGANIZATION_ID, KOGNITOS_WORKSPACE_ID,
    KOGNITOS_REGION (us-1 or eu-1; else us-1) and KOGNITOS_BASE_URL. The token is a personal access token,
    `kgn_pat_…`. Organization and workspace are those that calls are about unless they name others.

    Times are in seconds: `request_timeout` bounds one attempt. At most `max_connections` requests are under
    way at once, and `requests_per_second` of them begin if it is set. A `session` stays open; its
    connections, proxies and TLS settings apply, nothing else.

    Raises `ConfigurationError` for a wrong or missing setting. Make one client an event loop and share it.
    """

    organizations: Organizations = attribute(Organizations)
    """Organizations, their members and preferences."""
    workspaces: Workspaces = attribute(Workspaces)
    """Workspaces of an organization."""
    automations: Automations = attribute(Automations)
    """Read and invoke automations; their schedules, triggers, connections and revisions."""
    runs: Runs = attribute(Runs)
    """Read, list, pause, look up and follow runs."""
    exceptions: Exceptions = attribute(Exceptions)
    """What waits for a person, and the answers to it."""
    files: Files = attribute(Files)
    """Upload and download files of an organization."""
    books: Books = attribute(Books)
    """Books and their connections."""
    analytics: Analytics = attribute(Analytics)
    """Usage and insights."""
    _waits: Waits[PlatformRun]
    _starts = re.compile(r"/organizations/[^/]+/workspaces/[^/]+/automations/[^/]+:invoke")
    _confidential = re.compile(r".*(:generateUploadUrl|:generateDownloadUrl|/connections|/authorize)")

    def __init__(
        self,
        token: str | None = None,
        *,
        organization_id: str | None = None,
        workspace_id: str | None = None,
        region: str | None = None,
        base_url: str | None = None,
        request_timeout: float = 30.0,
        max_connections: int = 100,
        requests_per_second: float | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        poll: PollPolicy = PollPolicy(),  # noqa: B008 - frozen
        session: aiohttp.ClientSession | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        given = Secret[object](token)
        del token  # frames of errors from here on do not show it
        key = settings.api_key(given, name="token", variable="KOGNITOS_TOKEN")
        super().__init__(
            settings.api_url(base_url, region, hosts=HOSTS, default_region="us-1", suffix="/api/v1"),
            key,
            Secret({"Authorization": f"Bearer {key.reveal()}"}),
            request_timeout=request_timeout,
            max_connections=max_connections,
            requests_per_second=requests_per_second,
            retry=retry,
            poll=poll,
            session=session,
            trace_configs=trace_configs,
        )
        self._scope = scope = Scope.of(
            settings.setting("organization_id", organization_id, "KOGNITOS_ORGANIZATION_ID"),
            settings.setting("workspace_id", workspace_id, "KOGNITOS_WORKSPACE_ID"),
        )
        self.organizations = Organizations(self._sender, scope)
        self.workspaces = Workspaces(self._sender, scope)
        own = OwnStarts()
        self._reader = RunReader(self._sender, scope, RecentStarts(), own)
        self._look_ups = LookUps(self._sender, scope, self._reader, own)
        self.runs = Runs(self._sender, scope, poll, self._reader, self._look_ups)
        self.files = Files(self._sender, scope)
        self._run_starts = Starts(self._sender, scope, self._reader, self._look_ups, self.files)
        self.automations = Automations(self._sender, scope, self._run_starts)
        self.exceptions = Exceptions(self._sender, scope)
        self.books = Books(self._sender, scope)
        self.analytics = Analytics(self._sender, scope)
        self._waits = Waits(self._reader, self._sender, ended=ENDED, policy=poll)

    async def wait_for_run(
        self,
        run: PlatformRun | StartedRun | str,
        *,
        timeout: float | None = None,
        until: Collection[RunState | str] = SETTLED_STATES,
        poll: PollPolicy | None = None,
        on_update: Callable[[PlatformRun], object] | None = None,
        automation: str | Named | None = None,
        after: PlatformRun | None = None,
    ) -> PlatformRun:
        """The run, read with its outputs, once its state is in `until`: by default completed, failed, stopped
        or awaiting_guidance. A run that did not complete is returned too: ask `raise_for_status()`.

        A bare id needs `automation`. A run that completes or fails outside `until` is returned as well, for
        it will never leave that state. `timeout` in seconds covers the whole wait; None waits for ever.
        `on_update` is called with the run whenever a poll finds its state changed. `poll` replaces the
        client's `PollPolicy`. Waits on one client share their polls, in a context (contextvars) that belongs
        to none of them.

        With `after`, the run as it was, the settled state that it was in does not end the wait: after
        `exceptions.reply`, `wait_for_run(run, after=run)` ends with the next question or the end, not with
        the exception just answered. A run that never leaves that exception never ends the wait.

        Lost connections, 5xx, 429 and a proxy's error pages do not end the wait. Raises `WaitTimeoutError`
        with the last run seen, `NotFoundError` (later than 5 s after the start), `AuthenticationError` and
        other errors that polling again cannot help, `OutcomeUnknownError` for an answer larger than 64 MiB,
        `UnknownStatusError` for a state that this version does not know, `ClientClosedError`. Cancelling it
        stops polling and nothing else. (GetRun, ListRuns)
        """
        arguments = checked_wait(timeout, until, poll, on_update)
        if after is not None and not isinstance(after, PlatformRun):
            raise TypeError(f"after must be a PlatformRun or None, got {type(after).__name__}")
        return await self._waits.one(self._reader.waited(run, automation), arguments, on_update, after=after)

    def watch_run(
        self,
        run: PlatformRun | StartedRun | str,
        *,
        timeout: float | None = None,
        until: Collection[RunState | str] = SETTLED_STATES,
        poll: PollPolicy | None = None,
        automation: str | Named | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PlatformRun]]:
        """An async context manager over an async iterator: the run now, then at each change of its state.

        The last one is settled, or whatever else is in `until`. A state that comes and goes between two
        polls is not seen. Cancelling one step, by a time limit for instance, loses nothing: iterate again.
        Leaving the block stops polling. Arguments and errors as those of `wait_for_run`; the iterator raises
        them. (GetRun, ListRuns)
        """
        arguments = checked_wait(timeout, until, poll, None)
        return self._waits.watch(self._reader.waited(run, automation), arguments)

    def wait_for_runs(
        self,
        runs: Iterable[PlatformRun | StartedRun | str],
        *,
        timeout: float | None = None,
        until: Collection[RunState | str] = SETTLED_STATES,
        poll: PollPolicy | None = None,
        automation: str | Named | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PlatformRun]]:
        """An async context manager over an async iterator: each run as it settles, in that order.

        Arguments as those of `wait_for_run`; `timeout` covers the whole. An error of one wait is raised by
        the iterator when its turn comes; iterate again for the other runs. Leaving the block ends all waits.
        """
        arguments = checked_wait(timeout, until, poll, None)
        runs = tuple(runs)
        for run in runs:
            self._scope.run(run, automation)
        return self._waits.several((self._reader.waited(run, automation) for run in runs), arguments)

    async def run_and_wait(
        self,
        automation: str | Named,
        inputs: Mapping[str, object] | None = None,
        *,
        stage: AutomationStage | str = AutomationStage.PUBLISHED,
        timeout: float | None = None,
        until: Collection[RunState | str] = SETTLED_STATES,
        poll: PollPolicy | None = None,
        on_update: Callable[[PlatformRun], object] | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> PlatformRun:
        """The run that this starts, once it has settled: `automations.invoke`, then `wait_for_run`.

        `timeout` covers both, but never cuts the start short, whose outcome would then be unknown. Raises
        what both raise.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Before the start: afterwards an argument refused would leave a run that nobody waits for.
        arguments = checked_wait(timeout, until, poll, on_update)
        run = await self.automations.invoke(
            automation, inputs, stage=stage, workspace_id=workspace_id, organization_id=organization_id
        )
        return await self._waits.one(
            self._reader.waited(run), arguments.after(loop.time() - began), on_update
        )

    def run_many(
        self,
        requests: Iterable[InvokeRequest] | AsyncIterable[InvokeRequest],
        *,
        max_in_flight: int = 100,
        journal: str | os.PathLike[str] | None = None,
        poll: PollPolicy | None = None,
        run_timeout: float | None = None,
        absence_delay: float = 5.0,
        max_uploads: int = 8,
        rerun: Collection[RunState | str] = (),
        recheck: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[InvokeRequest, PlatformRun | StartedRun]]]:
        """An async context manager over an async iterator of outcomes, in the order of completion.

        Invokes for each of `requests` and waits for it as `wait_for_run` does, at most `run_timeout`
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
        whose outcome is not known is looked up no sooner than `absence_delay` seconds later. Nothing marks an
        invocation: a run is taken for it only when its time, inputs and who started it all allow that; else
        the outcome is a `StartUncertainError`, until `Journal.resolve` decides. A run that awaited guidance
        is read again. Names tell requests apart and must be unique; requests without one must differ. They
        may come in another order, be more or fewer, and one that never started may have changed. The second
        of two of a name, and a changed one that has a run, are outcomes with a `JournalError`. Without a
        journal an uncertain start is an outcome with `StartUncertainError`.

        `FileSource` inputs are uploaded first, at most `max_uploads` at a time and that many requests ahead,
        each file once a job, again if the service has forgotten it. A failure is the outcome of its requests.

        `rerun` starts requests again whose run settled in one of these states, and keeps the run on record;
        `recheck` awaits runs again that settled where a person can change it (awaiting_guidance, stopped).

        The iterator raises `JournalError` when the journal is of the other API, damaged, in use, deleted
        meanwhile or cannot be written, and what iterating `requests` raises.
        """
        arguments = checked_wait(run_timeout, SETTLED_STATES, poll, None, name="run_timeout")

        async def wait(run: Waited[PlatformRun]) -> PlatformRun:
            return await self._waits.one(run, arguments)

        from kognitos_async.bulk.job import run_many  # noqa: PLC0415 - it brings SQLite

        return run_many(
            InvocationJobs(self._run_starts, self._look_ups, self._reader, self._scope, self.files, wait),
            self._sender,
            requests,
            max_in_flight=max_in_flight,
            journal=journal,
            absence_delay=absence_delay,
            rerun=rerun,
            recheck=recheck,
            max_uploads=max_uploads,
        )
