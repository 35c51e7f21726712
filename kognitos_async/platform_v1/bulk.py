"""Starts, waits and look-ups of the platform API for bulk jobs."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async import checks
from kognitos_async.bulk.ledger import PLATFORM_V1
from kognitos_async.bulk.types import EncodedStart, unusable_record
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import encode_invocation, invocation_of, request_of, stage_word
from kognitos_async.platform_v1.file_inputs import with_placeholders
from kognitos_async.platform_v1.files import file_ref
from kognitos_async.platform_v1.models.runs import InvokeRequest, PlatformRun, RunState, StartedRun
from kognitos_async.platform_v1.models.words import AutomationStage
from kognitos_async.platform_v1.names import RUN as RUN_NAME
from kognitos_async.platform_v1.names import is_run_name, parse_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from kognitos_async.bulk.ledger import Recorded
    from kognitos_async.platform_v1.files import Files
    from kognitos_async.platform_v1.look_up import LookUps
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.platform_v1.starts import Starts
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import BeforeSend, LookUp
    from kognitos_async.uploads.sources import FileSource
    from kognitos_async.waiting.reader import Waited

RUN = model_decoder(PlatformRun)
_encode = msgspec.json.Encoder(order="sorted").encode


class InvocationJobs:
    """Invokes, awaits, looks up and stores the runs of one `run_many`."""

    api = PLATFORM_V1
    unfinished: Collection[str] = (RunState.AWAITING_GUIDANCE,)
    """Guidance may have been given since the run was read."""
    changeable: Collection[str] = (RunState.AWAITING_GUIDANCE, RunState.STOPPED)

    def __init__(
        self,
        starts: Starts,
        look_ups: LookUps,
        reader: RunReader,
        scope: Scope,
        files: Files,
        wait: Callable[[Waited[PlatformRun]], Awaitable[PlatformRun]],
    ) -> None:
        self._starts = starts
        self._look_ups = look_ups
        self._reader = reader
        self._scope = scope
        self._files = files
        self._wait = wait

    def encode(self, request: InvokeRequest) -> EncodedStart:
        """The request encoded. Raises `TypeError` or `ValueError` if it is invalid."""
        if not isinstance(request, InvokeRequest):
            raise TypeError(f"requests must yield InvokeRequest, got {type(request).__name__}")
        name = checks.text("name", request.name) if request.name else None
        prepared, files = with_placeholders(request)
        record = encode_invocation(prepared, self._scope).record
        content = self.fingerprint(record)
        return EncodedStart(name or f"invocation {content.hex()}", record, content, files)

    @staticmethod
    def fingerprint(record: bytes) -> bytes:
        """A digest that is equal for equal invocations, whatever the order in their dicts and sets."""
        return hashlib.sha256(_encode(_canonical(msgspec.json.decode(record)))).digest()[:16]

    def decode(self, name: str, record: bytes) -> InvokeRequest:
        """The request that `record` encodes."""
        return request_of(record, name)

    async def upload(self, request: InvokeRequest, file: FileSource) -> str:
        """Upload a file and return its full name."""
        name = self._scope.automation(request.automation, request.workspace_id, request.organization_id)
        stored = await self._files.upload(file, organization_id=name.organization_id)
        return str(file_ref(stored).remote)

    def start(self, request: InvokeRequest, record: bytes, before_send: BeforeSend) -> Awaitable[StartedRun]:
        """The run just started, in one attempt; every refusal is raised at once."""
        return self._starts.send(
            request,
            invocation_of(record),
            before_send=before_send,
            wait_for_room=False,
            one_attempt=True,
        )

    def recall(self, recorded: Iterable[Recorded]) -> None:
        """Take up the runs that earlier processes started."""
        self._reader.recall({entry.run_id: entry.since for entry in recorded})

    async def wait(
        self,
        request: InvokeRequest,
        run: PlatformRun | StartedRun | str,
    ) -> PlatformRun:
        """The settled run of the request. A run named by a journal may be of any organization."""
        organization_id = None
        if isinstance(run, str):
            if not is_run_name(run):
                raise unusable_record(request.name, run)
            organization_id = parse_name("run", run, RUN_NAME).organization_id
        return await self._wait(self._reader.waited(run, organization_id=organization_id))

    async def look_up(
        self,
        request: InvokeRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[PlatformRun | StartedRun]:
        """The result of looking up a lost start."""
        return await self._look_ups.look_up(request, window, known_ids=known_ids, in_doubt_too=in_doubt_too)

    def run_of(self, request: InvokeRequest, begun: PlatformRun | StartedRun) -> PlatformRun:
        """The run as read; one that was only started is pending, created at the local time of the answer."""
        if isinstance(begun, PlatformRun):
            return begun
        stage = AutomationStage(stage_word(request.stage))
        return PlatformRun(
            name=begun.name,
            create_time=begun.started_at,
            state_object={RunState.PENDING.value: {}},
            stage=stage,
        )

    def load(self, content: bytes) -> PlatformRun:
        """The run that `content`, its JSON, holds."""
        return RUN.decode(content)


def _canonical(value: Any) -> Any:
    """A value in the API's form with the members of sets and dictionaries sorted."""
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if not isinstance(value, dict):
        return value
    ordered = {name: _canonical(member) for name, member in value.items()}
    for kind, members in (("set", "items"), ("dictionary", "entries")):
        content = ordered.get(kind)
        if isinstance(content, dict) and isinstance(content.get(members), list):
            content[members] = sorted(content[members], key=_encode)
    return ordered
