"""Words of the platform API about runs: their states, stages and sources."""

from __future__ import annotations

from typing import Self

from kognitos_async.open_enum import Word


class RunState(Word):
    """The state of a run. The vendor's pages also say running and waiting: EXECUTING, AWAITING_GUIDANCE."""

    PENDING = "pending"
    """Not running yet."""
    EXECUTING = "executing"
    """Running."""
    STOPPING = "stopping"
    """About to be stopped."""
    STOPPED = "stopped"
    """Stopped; settled until a person resumes it."""
    AWAITING_GUIDANCE = "awaiting_guidance"
    """Waits for a person's answer; settled until there is one."""
    COMPLETED = "completed"
    """Done, with outputs; settled."""
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
"""The states in which a run does not go on by itself."""

ENDED = frozenset({RunState.COMPLETED, RunState.FAILED})
"""The states a run never leaves; one that is stopped or awaits guidance goes on when a person says so."""


class AutomationStage(Word):
    """A version of an automation: the latest draft or the latest published one."""

    UNSPECIFIED = "AUTOMATION_STAGE_UNSPECIFIED"
    """Left out."""
    DRAFT = "AUTOMATION_STAGE_DRAFT"
    """The latest draft."""
    PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"
    """The latest published version."""


class InvocationSource(Word):
    """What created a run."""

    UNSPECIFIED = "INVOCATION_SOURCE_UNSPECIFIED"
    """Left out."""
    MANUAL = "INVOCATION_SOURCE_MANUAL"
    """A person or a program invoked the automation."""
    TRIGGER = "INVOCATION_SOURCE_TRIGGER"
    """A trigger did."""
    SCHEDULE = "INVOCATION_SOURCE_SCHEDULE"
    """A schedule did."""
