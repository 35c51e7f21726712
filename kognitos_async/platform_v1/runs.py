"""Runs of the platform API: read, list, follow, mirror, pause, and look up a start whose answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.checks import check_since
from kognitos_async.messages import Request
from kognitos_async.platform_v1.arguments import LARGEST_PAGE
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import encode_invocation
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import runs as generated
from kognitos_async.platform_v1.models.generated.automations import Automation, ListAutomationsResponse
from kognitos_async.platform_v1.models.runs import ENDED, ListRunsResponse, PlatformRun
from kognitos_async.platform_v1.run_reports import RunReports
from kognitos_async.shared_reading import gathered
from kognitos_async.waiting.follow import Follower
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from kognitos_async.mirror.rows import SyncResult
    from kognitos_async.mirror.store import RunStore
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.look_up import LookUps
    from kognitos_async.platform_v1.models.runs import InvokeRequest
    from kognitos_async.platform_v1.names import Name, Named, Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.sender import Sender
    from kognitos_async.waiting.policy import PollPolicy

_RUN = model_decoder(PlatformRun)


class Runs(RunReports):
    """`client.runs`. In every list `page_size` is 1 to 1000, and `page_token` resumes an earlier listing.

    See `PlatformClient` for the errors that every request may raise.
    """

    def __init__(
        self, sender: Sender, scope: Scope, poll: PollPolicy, reader: RunReader, look_ups: LookUps
    ) -> None:
        super().__init__(sender, scope)
        self._poll = poll
        self._reader = reader
        self._look_ups = look_ups

    def list(
        self,
        automation: str | Named,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[PlatformRun]:
        """A pager over the runs of an automation, newest first.

        `filter` supports `create_time` only: `F.create_time >= time`. `page_size` is 1 to 1000. `page_token`
        resumes an earlier listing. Listed runs may lack outputs. Nothing is sent until the pager is used.
        (ListRuns)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/runs",
            ListRunsResponse,
            "runs",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def get(
        self,
        run: str | Named,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> PlatformRun:
        """The run with its outputs. A bare id needs `automation`. Raises `NotFoundError`. (GetRun)"""
        name = self._scope.run(run, automation, workspace_id, organization_id)
        return await self._sender.send(Request("GET", name.path, identity=("name", str(name))), _RUN)

    async def pause(
        self,
        run: str | Named,
        *,
        reason: str,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> PlatformRun:
        """The run after asking it to stop, which it does when it can; `resume` continues it. (PauseRun)"""
        name = self._scope.run(run, automation, workspace_id, organization_id)
        return await self._send(
            "POST", f"{name.path}:pause", PlatformRun, body={"reason": checks.text("reason", reason)}
        )

    async def resume(
        self,
        run: str | Named,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> PlatformRun:
        """The run after continuing it from where it stopped. (ContinueRun)"""
        name = self._scope.run(run, automation, workspace_id, organization_id)
        return await self._send("POST", f"{name.path}:continue", PlatformRun, body={})

    def events(
        self,
        run: str | Named,
        *,
        filter: Filter | str | None = None,
        automation: str | Named | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[generated.RunEvent]:
        """A pager over the events of a run, oldest first: state changes and steps.

        `filter` supports `node_kind` only. `page_size` is 1 to 1000; pages may hold fewer items.
        (ListRunEvents)
        """
        name = self._scope.run(run, automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/events",
            generated.ListRunEventsResponse,
            "run_events",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def find_started(self, request: InvokeRequest, *, since: datetime) -> builtins.list[PlatformRun]:
        """The runs that a lost invocation may have made, oldest first; empty if there are none.

        These are runs of its automation, stage and inputs, created at `since` (local time) or later, not by a
        trigger, a schedule or a user other than this client's. An invocation carries no mark: one made
        elsewhere by the same user with the same inputs is found too. So are runs with further inputs, since
        the API may add defaults. Runs created earlier are included by as much as the clocks may differ, at
        least five seconds. Concurrent calls share readings of the list. (ListRuns)
        """
        check_since(since)
        return await self._look_ups.find(request, since)

    async def find_many(
        self, requests: Iterable[InvokeRequest], *, since: datetime
    ) -> dict[str, builtins.list[PlatformRun]]:
        """What `find_started` finds for each of `requests`, by name, from one reading of each list.

        A request without a name is listed under the name that a journal would give it. Raises `ValueError` if
        two requests have the same name, and what `find_started` raises. (ListRuns)
        """
        check_since(since)
        asked: dict[str, InvokeRequest] = {}
        for request in requests:
            name = request.name or encode_invocation(request, self._scope).mark
            if asked.setdefault(name, request) is not request:
                raise ValueError(f"requests must have unique names, got {name!r} twice")
        found = await gathered([self._look_ups.find(request, since) for request in asked.values()])
        return dict(zip(asked, found, strict=True))

    def follow(
        self,
        automation: str | Named,
        *,
        since: datetime | None = None,
        poll: PollPolicy | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[PlatformRun]]:
        """An async context manager over an endless async iterator: a run whenever it appears or changes.

        It follows the runs of the automation created at `since` or later, whoever started them. With `since`,
        existing runs are yielded first; without it, runs of the last day are followed too, but only their
        changes from now on are yielded. `poll` sets the reading interval: `initial` seconds after a change,
        up to `maximum` while idle. A state that comes and goes between two readings is missed.

        Each reading fetches the pages that may hold new runs or runs that have not ended; runs missing from
        the list are read individually. At most 100,000 runs that have not ended are tracked; the oldest are
        dropped, and runs that cannot be decoded are skipped, both with a WARNING. Lost connections, 5xx, 429
        and expired tokens only delay; pages over 64 MiB are fetched again in smaller ones. The iterator
        raises permanent errors. (ListRuns, GetRun)
        """
        if since is not None:
            check_since(since)
        follower = Follower(
            self._reader,
            str(self._scope.automation(automation, workspace_id, organization_id)),
            since=since,
            ended=ENDED,
            policy=poll or self._poll,
            pace=self._sender,
        )
        return WorkStream(follower.work)

    async def sync(
        self,
        store: RunStore | str | os.PathLike[str],
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
        on_progress: Callable[[SyncResult], object] | None = None,
    ) -> SyncResult:
        """The changes that one pass over the history made to a local mirror. (ListRuns, GetRun)

        `store` is a path: `*.duckdb`, an existing folder or a str that ends in / (Parquet files), or else a
        SQLite file. A `Path` drops the slash.
        The mirror covers one automation, or all automations of the workspace without `automation`. A pass
        reads new runs, and reads again each run that had not ended, so that no state change is missed. Each
        page is durable before the next is fetched: an interrupted pass resumes where it stopped. Memory use
        is constant. `on_progress` is called with the `SyncResult` so far.

        Raises `MirrorError` if the store cannot be used or written, `ModuleNotFoundError` if its extra
        (`sync`) is missing, and what `list` and `get` raise.
        """
        # Imported late: it loads SQLite.
        from kognitos_async.mirror.sync import sync_lists  # noqa: PLC0415
        from kognitos_async.platform_v1.mirror import mirrored  # noqa: PLC0415

        checks.callback("on_progress", on_progress)
        if automation is not None:
            groups = self._one_list(self._scope.automation(automation, workspace_id, organization_id))
        else:
            groups = self._all_lists(self._scope.workspace(workspace_id, organization_id))
        return await sync_lists(
            store,
            "platform_v1",
            self._reader,
            mirrored,
            groups,
            clock=self._sender.clock,
            filters_by_time=True,
            on_progress=on_progress,
        )

    async def _one_list(self, automation: Name) -> AsyncIterator[str]:
        yield str(automation)

    async def _all_lists(self, workspace: Name) -> AsyncIterator[str]:
        automations: Pager[Automation] = self._list(
            f"{workspace.path}/automations",
            ListAutomationsResponse,
            "automations",
            page_size=LARGEST_PAGE,
            page_token=None,
        )
        async for automation in automations:
            yield f"{workspace}/automations/{automation.id}"
