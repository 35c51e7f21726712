"""Runs: start, read, list, follow, mirror, and look up a start whose answer was lost."""

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
    """`client.runs`. See `KognitosClient` for the errors that every request may raise."""

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
        """A pager over the runs of a process, in both stages unless `stage` selects one.

        `limit` is the page size, 1 to 100. `continuation_token` resumes an earlier listing. The API documents
        no order, and listed runs may lack outputs. Nothing is sent until the pager is used. Raises
        `ConfigurationError` without an agent. (list_runs)
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

        `name` (1 to 100 characters) is the only means to find a lost run: make it unique. `inputs` hold str,
        int and finite float; `file_ids` come from `files.upload`.

        `before_send` is awaited right before each attempt, after the waits for a slot, the rate and a
        connection: record the start there. If it raises, the attempt is certainly not sent; neither is one
        whose bytes would leave more than four seconds after it, for instance because the process was
        suspended. It holds a slot of the client, so it must not wait for another request of that client.
        `wait_for_room=False` raises `CapacityError` at once.

        The start is retried only if the previous attempt certainly started nothing. Raises
        `StartUncertainError` if it may have started a run (lost answer, 5xx, unreadable 201); `CapacityError`
        if the organization is still at capacity after the retries; `RateLimitError`; `NotSentError`; other
        4xx errors; whatever `before_send` raises; `TypeError` and `ValueError` before sending.
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
        """The one run of `request`: started now, or found if an earlier start already made it.

        `request.files` are uploaded before the start. `earlier` is the local time at which an attempt of
        unknown outcome was sent: the run is then looked up first, and so it is after an attempt of this call
        whose answer was lost. The look-up begins `absence_delay` seconds after that attempt (after the call,
        if it was made elsewhere): the time within which a new run certainly appears in the list. A run found
        is returned as listed. The start is repeated only if the earlier one certainly made no run, up to five
        times. `before_send` as in `start`.

        Raises `StartUncertainError` if it cannot be decided whether the run exists, and what `start` and
        `files.upload` raise. (create_run, list_runs)
        """
        encode_start(request, self._scope.agent(request.agent_id))  # refuse invalid arguments before uploads
        file_sources(request.files)
        checks.hook("before_send", before_send)
        delay = checks.seconds("absence_delay", absence_delay)
        window: StartWindow | None = None
        if earlier is not None:
            window = self._look_ups.window_at(request, checks.check_since(earlier, name="earlier"))
        return await self._starts.once(request, window=window, before_send=before_send, absence_delay=delay)

    async def find_started(self, request: RunRequest, *, since: datetime) -> builtins.list[Run]:
        """The runs that an ambiguous start of `request` may have made, oldest first; empty if there are none.

        These are the runs of its agent, process and stage that were created at `since` (local time) or later
        and have its name, or a variant that a service may store (case, whitespace and Unicode form are
        ignored). Runs created earlier are included by as much as the clocks may differ, at least five
        seconds. Concurrent calls share readings of the list, which is read to its end unless it proves to be
        newest first. A new run may take seconds to appear: an empty result alone proves nothing; use
        `start_once` to decide. (list_runs)
        """
        check_since(since)
        self._check(request)
        return await self._look_ups.find(request, since)

    async def find_many(
        self, requests: Iterable[RunRequest], *, since: datetime
    ) -> dict[str, builtins.list[Run]]:
        """What `find_started` finds for each of `requests`, by name, from one reading of each list.

        Raises `ValueError` if two requests have the same name, and what `find_started` raises. (list_runs)
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
        """An async context manager over an endless async iterator: a run whenever it appears or changes.

        It follows the runs of the process created at `since` or later, whoever started them. With `since`,
        existing runs are yielded first; without it, runs of the last day are followed too, but only their
        changes from now on are yielded. `poll` sets the reading interval: `initial` seconds after a change,
        up to `maximum` while idle. A status that comes and goes between two readings is missed.

        Each reading fetches the pages that may hold new runs or runs that have not ended; runs missing from
        the list are read individually. At most 100,000 runs that have not ended are tracked; the oldest are
        dropped, and runs that cannot be decoded are skipped, both with a WARNING. Lost connections, 5xx, 429
        and expired tokens only delay; pages over 64 MiB are fetched again in smaller ones. The iterator
        raises permanent errors. (list_runs, get_run)
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
        """The changes that one pass over the history made to a local mirror. (list_runs, get_run)

        `store` is a path: `*.duckdb`, an existing folder or a str that ends in / (Parquet files), or else a
        SQLite file. A `Path` drops the slash.
        The mirror covers one process, or all processes of the agent without `process_id`. A pass reads new
        runs, and reads again each run that had not ended, so that no status change is missed. Each page is
        durable before the next is fetched: an interrupted pass resumes where it stopped. Memory use is
        constant. `on_progress` is called with the `SyncResult` so far.

        Raises `MirrorError` if the store cannot be used or written, `ModuleNotFoundError` if its extra
        (`sync`) is missing, and what `list` and `get` raise.
        """
        # Imported late: it loads SQLite.
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
            clock=self._sender.clock,
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
    """Raise `TypeError` or `ValueError` unless `run` is a run, a handle or an id."""
    if isinstance(run, str):
        checks.identifier("run", run)
    elif isinstance(run, Run | RunHandle):
        checks.identifier("run.id", run.id)
    else:
        raise TypeError(f"run must be a Run, a RunHandle or the id of one, got {type(run).__name__}")
