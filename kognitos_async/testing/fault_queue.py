"""The faults a server was told to show, and which of them is next."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing.faults import Fault


class FaultHandle:
    """One `misbehave` call: how often it bit, and how to end it."""

    def __init__(
        self, operation: str, fault: Fault, *, times: int | None, skip: int, probability: float
    ) -> None:
        self.operation = operation
        self.fault = fault
        self.times = times
        self.hits = 0
        """How many answers it spoiled so far."""
        self._skip = skip
        self._probability = probability
        self._cancelled = False

    def cancel(self) -> None:
        """Let it bite no more."""
        self._cancelled = True

    @property
    def live(self) -> bool:
        """Whether it may still bite."""
        return not self._cancelled and (self.times is None or self.hits < self.times)

    def __repr__(self) -> str:
        return f"<FaultHandle {self.fault.name} on {self.operation}: {self.hits} of {self.times or 'all'}>"

    def passes(self) -> bool:
        """Whether this request is one of those to skip."""
        if self._skip > 0:
            self._skip -= 1
            return True
        return False

    def chosen(self, chance: random.Random) -> bool:
        """Whether chance says yes."""
        return self._probability >= 1 or chance.random() < self._probability


class FaultQueue:
    """Faults in the order they were armed; each request meets the first live one for its operation.

    A fault that still skips holds back the ones behind it. One that chance passes over does not, so that
    several faults with a probability can be armed at once.
    """

    def __init__(self, seed: int) -> None:
        self._handles: list[FaultHandle] = []
        self._chance = random.Random(seed)  # noqa: S311 - a test double, nothing secret

    def __bool__(self) -> bool:
        return bool(self._handles)

    def arm(self, handle: FaultHandle) -> FaultHandle:
        """The handle, now last in the queue."""
        self._handles = [known for known in self._handles if known.live]
        self._handles.append(handle)
        return handle

    def next(self, operation: str) -> FaultHandle | None:
        """The handle that bites this request, counted as a hit; None when none does."""
        for handle in self._handles:
            if not handle.live or handle.operation not in {operation, "*"}:
                continue
            if handle.passes():
                return None
            if handle.chosen(self._chance):
                handle.hits += 1
                return handle
        return None

    def clear(self) -> None:
        """Cancel them all."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
