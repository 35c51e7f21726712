"""What a bulk job needs of the platform API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import encode_invocation, request_of
from kognitos_async.platform_v1.models.runs import InvokeRequest, PlatformRun, StartedRun
from kognitos_async.platform_v1.names import RUN, parse_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from kognitos_async.platform_v1.automations import Automations
    from kognitos_async.platform_v1.look_up import LookUps
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp
    from kognitos_async.waiting.reader import Waited

_RUN = model_decoder(PlatformRun)


class InvocationJobs:
    """Invokes, waits for, looks up and stores the runs of one `run_many`."""

    def __init__(
        self,
        automations: Automations,
        look_ups: LookUps,
        reader: RunReader,
        scope: Scope,
        wait: Callable[[Waited[PlatformRun]], Awaitable[PlatformRun]],
    ) -> None:
        self._automations = automations
        self._look_ups = look_ups
        self._reader = reader
        self._scope = scope
        self._wait = wait

    def encode(self, request: InvokeRequest) -> tuple[str, bytes]:
        """The request's name and what a journal keeps of it."""
        if not isinstance(request, InvokeRequest):
            raise TypeError(f"requests must yield InvokeRequest, got {type(request).__name__}")
        invocation = encode_invocation(request, self._scope)
        return request.name or invocation.mark, invocation.record

    def decode(self, name: str, content: bytes) -> InvokeRequest:
        """The request again."""
        return request_of(content, name)

    async def start(self, request: InvokeRequest) -> StartedRun:
        """The run just started; `CapacityError` at once when there is no room."""
        return await self._automations.invoke_request(request, wait_for_room=False)

    async def wait(
        self,
        request: InvokeRequest,  # noqa: ARG002 - the run's name says where it belongs
        run: PlatformRun | StartedRun | str,
    ) -> PlatformRun:
        """The settled run of a request; one that a journal names may be of any organization too."""
        organization_id = parse_name("run", run, RUN).organization_id if isinstance(run, str) else None
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

    def id_of(self, run: PlatformRun | StartedRun) -> str:
        """The run's full name."""
        return run.name

    def dump(self, run: PlatformRun | StartedRun) -> bytes:
        """The run as JSON."""
        return msgspec.json.encode(run)

    def load(self, content: bytes) -> PlatformRun:
        """The run again."""
        return _RUN.decode(content)
