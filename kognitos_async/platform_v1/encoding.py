"""Encoding of invocations, and comparison of runs with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.platform_v1.models.runs import (
    AutomationStage,
    InvocationDetails,
    InvocationSource,
    InvokeRequest,
    PlatformRun,
)
from kognitos_async.platform_v1.names import AUTOMATION, Name, Scope, parse_name
from kognitos_async.platform_v1.tables import Table
from kognitos_async.platform_v1.value_types import UnknownValue
from kognitos_async.platform_v1.values import from_values, to_values

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_encode = msgspec.json.Encoder(order="sorted").encode
_NOT_OURS = (InvocationSource.TRIGGER, InvocationSource.SCHEDULE)


class Likeness(Enum):
    """How a run compares with an invocation: alike, not decidable, or certainly another's."""

    ALIKE = "alike"
    UNCLEAR = "unclear"
    OTHER = "other"


class Invocation(msgspec.Struct, frozen=True):
    """A checked request to invoke an automation, in the API's form."""

    automation: Name
    stage: str
    inputs: dict[str, dict[str, Any]]

    @property
    def body(self) -> bytes:
        """The body of InvokeAutomation."""
        return _encode({"stage": self.stage, "inputs": self.inputs} if self.inputs else {"stage": self.stage})

    @property
    def record(self) -> bytes:
        """What a journal keeps; equal for equal invocations."""
        return _encode({"automation": str(self.automation), "stage": self.stage, "inputs": self.inputs})

    @property
    def values(self) -> dict[str, object]:
        """The inputs as Python values, as a run shows them. Converted on each access."""
        return from_values(self.inputs)

    @property
    def mark(self) -> str:
        """Default name in a journal."""
        return f"invocation {hashlib.sha256(self.record).hexdigest()[:32]}"

    def likeness(
        self,
        run: PlatformRun,
        users: Collection[str],
        given: Mapping[str, object],
        inputs: Callable[[PlatformRun], Mapping[str, object]],
    ) -> Likeness:
        """Whether this invocation may have made the run, apart from its time.

        `users` started runs known to be ours. `given` are the values of this invocation; `inputs` reads those
        of a run. Further inputs of a run may be defaults that the API added.
        """
        if run.stage != self.stage or run.automation.rpartition("/")[2] != self.automation.id:
            return Likeness.OTHER
        details = run.invocation_details or InvocationDetails()
        source, user = details.invocation_source, details.user_id
        if details.trigger_id or source in _NOT_OURS or (user and users and user not in users):
            return Likeness.OTHER
        theirs = inputs(run)
        if not all(name in theirs and same_value(theirs[name], value) for name, value in given.items()):
            return Likeness.OTHER
        # An unknown source may be a new kind of trigger.
        known = source is None or source.known
        ours = known and (user in users if user or users else source == InvocationSource.MANUAL)
        return Likeness.ALIKE if ours and len(theirs) == len(self.inputs) else Likeness.UNCLEAR


def encode_invocation(request: InvokeRequest, scope: Scope) -> Invocation:
    """The invocation of a request. Raises `TypeError` or `ValueError` naming the invalid argument."""
    automation = scope.automation(request.automation, request.workspace_id, request.organization_id)
    return Invocation(automation, stage_word(request.stage), _values(request.inputs))


def same_value(one: object, other: object) -> bool:
    """Equality in which True differs from 1, and times differ by offset."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return len(one) == len(other) and all(
            any(same_value(key, theirs) and same_value(value, other[theirs]) for theirs in other)
            for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, AbstractSet) and isinstance(other, AbstractSet):
        return len(one) == len(other) and all(any(same_value(a, b) for b in other) for a in one)
    if isinstance(one, Table) and isinstance(other, Table):
        return (one.data, one.url) == (other.data, other.url) and same_value(one.columns, other.columns)
    if isinstance(one, UnknownValue) and isinstance(other, UnknownValue):
        return same_value(one.raw, other.raw)
    if isinstance(one, datetime) and isinstance(other, datetime) and one.utcoffset() != other.utcoffset():
        return False
    return bool(one == other)


def _values(inputs: Mapping[str, object] | None) -> dict[str, dict[str, Any]]:
    return {} if inputs is None else to_values(inputs)


class _Record(msgspec.Struct, frozen=True):
    automation: str
    stage: AutomationStage
    inputs: dict[str, dict[str, Any]] = {}


_RECORD = msgspec.json.Decoder(_Record)


def invocation_of(record: bytes) -> Invocation:
    """The invocation that a journal's record holds."""
    known = _RECORD.decode(record)
    return Invocation(parse_name("automation", known.automation, AUTOMATION), str(known.stage), known.inputs)


def request_of(record: bytes, name: str | None) -> InvokeRequest:
    """The request that a journal's record holds."""
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
    """The stage as the API spells it, from that, the bare word in any case, or a `Stage`."""
    if not isinstance(stage, str):
        raise TypeError(f"stage must be an AutomationStage or str, got {type(stage).__name__}")
    word = str(stage).upper().removeprefix("AUTOMATION_STAGE_")
    if word not in ("DRAFT", "PUBLISHED"):
        raise ValueError(f"stage must be DRAFT or PUBLISHED, got {str(stage)!r}")
    return f"AUTOMATION_STAGE_{word}"
