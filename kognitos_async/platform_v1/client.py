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
    from kognitos_async.platform_v1.names import Named
    from kognitos_async.waiting.reader import Waited

HOSTS = {"us-1": "app.us-1.kognitos.com", "eu-1": "app.eu-1.kognitos.com"}


class PlatformClient(BaseClient):
    """Client for the platform API. Use it in `async with`, or between `await open()` and `await aclose()`.

    Settings left out come from KOGNITOS_TOKEN, KOGNITOS_ORGANIZATION_ID, KOGNITOS_WORKSPACE_ID,
    KOGNITOS_REGION (us-1 or eu-1; default us-1) and KOGNITOS_BASE_URL. The token is a personal access token,
    `kgn_pat_…`. Calls use this organization and workspace unless they name others. `request_timeout` bounds
    one attempt, in seconds; `max_connections` the requests in flight; `requests_per_second` their rate (None:
    no limit). A `session` is left open; only its connections, proxies and TLS settings are used.

    Raises `ConfigurationError` for a missing or invalid setting. Every request may raise `APIStatusError`
    (its subclass by status), `TransportError`, `DecodeError` and `ClientClosedError`; invalid arguments raise
    `TypeError` or `ValueError` before anything is sent. A client belongs to one event loop: share it.
    """

    organizations: Organizations = attribute(Organizations)
    """Organizations: users, roles, invitations and preferences."""
    workspaces: Workspaces = attribute(Workspaces)
    """Workspaces: users, roles, invitations and preferences."""
    automations: Automations = attribute(Automations)
    """Read and invoke automations; manage their schedules, triggers and connections."""
    runs: Runs = attribute(Runs)
    """Read, list, pause, resume, look up, follow and mirror runs."""
    exceptions: Exceptions = attribute(Exceptions)
    """Read exceptions of runs, and answer them."""
    files: Files = attribute(Files)
    """Upload and download files of an organization."""
    books: Books = attribute(Books)
    """Books, and the connections they use."""
    analytics: Analytics = attribute(Analytics)
    """Metrics, insights and estimated savings."""
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
        del token  # keep it out of the locals in tracebacks
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
        """The run with its outputs, once its state is in `until`. A failed run is returned, not raised.

        A bare id needs `automation`. A completed or failed run is returned even if `until` lacks that state,
        since it is final. `timeout` bounds the whole wait in seconds; None means no limit. `poll` overrides
        the client's `PollPolicy`. `on_update` is called with the run whenever a poll finds its state changed.
        Waits on one client share polls, which run in an empty context (contextvars).

        `after`, the run as last seen, excludes the settled state that it was in: after `exceptions.reply`,
        `wait_for_run(run, after=run)` returns at the next question or the end, not at the exception just
        answered. A run that stays at that exception keeps the wait going until `timeout`.

        Transient failures (lost connections, 5xx, 429, error pages of a proxy) do not end the wait. Raises
        `WaitTimeoutError` with the last run seen; `NotFoundError`, except in the 5 s after the start;
        `AuthenticationError` and other permanent errors at once; `OutcomeUnknownError` for an answer over 64
        MiB; `UnknownStatusError` for a state unknown to this version; `DecodeError` for a third answer in a
        row about another run; `ClientClosedError`. Cancelling the wait stops polling; the run continues.
        (GetRun, ListRuns)
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
        """An async context manager over an async iterator of the run: now, then after each state change.

        The last item is settled, or in another state of `until`. A state that comes and goes between two
        polls is missed. Cancelling one step, for instance by a timeout, loses nothing: iterate again. Leaving
        the block stops polling. Arguments and errors as in `wait_for_run`; the iterator raises the errors.
        (GetRun, ListRuns)
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
        """An async context manager over an async iterator of the runs, each yielded as it settles.

        Arguments as in `wait_for_run`; `timeout` bounds all waits together. The iterator raises the error of
        a failed wait in its turn; iterate again for the remaining runs. Leaving the block ends all waits.
        """
        arguments = checked_wait(timeout, until, poll, None)
        runs = several_runs(runs)
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
        """The settled run that this call starts: `automations.invoke`, then `wait_for_run`.

        `timeout` bounds both in seconds, but never interrupts the start, whose outcome would be unknown.
        Raises what both raise; `WaitTimeoutError.run` is None if no poll has read the run by then.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        # Checked before the start: a refusal afterwards would leave a run unattended.
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
    ) -> AbstractAsyncContextManager[AsyncIterator[RunOutcome[InvokeRequest, PlatformRun]]]:
        """An async context manager over an async iterator of `RunOutcome`, in order of completion.

        Invokes each of `requests` and waits for its run as `wait_for_run` does, up to `run_timeout` seconds.
        At most `max_in_flight` runs are unsettled at a time. `requests` may be endless: they are read no
        further ahead, and encoded when read, so later changes to them have no effect. A failure is the
        outcome of its request; the others continue.

        Starts pause while the organization is at capacity or the API is unreachable, apart from single probes
        every 0.5 s to 15 s (logged at WARNING), and while a 429 pauses the client. An error that concerns all
        starts ends the job: 401, 403, a Retry-After above `RetryPolicy.retry_after_limit`, or no contact with
        the API in the first minute. No more runs are started, those started are awaited, and the iterator
        raises the error; the same call resumes the job. Leaving the block stops starting and waiting; starts
        in flight finish and are recorded, and runs continue.

        With `journal`, a file, every step is durable before it is taken. After a crash the same call resumes:
        settled runs are yielded with `resumed` set and not run again (those awaiting guidance are read
        again), started ones are awaited, and an ambiguous start is looked up no sooner than `absence_delay`
        seconds later. An invocation carries no mark: a run is adopted only if its time, inputs and user all
        allow it; otherwise the outcome is a `StartUncertainError` until `Journal.resolve` decides. Without a
        journal, every ambiguous start is one. Names identify requests and must be unique; requests without a
        name must differ. Order and number of requests may change between calls, and so may a request that
        never started; a duplicate, or a changed request that has a run, is an outcome with a `JournalError`.

        `FileSource` inputs are uploaded first, at most `max_uploads` at a time and that many requests ahead,
        each distinct file (name and content) once a job, and once more if the service no longer knows it.
        Like starts, uploads wait for an unreachable API. A failed one is the outcome of all its requests.

        `rerun` are states of settled runs whose requests are started again; the earlier run stays on record.
        `recheck` awaits again the runs that settled in a state a person can change (awaiting_guidance,
        stopped).

        The iterator raises `JournalError` for a journal of the other API, or one that is damaged, in use,
        deleted during the job or not writable, and whatever iterating `requests` raises.
        """
        arguments = checked_wait(run_timeout, SETTLED_STATES, poll, None, name="run_timeout")

        async def wait(run: Waited[PlatformRun]) -> PlatformRun:
            return await self._waits.one(run, arguments)

        from kognitos_async.bulk.job import run_many  # noqa: PLC0415 - loads SQLite

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
