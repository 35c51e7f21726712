"""Runs of the platform API, as frozen structs with the API's own field names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec

from kognitos_async.errors import AwaitingGuidanceError, RunFailedError, RunStoppedError
from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.values import from_values

T = TypeVar("T", "RunFailure", "RunGuidance")


class RunState(Word):
    """Where a run stands. The vendor's pages also say running and waiting: EXECUTING, AWAITING_GUIDANCE."""

    PENDING = "pending"
    EXECUTING = "executing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    AWAITING_GUIDANCE = "awaiting_guidance"
    COMPLETED = "completed"
    FAILED = "failed"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        known = _OTHER_WORDS.get(value) if isinstance(value, str) else None
        return super()._missing_(value) if known is None else cls(known)


_OTHER_WORDS = {"running": "executing", "waiting": "awaiting_guidance"}

SETTLED_STATES = frozenset(
    {RunState.COMPLETED, RunState.FAILED, RunState.STOPPED, RunState.AWAITING_GUIDANCE}
)
"""The states in which a run does not go on by itself."""

ENDED = frozenset({RunState.COMPLETED, RunState.FAILED})
"""The states a run never leaves; one that is stopped or awaits guidance goes on when a person says so."""


class AutomationStage(Word):
    """Which version of an automation is meant."""

    UNSPECIFIED = "AUTOMATION_STAGE_UNSPECIFIED"
    DRAFT = "AUTOMATION_STAGE_DRAFT"
    PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"


class InvocationSource(Word):
    """What created a run."""

    UNSPECIFIED = "INVOCATION_SOURCE_UNSPECIFIED"
    MANUAL = "INVOCATION_SOURCE_MANUAL"
    TRIGGER = "INVOCATION_SOURCE_TRIGGER"
    SCHEDULE = "INVOCATION_SOURCE_SCHEDULE"


class InvocationDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who or what started a run: `trigger_id` for a trigger, `user_id` for a user."""

    trigger_id: str | None = None
    user_id: str | None = None
    invocation_source: InvocationSource | None = None


class RunFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed: the error's id, its text, and the bytes of the code it points at."""

    id: str | None = None
    description: str | None = None
    location: Mapping[str, Any] | None = None


class RunGuidance(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs a person for: the id or name of the exception, its text and its place in the code.

    `client.exceptions.get(guidance.exception)` has the rest, `client.exceptions.reply` answers it.
    """

    exception: str | None = None
    description: str | None = None
    location: Mapping[str, Any] | None = None


class PlatformRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run as it was when read. `name` is its full resource name, times are aware.

    `state` is one word; `outputs` belong to completed, `failure` to failed, `guidance` to
    awaiting_guidance, `stop_reason` to stopped and stopping. `executable_steps` holds the code that ran, as
    the API writes it. Items of a list may lack outputs that `runs.get` gives.
    """

    name: str
    create_time: datetime
    update_time: datetime | None = None
    state_object: dict[str, Any] | str = msgspec.field(name="state", default_factory=dict)
    """The state as the API writes it: a member named like the state, beside `update_time`."""
    stage: AutomationStage = AutomationStage.UNSPECIFIED
    stage_version: str = ""
    previous_run: str | None = None
    invocation_details: InvocationDetails | None = None
    user_input_values: dict[str, dict[str, Any]] | None = msgspec.field(name="user_inputs", default=None)
    """`user_inputs` as the API writes them."""
    executable_steps: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def automation(self) -> str:
        """The full name of the run's automation."""
        return self.name.rpartition("/runs/")[0]

    @property
    def handle(self) -> StartedRun:
        """What it takes to wait for the run, small and JSON-ready."""
        return StartedRun(name=self.name, started_at=self.create_time)

    @property
    def state(self) -> RunState:
        """The member that the state object has; presence decides, for empty objects are normal."""
        word, _ = self._state
        return word

    status = state
    """The same, by the name that REST API v2 has for it."""

    @property
    def state_time(self) -> datetime | None:
        """When the state was entered."""
        if isinstance(self.state_object, str) or not isinstance(self.state_object.get("update_time"), str):
            return None
        try:
            return msgspec.convert(self.state_object["update_time"], datetime)
        except msgspec.ValidationError:
            return None

    @property
    def settled(self) -> bool:
        """Whether the run does not go on by itself; an unknown state never counts as settled."""
        return self.state in SETTLED_STATES

    @property
    def succeeded(self) -> bool:
        """Whether the run has completed."""
        return self.state == RunState.COMPLETED

    @property
    def outputs(self) -> dict[str, object]:
        """What the run has produced, as Python values by name: converted anew each time it is read."""
        word, body = self._state
        outputs = body.get("outputs") if word == RunState.COMPLETED else None
        return from_values(outputs) if isinstance(outputs, dict) else {}

    @property
    def has_outputs(self) -> bool:
        """Whether the run came with outputs."""
        word, body = self._state
        return word == RunState.COMPLETED and bool(body.get("outputs"))

    @property
    def user_inputs(self) -> dict[str, object]:
        """What the run was given, as Python values by name: converted anew each time it is read."""
        return from_values(self.user_input_values or {})

    @property
    def failure(self) -> RunFailure | None:
        """Why the run failed, if it did."""
        return self._detail(RunState.FAILED, RunFailure)

    @property
    def guidance(self) -> RunGuidance | None:
        """What the run needs a person for, if it does."""
        return self._detail(RunState.AWAITING_GUIDANCE, RunGuidance)

    @property
    def stop_reason(self) -> str | None:
        """The reason a person gave for stopping the run, if it is stopped or stopping."""
        word, body = self._state
        reason = body.get("reason") if word in (RunState.STOPPED, RunState.STOPPING) else None
        return reason if isinstance(reason, str) else None

    def raise_for_status(self) -> Self:
        """The run itself, unless it settled without success.

        Raises `RunFailedError`, `RunStoppedError`, and `AwaitingGuidanceError`, which names the exception.
        """
        if self.succeeded or not self.settled:
            return self
        where = f"run {self.id} of {self.automation}"
        if (guidance := self.guidance) is not None:
            raise AwaitingGuidanceError(
                f"{where} awaits guidance: {guidance.description or 'no description'} "
                f"(exception {guidance.exception or 'not named'}). Answer it with client.exceptions.reply",
                run=self,
            )
        if (failure := self.failure) is not None:
            why = failure.description or "no description"
            raise RunFailedError(f"{where} failed: {why} (error {failure.id or 'not named'})", run=self)
        raise RunStoppedError(
            f"{where} is stopped: {self.stop_reason or 'no reason given'}. "
            "client.runs.resume lets it go on from where it is",
            run=self,
        )

    @property
    def _state(self) -> tuple[RunState, Mapping[str, Any]]:
        state = self.state_object
        if isinstance(state, str):
            return RunState(state), {}
        unknown = None
        for member, body in state.items():
            if body is None or member == "update_time":
                continue
            word = RunState(member)
            if word.known:
                return word, body if isinstance(body, dict) else {}
            unknown = unknown or word
        return unknown or RunState(""), {}

    def _detail(self, word: RunState, kind: type[T]) -> T | None:
        state, body = self._state
        if state != word:
            return None
        try:
            return msgspec.convert(body, kind, strict=False)
        except msgspec.ValidationError:
            return kind()

    def __hash__(self) -> int:
        return hash((self.name, self.update_time))


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that `automations.invoke` has just started: what it takes to wait for it, small and JSON-ready.

    `name` is its full resource name. `started_at` is by this machine's clock, or `create_time` where it is
    the `handle` of a run that was read.
    """

    name: str
    started_at: datetime

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def automation(self) -> str:
        """The full name of the run's automation."""
        return self.name.rpartition("/runs/")[0]

    @property
    def handle(self) -> StartedRun:
        """The same: a handle is what this is."""
        return self


class InvokeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `automations.invoke`.

    `name` is the journal's own name for it, not sent; without one, equal requests in one journal are
    refused as duplicates.
    """

    automation: str
    inputs: Mapping[str, object] | None = None
    stage: AutomationStage | str = AutomationStage.PUBLISHED
    workspace_id: str | None = None
    organization_id: str | None = None
    name: str | None = None


class ListRunsResponse(msgspec.Struct, frozen=True, gc=False):
    """A page of runs as sent."""

    runs: tuple[PlatformRun, ...] = ()
    next_page_token: str | None = None


class InvokeAutomationResponse(msgspec.Struct, frozen=True):
    """The answer to a start: the run's full name, or its bare id."""

    run_id: str
