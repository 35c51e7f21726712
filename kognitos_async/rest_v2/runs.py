"""Runs: start, read, list, and look up a start whose answer was lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.checks import check_since
from kognitos_async.messages import Request, decoder_for, segment
from kognitos_async.rest_v2.encoding import encode_start, stage_word
from kognitos_async.rest_v2.models import ENDED, Process, Run, RunRequest, Stage
from kognitos_async.rest_v2.pages import LARGEST_PAGE, pager
from kognitos_async.uncertain_start import started
from kognitos_async.waiting.follow import Follower
from kognitos_async.waiting.list_order import Order
from kognitos_async.waiting.recent_starts import RecentStarts
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.mirror.rows import SyncResult
    from kognitos_async.mirror.store import RunStore
    from kognitos_async.paging import Pager
    from kognitos_async.rest_v2.models import RunInput, Value
    from kognitos_async.rest_v2.run_reader import RunReader
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.waiting.policy import PollPolicy
    from kognitos_async.waiting.recent_starts import RecentStarts

_RUN = decoder_for(Run)
_MARGIN = timedelta(seconds=5)
"""How much earlier than the start a run may seem created: times cut to seconds, clocks that differ."""


class Runs:
    """`client.runs`."""

    def __init__(
        self, sender: Sender, scope: Scope, poll: PollPolicy, reader: RunReader, recent: RecentStarts
    ) -> None:
        self._sender = sender
        self._scope = scope
        self._poll = poll
        self._reader = reader
        self._recent = recent

    def list(
        self,
        process_id: str,
        *,
        agent_id: str | None = None,
        stage: Stage | str | None = None,
        limit: int = 100,
        continuation_token: str | None = None,
    ) -> Pager[Run]:
        """A pager over the runs of a process, of both stages unless `stage` names one.

        `limit` is the page size, 1 to 100. The API does not promise an order, and items may lack outputs.
        Nothing is sent before the pager is used. (list_runs)
        """
        query = {
            "process_id": checks.identifier("process_id", process_id),
            "agent_id": self._scope.agent(agent_id),
            "stage": None if stage is None else stage_word(stage),
        }
        return pager(self._sender, Run, "/runs", query, limit, continuation_token)

    async def get(self, run_id: str) -> Run:
        """The run with its outputs. Raises `NotFoundError` if there is none of that id. (get_run)"""
        return await self._sender.send(
            Request("GET", f"/runs/{segment(checks.identifier('run_id', run_id))}"), _RUN
        )

    async def start(
        self,
        process_id: str,
        *,
        name: str,
        stage: Stage | str = Stage.PUBLISHED,
        inputs: Mapping[str, Value] | Sequence[RunInput] | None = None,
        file_ids: Sequence[str] | None = None,
        agent_id: str | None = None,
    ) -> Run:
        """The run just started. (create_run)

        `name` (1 to 100 characters) is the only mark a lost run can be found by: make it unique. `inputs`
        hold str, int and finite float; `file_ids` come from `files.upload`.

        It is sent again only when the first try certainly started nothing. Raises `StartUncertainError`
        when it may have (a lost answer, a 5xx, an unreadable 201), `CapacityError` when there is still no
        room after the retries, `RateLimitError`, `NotSentError`, the 4xx errors, and `TypeError` or
        `ValueError` before sending.
        """
        return await self.start_request(
            RunRequest(
                process_id=process_id,
                name=name,
                stage=stage,
                inputs=inputs,
                file_ids=file_ids,
                agent_id=agent_id,
            )
        )

    async def start_request(self, request: RunRequest, *, wait_for_room: bool = True) -> Run:
        """`start`, with its arguments as one value; without `wait_for_room` a `CapacityError` at once."""
        body = encode_start(request, self._scope.agent(request.agent_id))
        sending = self._sender.send(
            Request(
                "POST", "/runs", body, repeatable=False, starts_run=True, waits_for_capacity=wait_for_room
            ),
            _RUN,
        )
        run = await started(sending, repr(request.name), request)
        self._recent.note(run.id)
        return run

    async def find_started(self, request: RunRequest, *, since: datetime) -> builtins.list[Run]:
        """The runs that a lost start of `request` may have made: its name, agent, process and stage, created
        at `since` or later; oldest first, empty if there is none.

        Reads the list until all of that time is seen: to the end, unless it proves to be sorted newest
        first. A run may take some seconds to appear. Five seconds before `since` count too, and the
        server's own clock is used where it says what it is.
        """
        check_since(since)
        stage = stage_word(request.stage)
        listing = self.list(request.process_id, agent_id=request.agent_id, stage=stage)
        found: builtins.list[Run] = []
        order = Order()
        async for page in listing.pages():
            earliest = since + self._sender.clock_difference() - _MARGIN
            found += [
                run
                for run in page.items
                if run.name == request.name and run.stage == stage and run.created_at >= earliest
            ]
            order.go_on(run.created_at for run in page.items)
            # A page's worth of times that only fall is no accident.
            if order.newest_first and order.read >= LARGEST_PAGE and order.last and order.last < earliest:
                break
        return sorted({run.id: run for run in found}.values(), key=lambda run: run.created_at)

    def follow(
        self,
        process_id: str,
        *,
        agent_id: str | None = None,
        stage: Stage | str | None = None,
        since: datetime | None = None,
        poll: PollPolicy | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Run]]:
        """An async context manager over an async iterator that never ends by itself: a `Run` whenever one of
        the process appears or changes its status.

        Runs created at `since` or later count, without it from now on. `poll` sets how often the list is
        read: `initial` after a change, up to `maximum` while nothing happens. Between two readings a status
        may come and go unseen. A broken network delays and loses nothing; what polling cannot mend is
        raised. Memory holds the runs that have not ended, at most 10,000. (list_runs, get_run)
        """
        if since is not None:
            check_since(since)
        group = (self._scope.agent(agent_id), checks.identifier("process_id", process_id))
        follower = Follower(
            self._reader,
            group if stage is None else (*group, stage_word(stage)),
            since=since,
            ended=ENDED,
            policy=poll or self._poll,
            clock=self._sender,
        )
        return WorkStream(follower.work)

    async def sync(
        self,
        store: RunStore | str | os.PathLike[str],
        *,
        process_id: str | None = None,
        agent_id: str | None = None,
        on_progress: Callable[[SyncResult], object] | None = None,
    ) -> SyncResult:
        """What one pass over the history has changed in a local mirror. (list_runs, get_run)

        `store` is a `RunStore` or a path: `*.duckdb`, a folder (of Parquet files), else a SQLite file.
        Mirrors the runs of one process, or of all the agent's processes without `process_id`. A pass reads
        what is new, and reads again every run that had not ended, so that no change of status is missed.
        Each page is on disk before the next is asked for: an interrupted pass goes on where it was. Memory
        stays flat. `on_progress` is called with the `SyncResult` so far.

        Raises `MirrorError` when the store cannot be used or written, `ModuleNotFoundError` when its extra
        (`sync`) is missing, and what `list` and `get` raise.
        """
        # Loaded with the first pass: it brings SQLite.
        from kognitos_async.mirror.sync import sync_lists  # noqa: PLC0415
        from kognitos_async.rest_v2.mirror import mirrored  # noqa: PLC0415

        checks.callback("on_progress", on_progress)
        agent = self._scope.agent(agent_id)
        if process_id is not None:
            checks.identifier("process_id", process_id)
        return await sync_lists(
            store,
            "rest_v2",
            self._reader,
            mirrored,
            self._lists(agent, process_id),
            filters_by_time=False,
            on_progress=on_progress,
        )

    async def _lists(self, agent: str, process_id: str | None) -> AsyncIterator[tuple[str, str]]:
        if process_id is not None:
            yield agent, process_id
            return
        seen: set[str] = set()
        processes = pager(self._sender, Process, "/processes", {"agent_id": agent}, LARGEST_PAGE, None)
        async for process in processes:
            if process.id not in seen:  # Draft and Published are separate items
                seen.add(process.id)
                yield agent, process.id


def check_run(run: object) -> None:
    """Raise `TypeError` or `ValueError` for what is neither a run nor the id of one."""
    if isinstance(run, str):
        checks.identifier("run", run)
    elif not isinstance(run, Run):
        raise TypeError(f"run must be a Run or the id of one, got {type(run).__name__}")
