"""Active faults, and the choice of the one that applies to a request."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kognitos_async.testing.fault_kinds import Fault
    from kognitos_async.testing.request_log import SeenRequest


class FaultHandle:
    """The fault of a `misbehave` call: counts its hits, and cancels it."""

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
        """OperationId whose answers are affected; `*` for any."""
        self.fault = fault
        """The fault."""
        self.times = times
        """Number of answers to affect; None for all."""
        self.worker = worker
        """Worker whose requests are affected; None for any."""
        self.hits = 0
        """Number of answers affected so far."""
        self._skip = skip
        self._probability = probability
        self._cancelled = False

    def cancel(self) -> None:
        """Affect no further answers."""
        self._cancelled = True

    @property
    def live(self) -> bool:
        """Whether it may still hit."""
        return not self._cancelled and (self.times is None or self.hits < self.times)

    def __repr__(self) -> str:
        return f"<FaultHandle {self.fault.name} on {self.operation}: {self.hits} of {self.times or 'all'}>"

    def concerns(self, request: SeenRequest) -> bool:
        """Whether it is live and matches the operation and worker of this request."""
        return (
            self.live and self.operation in {request.operation, "*"} and self.worker in {None, request.worker}
        )

    def skips(self) -> bool:
        """Whether this request is skipped; counts the skip."""
        if self._skip > 0:
            self._skip -= 1
            return True
        return False

    def drawn(self, chance: random.Random) -> bool:
        """Whether its probability selects this request."""
        return self._probability >= 1 or chance.random() < self._probability


class FaultQueue:
    """Faults in the order of their `misbehave` calls; the first live match applies to a request.

    A fault that is still skipping blocks the ones behind it. One that its probability passes over does not,
    so that several faults with a probability can be active at once.
    """

    def __init__(self, seed: int) -> None:
        self._handles: list[FaultHandle] = []
        self._chance = random.Random(seed)  # noqa: S311 - a test double, nothing secret

    def __bool__(self) -> bool:
        return bool(self._handles)

    def arm(self, handle: FaultHandle) -> FaultHandle:
        """Append a handle and return it."""
        self._handles = [known for known in self._handles if known.live]
        self._handles.append(handle)
        return handle

    def next(self, request: SeenRequest) -> FaultHandle | None:
        """The handle that applies to this request, counted as a hit; None if there is none."""
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
        """Cancel all faults."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
