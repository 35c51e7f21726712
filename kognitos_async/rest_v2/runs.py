"""Runs: start, read, list, and look up a start whose answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.checks import check_since
from kognitos_async.messages import Request, decoder_for, segment
from kognitos_async.rest_v2.encoding import encode_start, stage_word
from kognitos_async.rest_v2.models import ENDED, Process, Run, RunHandle, RunRequest, Stage
from kognitos_async.rest_v2.pages import LARGEST_PAGE, pager
from kognitos_async.shared_reading import gathered
from kognitos_async.uploads.placeholders import file_sources
from kognitos_async.waiting.follow import Follower
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    import builtins
    import os
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from kognitos_async.mirror.rows import SyncResult
    from kognitos_async.mirror.store import RunStore
    from kognitos_async.paging import Pager
    from kognitos_async.rest_v2.look_up import LookUps
    from kognitos_async.rest_v2.models import RunInput, Value
    from kognitos_async.rest_v2.run_reader import RunReader
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.rest_v2.starts import Starts
    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import BeforeSend
    from kognitos_async.waiting.policy import PollPolicy

_RUN = decoder_for(Run)


class Runs:
    """`client.runs`."""

    def __init__(
        self,
        sender: Sender,
        scope: Scope,
        poll: PollPolicy,
        reader: RunReader,
        starts: Starts,
        look_ups: LookUps,
    ) -> None:
        self._sender = sender
        self._scope = scope
        self._poll = poll
        self._reader = reader
        self._starts = starts
        self._look_ups = look_ups

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
        path = f"/runs/{segment(checks.identifier('run_id', run_id))}"
        return await self._sender.send(Request("GET", path, identity=("id", str(run_id))), _RUN)

    async def start(
        self,
        process_id: str,
        *,
        name: str,
        stage: Stage | str = Stage.PUBLISHED,
        inputs: Mapping[str, Value] | Sequence[RunInput] | None = None,
        file_ids: Sequence[str] | None = None,
        agent_id: str | None = None,
        before_send: BeforeSend | None = None,
        wait_for_room: bool = True,
    ) -> Run:
        """The run just started. (create_run)

        `name` (1 to 100 characters) is the only mark a lost run can be found by: make it unique. `inputs`
        hold str, int and finite float; `file_ids` come from `files.upload`.

        `before_send` is awaited right before each attempt, once a slot, the rate and the connection limit
        allow it: the place to record that the start is being sent. What it raises is raised, and then
        the attempt certainly was not made; neither was one whose bytes would go out over four seconds after
        it, as when the process was suspended. It holds a slot of the client: it must not wait for another
        request of that client. Without `wait_for_room` a `CapacityError` is raised at once.

        The start is sent again only when the attempt before certainly started nothing. Raises
        `StartUncertainError` when it may have (a lost answer, a 5xx, an unreadable 201), `CapacityError`
        when there is still no room after the retries, `RateLimitError`, `NotSentError`, the 4xx errors, and
        `TypeError` or `ValueError` before sending.
        """
        request = RunRequest(
            process_id=process_id,
            name=name,
            stage=stage,
            inputs=inputs,
            file_ids=file_ids,
            agent_id=agent_id,
        )
        body = encode_start(request, self._scope.agent(request.agent_id))
        checks.hook("before_send", before_send)
        return await self._starts.send(request, body, before_send=before_send, wait_for_room=wait_for_room)

    async def start_once(
        self,
        request: RunRequest,
        *,
        earlier: datetime | None = None,
        before_send: BeforeSend | None = None,
        absence_delay: float = 5.0,
    ) -> Run:
        """The one run of `request`: started now, or found where a start may have made it already.

        Its `files` are uploaded before it is started.

        `earlier` is the time, by this machine's clock, at which an attempt was sent whose outcome is not
        known: the run is looked up first. So it is after an attempt of this call whose answer was lost.
        A look-up begins `absence_delay` seconds after the attempt, or after the call where that was made
        elsewhere: set it to the time after which a run certainly shows in the list. A found run is returned
        as listed. The request is sent again only when the earlier start certainly made no run, at most five
        times. `before_send` as in `start`.

        Raises `StartUncertainError` when it cannot be told whether the run exists, and what `start` raises.
        (create_run, list_runs)
        """
        encode_start(request, self._scope.agent(request.agent_id))  # wrong arguments are refused first
        file_sources(request.files)
        checks.hook("before_send", before_send)
        delay = checks.seconds("absence_delay", absence_delay)
        window: StartWindow | None = None
        if earlier is not None:
            window = self._look_ups.window_at(request, checks.check_since(earlier, name="earlier"))
        return await self._starts.once(request, window=window, before_send=before_send, absence_delay=delay)

    async def find_started(self, request: RunRequest, *, since: datetime) -> builtins.list[Run]:
        """The runs that a start of `request` whose answer was lost may have made: of its agent, process and
        stage, and of its name or one that a service may have made of it (case, blanks and Unicode forms are
        ignored), created at `since` or later; oldest first, empty if there is none.

        `since` is by this machine's clock. Runs created earlier count too as far as the clocks that were
        seen may differ, at least five seconds. Calls under way at once share readings of the list, which
        goes on to its end unless it proves to be newest first. A run may take some seconds to appear, so an
        empty list alone proves nothing: `start_once` looks closer. (list_runs)
        """
        check_since(since)
        self._check(request)
        return await self._look_ups.find(request, since)

    async def find_many(
        self, requests: Iterable[RunRequest], *, since: datetime
    ) -> dict[str, builtins.list[Run]]:
        """What `find_started` finds for each of `requests`, by their names, in one reading of each list.

        Raises `ValueError` when two requests have one name, and what `find_started` raises.
        """
        check_since(since)
        asked: dict[str, RunRequest] = {}
        for request in requests:
            self._check(request)
            if asked.setdefault(request.name, request) is not request:
                raise ValueError(f"requests must have unique names, got {request.name!r} twice")
        found = await gathered([self._look_ups.find(request, since) for request in asked.values()])
        return dict(zip(asked, found, strict=True))

    def _check(self, request: RunRequest) -> None:
        if not isinstance(request, RunRequest):
            raise TypeError(f"request must be a RunRequest, got {type(request).__name__}")
        checks.text("name", request.name)
        checks.identifier("process_id", request.process_id)
        self._look_ups.group_of(request)

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
        the process appears or changes its status, whoever started it.

        It follows the runs created at `since` or later. With `since`, those that exist come first, as they
        are; without it, it follows those of the last day too, but yields only what changes from now on.
        `poll` sets how often the list is read: `initial` seconds after a change, up to `maximum` while
        nothing happens. A status that comes and goes between two readings is not seen.

        A reading costs the pages that may hold new runs and those that hold runs which have not ended; runs
        that the list does not show are read singly. Memory holds the runs that have not ended, at most
        100,000; of more the oldest are dropped, with a WARNING. Runs that cannot be decoded are left out,
        with a WARNING. Lost connections, 5xx, 429 and expired tokens only delay; pages larger than 64 MiB
        are asked for in smaller ones. Raises what trying again cannot help. (list_runs, get_run)
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
            pace=self._sender,
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
    """Raise `TypeError` or `ValueError` for what is neither a run nor its handle nor its id."""
    if isinstance(run, str):
        checks.identifier("run", run)
    elif isinstance(run, RunHandle):
        checks.identifier("run", run.id)
    elif not isinstance(run, Run):
        raise TypeError(f"run must be a Run, a RunHandle or the id of one, got {type(run).__name__}")
