"""Upload the files of a workflow and start its run exactly once, across executions."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.errors import (
    CapacityError,
    JournalError,
    KognitosError,
    NotSentError,
    RateLimitError,
    ServerError,
    StartUncertainError,
    TransportError,
    UploadError,
)
from kognitos_async.event_loop import steady_time
from kognitos_async.integrations.dbos.ledger import NotOwnerError, RunTakenError, WorkflowLedger
from kognitos_async.retry import RETRYABLE_STATUSES

if TYPE_CHECKING:
    from kognitos_async.integrations.dbos.apis import Api, Plan
    from kognitos_async.integrations.dbos.database import Database
    from kognitos_async.integrations.dbos.executor_lock import Presence

_logger = logging.getLogger("kognitos_async")

_STALE = 4.0
"""Seconds after which a passed fence is void: the process may have been frozen meanwhile.

Well below the time until another worker considers this one dead, looks up its start and starts again.
"""
_PASSING = (CapacityError, RateLimitError, NotSentError, ServerError)
"""Transient errors after which nothing was started."""
_OUTAGES = (TransportError, ServerError, RateLimitError)
"""Transient errors of a look-up or an upload."""
_SHORTEST, _LONGEST = 1.0, 30.0
"""Minimum and maximum seconds between retries."""
_LOOK_UPS = 3
"""Look-ups of an uncertain start while the API is available."""
_OUTAGE = 900.0
"""Seconds for which look-ups are retried while the API is unavailable."""


class Starter:
    """Starts runs in the event loop of the client."""

    def __init__(
        self, api: Api, client: Any, database: Database, presence: Presence, *, absence_delay: float
    ) -> None:
        self._api = api
        self._client = client
        self._database = database
        self._presence = presence
        self._absence_delay = absence_delay
        self._draining = False
        self._on_the_way = 0
        self._none_on_the_way = asyncio.Event()
        self._none_on_the_way.set()

    async def drain(self) -> None:
        """Send no more starts, and return when the starts in flight are recorded."""
        self._draining = True
        await self._none_on_the_way.wait()

    async def start(self, plan: Plan, body: bytes, token: str) -> dict[str, Any]:
        """The handle of the run, JSON-ready.

        Retries while the organization is at capacity, the rate limit is exceeded, or the API or the database
        is unavailable. Raises `NotOwnerError` if another execution has taken over, `StartUncertainError` if
        it is uncertain whether the run exists, and permanent errors of the start.
        """
        ledger = WorkflowLedger(self._database, plan.workflow_id, token, lambda: self._presence.lock)
        doubt: datetime | None = None
        look_ups, pause, began = 0, _SHORTEST, time.monotonic()
        while True:
            entry = await ledger.begin(plan.name)
            if entry.handle is not None:
                return entry.handle
            if doubt is None and entry.age is not None:
                # By the clock of the database: that of the worker which sent it may differ from ours.
                doubt = datetime.now(UTC) - timedelta(seconds=entry.age)
            attempt = _Attempt(self, ledger, plan.name, entry.attempts)
            try:
                run = await self._start_once(plan, body, doubt, attempt)
            except NotOwnerError:
                raise
            except JournalError as problem:
                _logger.warning("%s; retrying", problem)
            except StartUncertainError as problem:
                doubt = problem.since
                look_ups += 1
                lasting = not isinstance(problem.__cause__, _OUTAGES)
                if (lasting and look_ups >= _LOOK_UPS) or time.monotonic() - began > _OUTAGE:
                    await ledger.uncertain()
                    raise
            except KognitosError as problem:
                if attempt.sent:  # attempts of an earlier execution are decided by look-ups only
                    doubt = None
                    await ledger.not_sent()
                if not isinstance(problem, _PASSING):
                    raise
            else:
                handle: dict[str, Any] = msgspec.to_builtins(run.handle)
                return handle
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)

    async def upload(self, plan: Plan, mark: str) -> str:
        """The reference of an uploaded file; empty if the request already has a run.

        Retries while the API or the file store is unavailable. Raises `UploadError` if the file cannot be
        read, and permanent errors of the upload.
        """
        ledger = WorkflowLedger(self._database, plan.workflow_id, "", lambda: None)
        if (await ledger.begin(plan.name)).handle is not None:  # given by a person, without this upload
            return ""
        file = plan.files[mark]
        pause = _SHORTEST
        while True:
            await self.may_send()
            try:
                return await self._api.upload(self._client, plan.body(), file.source())
            except KognitosError as problem:
                if not _is_passing(problem):
                    raise
                _logger.warning("the upload of %r failed and will be retried: %s", file.name, problem)
            except OSError as problem:
                why = problem.strerror or problem
                raise UploadError(f"file {file.path or file.name} cannot be read: {why}") from problem
            except ValueError as problem:
                raise UploadError(f"file {file.name!r} cannot be uploaded: {problem}") from problem
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)

    async def _start_once(self, plan: Plan, body: bytes, doubt: datetime | None, attempt: _Attempt) -> Any:
        try:
            run = await self._api.start_once(
                self._client,
                body,
                plan.name,
                earlier=doubt,
                before_send=attempt.about_to_send,
                absence_delay=self._absence_delay,
            )
            await attempt.ledger.started(plan.name, run.handle)
        except RunTakenError as taken:
            # Found by its inputs, but recorded for another request.
            raise StartUncertainError(
                f"it is uncertain whether the start of {plan.name!r} created a run: {taken}",
                request=self._api.request(body, plan.name),
                since=doubt or datetime.now(UTC),
            ) from taken
        finally:
            attempt.ended()
        return run

    async def may_send(self) -> None:
        """Return at once, or block until cancelled while this worker shuts down."""
        if self._draining:
            await asyncio.Event().wait()

    def leaves(self) -> None:
        """Count a start in flight."""
        self._on_the_way += 1
        self._none_on_the_way.clear()

    def arrived(self) -> None:
        """Count the end of a start in flight."""
        self._on_the_way -= 1
        if not self._on_the_way:
            self._none_on_the_way.set()


def _is_passing(problem: KognitosError) -> bool:
    """Whether a failed upload may succeed later. A file that was stored twice harms nobody."""
    if isinstance(problem, UploadError):
        return isinstance(problem.__cause__, TransportError) or problem.status in RETRYABLE_STATUSES
    return isinstance(problem, _OUTAGES)


class _Attempt:
    """The attempts of one call of `start_once`: each is fenced and recorded right before it is sent."""

    def __init__(self, starter: Starter, ledger: WorkflowLedger, name: str, earlier: int) -> None:
        self.ledger = ledger
        self.sent = False
        self._starter = starter
        self._name = name
        self._count = earlier
        self._on_the_way = False

    async def about_to_send(self) -> None:
        """Pass the fence, repeatedly if that takes too long."""
        self.ended()  # the attempt before certainly created no run
        while True:
            await self._starter.may_send()
            began = steady_time()
            self._count += 1
            await self.ledger.about_to_send(self._name, self._count)
            if steady_time() - began < _STALE:
                break
        self.sent = self._on_the_way = True
        self._starter.leaves()

    def ended(self) -> None:
        """Record that no start of this call is in flight."""
        if self._on_the_way:
            self._on_the_way = False
            self._starter.arrived()
