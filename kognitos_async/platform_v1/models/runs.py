"""Runs of the platform API, as frozen structs with the API's own field names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from kognitos_async.errors import AwaitingGuidanceError, RunFailedError, RunStoppedError
from kognitos_async.notebook import record_html
from kognitos_async.platform_v1.json_values import json_ready
from kognitos_async.platform_v1.models.base import Model
from kognitos_async.platform_v1.models.generated.shared import ExecutableSteps, Location
from kognitos_async.platform_v1.models.words import (
    ENDED,
    SETTLED_STATES,
    AutomationStage,
    InvocationSource,
    RunState,
)
from kognitos_async.platform_v1.narrowing import narrowed
from kognitos_async.platform_v1.times import read_timestamp
from kognitos_async.platform_v1.values import from_values
from kognitos_async.web_models import Timestamp, WebModel

__all__ = [
    "ENDED",
    "SETTLED_STATES",
    "AutomationStage",
    "InvocationDetails",
    "InvocationSource",
    "InvokeAutomationResponse",
    "InvokeRequest",
    "ListRunsResponse",
    "PlatformRun",
    "RunFailure",
    "RunGuidance",
    "RunState",
    "StartedRun",
]

D = TypeVar("D", bound=Model)
T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

if TYPE_CHECKING:
    StageWord = AutomationStage | str
else:
    # msgspec, and frameworks that read types with it, know no union of two kinds of text.
    StageWord = AutomationStage


class InvocationDetails(Model, frozen=True, kw_only=True):
    """Who or what started a run."""

    trigger_id: str | None = None
    """The trigger, if one started the run."""
    user_id: str | None = None
    """The user, if one started the run."""
    invocation_source: InvocationSource | None = None
    """The kind of source."""


class RunFailure(Model, frozen=True, kw_only=True):
    """Why a run failed."""

    id: str = ""
    """The id of the error."""
    description: str = ""
    """What went wrong, for people."""
    location: Location | None = None
    """The bytes of the code at which the run failed."""


class RunGuidance(Model, frozen=True, kw_only=True):
    """What a run needs a person for.

    `client.exceptions.get(guidance.exception)` has the rest, `client.exceptions.reply` answers it.
    """

    exception: str = ""
    """The id or full name of the exception."""
    description: str = ""
    """What is asked, for people."""
    location: Location | None = None
    """The bytes of the code at which the run waits."""


class PlatformRun(WebModel, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run as it was when read. Times are aware, in UTC.

    `outputs` belong to the state completed, `failure` to failed, `guidance` to awaiting_guidance,
    `stop_reason` to stopped and stopping. Items of a list may lack outputs that `runs.get` returns.
    """

    name: str = ""
    """The full resource name; `id` is its last part."""
    create_time: Timestamp = _EPOCH
    """When the run was created; 1970-01-01 where the API leaves it out."""
    update_time: Timestamp | None = None
    """When the run last changed."""
    state_object: dict[str, Any] | str = msgspec.field(name="state", default_factory=dict)
    """The state as the API writes it: a member named like the state, beside `update_time`."""
    stage: AutomationStage = AutomationStage.UNSPECIFIED
    """Which version of the automation runs."""
    stage_version: str = ""
    """The version of the automation when the run was created."""
    previous_run: str = ""
    """The full name of the preceding run of a chain."""
    invocation_details: InvocationDetails | None = None
    """Who or what started the run."""
    user_input_values: dict[str, Any] = msgspec.field(name="user_inputs", default_factory=dict)
    """`user_inputs` as the API writes them."""
    executable_steps: ExecutableSteps | None = None
    """The code that ran: steps that hand their output on."""

    def __post_init__(self) -> None:
        for name in ("create_time", "update_time"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
                msgspec.structs.force_setattr(self, name, utc)

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
        state = self.state_object
        moment = None if isinstance(state, str) else read_timestamp(state.get("update_time"), truncate=True)
        if moment is None or moment.tzinfo is UTC:
            return moment
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

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
        """The outputs of a completed run as Python values by name: converted anew each time it is read."""
        word, body = self._state
        outputs = body.get("outputs") if word == RunState.COMPLETED else None
        return from_values(outputs) if isinstance(outputs, dict) else {}

    def output(self, name: str, kind: type[T]) -> T:
        """The output of that name, if it is a `kind`: `run.output("total", Decimal)`.

        A number passes for every number type that holds it exactly, and a table of pyarrow for `Table`.
        Raises `KeyError` naming the outputs there are, `TypeError` for an output of another type.
        """
        outputs = self.outputs
        if name not in outputs:
            known = ", ".join(map(repr, outputs)) or "none"
            raise KeyError(f"run {self.id} ({self.state}) has no output {name!r}; it has {known}")
        return narrowed(f"output {name!r} of run {self.id}", outputs[name], kind)

    @property
    def has_outputs(self) -> bool:
        """Whether the run came with outputs."""
        word, body = self._state
        return word == RunState.COMPLETED and bool(body.get("outputs"))

    @property
    def user_inputs(self) -> dict[str, object]:
        """The inputs of the run as Python values by name: converted anew each time it is read."""
        return from_values(self.user_input_values)

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
            "client.runs.resume continues it from where it is",
            run=self,
        )

    def to_dict(self) -> dict[str, Any]:
        """The run as JSON-ready values by attribute, for exports.

        `state` is the word, `outputs` and `user_inputs` are converted: decimals to text, tables to lists of
        rows, contents of files to base64. Times are ISO 8601 in UTC. `msgspec.to_builtins` has the API's own
        form.
        """
        return {
            "name": self.name,
            "id": self.id,
            "automation": self.automation,
            "state": str(self.state),
            "state_time": json_ready(self.state_time),
            "create_time": json_ready(self.create_time),
            "update_time": json_ready(self.update_time),
            "stage": str(self.stage),
            "stage_version": self.stage_version,
            "previous_run": self.previous_run,
            "invocation_details": json_ready(self.invocation_details),
            "user_inputs": json_ready(self.user_inputs),
            "outputs": json_ready(self.outputs),
            "failure": json_ready(self.failure),
            "guidance": json_ready(self.guidance),
            "stop_reason": self.stop_reason,
            "executable_steps": json_ready(self.executable_steps),
        }

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

    def _detail(self, word: RunState, kind: type[D]) -> D | None:
        """The body of the state, without members that are not as documented."""
        state, body = self._state
        if state != word:
            return None
        members = {}
        for field in msgspec.structs.fields(kind):
            try:
                members[field.name] = msgspec.convert(body[field.encode_name], field.type, strict=False)
            except (KeyError, msgspec.ValidationError):
                continue
        return kind(**members)

    def _columns_(self) -> list[tuple[str, object]]:
        return [
            ("id", self.id),
            ("state", self.state),
            ("created", self.create_time),
            ("updated", self.update_time),
            ("outputs", ", ".join(self.outputs)),  # by name alone: they may hold files
        ]

    def _repr_html_(self) -> str:
        why = self.guidance.description if self.guidance else self.stop_reason
        if self.failure:
            why = self.failure.description
        more = [("reason", why), ("stage", self.stage), ("automation", self.automation)]
        return record_html("PlatformRun", [*self._columns_(), *more])

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            ("name", self.name),
            ("state", str(self.state)),
            ("create_time", self.create_time),
            ("update_time", self.update_time),
            ("stage", str(self.stage)),
            ("stage_version", self.stage_version),
            # By name alone: they may hold files.
            ("user_inputs", list(self.user_input_values)),
            ("outputs", list(self.outputs)),
        ]

    def __repr__(self) -> str:
        return f"PlatformRun({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __hash__(self) -> int:
        return hash((self.name, self.update_time))


class StartedRun(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A run that `automations.invoke` has started: what it takes to wait for it, small and JSON-ready."""

    name: str
    """The full resource name; `id` is its last part."""
    started_at: Timestamp
    """When the answer came, by this machine's clock; `create_time` in the `handle` of a run read before."""

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


class InvokeRequest(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `automations.invoke`."""

    automation: str
    """An id or a full resource name."""
    inputs: Mapping[str, object] | None = None
    """Python values by name."""
    stage: StageWord = AutomationStage.PUBLISHED
    """DRAFT or PUBLISHED."""
    workspace_id: str | None = None
    """The workspace, the client's unless given."""
    organization_id: str | None = None
    """The organization, the client's unless given."""
    name: str | None = None
    """The name in a journal, not sent; equal requests without one are refused there as duplicates."""


class ListRunsResponse(msgspec.Struct, frozen=True, gc=False):
    """A page of runs as sent."""

    runs: tuple[PlatformRun, ...] = ()
    next_page_token: str | None = None


class InvokeAutomationResponse(msgspec.Struct, frozen=True):
    """The answer to a start: the run's full name, or its bare id."""

    run_id: str
