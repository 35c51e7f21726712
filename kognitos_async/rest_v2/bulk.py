"""Starts, waits and look-ups of REST API v2 for bulk jobs."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from kognitos_async import checks
from kognitos_async.bulk.ledger import REST_V2
from kognitos_async.bulk.types import EncodedStart, unusable_record
from kognitos_async.messages import decoder_for
from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.rest_v2.models import Run, RunInput, RunRequest, RunStatus, Stage
from kognitos_async.uploads.placeholders import file_sources, placeholder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

    from kognitos_async.bulk.ledger import Recorded
    from kognitos_async.rest_v2.files import Files
    from kognitos_async.rest_v2.look_up import LookUps
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.rest_v2.starts import Starts
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import BeforeSend, LookUp
    from kognitos_async.uploads.sources import FileSource


class _StartBody(msgspec.Struct, frozen=True):
    """The body of create_run, as kept in a journal."""

    name: str
    process_id: str
    agent_id: str
    stage: Stage
    inputs: tuple[RunInput, ...] | None = None
    file_ids: tuple[str, ...] | None = None


_BODY = decoder_for(_StartBody)
RUN = decoder_for(Run)
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def request_of_body(record: bytes) -> RunRequest:
    """The request that `record`, a body of create_run, encodes."""
    body = _BODY.decode(record)
    return RunRequest(
        process_id=body.process_id,
        name=body.name,
        stage=body.stage,
        inputs=body.inputs,
        file_ids=body.file_ids,
        agent_id=body.agent_id,
    )


def _with_requests(recorded: Iterable[Recorded]) -> Iterator[tuple[str, RunRequest, float]]:
    """Each id, request and time of start, without damaged entries: they raise when a job needs them."""
    for entry in recorded:
        with suppress(msgspec.MsgspecError):
            request = request_of_body(entry.request)
            if Stage(request.stage).known:
                yield entry.run_id, request, entry.since


class RunJobs:
    """Starts, awaits, looks up and stores the runs of one `run_many`."""

    api = REST_V2
    unfinished: Collection[str] = ()
    changeable: Collection[str] = (RunStatus.EXCEPTION,)

    def __init__(
        self,
        scope: Scope,
        starts: Starts,
        look_ups: LookUps,
        files: Files,
        follow: Callable[[Run | str, tuple[str, str]], Awaitable[Run]],
    ) -> None:
        self._scope = scope
        self._starts = starts
        self._look_ups = look_ups
        self._files = files
        self._follow = follow

    def encode(self, request: RunRequest) -> EncodedStart:
        """The request encoded. Raises `TypeError` or `ValueError` if it is invalid."""
        if not isinstance(request, RunRequest):
            raise TypeError(f"requests must yield RunRequest, got {type(request).__name__}")
        files = {placeholder(): file for file in file_sources(request.files)}
        body = encode_start(request, self._scope.agent(request.agent_id), list(files))
        return EncodedStart(request.name, body, self.fingerprint(body), files)

    @staticmethod
    def fingerprint(record: bytes) -> bytes:
        """A digest that is equal for bodies with the same inputs in any order."""
        body = _BODY.decode(record)
        if body.inputs is not None:
            inputs = sorted(body.inputs, key=lambda item: item.name)
            body = msgspec.structs.replace(body, inputs=tuple(inputs))
        return hashlib.sha256(_encode_sorted(body)).digest()[:16]

    def decode(self, name: str, record: bytes) -> RunRequest:  # noqa: ARG002 - the body holds it
        """The request that `record` encodes."""
        return request_of_body(record)

    async def upload(self, request: RunRequest, file: FileSource) -> str:
        """Upload a file and return its id."""
        return (await self._files.upload(file, agent_id=request.agent_id)).id

    def start(self, request: RunRequest, record: bytes, before_send: BeforeSend) -> Awaitable[Run]:
        """The run just started, in one attempt; every refusal is raised at once."""
        return self._starts.send(
            request,
            record,
            before_send=before_send,
            wait_for_room=False,
            one_attempt=True,
        )

    def recall(self, recorded: Iterable[Recorded]) -> None:
        """Take up the runs that earlier processes started."""
        self._starts.recall(_with_requests(recorded))

    async def wait(self, request: RunRequest, run: Run | str) -> Run:
        """The settled run of the request."""
        if isinstance(run, str) and not checks.is_identifier(run):
            raise unusable_record(request.name, run)
        return await self._follow(run, (self._scope.agent(request.agent_id), request.process_id))

    async def look_up(
        self,
        request: RunRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[Run]:
        """The result of looking up a lost start."""
        return await self._look_ups.look_up(request, window, known_ids=known_ids, in_doubt_too=in_doubt_too)

    def run_of(self, request: RunRequest, begun: Run) -> Run:  # noqa: ARG002 - as on the platform API
        """The run itself: a start is answered with it."""
        return begun

    def load(self, content: bytes) -> Run:
        """The run that `content`, its JSON, holds."""
        return RUN.decode(content)
