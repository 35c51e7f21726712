"""Exceptions of runs, and the events of agents and users about them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kognitos_async.testing.platform_v1.model import LOCATION, EmulatedEvent, EmulatedException, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.platform_v1.model import EmulatedPlatformRun

AGENT = "astral"
"""The agent that asks about exceptions."""
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "missing_values": "Missing values",
        "user_system_error": "User system errors",
        "internal_error": "Internal errors",
    }
)
"""Titles by exception group."""


class Questions:
    """All exceptions of a workspace. `changed` is called with each run that gets a new event."""

    def __init__(
        self,
        workspace: str,
        clock: Clock,
        *,
        new_id: Callable[[], str],
        changed: Callable[[EmulatedPlatformRun], None],
    ) -> None:
        self.exceptions: dict[str, EmulatedException] = {}
        self._workspace = workspace
        self._clock = clock
        self._new_id = new_id
        self._changed = changed
        self._numbers = 0

    def restore(self, exception: EmulatedException) -> None:
        """Add an exception of an earlier server."""
        self.exceptions[exception.id] = exception
        self._numbers = max(self._numbers, exception.number)

    def restore_events(self, run: EmulatedPlatformRun) -> None:
        """Continue the numbering after the events of a restored run."""
        numbers = [event.number for events in run.said.values() for event in events]
        self._numbers = max([self._numbers, *numbers])

    def ask(self, run: EmulatedPlatformRun, step: Step) -> Step:
        """The step with its exception, which is created if it is new."""
        exception_id = str(step.members.get("exception") or self._new_id()).rpartition("/")[2]
        known = self.exceptions.get(exception_id)
        description = step.members.get("description", "A value is missing. What should be used instead?")
        if known is None:
            moment = run.nanoseconds_of(step.at)
            known = EmulatedException(
                id=exception_id,
                name=f"{self._workspace}/exceptions/{exception_id}",
                run=run.name,
                automation=run.automation,
                stage=run.stage,
                execution_id=run.execution_id,
                message=f"ValueError: {description}",
                description=description,
                group=tuple(GROUPS)[run.number % len(GROUPS)],
                number=self._number(),
                created_ns=moment,
                updated_ns=moment,
            )
            self.exceptions[exception_id] = run.exception = known
            self.add_event(run, "agent_message", {"content": description}, at=step.at)
        run.exception = known
        members = {"exception": exception_id, "description": description, "location": dict(LOCATION)}
        return Step(step.at, step.word, {**members, **step.members})

    def resolve(self, run: EmulatedPlatformRun, at: float) -> None:
        """Mark the last question of the run as resolved if it is pending."""
        pending = run.exception
        if pending is not None and pending.state == "PENDING":
            pending.state = "RESOLVED"
            pending.updated_ns = run.nanoseconds_of(at)

    def add_event(
        self,
        run: EmulatedPlatformRun,
        kind: str,
        payload: Mapping[str, Any],
        *,
        agent_id: str = AGENT,
        at: float | None = None,
        seconds: float = 0.0,
        exception: str | None = None,
    ) -> EmulatedEvent:
        """The new event, complete after `seconds`."""
        at = self._clock.now() if at is None else at
        if exception is None and run.exception is not None:
            exception = run.exception.name
        event_id = self._new_id()
        event = EmulatedEvent(
            id=event_id,
            name=f"{run.name}/agents/{agent_id}/events/{event_id}",
            kind=kind,
            payload=dict(payload),
            exception=exception,
            number=self._number(),
            created_ns=run.nanoseconds_of(at),
            done_at=at + seconds,
        )
        run.said.setdefault(agent_id, []).append(event)
        self._changed(run)
        return event

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
