"""What a bulk job needs of the platform API."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.bulk.ledger import PLATFORM_V1
from kognitos_async.bulk.types import EncodedStart
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import encode_invocation, invocation_of, request_of
from kognitos_async.platform_v1.file_inputs import with_placeholders
from kognitos_async.platform_v1.files import file_ref
from kognitos_async.platform_v1.models.runs import InvokeRequest, PlatformRun, RunState, StartedRun
from kognitos_async.platform_v1.names import RUN as RUN_NAME
from kognitos_async.platform_v1.names import parse_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

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
    """Invokes, waits for, looks up and stores the runs of one `run_many`."""

    api = PLATFORM_V1
    unfinished: Collection[str] = (RunState.AWAITING_GUIDANCE,)
    """A question is no end: the answer may have come since."""
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
        """The request as a journal keeps it, which is all that invoking takes."""
        if not isinstance(request, InvokeRequest):
            raise TypeError(f"requests must yield InvokeRequest, got {type(request).__name__}")
        prepared, files = with_placeholders(request)
        record = encode_invocation(prepared, self._scope).record
        content = self.fingerprint(record)
        return EncodedStart(request.name or f"invocation {content.hex()}", record, content, files)

    @staticmethod
    def fingerprint(record: bytes) -> bytes:
        """What is equal for equal invocations, in whatever order their dicts and sets are written."""
        return hashlib.sha256(_encode(_in_order(msgspec.json.decode(record)))).digest()[:16]

    def decode(self, name: str, record: bytes) -> InvokeRequest:
        """The request again."""
        return request_of(record, name)

    async def upload(self, request: InvokeRequest, file: FileSource) -> str:
        """The name of an uploaded file."""
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

    async def wait(
        self,
        request: InvokeRequest,  # noqa: ARG002 - the run's name says where it belongs
        run: PlatformRun | StartedRun | str,
    ) -> PlatformRun:
        """The settled run of a request; one that a journal names may be of any organization too."""
        organization_id = parse_name("run", run, RUN_NAME).organization_id if isinstance(run, str) else None
        return await self._wait(self._reader.waited(run, organization_id=organization_id))

    async def look_up(
        self,
        request: InvokeRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[PlatformRun | StartedRun]:
        """What became of a lost start."""
        return await self._look_ups.look_up(request, window, known_ids=known_ids, in_doubt_too=in_doubt_too)

    def load(self, content: bytes) -> PlatformRun:
        """The run again, from its JSON."""
        return RUN.decode(content)


def _in_order(value: Any) -> Any:
    """A value as the API writes it, the members of sets and dictionaries in one order."""
    if isinstance(value, list):
        return [_in_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    ordered = {name: _in_order(member) for name, member in value.items()}
    for kind, members in (("set", "items"), ("dictionary", "entries")):
        content = ordered.get(kind)
        if isinstance(content, dict) and isinstance(content.get(members), list):
            content[members] = sorted(content[members], key=_encode)
    return ordered
