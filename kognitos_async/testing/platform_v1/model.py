"""Automations, runs with their history, exceptions, and events of agents."""

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
"""States that a run never leaves."""
IDLE = frozenset({*ENDED, "stopped", "awaiting_guidance"})
"""States in which a run does not count towards the capacity."""
LOCATION: Mapping[str, str] = MappingProxyType({"start_byte": "0", "end_byte": "24"})

_NANO = 10**9


@dataclass(frozen=True, slots=True)
class Step:
    """A state of a run, from server time `at` in seconds."""

    at: float
    word: str
    members: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedAutomation:
    """An automation. A published one can be run as a draft too."""

    id: str
    """Last part of the resource name."""
    name: str
    """Full resource name."""
    display_name: str
    """Display name."""
    published: bool
    """Whether there is a published version."""
    input_specs: Sequence[Mapping[str, Any]] = ()
    """Declared inputs, in the API's form."""
    created_ns: int = field(repr=False)
    """Time of creation, in nanoseconds since 1970."""
    updated_ns: int = field(repr=False)
    """Time of the last change, in nanoseconds since 1970."""
    number: int = field(repr=False)
    """Number of the automation on this server, from 0."""
    deleted: bool = False
    """Whether it was deleted."""

    def version(self, stage: str = PUBLISHED) -> str:
        """The version of a run in this stage."""
        if not self.published:
            return "0.1"
        return "1.0" if stage == PUBLISHED else "1.1"


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedEvent:
    """An event of an agent. Until `done_at` it is incomplete."""

    id: str
    """Last part of the resource name."""
    name: str
    """Full resource name."""
    kind: str
    """Member that holds the payload, such as `agent_message`."""
    payload: dict[str, Any]
    """Complete payload."""
    exception: str | None
    """Exception that the event belongs to; None for an event of the run."""
    number: int = field(repr=False)
    """Number of the event on this server, from 0."""
    created_ns: int = field(repr=False)
    """Time of creation, in nanoseconds since 1970."""
    done_at: float = field(repr=False)
    """Server time from which it is complete."""

    def is_done(self, now: float) -> bool:
        """Whether it is complete."""
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
    """An exception: the question that a run awaits an answer to."""

    id: str
    """Last part of the resource name."""
    name: str
    """Full resource name."""
    run: str
    """Full resource name of the waiting run."""
    automation: str
    """Full resource name of the automation."""
    stage: str
    """Stage of the run."""
    execution_id: str
    """Id of the execution."""
    message: str
    """Error message."""
    description: str
    """Question to the person who answers."""
    group: str
    """Last part of the group's name; empty without a group."""
    state: str = "PENDING"
    """PENDING, RESOLVED or ARCHIVED."""
    resolver: str | None = None
    """Who resolved it; None before."""
    number: int = field(repr=False)
    """Number of the exception on this server, from 0."""
    created_ns: int = field(repr=False)
    """Time at which it was raised, in nanoseconds since 1970."""
    updated_ns: int = field(repr=False)
    """Time of the last change, in nanoseconds since 1970."""


@dataclass(slots=True, eq=False, kw_only=True)
class EmulatedPlatformRun:
    """A run. Its properties are computed on access."""

    id: str
    """Last part of the resource name."""
    name: str
    """Full resource name."""
    automation: str
    """Full resource name of the automation."""
    automation_id: str
    """Id of the automation."""
    stage: str
    """Stage of the automation."""
    stage_version: str
    """Version of the automation."""
    inputs: Mapping[str, Any]
    """`user_inputs` in the API's form."""
    user: str = USER
    """Invoking user, in `invocation_details`."""
    source: str = MANUAL
    """Source of the invocation, in `invocation_details`."""
    number: int = field(repr=False)
    """Number of the run on this server, from 0."""
    created_ns: int = field(repr=False)
    """Time of creation, in nanoseconds since 1970."""
    started: float = field(repr=False)
    """Server time of the start."""
    course: Course = field(repr=False)
    """How it moves without intervention."""
    catch_up: Callable[[], None] = field(repr=False)
    """Function that brings the run up to the server time."""
    given_outputs: Mapping[str, Any] | None = field(default=None, repr=False)
    """Outputs given in place of computed ones; None without any."""
    steps: list[Step] = field(default_factory=list[Step], repr=False)
    """States so far, perhaps not up to date: read `history`."""
    plan: deque[Step] = field(default_factory=deque[Step], repr=False)
    """Future states."""
    planned: int = field(default=0, repr=False)
    """Number of plans made."""
    left: tuple[Step, tuple[Step, ...]] | None = field(default=None, repr=False)
    """State and plan at which it was paused; None if it is not."""
    exception: EmulatedException | None = field(default=None, repr=False)
    """Exception that it awaits or last awaited guidance for."""
    said: dict[str, list[EmulatedEvent]] = field(default_factory=dict[str, list[EmulatedEvent]], repr=False)
    """Events by agent, perhaps not up to date: read `threads`."""

    @property
    def created_at(self) -> datetime:
        """Time of creation."""
        return to_datetime(self.created_ns)

    @property
    def execution_id(self) -> str:
        """Id of its execution, for the outputs."""
        return f"exec_{self.id}"

    @property
    def history(self) -> Sequence[Step]:
        """Its states so far; the last is the current one."""
        self.catch_up()
        return self.steps

    @property
    def threads(self) -> Mapping[str, Sequence[EmulatedEvent]]:
        """Its events so far by agent, oldest first."""
        self.catch_up()
        return dict(self.said)

    @property
    def state(self) -> str:
        """Name of the current state."""
        return self.history[-1].word

    @property
    def members(self) -> Mapping[str, Any]:
        """Members of its state object, without outputs."""
        return self.history[-1].members

    @property
    def outputs(self) -> Mapping[str, Any] | None:
        """Outputs of a completed run in the API's form; None for any other run."""
        if self.state != "completed":
            return None
        if self.given_outputs is None:
            self.given_outputs = derived_outputs(self.inputs)
        return self.given_outputs

    @property
    def is_active(self) -> bool:
        """Whether it counted towards the capacity when last updated."""
        return bool(self.steps) and self.steps[-1].word not in IDLE

    def nanoseconds_of(self, at: float) -> int:
        """A server time as nanoseconds since 1970."""
        return self.created_ns + max(0, int((at - self.started) * _NANO))


def planned_steps(run: EmulatedPlatformRun) -> list[Step]:
    """The steps that the schedule has for a run: executing, then its outcome."""
    course = run.course
    steps: list[Step] = []
    if math.isfinite(course.running_after) and course.running_after < course.settled_after:
        steps.append(Step(run.started + course.running_after, "executing"))
    if math.isfinite(course.settled_after):
        word = PLATFORM_WORDS.get(course.outcome, course.outcome)
        steps.append(Step(run.started + course.settled_after, word, default_members(word)))
    return steps


def default_members(word: str) -> Mapping[str, Any]:
    """Default members of a state object."""
    if word == "failed":
        return {"id": "err_division", "description": "Division by zero", "location": dict(LOCATION)}
    return {"reason": "Stopped by a user"} if word == "stopped" else {}


def new_automation(
    name: str, display_name: str, *, stage: str, input_specs: Sequence[Mapping[str, Any]], number: int
) -> EmulatedAutomation:
    """An automation with this resource name. Raises `ValueError` for an unknown stage."""
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
