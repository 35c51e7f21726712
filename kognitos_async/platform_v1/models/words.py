"""Enumerations of the platform API for runs: states, stages and sources."""

from __future__ import annotations

from typing import Self

from kognitos_async.open_enum import Word


class RunState(Word):
    """The state of a run. `running` and `waiting` are read as EXECUTING and AWAITING_GUIDANCE."""

    PENDING = "pending"
    """Not running yet."""
    EXECUTING = "executing"
    """Running."""
    STOPPING = "stopping"
    """Being stopped."""
    STOPPED = "stopped"
    """Stopped; settled until a person resumes it."""
    AWAITING_GUIDANCE = "awaiting_guidance"
    """Waiting for a person's answer; settled until there is one."""
    COMPLETED = "completed"
    """Finished with outputs; settled."""
    FAILED = "failed"
    """Failed; settled."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        known = _SYNONYMS.get(value) if isinstance(value, str) else None
        return super()._missing_(value) if known is None else cls(known)


_SYNONYMS = {"running": "executing", "waiting": "awaiting_guidance"}

SETTLED_STATES = frozenset(
    {RunState.COMPLETED, RunState.FAILED, RunState.STOPPED, RunState.AWAITING_GUIDANCE}
)
"""States in which a run makes no progress without a person."""

ENDED = frozenset({RunState.COMPLETED, RunState.FAILED})
"""Final states. A run that is stopped or awaits guidance can continue."""


class AutomationStage(Word):
    """A version of an automation: the latest draft or the latest published one."""

    UNSPECIFIED = "AUTOMATION_STAGE_UNSPECIFIED"
    """Not specified."""
    DRAFT = "AUTOMATION_STAGE_DRAFT"
    """The latest draft."""
    PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"
    """The latest published version."""


class InvocationSource(Word):
    """What started a run."""

    UNSPECIFIED = "INVOCATION_SOURCE_UNSPECIFIED"
    """Not specified."""
    MANUAL = "INVOCATION_SOURCE_MANUAL"
    """A person or a program."""
    TRIGGER = "INVOCATION_SOURCE_TRIGGER"
    """A trigger."""
    SCHEDULE = "INVOCATION_SOURCE_SCHEDULE"
    """A schedule."""
