"""Runs of the platform API: read, list, follow, pause, and look up a start whose answer was lost."""

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
    """`client.runs`."""

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

        The filter knows `create_time` only: `F.create_time >= time`. `page_size` is 1 to 1000. Items may
        lack outputs. Nothing is sent before the pager is used. (ListRuns)
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
        """The run after the request to stop, which it does when it can; `resume` continues it. (PauseRun)"""
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
        """The run after it was continued from where it was stopped. (ContinueRun)"""
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
        """A pager over the events of a run, oldest first: changes of state and steps.

        The filter knows `node_kind` only. `page_size` is 1 to 1000; pages may be short. (ListRunEvents)
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
        """The runs that a lost invocation may have made: its automation, stage and inputs, created at `since`
        or later by no trigger or schedule, nor by another user than the one that runs of this client show;
        oldest first.

        Nothing marks an invocation: one that the same user made elsewhere with the same inputs is found as
        well, and runs with inputs beyond those given are, for the API may add defaults. `since` is by this
        machine's clock; runs created earlier count too as far as the clocks that were seen may differ, at
        least five seconds. Calls under way at once share readings of the list. (ListRuns)
        """
        check_since(since)
        return await self._look_ups.find(request, since)

    async def find_many(
        self, requests: Iterable[InvokeRequest], *, since: datetime
    ) -> dict[str, builtins.list[PlatformRun]]:
        """What `find_started` finds for each of `requests`, in one reading of each list.

        The keys are the requests' names, and for those without one the name that a journal gives them.
        Raises `ValueError` when two have one name, and what `find_started` raises.
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
        """An async context manager over an async iterator that never ends by itself: a `PlatformRun` whenever
        one of the automation appears or changes its state, whoever started it.

        It follows the runs created at `since` or later. With `since`, those that exist come first, as they
        are; without it, it follows those of the last day too, but yields only what changes from now on.
        `poll` sets how often the list is read: `initial` seconds after a change, up to `maximum` while
        nothing happens. A state that comes and goes between two readings is not seen.

        A reading costs the pages that may hold new runs and those that hold runs which have not ended; runs
        that the list does not show are read singly. Memory holds the runs that have not ended, at most
        100,000; of more the oldest are dropped, with a WARNING. Runs that cannot be decoded are left out,
        with a WARNING. Lost connections, 5xx, 429 and expired tokens only delay; pages larger than 64 MiB
        are asked for in smaller ones. Raises what trying again cannot help. (ListRuns, GetRun)
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
        """What one pass over the history has changed in a local mirror. (ListRuns, GetRun)

        `store` is a `RunStore` or a path: `*.duckdb`, a folder (of Parquet files), else a SQLite file.
        Mirrors the runs of one automation, or of all the workspace's automations without `automation`. A
        pass reads what is new, and reads again every run that had not ended, so that no change of state is
        missed. Each page is on disk before the next is asked for: an interrupted pass goes on where it was.
        Memory stays flat. `on_progress` is called with the `SyncResult` so far.

        Raises `MirrorError` when the store cannot be used or written, `ModuleNotFoundError` when its extra
        (`sync`) is missing, and what `list` and `get` raise.
        """
        # Loaded with the first pass: it brings SQLite.
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
