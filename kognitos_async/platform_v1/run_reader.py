"""Reads of platform API runs for shared polls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.errors import DecodeError
from kognitos_async.messages import Request, with_query
from kognitos_async.page_decoder import undecoded
from kognitos_async.paging import Page, PartialPage
from kognitos_async.platform_v1.arguments import LARGEST_PAGE
from kognitos_async.platform_v1.decoding import list_decoder, model_decoder
from kognitos_async.platform_v1.filters import F
from kognitos_async.platform_v1.models.runs import ListRunsResponse, PlatformRun, StartedRun
from kognitos_async.platform_v1.names import AUTOMATION, RUN, parse_name
from kognitos_async.server_clock import at, bounded
from kognitos_async.waiting.policy import NOT_FOUND_GRACE
from kognitos_async.waiting.reader import Waited

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kognitos_async.platform_v1.names import Name, Named, Scope
    from kognitos_async.sender import Sender
    from kognitos_async.uncertain_start import OwnStarts
    from kognitos_async.waiting.recent_starts import RecentStarts

_RUN = model_decoder(PlatformRun)
_PAGE = list_decoder(ListRunsResponse, "runs")
_WIDE_MARGIN = timedelta(seconds=60)
"""How long before its start a run may seem created. A wider window costs nothing here."""


class RunReader:
    """Reads runs one by one and by page, and estimates the age of a run before it is read."""

    largest_page = LARGEST_PAGE
    filters_by_time = True

    def __init__(self, sender: Sender, scope: Scope, recent: RecentStarts, own: OwnStarts) -> None:
        self._sender = sender
        self._scope = scope
        self._recent = recent
        self._own = own
        self.users: set[str] = set()
        """Users who started runs known to be ours."""

    async def read(self, run_id: str) -> PlatformRun:
        """The run of a full name. Raises `DecodeError` for a listed name that is no run's."""
        try:
            name = parse_name("run", run_id, RUN)
        except ValueError:
            raise DecodeError(
                f"run {run_id!r} is listed, but that is no run's name", path="$.name", body=b""
            ) from None
        run = await self._sender.send(Request("GET", name.path, identity=("name", str(name))), _RUN)
        self._learn(run)
        return run

    async def read_page(
        self, group: str, token: str | None, since: datetime | None = None, *, size: int | None = None
    ) -> Page[PlatformRun]:
        """A page of an automation's runs created at `since` or later."""
        query: dict[str, Any] = {
            "page_size": size or LARGEST_PAGE,
            "filter": None if since is None else str(F.create_time >= since),
            "page_token": token,
        }
        path = parse_name("automation", group, AUTOMATION).path
        request = Request("GET", with_query(f"{path}/runs", query))
        answer, bad = await self._sender.send(request, _PAGE)
        runs = answer.runs
        if runs and not runs[0].name.startswith("organizations/"):
            runs = tuple(msgspec.structs.replace(run, name=f"{group}/runs/{run.id}") for run in runs)
        for run in runs:
            self._learn(run)
        following = answer.next_page_token or None
        if bad:
            error = undecoded(request, "runs", bad, self._sender.redactor)
            return PartialPage(runs, following, error=error)
        return Page(runs, following)

    def note_users(self, runs: Iterable[PlatformRun]) -> None:
        """Record the users who started runs known to be ours."""
        for run in runs:
            if run.invocation_details is not None and run.invocation_details.user_id:
                self.users.add(run.invocation_details.user_id)

    def _learn(self, run: PlatformRun) -> None:
        """Learn from a run of this client: its user, and the offset of the clock that stamps it."""
        start = self._own.unseen(run.name)
        if start is not None:
            self.note_users([run])
            self._sender.clock.note_stamp(run.create_time, sent=start.sent, received=start.received)

    def key(self, run: PlatformRun) -> str:
        """The full name, as `read` takes it."""
        return run.name

    def occurrence(self, run: PlatformRun) -> tuple[object, str | None]:
        """The state, and the exception that the run awaits guidance for."""
        guidance = run.guidance
        return run.state, (guidance.exception or None) if guidance is not None else None

    def group_of(self, run: PlatformRun) -> str:
        """The automation whose list holds the run."""
        return run.automation

    def created(self, run: PlatformRun) -> datetime:
        """Time of creation; a service may stamp the calendar's first day."""
        return bounded(run.create_time)

    def incomplete(self, run: PlatformRun) -> bool:
        """Whether a listed run may lack its outputs."""
        return run.succeeded and not run.has_outputs

    def waited(
        self,
        run: PlatformRun | StartedRun | str,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Waited[PlatformRun]:
        """The state of a run to wait for. Raises what `Scope.run` raises."""
        name = self._scope.run(run, automation, workspace_id, organization_id)
        key, group = str(name), str(name.parent(AUTOMATION))
        age = self._recent.age(key)
        clock = self._sender.clock
        if isinstance(run, PlatformRun):
            if age is None:
                age = max(0.0, (clock.now() - run.create_time).total_seconds())
            return Waited(key, run, group, age, fresh=age <= NOT_FOUND_GRACE, created_at=run.create_time)
        if isinstance(run, StartedRun):
            if age is None:
                age = max(0.0, (datetime.now(UTC) - run.started_at).total_seconds())
            shift = clock.difference() - _WIDE_MARGIN
            created_at = at(run.started_at.timestamp() + shift.total_seconds())
            return Waited(key, None, group, age, fresh=age <= NOT_FOUND_GRACE, created_at=created_at)
        return Waited(key, None, group, float("inf") if age is None else age, fresh=False)

    def recall(self, since: Mapping[str, float]) -> None:
        """Record runs that an earlier process started: full names and POSIX times, oldest first."""
        clock = self._sender.clock
        now = clock.monotonic()
        self._recent.recall({name: now - clock.moment_at(moment) for name, moment in since.items()})

    def started(self, invoked: str, automation: Name) -> StartedRun:
        """The run named by the answer to an invocation, by full name or bare id."""
        try:
            name = (
                parse_name("run_id", invoked, RUN)
                if "/" in invoked
                else self._scope.resolve("run_id", invoked, RUN, within=automation)
            )
        except ValueError as problem:
            raise DecodeError(
                f"the invocation of {automation} was answered with an invalid run id: {problem}",
                path="$.run_id",
                body=b"",
            ) from None
        self._recent.note(str(name))
        return StartedRun(name=str(name), started_at=datetime.now(UTC))
