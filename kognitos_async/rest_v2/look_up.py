"""Look-ups of REST API v2 starts whose answer was lost. Their only mark is the name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kognitos_async import checks
from kognitos_async.errors import KognitosError
from kognitos_async.rest_v2.encoding import stage_word
from kognitos_async.server_clock import at
from kognitos_async.shared_reading import Readings, twin
from kognitos_async.uncertain_start import Absent, Candidate, Found, OwnStart, Undecided, decide, name_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from kognitos_async.errors import DecodeError
    from kognitos_async.rest_v2.models import Run, RunRequest
    from kognitos_async.rest_v2.run_reader import RunReader
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.shared_reading import Reading
    from kognitos_async.uncertain_start import Answered, LookUp, OwnStarts

_ABSENCE_MARGIN = 26 * 3600.0
"""Extra range when proving absence: times without an offset may be local, and clocks may be reset."""
_REREAD_DELAYS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each repeated reading while the list lacks runs known to exist."""

Group = tuple[str, str, str]


class LookUps:
    """The look-ups of one client, with shared readings of the lists."""

    def __init__(self, sender: Sender, scope: Scope, reader: RunReader, own: OwnStarts) -> None:
        self._sender = sender
        self._scope = scope
        self._own = own
        self._readings: Readings[Run] = Readings(
            reader,
            key_of=lambda run: name_key(run.name),
            observe=self._observe,
            monotonic=sender.clock.monotonic,
        )

    async def find(self, request: RunRequest, since: datetime) -> list[Run]:
        """The runs that a start of `request` at `since` may have made, oldest first."""
        group, key = self.group_of(request), name_key(request.name)
        earliest = self._sender.clock.earliest(since)
        reading = await self._readings.through(group, key, earliest)
        found = [
            run
            for run in self._of_stage(reading, group, key)
            if run.created_at >= earliest and (run.agent_id, run.process_id) == group[:2]
        ]
        if not found and reading.undecoded is not None and _may_hold(reading.undecoded, key):
            raise twin(reading.undecoded)
        return sorted(found, key=lambda run: run.created_at)

    async def look_up(
        self,
        request: RunRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
        own_under_way: int = 0,
    ) -> LookUp[Run]:
        """The result for a lost start of `request`: its run, certainly none, or undecided.

        Call it no sooner than the run must appear in the list. `known_ids` are runs of other starts.
        `in_doubt_too` says that another start of the same name is in doubt. `own_under_way` is the number of
        starts of that name in flight on this client that belong to the caller.
        """
        group, key = self.group_of(request), name_key(request.name)
        clock, own = self._sender.clock, self._own
        if window.contradiction is not None:
            clock.contradict(window.contradiction)
        earliest = at(clock.span(window).possible_from - _ABSENCE_MARGIN)
        missing = ""
        for pause in (*_REREAD_DELAYS, None):
            try:
                reading = await self._readings.through(group, key, earliest)
            except KognitosError as problem:
                return Undecided("the list of runs could not be read", problem)
            if in_doubt_too or own.are_others_in_doubt((group, key), window, own=own_under_way):
                return Undecided("another start of that name is in doubt too")
            span = clock.span(window)
            if reading.newest is not None:
                span = clock.not_before(span, window, reading.newest.timestamp(), reading.ended)
            answer = decide(
                [
                    Candidate(
                        run,
                        run.id,
                        run.created_at.timestamp(),
                        (run.name, run.agent_id, run.process_id, run.stage) == (request.name, *group),
                    )
                    for run in self._of_stage(reading, group, key)
                    if run.id not in known_ids and not self._is_anothers(run, window)
                ],
                span,
                absence=clock.contradiction,
                unexplained_later=True,
            )
            if reading.undecoded is not None and _may_hold(reading.undecoded, key):
                return Undecided("a listed run that cannot be decoded may be it", reading.undecoded)
            if isinstance(answer, Found) and not checks.is_identifier(answer.run.id):
                return Undecided(f"its run is listed with the id {answer.run.id!r}, which is no id")
            if isinstance(answer, Absent):
                for run in self._of_stage(reading, group, key):
                    if self._may_be_a_repeat(run, window):
                        return Undecided(f"this client has since started run {run.id} of that name")
            lacking = reading.lacking(own.expected, group)
            if not isinstance(answer, Absent) or not lacking:
                self._settle(request, window, answer)
                return answer
            missing = min(lacking)
            if pause is not None:
                await self._sender.sleep(pause)
        return Undecided(f"the list does not show runs that certainly exist, such as {missing}")

    def _settle(self, request: RunRequest, window: StartWindow, answer: LookUp[Run]) -> None:
        """Record the result for the look-ups of other starts."""
        if isinstance(answer, Undecided):
            return
        group = self.group_of(request)
        self._own.resolved((group, name_key(request.name)), window)
        if isinstance(answer, Found):
            moment = self._sender.clock.moment_of(window)
            self._own.adopt(answer.run.id, OwnStart(group, answer.run.name, moment, moment, window.attempts))

    def _is_anothers(self, run: Run, window: StartWindow) -> bool:
        """Whether this client knows that the run belongs to another start.

        The run may belong to the attempt in question, if its caller ended before recording the answer.
        Attempt ids decide; if only the time is known, a start of the same name sent within the window is the
        one in question.
        """
        start = self._own.get(run.id)
        if start is None:
            return False
        if start.name != run.name:
            return True
        if start.attempts and window.attempts:
            return not set(start.attempts) & set(window.attempts)
        return not self._sender.clock.within(start.sent, window)

    def _may_be_a_repeat(self, run: Run, window: StartWindow) -> bool:
        """Whether this client started the run after an attempt of which only the time is known.

        It may then be the repeat of that attempt, decided by an earlier look-up.
        """
        start, clock = self._own.get(run.id), self._sender.clock
        return (
            start is not None
            and not window.attempts
            and start.name == run.name
            and start.sent > clock.moment_of(window)
        )

    def group_of(self, request: RunRequest) -> Group:
        """The agent, process and stage whose list holds the run of the request."""
        return self._scope.agent(request.agent_id), request.process_id, stage_word(request.stage)

    def window_at(self, request: RunRequest, since: datetime) -> StartWindow:
        """The window of an attempt sent at `since`, by the local clock."""
        key = self.group_of(request), name_key(request.name)
        return self._own.window_at(key, since.timestamp()) or self._sender.clock.window_at(since)

    def under_way(self, request: RunRequest) -> AbstractContextManager[None]:
        """Mark a start of the request as in flight: meanwhile no look-up can attribute a new run."""
        return self._own.under_way((self.group_of(request), name_key(request.name)))

    def note(self, request: RunRequest, answer: Answered[Run]) -> None:
        """Record the answer to a start: a run of ours, and how the service stores names and times."""
        run, group = answer.value, self.group_of(request)
        start = OwnStart(group, request.name, answer.sent, answer.received, answer.attempts)
        self._own.note(run.id, start)
        clock = self._sender.clock
        clock.note_stamp(run.created_at, sent=answer.sent, received=answer.received)
        if (run.name, run.agent_id, run.process_id, run.stage) != (request.name, *group):
            clock.contradict("a start was answered with another name, agent, process or stage than was sent")

    def recall(self, recorded: Iterable[tuple[str, RunRequest, float]]) -> None:
        """Record runs that an earlier process started: each id, request and POSIX time, oldest first."""
        moment_at = self._sender.clock.moment_at
        self._own.recall(
            {
                run_id: OwnStart(self.group_of(request), request.name, moment_at(since), moment_at(since))
                for run_id, request, since in recorded
            }
        )

    def _observe(self, run: Run) -> bool:
        """Whether a listed run is known to be ours."""
        start = self._own.get(run.id)
        if start is not None and start.name is not None and start.name != run.name:
            self._sender.clock.contradict("the list shows a run of ours under another name than was sent")
        return start is not None

    @staticmethod
    def _of_stage(reading: Reading[Run], group: Group, key: str) -> list[Run]:
        """The runs found for this key, without those known to be in the other stage."""
        return [run for run in reading.found(key) if run.stage == group[2] or not run.stage.known]


class _Named(msgspec.Struct):
    name: str


def _may_hold(error: DecodeError, key: str) -> bool:
    """Whether items that could not be decoded may be runs of this key; any without a readable name may."""
    for item in error.undecoded:
        try:
            name = msgspec.json.decode(item, type=_Named).name
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return True
        if name_key(name) == key:
            return True
    return False
