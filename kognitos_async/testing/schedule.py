"""The states of a run over time, as pure functions of its age.

Statuses are those of REST API v2; an outcome may also be a state of the platform API.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTLED_WORDS = frozenset({"Succeeded", "Exception", "Stopped", "Failed", "Cancelled", "TimedOut"})
"""Statuses of settled runs, which do not count towards the capacity."""

PLATFORM_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "Created": "pending",
        "Pending": "pending",
        "Running": "executing",
        "Succeeded": "completed",
        "Exception": "awaiting_guidance",
        "Failed": "failed",
        "TimedOut": "failed",
        "Stopped": "stopped",
        "Cancelled": "stopped",
    }
)
"""Platform API states by REST API v2 status."""

REST_V2_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "pending": "Created",
        "executing": "Running",
        "completed": "Succeeded",
        "awaiting_guidance": "Exception",
        "failed": "Failed",
        "stopped": "Stopped",
    }
)
"""REST API v2 statuses by platform API state."""

DEFAULT_OUTCOMES: Mapping[str, float] = MappingProxyType(
    {"Succeeded": 0.8, "Exception": 0.15, "Stopped": 0.05}
)


@dataclass(frozen=True, slots=True)
class Course:
    """The future of a run: seconds until it is Running, seconds until `outcome`."""

    running_after: float
    settled_after: float
    outcome: str

    def status(self, age: float) -> str:
        """The status of a run started `age` seconds ago."""
        if age >= self.settled_after:
            return self.outcome
        return "Running" if age > self.running_after else "Created"


@dataclass(frozen=True, slots=True)
class Schedule:
    """How runs move over time. Create one with `fixed`, `random` or `manual`."""

    plan: Callable[[int], Course]
    """The course of a run by its number, from 0."""

    @classmethod
    def fixed(cls, seconds: float, outcome: str = "Succeeded", *, created: float = 0.0) -> Schedule:
        """Every run settles in `outcome` after `seconds`, of which it spends `created` seconds as Created."""
        _check_seconds(seconds=seconds, created=created)
        course = Course(created, seconds, outcome)
        return cls(lambda _number: course)

    @classmethod
    def random(
        cls,
        low: float,
        high: float,
        *,
        seed: int = 0,
        outcomes: Mapping[str, float] = DEFAULT_OUTCOMES,
        created: float = 0.0,
    ) -> Schedule:
        """Each run settles after `low` to `high` seconds; `outcomes` maps each status to its weight.

        The course of a run depends only on `seed` and its number.
        """
        _check_seconds(low=low, high=high, created=created)
        words, weights = tuple(outcomes), tuple(outcomes.values())
        if high < low or not words:
            message = f"low must be at most high and outcomes not empty, got {low}, {high}, {dict(outcomes)}"
            raise ValueError(message)

        def plan(number: int) -> Course:
            chance = random.Random(f"{seed}:{number}")  # noqa: S311 - a test double, nothing secret
            return Course(created, chance.uniform(low, high), chance.choices(words, weights)[0])

        return cls(plan)

    @classmethod
    def manual(cls) -> Schedule:
        """Every run stays Created (platform API: pending) until `set_status` or `set_state` moves it."""
        course = Course(math.inf, math.inf, "Created")
        return cls(lambda _number: course)


def _check_seconds(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            message = f"{name} must be 0 or more seconds, got {value!r}"
            raise ValueError(message)
