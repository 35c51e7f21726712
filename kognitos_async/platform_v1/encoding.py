"""From the arguments of an invocation to its body, and from a run back to what invoked it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.platform_v1.models.runs import (
    AutomationStage,
    InvocationSource,
    InvokeRequest,
    PlatformRun,
)
from kognitos_async.platform_v1.names import AUTOMATION, Name, Scope, parse_name
from kognitos_async.platform_v1.values import from_values, to_values

if TYPE_CHECKING:
    from collections.abc import Mapping

_encode = msgspec.json.Encoder(order="sorted").encode
_NOT_OURS = (InvocationSource.TRIGGER, InvocationSource.SCHEDULE)


class Invocation(msgspec.Struct, frozen=True):
    """A request to invoke an automation, checked and in the words of the API."""

    automation: Name
    stage: str
    inputs: dict[str, dict[str, Any]]

    @property
    def body(self) -> bytes:
        """The body of InvokeAutomation."""
        return _encode({"stage": self.stage, "inputs": self.inputs} if self.inputs else {"stage": self.stage})

    @property
    def record(self) -> bytes:
        """All that a journal needs to know of it; equal for equal invocations."""
        return _encode({"automation": str(self.automation), "stage": self.stage, "inputs": self.inputs})

    @property
    def mark(self) -> str:
        """A name for it where the user gives none."""
        return f"invocation {hashlib.sha256(self.record).hexdigest()[:32]}"

    def made(self, run: PlatformRun) -> bool:
        """Whether the run may be what this invocation made: inputs beyond ours may be defaults."""
        details = run.invocation_details
        if run.stage != self.stage or (details is not None and details.invocation_source in _NOT_OURS):
            return False
        theirs = run.user_inputs
        return all(
            name in theirs and _same(theirs[name], value) for name, value in from_values(self.inputs).items()
        )


def encode_invocation(request: InvokeRequest, scope: Scope) -> Invocation:
    """The invocation that a request is; `TypeError` or `ValueError` naming the argument at fault."""
    automation = scope.automation(request.automation, request.workspace_id, request.organization_id)
    return Invocation(automation, stage_word(request.stage), _values(request.inputs))


def _same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _values(inputs: Mapping[str, object] | None) -> dict[str, dict[str, Any]]:
    return {} if inputs is None else to_values(inputs)


class _Record(msgspec.Struct, frozen=True):
    automation: str
    stage: AutomationStage
    inputs: dict[str, dict[str, Any]] = {}


_RECORD = msgspec.json.Decoder(_Record)


def request_of(record: bytes, name: str | None) -> InvokeRequest:
    """The request that a journal's record stands for."""
    known = _RECORD.decode(record)
    automation = parse_name("automation", known.automation, AUTOMATION)
    return InvokeRequest(
        automation=str(automation),
        organization_id=automation.organization_id,
        stage=known.stage,
        inputs=from_values(known.inputs) or None,
        name=name,
    )


def stage_word(stage: object) -> str:
    """DRAFT or PUBLISHED as the API writes it, from that, the bare word in any case, or `Stage`."""
    if not isinstance(stage, str):
        raise TypeError(f"stage must be an AutomationStage or str, got {type(stage).__name__}")
    word = str(stage).upper().removeprefix("AUTOMATION_STAGE_")
    if word not in ("DRAFT", "PUBLISHED"):
        raise ValueError(f"stage must be DRAFT or PUBLISHED, got {str(stage)!r}")
    return f"AUTOMATION_STAGE_{word}"
