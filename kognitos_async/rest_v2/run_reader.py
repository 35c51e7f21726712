"""Reads of REST API v2 runs for shared polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.errors import DecodeError
from kognitos_async.messages import Request, decoder_for, segment, with_query
from kognitos_async.rest_v2.models import Run, RunHandle
from kognitos_async.rest_v2.pages import LARGEST_PAGE, fetch_page
from kognitos_async.server_clock import bounded
from kognitos_async.waiting.policy import NOT_FOUND_GRACE
from kognitos_async.waiting.reader import Waited

if TYPE_CHECKING:
    from datetime import datetime

    from kognitos_async.paging import Page
    from kognitos_async.sender import Sender
    from kognitos_async.waiting.recent_starts import RecentStarts

_RUN = decoder_for(Run)


class RunReader:
    """Reads runs one by one and by page, and estimates the age of a run before it is read."""

    largest_page = LARGEST_PAGE
    filters_by_time = False

    def __init__(self, sender: Sender, recent: RecentStarts) -> None:
        self._sender = sender
        self._recent = recent

    async def read(self, run_id: str) -> Run:
        """The run with its outputs. Raises `DecodeError` for a listed id that cannot be read."""
        if not checks.is_identifier(run_id):
            raise DecodeError(f"run {run_id!r} is listed, but that is no id", path="$.id", body=b"")
        request = Request("GET", f"/runs/{segment(run_id)}", identity=("id", run_id))
        return await self._sender.send(request, _RUN)

    def started_ago(self, run: Run | RunHandle | str) -> float:
        """Seconds since the run was started; infinity if it is unknown or long ago."""
        age = self._recent.age(run if isinstance(run, str) else run.id)
        if age is not None:
            return age
        if isinstance(run, str):
            return float("inf")
        return max(0.0, (self._sender.clock.now() - run.created_at).total_seconds())

    async def read_page(
        self,
        group: tuple[str, str] | tuple[str, str, str],
        token: str | None,
        since: datetime | None = None,  # noqa: ARG002 - this API has no filter
        *,
        size: int | None = None,
    ) -> Page[Run]:
        """A page of the runs of an agent and process, in one stage if the group names it."""
        query = {
            "process_id": group[1],
            "agent_id": group[0],
            "stage": group[2] if len(group) > 2 else None,
            "limit": size or LARGEST_PAGE,
        }
        return await fetch_page(self._sender, Run, with_query("/runs", query), token)

    def group_of(self, run: Run | RunHandle) -> tuple[str, str]:
        """The agent and process whose list holds the run."""
        return run.agent_id, run.process_id

    def key(self, run: Run) -> str:
        """The id, as `read` takes it."""
        return run.id

    def occurrence(self, run: Run) -> tuple[object, str | None]:
        """The status, and None: the API does not identify exceptions."""
        return run.status, None

    def waited(self, run: Run | RunHandle | str, group: tuple[str, str] | None = None) -> Waited[Run]:
        """The state of a run to wait for; `group` is the list of a bare id, if known."""
        age = self.started_ago(run)
        if isinstance(run, str):
            return Waited(run, None, group, age, fresh=False)
        if isinstance(run, RunHandle):
            return Waited(run.id, None, self.group_of(run), age, fresh=age <= NOT_FOUND_GRACE)
        return Waited(run.id, run, self.group_of(run), age, fresh=age <= NOT_FOUND_GRACE)

    def created(self, run: Run) -> datetime:
        """Time of creation; a service may stamp the calendar's first day."""
        return bounded(run.created_at)

    def incomplete(self, run: Run) -> bool:
        """Whether a listed run may lack its outputs."""
        return run.succeeded and not run.outputs
