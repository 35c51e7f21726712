"""Log of requests: the last ones in full, counters of all."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET_HEADERS = frozenset({"x-api-key", "authorization", "cookie"})
REDACTED = "…"


@dataclass(slots=True)
class SeenRequest:
    """A request that the server received. `status` stays None if it is not answered."""

    operation: str
    """OperationId, `upload_file` and the like for the file stores, `unknown` for an unknown route."""
    method: str
    """HTTP method."""
    path: str
    """Path, percent-encoded."""
    query: Mapping[str, str]
    """Query parameters."""
    headers: Mapping[str, str]
    """Headers, without keys and tokens."""
    time: float
    """Server time of arrival, in seconds."""
    worker: str = ""
    """Sender: the value of the server's `worker_header`, else User-Agent."""
    body: Any = None
    """Parsed JSON body, if any."""
    status: int | None = None
    """Status of the answer; None until answered."""
    fault: str | None = None
    """Name of the fault that affected it."""
    finished: bool = field(default=False)
    """Whether it was answered or its connection broken."""


class RequestLog:
    """The last `limit` requests, and exact counters of all."""

    def __init__(self, limit: int) -> None:
        self.seen: deque[SeenRequest] = deque(maxlen=limit)
        self._arrived: Counter[tuple[str, str]] = Counter()
        self._answered: Counter[tuple[str, str, int]] = Counter()

    def arrive(self, seen: SeenRequest) -> None:
        """Log and count a received request."""
        self.seen.append(seen)
        self._arrived[seen.operation, seen.worker] += 1

    def finish(self, seen: SeenRequest, status: int | None) -> None:
        """Count its answer; None if there was none."""
        seen.status = status
        seen.finished = True
        if status is not None:
            self._answered[seen.operation, seen.worker, status] += 1

    def count(self, operation: str | None, status: int | None, worker: str | None) -> int:
        """The number of requests; with `status`, of those answered with it. None matches any."""
        if status is None:
            return sum(
                count
                for (name, sender), count in self._arrived.items()
                if operation in {None, name} and worker in {None, sender}
            )
        return sum(
            count
            for (name, sender, answered), count in self._answered.items()
            if operation in {None, name} and worker in {None, sender} and answered == status
        )

    def summary(self) -> dict[str, Any]:
        """All counters."""
        found: dict[str, Counter[str]] = {
            "by_operation": Counter(),
            "by_worker": Counter(),
            "by_status": Counter(),
        }
        for (operation, worker), count in self._arrived.items():
            found["by_operation"][operation] += count
            found["by_worker"][worker] += count
        for (_, _, status), count in self._answered.items():
            found["by_status"][str(status)] += count
        return {"requests": self._arrived.total(), **{name: dict(counts) for name, counts in found.items()}}
