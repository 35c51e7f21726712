"""Starts of the platform API: a single invocation, and start or find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.errors import StartUncertainError
from kognitos_async.messages import Request
from kognitos_async.observed_work import LookUp, Start, StartOnce
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import encode_invocation
from kognitos_async.platform_v1.file_inputs import with_placeholders, with_uploads
from kognitos_async.platform_v1.models.runs import InvokeAutomationResponse
from kognitos_async.uncertain_start import Found, Undecided, started, uncertain_error

if TYPE_CHECKING:
    from datetime import datetime

    from kognitos_async.platform_v1.encoding import Invocation
    from kognitos_async.platform_v1.files import Files
    from kognitos_async.platform_v1.look_up import LookUps
    from kognitos_async.platform_v1.models.runs import InvokeRequest, StartedRun
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.sender import Sender
    from kognitos_async.uncertain_start import BeforeSend

_INVOKED = model_decoder(InvokeAutomationResponse)


class Starts:
    """The invocations of one client."""

    def __init__(
        self, sender: Sender, scope: Scope, reader: RunReader, look_ups: LookUps, files: Files
    ) -> None:
        self._sender = sender
        self._scope = scope
        self._reader = reader
        self._look_ups = look_ups
        self._files = files

    async def encoded(self, request: InvokeRequest) -> tuple[InvokeRequest, Invocation]:
        """The request and its invocation, after uploading its files."""
        encode_invocation(with_placeholders(request)[0], self._scope)  # refuse invalid arguments first
        request = await with_uploads(request, self._files)
        return request, encode_invocation(request, self._scope)

    async def send(
        self,
        request: InvokeRequest,
        invocation: Invocation,
        *,
        before_send: BeforeSend | None = None,
        wait_for_room: bool = True,
        one_attempt: bool = False,
    ) -> StartedRun:
        """The run just started. `invocation` is `request` encoded. Raises as `automations.invoke`."""
        sent = Request(
            "POST",
            f"{invocation.automation.path}:invoke",
            invocation.body,
            repeatable=False,
            starts_run=True,
            waits_for_capacity=wait_for_room,
        )
        attempts = self._sender.single_attempt() if one_attempt else None
        with self._look_ups.under_way(invocation):
            answer = await started(
                self._sender.clock,
                lambda hook: self._sender.send(sent, _INVOKED, before_send=hook, attempts=attempts),
                lambda invoked: self._reader.started(invoked.run_id, invocation.automation),
                what=str(invocation.automation),
                start=Start(self._sender.observers, request),
                before_send=before_send,
            )
            self._look_ups.note(answer)
        return answer.value

    async def once(
        self,
        request: InvokeRequest,
        *,
        earlier: datetime | None,
        before_send: BeforeSend | None,
        absence_delay: float,
    ) -> StartedRun:
        """The one run of `request`; `earlier` is the time of an attempt in doubt. Raises as `start_once`."""
        request, invocation = await self.encoded(request)
        lost: StartUncertainError | None = None
        observers = self._sender.observers
        with StartOnce(observers, request) as once, self._look_ups.under_way(invocation):
            if earlier is not None:
                window = self._look_ups.window_at(invocation, earlier)
            else:
                try:
                    once.run = run = await self.send(request, invocation, before_send=before_send)
                except StartUncertainError as error:
                    if error.window is None:
                        raise
                    lost, window = error, error.window
                else:
                    return run
            with LookUp(observers, request) as look_up:
                await self._sender.sleep(absence_delay)
                look_up.answer = answer = await self._look_ups.look_up(request, window, own_under_way=1)
            if isinstance(answer, Found):
                once.run = answer.run
                return answer.run.handle
        reason = answer if isinstance(answer, Undecided) else Undecided("it is not listed")
        raise uncertain_error(reason, str(invocation.automation), request, window) from (reason.cause or lost)
