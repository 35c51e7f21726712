"""Starts of REST API v2: a single start, and start or find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.errors import DecodeError, StartUncertainError
from kognitos_async.messages import Request, decoder_for
from kognitos_async.observed_work import LookUp, Start, StartOnce
from kognitos_async.rest_v2.encoding import encode_start
from kognitos_async.rest_v2.models import Run
from kognitos_async.uncertain_start import MOST_STARTS, Found, Undecided, started, uncertain_error
from kognitos_async.uploads.placeholders import file_sources, placeholder
from kognitos_async.work_stream import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kognitos_async.rest_v2.files import Files
    from kognitos_async.rest_v2.look_up import LookUps
    from kognitos_async.rest_v2.models import RunRequest
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import BeforeSend
    from kognitos_async.waiting.recent_starts import RecentStarts

RUN = decoder_for(Run)


class Starts:
    """The starts of one client."""

    def __init__(
        self, sender: Sender, scope: Scope, recent: RecentStarts, look_ups: LookUps, files: Files
    ) -> None:
        self._sender = sender
        self._scope = scope
        self._recent = recent
        self._look_ups = look_ups
        self._files = files

    async def encoded(self, request: RunRequest) -> bytes:
        """The body of a start, after a concurrent upload of the request's files."""
        agent = self._scope.agent(request.agent_id)
        sources = file_sources(request.files)
        body = encode_start(request, agent, [placeholder() for _ in sources])
        if not sources:
            return body
        ids = [""] * len(sources)

        async def upload(index: int) -> None:
            ids[index] = (await self._files.upload(sources[index], agent_id=request.agent_id)).id

        await side_by_side(upload(index) for index in range(len(sources)))
        return encode_start(request, agent, ids)

    async def send(
        self,
        request: RunRequest,
        body: bytes,
        *,
        before_send: BeforeSend | None = None,
        wait_for_room: bool = True,
        one_attempt: bool = False,
    ) -> Run:
        """The run just started. `body` is `request` encoded. Raises what `runs.start` raises."""
        sent = Request(
            "POST",
            "/runs",
            body,
            repeatable=False,
            starts_run=True,
            waits_for_capacity=wait_for_room,
            identity=("process_id", request.process_id),
        )
        attempts = self._sender.single_attempt() if one_attempt else None
        with self._look_ups.under_way(request):
            answer = await started(
                self._sender.clock,
                lambda hook: self._sender.send(sent, RUN, before_send=hook, attempts=attempts),
                _with_id,
                what=repr(request.name),
                start=Start(self._sender.observers, request),
                before_send=before_send,
            )
            self._look_ups.note(request, answer)
        self._recent.note(answer.value.id)
        return answer.value

    def recall(self, recorded: Iterable[tuple[str, RunRequest, float]]) -> None:
        """Record runs that an earlier process started: each id, request and POSIX time, oldest first."""
        runs, clock = list(recorded), self._sender.clock
        now = clock.monotonic()
        self._recent.recall({run_id: now - clock.moment_at(since) for run_id, _, since in runs})
        self._look_ups.recall(runs)

    async def once(
        self,
        request: RunRequest,
        *,
        window: StartWindow | None,
        before_send: BeforeSend | None,
        absence_delay: float,
    ) -> Run:
        """The one run of `request`; `window` is that of an attempt in doubt. Raises as `runs.start_once`."""
        lost: StartUncertainError | None = None
        body: bytes | None = None
        observers = self._sender.observers
        with StartOnce(observers, request) as once, self._look_ups.under_way(request):
            for _ in range(MOST_STARTS):
                if window is not None:
                    with LookUp(observers, request) as look_up:
                        await self._sender.sleep(absence_delay)
                        answer = await self._look_ups.look_up(request, window, own_under_way=1)
                        look_up.answer = answer
                    if isinstance(answer, Found):
                        once.run = answer.run
                        return answer.run
                    if isinstance(answer, Undecided):
                        error = uncertain_error(answer, repr(request.name), request, window)
                        raise error from (answer.cause or lost)
                try:
                    body = body or await self.encoded(request)
                    run = await self.send(request, body, before_send=before_send)
                except StartUncertainError as error:
                    if error.window is None:
                        raise
                    lost, window = error, error.window.joined(window)
                else:
                    once.run = run
                    return run
            if lost is None:
                raise AssertionError("the loop ends only after a lost start")
            raise lost


def _with_id(run: Run) -> Run:
    """The run in the answer to a start. Raises `DecodeError` if nothing can be read by its id."""
    if not checks.is_identifier(run.id):
        raise DecodeError(
            f"POST /runs: answered with the run id {run.id!r}, which is no id", path="$.id", body=b""
        )
    return run
