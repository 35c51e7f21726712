"""Automations, runs with their history, exceptions and events of agents."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kognitos_async.testing.platform_v1.values import derived_outputs, to_datetime, to_nanoseconds
from kognitos_async.testing.schedule import PLATFORM_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kognitos_async.testing.schedule import Course

DRAFT = "AUTOMATION_STAGE_DRAFT"
PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"
USER = "users/emulated-user"
"""The user whose token the server accepts."""
MANUAL = "INVOCATION_SOURCE_MANUAL"
ENDED = frozenset({"completed", "failed"})
"""The states a run never leaves by itself or by a request."""
IDLE = frozenset({*ENDED, "stopped", "awaiting_guidance"})
"""The states in which a run does not count towards the capacity."""
LOCATION: Mapping[str, str] = MappingProxyType({"start_byte": "0", "end_byte": "24"})

_NANO = 10**9


@dataclass(frozen=True, slots=True)
class Step:
    """One state of a run, from `at` on, in seconds of the server's clock."""

    at: float
    word: str
    members: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedAutomation:
    """One automation. What is published can be run as a draft too."""

    id: str
    """The last part of the resource name."""
    name: str
    """The full resource name."""
    display_name: str
    """The name for people."""
    published: bool
    """Whether there is a published version."""
    input_specs: Sequence[Mapping[str, Any]] = ()
    """The declared inputs as the API writes them."""
    created_ns: int = field(repr=False)
    """When it was created, in nanoseconds since 1970."""
    updated_ns: int = field(repr=False)
    """When it was last changed, in nanoseconds since 1970."""
    number: int = field(repr=False)
    """0 for the first automation of the server."""
    deleted: bool = False
    """Whether it was deleted."""

    def version(self, stage: str = PUBLISHED) -> str:
        """The version that a run in this stage runs."""
        if not self.published:
            return "0.1"
        return "1.0" if stage == PUBLISHED else "1.1"


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedEvent:
    """One event of an agent. Until `done_at` the agent still writes it, and less of it can be read."""

    id: str
    """The last part of the resource name."""
    name: str
    """The full resource name."""
    kind: str
    """The member that holds the payload, such as `agent_message`."""
    payload: dict[str, Any]
    """The payload once all of it is written."""
    exception: str | None
    """The exception that the event belongs to; None for an event of the run."""
    number: int = field(repr=False)
    """0 for the first event of the server."""
    created_ns: int = field(repr=False)
    """When it was created, in nanoseconds since 1970."""
    done_at: float = field(repr=False)
    """The server's time from which all of it can be read."""

    def is_done(self, now: float) -> bool:
        """Whether the agent has written all of it."""
        return now >= self.done_at

    def payload_at(self, now: float) -> dict[str, Any]:
        """The payload as far as it is written."""
        if self.is_done(now):
            return self.payload
        return {
            name: value[: len(value) // 2] if isinstance(value, str) and name != "tool_call_id" else value
            for name, value in self.payload.items()
        }


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedException:
    """One exception: the question a run waits for an answer to."""

    id: str
    """The last part of the resource name."""
    name: str
    """The full resource name."""
    run: str
    """The full resource name of the run that waits."""
    automation: str
    """The full resource name of its automation."""
    stage: str
    """The stage of the run."""
    execution_id: str
    """The id of the execution."""
    message: str
    """What went wrong."""
    description: str
    """What is asked of the person who answers."""
    group: str
    """The last part of the group's name; empty when it belongs to none."""
    state: str = "PENDING"
    """PENDING, RESOLVED or ARCHIVED."""
    resolver: str | None = None
    """Who resolved it; None before."""
    number: int = field(repr=False)
    """0 for the first exception of the server."""
    created_ns: int = field(repr=False)
    """When it was raised, in nanoseconds since 1970."""
    updated_ns: int = field(repr=False)
    """When it was last changed, in nanoseconds since 1970."""


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedPlatformRun:
    """One run; its properties are computed when read."""

    id: str
    """The last part of the resource name."""
    name: str
    """The full resource name."""
    automation: str
    """The full resource name of the automation."""
    automation_id: str
    """The id of the automation."""
    stage: str
    """The stage that runs."""
    stage_version: str
    """The version that runs."""
    inputs: Mapping[str, Any]
    """`user_inputs` as the API writes them."""
    user: str = USER
    """Who invoked it, in `invocation_details`."""
    source: str = MANUAL
    """What triggered it, in `invocation_details`."""
    number: int = field(repr=False)
    """0 for the first run of the server."""
    created_ns: int = field(repr=False)
    """When it was created, in nanoseconds since 1970."""
    started: float = field(repr=False)
    """The server's time of the start."""
    course: Course = field(repr=False)
    """How it moves when nobody intervenes."""
    catch_up: Callable[[], None] = field(repr=False)
    """Brings the run up to the server's time."""
    given_outputs: Mapping[str, Any] | None = field(default=None, repr=False)
    """The outputs it was given instead of computed ones; None where there are none."""
    steps: list[Step] = field(default_factory=list[Step], repr=False)
    """Its states up to now; read `history`, which is up to date."""
    plan: deque[Step] = field(default_factory=deque[Step], repr=False)
    """The states to come."""
    planned: int = field(default=0, repr=False)
    """How often the plan was made."""
    left: tuple[Step, tuple[Step, ...]] | None = field(default=None, repr=False)
    """When it is paused: the state it was in and its plan."""
    exception: EmulatedException | None = field(default=None, repr=False)
    """The exception it waits for, or waited for last."""
    said: dict[str, list[EmulatedEvent]] = field(default_factory=dict[str, list[EmulatedEvent]], repr=False)
    """The events of each agent up to now; read `threads`, which is up to date."""

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return to_datetime(self.created_ns)

    @property
    def execution_id(self) -> str:
        """The id of its execution, by which the outputs are found."""
        return f"exec_{self.id}"

    @property
    def history(self) -> Sequence[Step]:
        """Its states so far, the last one being the one it is in."""
        self.catch_up()
        return self.steps

    @property
    def threads(self) -> Mapping[str, Sequence[EmulatedEvent]]:
        """The events of each agent so far, oldest first."""
        self.catch_up()
        return dict(self.said)

    @property
    def state(self) -> str:
        """The name of its state."""
        return self.history[-1].word

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of its state object, without outputs."""
        return self.history[-1].members

    @property
    def outputs(self) -> Mapping[str, Any] | None:
        """What a completed run gave, as the API writes it; None for any other run."""
        if self.state != "completed":
            return None
        if self.given_outputs is None:
            self.given_outputs = derived_outputs(self.inputs)
        return self.given_outputs

    @property
    def is_active(self) -> bool:
        """Whether it counted towards the capacity when last read."""
        return bool(self.steps) and self.steps[-1].word not in IDLE

    def nanoseconds_of(self, at: float) -> int:
        """The time of day of a moment on the server's clock."""
        return self.created_ns + max(0, int((at - self.started) * _NANO))


def planned_steps(run: EmulatedPlatformRun) -> list[Step]:
    """What the schedule has for a run: executing, then its outcome."""
    course = run.course
    steps: list[Step] = []
    if math.isfinite(course.running_after) and course.running_after < course.settled_after:
        steps.append(Step(run.started + course.running_after, "executing"))
    if math.isfinite(course.settled_after):
        word = PLATFORM_WORDS.get(course.outcome, course.outcome)
        steps.append(Step(run.started + course.settled_after, word, default_members(word)))
    return steps


def default_members(word: str) -> Mapping[str, Any]:
    """The members of a state object unless others are given."""
    if word == "failed":
        return {"id": "err_division", "description": "Division by zero", "location": dict(LOCATION)}
    return {"reason": "Stopped by a user"} if word == "stopped" else {}


def new_automation(
    name: str, display_name: str, *, stage: str, input_specs: Sequence[Mapping[str, Any]], number: int
) -> EmulatedAutomation:
    """The automation of this resource name. Raises ValueError for an unknown stage."""
    word = stage.removeprefix("AUTOMATION_STAGE_")
    if word not in {"DRAFT", "PUBLISHED"}:
        message = f"stage must be DRAFT or PUBLISHED, got {stage!r}"
        raise ValueError(message)
    now = to_nanoseconds(datetime.now(UTC))
    return EmulatedAutomation(
        id=name.rpartition("/")[2],
        name=name,
        display_name=display_name,
        published=word == "PUBLISHED",
        input_specs=tuple(input_specs),
        created_ns=now,
        updated_ns=now,
        number=number,
    )
