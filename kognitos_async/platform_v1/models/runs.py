"""Runs of the platform API: frozen structs with the API's field names."""

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
from kognitos_async.platform_v1.times import in_utc, read_timestamp
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
    # msgspec, and frameworks built on it, support no union of two string types.
    StageWord = AutomationStage


class InvocationDetails(Model, frozen=True, kw_only=True):
    """Who or what started a run."""

    trigger_id: str | None = None
    """Id of the trigger; None if none started the run."""
    user_id: str | None = None
    """Id of the user; None if none started the run."""
    invocation_source: InvocationSource | None = None
    """Kind of source."""


class RunFailure(Model, frozen=True, kw_only=True):
    """Why a run failed."""

    id: str = ""
    """Id of the error."""
    description: str = ""
    """Description of the error, for people."""
    location: Location | None = None
    """Byte range of the code at which the run failed."""


class RunGuidance(Model, frozen=True, kw_only=True):
    """The guidance that a run awaits.

    `client.exceptions.get(guidance.exception)` returns the details; `client.exceptions.reply` answers.
    """

    exception: str = ""
    """Id or full name of the exception."""
    description: str = ""
    """The question, for people."""
    location: Location | None = None
    """Byte range of the code at which the run waits."""


class PlatformRun(WebModel, msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run as it was when read. Times are timezone-aware, in UTC.

    Each state has its detail: completed has `outputs`, failed `failure`, awaiting_guidance `guidance`,
    stopped and stopping `stop_reason`. Listed runs may lack outputs that `runs.get` returns.
    """

    name: str = ""
    """Full resource name; `id` is its last part."""
    create_time: Timestamp = _EPOCH
    """Time of creation; 1970-01-01 if the API sends none."""
    update_time: Timestamp | None = None
    """Time of the last change."""
    state_object: dict[str, Any] | str = msgspec.field(name="state", default_factory=dict)
    """State as sent: an object with a member named like the state, and `update_time`."""
    stage: AutomationStage = AutomationStage.UNSPECIFIED
    """Version of the automation: draft or published."""
    stage_version: str = ""
    """Version number of the automation at the creation of the run."""
    previous_run: str = ""
    """Full name of the previous run of a chain."""
    invocation_details: InvocationDetails | None = None
    """Who or what started the run."""
    user_input_values: dict[str, Any] = msgspec.field(name="user_inputs", default_factory=dict)
    """`user_inputs` in the API's form."""
    executable_steps: ExecutableSteps | None = None
    """The code that ran, as steps that pass on their outputs."""

    def __post_init__(self) -> None:
        for name in ("create_time", "update_time"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                msgspec.structs.force_setattr(self, name, in_utc(moment))

    @property
    def id(self) -> str:
        """Last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def automation(self) -> str:
        """Full name of the automation."""
        return self.name.rpartition("/runs/")[0]

    @property
    def handle(self) -> StartedRun:
        """A reference to this run that every wait accepts, small and JSON-ready."""
        return StartedRun(name=self.name, started_at=self.create_time)

    @property
    def state(self) -> RunState:
        """The state: the member that the state object has, even if it is empty."""
        word, _ = self._state
        return word

    status = state
    """Same as `state`; the name that REST API v2 uses."""

    @property
    def state_time(self) -> datetime | None:
        """Time at which the run entered its state."""
        state = self.state_object
        moment = None if isinstance(state, str) else read_timestamp(state.get("update_time"), truncate=True)
        return None if moment is None else in_utc(moment)

    @property
    def settled(self) -> bool:
        """Whether the run makes no progress without a person. False for an unknown state."""
        return self.state in SETTLED_STATES

    @property
    def succeeded(self) -> bool:
        """Whether the run completed."""
        return self.state == RunState.COMPLETED

    @property
    def outputs(self) -> dict[str, object]:
        """Outputs of a completed run as Python values by name. Converted on each access."""
        word, body = self._state
        outputs = body.get("outputs") if word == RunState.COMPLETED else None
        return from_values(outputs) if isinstance(outputs, dict) else {}

    def output(self, name: str, kind: type[T]) -> T:
        """The output of that name as `kind`: `run.output("total", Decimal)`.

        A number passes for every number type that holds it exactly, and a pyarrow table for `Table`. Raises
        `KeyError` naming the existing outputs, and `TypeError` if the output is of another type.
        """
        outputs = self.outputs
        if name not in outputs:
            known = ", ".join(map(repr, outputs)) or "none"
            raise KeyError(f"run {self.id} ({self.state}) has no output {name!r}; it has {known}")
        return narrowed(f"output {name!r} of run {self.id}", outputs[name], kind)

    @property
    def has_outputs(self) -> bool:
        """Whether the run was read with outputs."""
        word, body = self._state
        return word == RunState.COMPLETED and bool(body.get("outputs"))

    @property
    def user_inputs(self) -> dict[str, object]:
        """Inputs of the run as Python values by name. Converted on each access."""
        return from_values(self.user_input_values)

    @property
    def failure(self) -> RunFailure | None:
        """Details of the failure; None unless the run failed."""
        return self._detail(RunState.FAILED, RunFailure)

    @property
    def guidance(self) -> RunGuidance | None:
        """The guidance that the run awaits; None unless it does."""
        return self._detail(RunState.AWAITING_GUIDANCE, RunGuidance)

    @property
    def stop_reason(self) -> str | None:
        """The reason a person gave for stopping the run; None unless it is stopped or stopping."""
        word, body = self._state
        reason = body.get("reason") if word in (RunState.STOPPED, RunState.STOPPING) else None
        return reason if isinstance(reason, str) else None

    def raise_for_status(self) -> Self:
        """The run itself, unless it settled without success.

        Raises `RunFailedError` for failed, `RunStoppedError` for stopped, and `AwaitingGuidanceError`, which
        names the exception, for awaiting_guidance.
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

        `state` is the plain word. `outputs` and `user_inputs` are converted: decimals to text, tables to
        lists of rows, file contents to base64. Times are ISO 8601 in UTC. `msgspec.to_builtins` returns the
        API's own form.
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
        """The body of the state, without members of undocumented types."""
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
            ("outputs", ", ".join(self.outputs)),  # names only: values may hold files
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
            # Names only: values may hold files.
            ("user_inputs", list(self.user_input_values)),
            ("outputs", list(self.outputs)),
        ]

    def __repr__(self) -> str:
        return f"PlatformRun({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __hash__(self) -> int:
        return hash((self.name, self.update_time))


class StartedRun(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """Reference to a run started by `automations.invoke`, small and JSON-ready. Every wait accepts it."""

    name: str
    """Full resource name; `id` is its last part."""
    started_at: Timestamp
    """Local time of the answer; for the `handle` of a run that was read, its `create_time`."""

    @property
    def id(self) -> str:
        """Last part of the name."""
        return self.name.rpartition("/")[2]

    @property
    def automation(self) -> str:
        """Full name of the automation."""
        return self.name.rpartition("/runs/")[0]

    @property
    def handle(self) -> StartedRun:
        """The run itself: it already is a handle."""
        return self


class InvokeRequest(WebModel, msgspec.Struct, frozen=True, kw_only=True):
    """A run to start: the arguments of `automations.invoke`."""

    automation: str
    """Id or full resource name."""
    inputs: Mapping[str, object] | None = None
    """Python values by name; None for no inputs."""
    stage: StageWord = AutomationStage.PUBLISHED
    """DRAFT or PUBLISHED; default PUBLISHED."""
    workspace_id: str | None = None
    """Id of the workspace; None for the client's."""
    organization_id: str | None = None
    """Id of the organization; None for the client's."""
    name: str | None = None
    """Name in a journal, not sent. Equal requests without a name are refused there as duplicates."""


class ListRunsResponse(msgspec.Struct, frozen=True, gc=False):
    """A page of runs as sent."""

    runs: tuple[PlatformRun, ...] = ()
    next_page_token: str | None = None


class InvokeAutomationResponse(msgspec.Struct, frozen=True):
    """The answer to an invocation: the full name or bare id of the run."""

    run_id: str
