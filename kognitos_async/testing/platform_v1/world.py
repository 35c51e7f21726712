"""The world behind the platform API, without HTTP: automations, runs, exceptions, and what moves them."""

from __future__ import annotations

import heapq
import math
import random
import string
import threading
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.testing.keyset import Keyset
from kognitos_async.testing.live_view import LiveView
from kognitos_async.testing.platform_v1.model import (
    LOCATION,
    MANUAL,
    USER,
    EmulatedAutomation,
    EmulatedEvent,
    EmulatedException,
    EmulatedPlatformRun,
    Step,
    default_members,
    planned_steps,
)
from kognitos_async.testing.platform_v1.records import record_of, run_of
from kognitos_async.testing.platform_v1.values import to_nanoseconds, to_values
from kognitos_async.testing.state import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.keyset import Ranking
    from kognitos_async.testing.platform_v1.values import Values
    from kognitos_async.testing.schedule import Schedule
    from kognitos_async.testing.state import Record, State
    from kognitos_async.testing.tokens import Key

AGENT = "astral"
"""The agent that asks about exceptions."""
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "missing_values": "Missing values",
        "user_system_error": "User system errors",
        "internal_error": "Internal errors",
    }
)
"""The exception groups and their titles."""

STOPPING_SECONDS = 0.05
WRITING_SECONDS = 0.05
"""How long an agent writes its answer."""

_ID_LETTERS = string.ascii_letters + string.digits + "_-"
_ID_LENGTH = 21
_GRAIN = (1, 1_000, 1_000_000)
"""Runs get create times of nanoseconds, microseconds and milliseconds in turn."""


class NotPossibleError(Exception):
    """What was asked of a run is not possible in its state."""


class PlatformWorld:
    """All that the platform API knows of one workspace. What time brings is worked off when it is asked."""

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Schedule,
        ranking: Ranking,
        capacity: int | None,
        seed: int,
        organization_id: str,
        workspace_id: str,
        list_lag: float = 0.0,
        created_at: Callable[[datetime], datetime] | None = None,
        state: State | None = None,
    ) -> None:
        self.lock = threading.RLock()
        """Held by whoever reads or changes the world: requests and tests may come from two threads."""
        self.organization = f"organizations/{organization_id}"
        self.workspace = f"{self.organization}/workspaces/{workspace_id}"
        self.organization_id = organization_id
        self.workspace_id = workspace_id
        self.capacity = capacity
        self.schedule = schedule
        self.clock = clock
        self._ranking = ranking
        self._list_lag = list_lag
        self._created_at = created_at
        self._random = random.Random(f"platform:{seed}")  # noqa: S311 - ids of a test double, nothing secret
        self._automations: dict[str, EmulatedAutomation] = {}
        self.automations: Mapping[str, EmulatedAutomation] = LiveView(self._automations)
        self._runs: dict[str, EmulatedPlatformRun] = {}
        self.runs: Mapping[str, EmulatedPlatformRun] = LiveView(self._runs)
        self._run_list: list[EmulatedPlatformRun] = []
        self._keysets: dict[str, Keyset] = {}
        self._exceptions: dict[str, EmulatedException] = {}
        self._due: list[tuple[float, int, int]] = []
        """When a run's next step comes, its number, and which of its plans this was for."""
        self._active = 0
        self._last_created = 0
        self._numbers = 0
        self.state = state or Transient()
        self._restore()

    def _restore(self) -> None:
        for record in self.state.load("exception"):
            exception = EmulatedException(**record)
            self._exceptions[exception.id] = exception
            self._numbers = max(self._numbers, exception.number)
        for record in self.state.load("platform_run"):
            run = run_of(record, self._exceptions, self.catch_up)
            self._insert(run)
            self._active += run.is_active
            self._last_created = max(self._last_created, run.created_ns)
            numbers = [event.number for events in run.said.values() for event in events]
            self._numbers = max([self._numbers, *numbers])
            self._await_next(run)

    def keep(self, run: EmulatedPlatformRun) -> None:
        """Report that the run, or its exception, has changed."""

        def record() -> Record:
            with self.lock:
                return record_of(run)

        self.state.changed("platform_run", run.id, record)
        exception = run.exception
        if exception is not None:
            self.state.changed("exception", exception.id, lambda: asdict(exception))

    def _insert(self, run: EmulatedPlatformRun) -> None:
        self._runs[run.id] = run
        self._run_list.append(run)
        self._keyset(run.automation_id).add((self._ranking.rank(run.id, run.created_ns / 1e9), run.number))

    def new_id(self) -> str:
        """An id like the API's own."""
        drawn = ""
        # Ids may be taken by what an earlier server with the same state made.
        while not drawn or drawn in self._runs or drawn in self._exceptions:
            drawn = "".join(self._random.choices(_ID_LETTERS, k=_ID_LENGTH))
        return drawn

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # Automations

    def add_automation(
        self, display_name: str, *, automation_id: str | None, stage: str, input_specs: Sequence[Any]
    ) -> EmulatedAutomation:
        """The new automation. Raises ValueError for an id that is taken and an unknown stage."""
        word = stage.removeprefix("AUTOMATION_STAGE_")
        if word not in {"DRAFT", "PUBLISHED"}:
            message = f"stage is DRAFT or PUBLISHED, not {stage!r}"
            raise ValueError(message)
        new_id = automation_id or self.new_id()
        if new_id in self._automations:
            message = f"there is an automation {new_id} already"
            raise ValueError(message)
        now = to_nanoseconds(datetime.now(UTC))
        automation = EmulatedAutomation(
            id=new_id,
            name=f"{self.workspace}/automations/{new_id}",
            display_name=display_name,
            published=word == "PUBLISHED",
            input_specs=tuple(input_specs),
            created_ns=now,
            updated_ns=now,
            number=self._number(),
        )
        self._automations[new_id] = automation
        return automation

    # Runs

    def add_run(
        self,
        automation: EmulatedAutomation,
        *,
        stage: str,
        inputs: Values | None = None,
        outputs: Values | None = None,
        run_id: str | None = None,
        created_at: datetime | None = None,
        state: str | None = None,
        schedule: Schedule | None = None,
        user: str = USER,
        source: str = MANUAL,
    ) -> EmulatedPlatformRun:
        """The new run. Raises ValueError for an id that is taken and for a `created_at` without an offset."""
        self.catch_up()
        new_id = run_id or self.new_id()
        if new_id in self._runs:
            message = f"there is a run {new_id} already"
            raise ValueError(message)
        number = len(self._run_list)
        created_ns, started = self._birth(created_at, number)
        run = EmulatedPlatformRun(
            id=new_id,
            name=f"{automation.name}/runs/{new_id}",
            automation=automation.name,
            automation_id=automation.id,
            stage=stage,
            stage_version=automation.version(stage),
            inputs=to_values(inputs or {}),
            given_outputs=None if outputs is None else to_values(outputs),
            user=user,
            source=source,
            number=number,
            created_ns=created_ns,
            started=started,
            course=(schedule or self.schedule).plan(number),
            catch_up=self.catch_up,
        )
        self._insert(run)
        if state is not None:
            self._move(run, Step(started, state, default_members(state)))
        else:
            self._move(run, Step(started, "pending"), *planned_steps(run))
            self.catch_up()
        return run

    def _birth(self, created_at: datetime | None, number: int) -> tuple[int, float]:
        """When a run is created: nanoseconds since 1970, and seconds of the server's clock."""
        wall = datetime.now(UTC)
        if created_at is None:
            grain = _GRAIN[number % len(_GRAIN)]
            if self._created_at is not None:
                return to_nanoseconds(self._created_at(wall)), self.clock.now()
            earliest = max(to_nanoseconds(wall) + number % 1000, self._last_created + 1000)
            # Rounded up, for no run is older than the one before it.
            self._last_created = -(-earliest // grain) * grain
            return self._last_created, self.clock.now()
        if created_at.tzinfo is None:
            message = "created_at needs an offset: datetime(..., tzinfo=UTC)"
            raise ValueError(message)
        return to_nanoseconds(created_at), self.clock.now() - (wall - created_at).total_seconds()

    def set_state(self, run_id: str, word: str, members: Mapping[str, Any]) -> EmulatedPlatformRun:
        """The run, whose state stays `word` until a request moves it. Raises KeyError for an unknown run."""
        self.catch_up()
        run = self._runs[run_id]
        found = dict(members)
        if "outputs" in found:
            run.given_outputs = to_values(found.pop("outputs"))
        self._move(run, Step(self.clock.now(), word, found or default_members(word)))
        return run

    def pause(self, run: EmulatedPlatformRun, reason: str) -> None:
        """Stop it. Raises NotPossibleError when it does not run."""
        state = run.state
        if state not in {"pending", "executing", "awaiting_guidance"}:
            message = f"a run that is {state} cannot be paused"
            raise NotPossibleError(message)
        now = self.clock.now()
        current = run.steps[-1]
        later = tuple(Step(step.at - now, step.word, step.members) for step in run.plan)
        members = {"reason": reason}
        self._move(run, Step(now, "stopping", members), Step(now + STOPPING_SECONDS, "stopped", members))
        run.left = (current, later)

    def resume(self, run: EmulatedPlatformRun) -> None:
        """Let a stopped run go on from where it was. Raises NotPossibleError when it is not stopped."""
        state = run.state
        if state not in {"stopping", "stopped"}:
            message = f"a run that is {state} cannot be continued"
            raise NotPossibleError(message)
        now = self.clock.now()
        if run.left is None:
            self._move(run, Step(now, "executing"), *self._completion(run, now))
            return
        current, later = run.left
        plan = [Step(now + step.at, step.word, step.members) for step in later]
        self._move(run, Step(now, current.word, current.members), *plan)

    def answer(self, run: EmulatedPlatformRun, resolver: str) -> None:
        """Resolve the exception that the run awaits guidance for, and let it execute on."""
        now = self.clock.now()
        if run.exception is not None:
            run.exception.resolver = resolver
        self._move(run, Step(now, "executing"), *self._completion(run, now))

    def catch_up(self) -> None:
        """Take every step that is due by now."""
        with self.lock:
            now = self.clock.now()
            while self._due and self._due[0][0] <= now:
                _, number, planned = heapq.heappop(self._due)
                run = self._run_list[number]
                if run.planned == planned:
                    self._enter(run, run.plan.popleft())
                    self._await_next(run)

    def _move(self, run: EmulatedPlatformRun, first: Step, *later: Step) -> None:
        """Enter a state at once, and plan the next ones instead of those planned before."""
        run.planned += 1
        run.left = None
        run.plan.clear()
        run.plan.extend(later)
        self._enter(run, first)
        self._await_next(run)

    def _await_next(self, run: EmulatedPlatformRun) -> None:
        if run.plan:
            heapq.heappush(self._due, (run.plan[0].at, run.number, run.planned))

    def _enter(self, run: EmulatedPlatformRun, step: Step) -> None:
        self._active -= run.is_active
        if step.word == "awaiting_guidance":
            step = self._ask(run, step)
        run.steps.append(step)
        self._active += run.is_active
        pending = run.exception
        if step.word in {"executing", "completed"} and pending is not None and pending.state == "PENDING":
            pending.state = "RESOLVED"
            pending.updated_ns = run.nanoseconds_of(step.at)
        if step.word == "completed" and run.said:
            self.add_event(run, "completion_response", {"content": "The run has completed."}, at=step.at)
        self.keep(run)

    def _completion(self, run: EmulatedPlatformRun, now: float) -> Sequence[Step]:
        seconds = max(0.0, run.course.settled_after - run.course.running_after)
        return () if not math.isfinite(seconds) else (Step(now + seconds, "completed"),)

    # Exceptions and the agent that asks about them

    @property
    def exceptions(self) -> Mapping[str, EmulatedException]:
        """All exceptions by id, in order of creation."""
        self.catch_up()
        return LiveView(self._exceptions)

    def _ask(self, run: EmulatedPlatformRun, step: Step) -> Step:
        """The step with its exception, which is made unless there is one already."""
        exception_id = str(step.members.get("exception") or self.new_id()).rpartition("/")[2]
        known = self._exceptions.get(exception_id)
        description = step.members.get("description", "A value is missing. What should be used instead?")
        if known is None:
            moment = run.nanoseconds_of(step.at)
            known = EmulatedException(
                id=exception_id,
                name=f"{self.workspace}/exceptions/{exception_id}",
                run=run.name,
                automation=run.automation,
                stage=run.stage,
                execution_id=run.execution_id,
                message=f"ValueError: {description}",
                description=description,
                group=tuple(GROUPS)[run.number % len(GROUPS)],
                number=self._number(),
                created_ns=moment,
                updated_ns=moment,
            )
            self._exceptions[exception_id] = run.exception = known
            self.add_event(run, "agent_message", {"content": description}, at=step.at)
        run.exception = known
        members = {"exception": exception_id, "description": description, "location": dict(LOCATION)}
        return Step(step.at, step.word, {**members, **step.members})

    def add_event(
        self,
        run: EmulatedPlatformRun,
        kind: str,
        payload: Mapping[str, Any],
        *,
        agent_id: str = AGENT,
        at: float | None = None,
        seconds: float = 0.0,
        exception: str | None = None,
    ) -> EmulatedEvent:
        """The new event, which the agent finishes writing after `seconds`."""
        at = self.clock.now() if at is None else at
        if exception is None and run.exception is not None:
            exception = run.exception.name
        event_id = self.new_id()
        event = EmulatedEvent(
            id=event_id,
            name=f"{run.name}/agents/{agent_id}/events/{event_id}",
            kind=kind,
            payload=dict(payload),
            exception=exception,
            number=self._number(),
            created_ns=run.nanoseconds_of(at),
            done_at=at + seconds,
        )
        run.said.setdefault(agent_id, []).append(event)
        self.keep(run)
        return event

    # What is asked of all runs

    def is_full(self) -> bool:
        """Whether the organization runs as many runs as it may."""
        self.catch_up()
        return self.capacity is not None and self._active >= self.capacity

    def run_page(
        self, automation_id: str, after: Key | None, limit: int, matches: Callable[[Any], bool], least: int
    ) -> tuple[list[EmulatedPlatformRun], Key | None]:
        """One page of the runs that match, none of which was created before `least`."""
        self.catch_up()
        found: list[EmulatedPlatformRun] = []
        keyset = self._keyset(automation_id)
        latest = self.clock.now() - self._list_lag if self._list_lag else math.inf
        more = True
        while more:
            keys, more = keyset.after(after, limit + 1)
            for key in keys:
                run = self._run_list[key[1]]
                if run.created_ns < least and self._ranking.by_time:
                    return found, None
                if run.started <= latest and matches(run):
                    if len(found) == limit:
                        return found, after
                    found.append(run)
                after = key
        return found, None

    def duplicates(self) -> dict[str, int]:
        """How many runs were made with the same inputs, by these inputs as JSON, where several were."""
        texts = (msgspec.json.encode(run.inputs, order="sorted").decode() for run in self._run_list)
        return {text: count for text, count in Counter(texts).items() if count > 1}

    def _keyset(self, automation_id: str) -> Keyset:
        return self._keysets.setdefault(automation_id, Keyset(descending=self._ranking.descending))
