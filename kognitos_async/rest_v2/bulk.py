"""What a bulk job needs of REST API v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kognitos_async.messages import decoder_for
from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.rest_v2.models import Run, RunInput, RunRequest, Stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from kognitos_async.rest_v2.look_up import LookUps
    from kognitos_async.rest_v2.runs import Runs
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp


class _StartBody(msgspec.Struct, frozen=True):
    """The body of create_run, as it is kept in a journal."""

    name: str
    process_id: str
    agent_id: str
    stage: Stage
    inputs: tuple[RunInput, ...] | None = None
    file_ids: tuple[str, ...] | None = None


_BODY = decoder_for(_StartBody)
_RUN = decoder_for(Run)


class RunJobs:
    """Starts, waits for, looks up and stores the runs of one `run_many`."""

    def __init__(
        self,
        runs: Runs,
        scope: Scope,
        look_ups: LookUps,
        follow: Callable[[Run | str, tuple[str, str]], Awaitable[Run]],
    ) -> None:
        self._runs = runs
        self._scope = scope
        self._look_ups = look_ups
        self._follow = follow

    def encode(self, request: RunRequest) -> tuple[str, bytes]:
        """The request's name and the body that starts it."""
        if not isinstance(request, RunRequest):
            raise TypeError(f"requests must yield RunRequest, got {type(request).__name__}")
        return request.name, encode_start(request, self._scope.agent(request.agent_id))

    def decode(self, name: str, content: bytes) -> RunRequest:  # noqa: ARG002 - the body holds it
        """The request that a body starts."""
        body = _BODY.decode(content)
        return RunRequest(
            process_id=body.process_id,
            name=body.name,
            stage=body.stage,
            inputs=body.inputs,
            file_ids=body.file_ids,
            agent_id=body.agent_id,
        )

    async def start(self, request: RunRequest) -> Run:
        """The run just started; `CapacityError` at once when there is no room."""
        return await self._runs.start_request(request, wait_for_room=False)

    async def wait(self, request: RunRequest, run: Run | str) -> Run:
        """The settled run of a request."""
        return await self._follow(run, (self._scope.agent(request.agent_id), request.process_id))

    async def look_up(
        self,
        request: RunRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[Run]:
        """What became of a lost start."""
        return await self._look_ups.look_up(request, window, known_ids=known_ids, in_doubt_too=in_doubt_too)

    def id_of(self, run: Run) -> str:
        """The run's id."""
        return run.id

    def dump(self, run: Run) -> bytes:
        """The run as JSON."""
        return msgspec.json.encode(run)

    def load(self, content: bytes) -> Run:
        """The run again."""
        return _RUN.decode(content)
