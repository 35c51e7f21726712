"""Platform API runs and exceptions as plain values, for a state file."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from kognitos_async.testing.platform_v1.model import (
    EmulatedEvent,
    EmulatedException,
    EmulatedPlatformRun,
    Step,
)
from kognitos_async.testing.schedule import Course
from kognitos_async.testing.state import Record, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NOT_PLAIN = frozenset({"course", "steps", "plan", "left", "exception", "said", "catch_up"})


def record_of(run: EmulatedPlatformRun) -> Record:
    """The run as plain values."""
    plain = [field.name for field in fields(run) if field.name not in _NOT_PLAIN]
    left = None if run.left is None else [_step(run.left[0]), [_step(step) for step in run.left[1]]]
    return {
        **fields_of(run, *plain),
        "course": fields_of(run.course, "running_after", "settled_after", "outcome"),
        "steps": [_step(step) for step in run.steps],
        "plan": [_step(step) for step in run.plan],
        "left": left,
        "exception": None if run.exception is None else run.exception.id,
        "said": {agent: [asdict(event) for event in events] for agent, events in run.said.items()},
    }


def run_of(
    record: Record, exceptions: Mapping[str, EmulatedException], catch_up: Callable[[], None]
) -> EmulatedPlatformRun:
    """The run that a record holds."""
    left = record["left"]
    said = {agent: [EmulatedEvent(**event) for event in events] for agent, events in record["said"].items()}
    parts = {
        "course": Course(**record["course"]),
        "steps": [Step(**step) for step in record["steps"]],
        "plan": deque(Step(**step) for step in record["plan"]),
        "left": None if left is None else (Step(**left[0]), tuple(Step(**step) for step in left[1])),
        "exception": exceptions.get(record["exception"] or ""),
        "said": said,
        "catch_up": catch_up,
    }
    return EmulatedPlatformRun(**{**record, **parts})


def _step(step: Step) -> Record:
    return {"at": step.at, "word": step.word, "members": dict(step.members)}
