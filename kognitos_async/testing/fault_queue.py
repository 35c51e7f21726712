"""The faults that are armed, and which of them hits a request."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing.fault_kinds import Fault
    from kognitos_async.testing.request_log import SeenRequest


class FaultHandle:
    """One `misbehave` call: how often it hit, and how to end it."""

    def __init__(
        self,
        operation: str,
        fault: Fault,
        *,
        times: int | None,
        skip: int,
        probability: float,
        worker: str | None = None,
    ) -> None:
        if times is not None and times < 1:
            message = f"times must be at least 1 or None, got {times}"
            raise ValueError(message)
        if skip < 0:
            message = f"skip must be at least 0, got {skip}"
            raise ValueError(message)
        if not 0 <= probability <= 1:
            message = f"probability must be between 0 and 1, got {probability}"
            raise ValueError(message)
        self.operation = operation
        """The operationId whose answers are spoiled; `*` for any."""
        self.fault = fault
        """What happens to them."""
        self.times = times
        """How many are spoiled; None for all."""
        self.worker = worker
        """The worker whose requests are meant; None for anybody's."""
        self.hits = 0
        """How many answers it spoiled so far."""
        self._skip = skip
        self._probability = probability
        self._cancelled = False

    def cancel(self) -> None:
        """Spoil no further answer."""
        self._cancelled = True

    @property
    def live(self) -> bool:
        """Whether it may still hit."""
        return not self._cancelled and (self.times is None or self.hits < self.times)

    def __repr__(self) -> str:
        return f"<FaultHandle {self.fault.name} on {self.operation}: {self.hits} of {self.times or 'all'}>"

    def concerns(self, request: SeenRequest) -> bool:
        """Whether it may hit this request: its operation, its worker."""
        return (
            self.live and self.operation in {request.operation, "*"} and self.worker in {None, request.worker}
        )

    def skips(self) -> bool:
        """Whether this request is one of those to skip, which is then counted."""
        if self._skip > 0:
            self._skip -= 1
            return True
        return False

    def drawn(self, chance: random.Random) -> bool:
        """Whether its probability selects this request."""
        return self._probability >= 1 or chance.random() < self._probability


class FaultQueue:
    """Faults in the order they were armed; each request meets the first live one that concerns it.

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

    def next(self, request: SeenRequest) -> FaultHandle | None:
        """The handle that hits this request, counted as a hit; None for none."""
        for handle in self._handles:
            if not handle.concerns(request):
                continue
            if handle.skips():
                return None
            if handle.drawn(self._chance):
                handle.hits += 1
                return handle
        return None

    def clear(self) -> None:
        """Cancel them all."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
