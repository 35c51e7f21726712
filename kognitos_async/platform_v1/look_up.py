"""Look-ups of platform API invocations whose answer was lost.

An invocation carries no mark: a run is recognised by its time, its inputs and its user, and absence is never
proven.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from kognitos_async.errors import KognitosError
from kognitos_async.platform_v1.encoding import Likeness, encode_invocation
from kognitos_async.platform_v1.names import is_run_name
from kognitos_async.server_clock import at
from kognitos_async.shared_reading import Readings, twin
from kognitos_async.uncertain_start import Candidate, Found, OwnStart, Undecided, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from kognitos_async.platform_v1.encoding import Invocation
    from kognitos_async.platform_v1.models.runs import InvokeRequest, PlatformRun, StartedRun
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.sender import Sender
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.shared_reading import Reading
    from kognitos_async.uncertain_start import Answered, LookUp, OwnStarts

_ABSENCE = "an invocation carries no mark, so it may exist all the same"
_MOST_USER_READS = 3


class LookUps:
    """The look-ups of one client, with shared readings of the lists."""

    def __init__(self, sender: Sender, scope: Scope, reader: RunReader, own: OwnStarts) -> None:
        self._sender = sender
        self._scope = scope
        self._reader = reader
        self._own = own
        self._readings: Readings[PlatformRun] = Readings(
            reader,
            key_of=lambda run: run.stage,
            observe=lambda run: own.get(run.name) is not None,
            monotonic=sender.clock.monotonic,
        )

    async def find(self, request: InvokeRequest, since: datetime) -> list[PlatformRun]:
        """The runs that an invocation sent at `since` may have made, oldest first."""
        invocation = encode_invocation(request, self._scope)
        earliest = self._sender.clock.earliest(since)
        reading = await self._reading(invocation, earliest)
        runs, undecoded = reading.found(invocation.stage), reading.undecoded
        likeness = self._likeness_to(invocation, reading)
        found = [run for run in runs if run.create_time >= earliest and likeness(run) is not Likeness.OTHER]
        if not found and undecoded is not None:
            raise twin(undecoded)
        return sorted(found, key=lambda run: run.create_time)

    async def look_up(
        self,
        request: InvokeRequest,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
        own_under_way: int = 0,
    ) -> LookUp[PlatformRun]:
        """The result for a lost invocation: its run, or undecided; absence is never proven.

        Call it no sooner than the run must appear in the list. `known_ids` are full names of runs of other
        starts. `in_doubt_too` says that an equal invocation is in doubt. `own_under_way` is the number of
        equal invocations in flight on this client that belong to the caller.
        """
        invocation = encode_invocation(request, self._scope)
        clock, own = self._sender.clock, self._own
        try:
            earliest = at(clock.span(window).possible_from)
            reading = await self._reading(invocation, earliest)
            runs, undecoded = reading.found(invocation.stage), reading.undecoded
            others = [run for run in runs if run.name in known_ids or own.get(run.name) is not None]
            self._reader.note_users(others)
            if not self._reader.users and any(_user_of(run) for run in runs):
                await self._learn_user(known_ids)
        except KognitosError as problem:
            return Undecided("the runs could not be read", problem)
        if in_doubt_too or own.are_others_in_doubt(invocation.record, window, own=own_under_way):
            return Undecided("an equal invocation is in doubt too")
        if undecoded is not None:
            return Undecided("a listed run that cannot be decoded may be it", undecoded)
        span = clock.span(window)
        likeness_to = self._likeness_to(invocation, reading)
        likeness = {
            run.name: likeness_to(run)
            for run in runs
            if run.name not in known_ids and own.get(run.name) is None
        }
        answer = decide(
            [
                Candidate(run, run.id, run.create_time.timestamp(), likeness[run.name] is Likeness.ALIKE)
                for run in runs
                if likeness.get(run.name, Likeness.OTHER) is not Likeness.OTHER
            ],
            span,
            absence=_ABSENCE,
            unexplained_later=not span.proven,
        )
        if isinstance(answer, Found) and not is_run_name(answer.run.name):
            return Undecided(f"its run is listed with the name {answer.run.name!r}, which is no run's name")
        if isinstance(answer, Found):
            moment = clock.moment_of(window)
            own.resolved(invocation.record, window)
            own.adopt(answer.run.name, OwnStart(answer.run.automation, None, moment, moment))
        return answer

    def window_at(self, invocation: Invocation, since: datetime) -> StartWindow:
        """The window of an attempt sent at `since`, by the local clock."""
        known = self._own.window_at(invocation.record, since.timestamp())
        return known or self._sender.clock.window_at(since)

    def under_way(self, invocation: Invocation) -> AbstractContextManager[None]:
        """Mark an invocation as in flight: meanwhile no look-up of an equal one can attribute a new run."""
        return self._own.under_way(invocation.record)

    def note(self, answer: Answered[StartedRun]) -> None:
        """Record the answer to an invocation: a run of ours."""
        run = answer.value
        self._own.note(run.name, OwnStart(run.automation, None, answer.sent, answer.received))

    async def _reading(self, invocation: Invocation, earliest: datetime) -> Reading[PlatformRun]:
        """A shared reading of the runs of the invocation's automation and stage."""
        return await self._readings.through(str(invocation.automation), invocation.stage, earliest)

    def _likeness_to(
        self, invocation: Invocation, reading: Reading[PlatformRun]
    ) -> Callable[[PlatformRun], Likeness]:
        """A function that compares runs of the reading; all look-ups that share it convert each run once."""
        users, given, known = self._reader.users, invocation.values, reading.cache

        def inputs(run: PlatformRun) -> dict[str, object]:
            if (found := known.get(run.name)) is None:
                found = known[run.name] = run.user_inputs
            return found

        return lambda run: invocation.likeness(run, users, given, inputs)

    async def _learn_user(self, known: Iterable[str]) -> None:
        """Read runs known to be ours until one shows the user who started it."""
        names = list(islice(known, _MOST_USER_READS)) or self._own.latest(_MOST_USER_READS)
        for name in names:
            self._reader.note_users([await self._reader.read(name)])
            if self._reader.users:
                return


def _user_of(run: PlatformRun) -> str | None:
    return None if run.invocation_details is None else run.invocation_details.user_id
