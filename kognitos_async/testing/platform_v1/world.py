"""Data of the emulated platform API: automations, runs, exceptions, and how runs move."""

from __future__ import annotations

import heapq
import math
import random
import string
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kognitos_async.testing.live_view import LiveView
from kognitos_async.testing.platform_v1.model import (
    MANUAL,
    USER,
    EmulatedAutomation,
    EmulatedException,
    EmulatedPlatformRun,
    Step,
    default_members,
    new_automation,
    planned_steps,
)
from kognitos_async.testing.platform_v1.questions import Questions
from kognitos_async.testing.platform_v1.records import record_of, run_of
from kognitos_async.testing.platform_v1.run_list import RunList
from kognitos_async.testing.platform_v1.values import to_nanoseconds, to_values
from kognitos_async.testing.state import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.keyset import Ranking
    from kognitos_async.testing.platform_v1.values import Values
    from kognitos_async.testing.schedule import Schedule
    from kognitos_async.testing.state import Record, State

STOPPING_SECONDS = 0.05
WRITING_SECONDS = 0.05
"""Seconds that an agent takes to write its answer."""

_ID_LETTERS = string.ascii_letters + string.digits + "_-"
_ID_LENGTH = 21
_GRAIN = (1, 1_000, 1_000_000)
"""Resolutions of create times, used in turn: nanoseconds, microseconds, milliseconds."""


class NotPossibleError(Exception):
    """The state of the run does not allow this."""


class PlatformWorld:
    """A workspace. Due steps are taken whenever it is read."""

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
        self.lock: threading.RLock = threading.RLock()
        """Held to read or change the world: requests and tests may run in two threads."""
        self.organization: str = f"organizations/{organization_id}"
        self.workspace: str = f"{self.organization}/workspaces/{workspace_id}"
        self.organization_id = organization_id
        self.workspace_id = workspace_id
        self.capacity = capacity
        self.schedule = schedule
        self.clock = clock
        self._created_at = created_at
        self._random = random.Random(f"platform:{seed}")  # noqa: S311 - ids of a test double, nothing secret
        self._automations: dict[str, EmulatedAutomation] = {}
        self.automations: Mapping[str, EmulatedAutomation] = LiveView(self._automations)
        self.run_list: RunList = RunList(clock, ranking, lag=list_lag)
        self.runs: Mapping[str, EmulatedPlatformRun] = self.run_list.by_id
        self.questions: Questions = Questions(self.workspace, clock, new_id=self.new_id, changed=self.keep)
        self._due: list[tuple[float, int, int]] = []
        """Time of a run's next step, number of the run, and number of the plan it belongs to."""
        self._active = 0
        self._last_created = 0
        self.state: State | Transient = state or Transient()
        self._restore()

    def _restore(self) -> None:
        for record in self.state.load("exception"):
            self.questions.restore(EmulatedException(**record))
        for record in self.state.load("platform_run"):
            run = run_of(record, self.questions.exceptions, self.catch_up)
            self.run_list.add(run)
            self.questions.restore_events(run)
            self._active += run.is_active
            self._last_created = max(self._last_created, run.created_ns)
            self._await_next(run)

    def keep(self, run: EmulatedPlatformRun) -> None:
        """Report that the run or its exception has changed."""

        def record() -> Record:
            with self.lock:
                return record_of(run)

        self.state.changed("platform_run", run.id, record)
        exception = run.exception
        if exception is not None:
            self.state.changed("exception", exception.id, lambda: asdict(exception))

    def new_id(self) -> str:
        """An id like the API's."""
        drawn = ""
        # Restored runs and exceptions may have the same ids.
        while not drawn or drawn in self.runs or drawn in self.questions.exceptions:
            drawn = "".join(self._random.choices(_ID_LETTERS, k=_ID_LENGTH))
        return drawn

    def add_automation(
        self, display_name: str, *, automation_id: str | None, stage: str, input_specs: Sequence[Any]
    ) -> EmulatedAutomation:
        """The new automation. Raises `ValueError` for a duplicate id and an unknown stage."""
        new_id = automation_id or self.new_id()
        if new_id in self._automations:
            message = f"there is an automation {new_id} already"
            raise ValueError(message)
        automation = new_automation(
            f"{self.workspace}/automations/{new_id}",
            display_name,
            stage=stage,
            input_specs=input_specs,
            number=len(self._automations),
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
        """The new run. Raises `ValueError` for a duplicate id and for a `created_at` without an offset."""
        self.catch_up()
        new_id = run_id or self.new_id()
        if new_id in self.runs:
            message = f"there is a run {new_id} already"
            raise ValueError(message)
        number = len(self.run_list)
        created_ns, started = self._creation_time(created_at, number)
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
        self.run_list.add(run)
        if state is not None:
            self._move(run, Step(started, state, default_members(state)))
        else:
            self._move(run, Step(started, "pending"), *planned_steps(run))
            self.catch_up()
        return run

    def _creation_time(self, created_at: datetime | None, number: int) -> tuple[int, float]:
        """Time of creation: nanoseconds since 1970, and server time in seconds."""
        wall = datetime.now(UTC)
        if created_at is None:
            grain = _GRAIN[number % len(_GRAIN)]
            if self._created_at is not None:
                return to_nanoseconds(self._created_at(wall)), self.clock.now()
            earliest = max(to_nanoseconds(wall) + number % 1000, self._last_created + 1000)
            # Rounded up: no run is older than the previous one.
            self._last_created = -(-earliest // grain) * grain
            return self._last_created, self.clock.now()
        if created_at.tzinfo is None:
            message = "created_at must have an offset, such as datetime(..., tzinfo=UTC), got none"
            raise ValueError(message)
        return to_nanoseconds(created_at), self.clock.now() - (wall - created_at).total_seconds()

    def set_state(self, run_id: str, word: str, members: Mapping[str, Any]) -> EmulatedPlatformRun:
        """The run, fixed in this state until a request moves it. Raises `KeyError` for an unknown run."""
        self.catch_up()
        run = self.runs[run_id]
        found = dict(members)
        if "outputs" in found:
            run.given_outputs = to_values(found.pop("outputs"))
        self._move(run, Step(self.clock.now(), word, found or default_members(word)))
        return run

    def pause(self, run: EmulatedPlatformRun, reason: str) -> None:
        """Stop a run. Raises `NotPossibleError` if it is not running."""
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
        """Continue a stopped run from where it was. Raises `NotPossibleError` if it is not stopped."""
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
        """Resolve the exception that the run awaits guidance for, and continue the run."""
        now = self.clock.now()
        if run.exception is not None:
            run.exception.resolver = resolver
        self._move(run, Step(now, "executing"), *self._completion(run, now))

    def catch_up(self) -> None:
        """Take every step that is due."""
        with self.lock:
            now = self.clock.now()
            while self._due and self._due[0][0] <= now:
                _, number, planned = heapq.heappop(self._due)
                run = self.run_list[number]
                if run.planned == planned:
                    self._enter(run, run.plan.popleft())
                    self._await_next(run)

    def _move(self, run: EmulatedPlatformRun, first: Step, *later: Step) -> None:
        """Enter a state at once, and replace the plan."""
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
            step = self.questions.ask(run, step)
        run.steps.append(step)
        self._active += run.is_active
        if step.word in {"executing", "completed"}:
            self.questions.resolve(run, step.at)
        if step.word == "completed" and run.said:
            content = {"content": "The run has completed."}
            self.questions.add_event(run, "completion_response", content, at=step.at)
        self.keep(run)

    def _completion(self, run: EmulatedPlatformRun, now: float) -> Sequence[Step]:
        seconds = max(0.0, run.course.settled_after - run.course.running_after)
        return () if not math.isfinite(seconds) else (Step(now + seconds, "completed"),)

    @property
    def exceptions(self) -> Mapping[str, EmulatedException]:
        """All exceptions by id, in order of creation."""
        self.catch_up()
        return LiveView(self.questions.exceptions)

    def is_full(self) -> bool:
        """Whether the organization is at capacity."""
        self.catch_up()
        return self.capacity is not None and self._active >= self.capacity
