"""What the server saw: the last requests in full, all of them counted."""

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
    """One request. `status` is None while it is under way, and stays None when nothing was answered."""

    operation: str
    """The operationId, `upload_file` and the like for the file stores, `unknown` for an unknown route."""
    method: str
    """The HTTP method."""
    path: str
    """The path, percent-encoded."""
    query: Mapping[str, str]
    """The parameters of the query."""
    headers: Mapping[str, str]
    """Keys and tokens left out."""
    time: float
    """The server's clock when it came in, in seconds."""
    worker: str = ""
    """Who sent it: the server's `worker_header`, else User-Agent."""
    body: Any = None
    """The parsed JSON body, if any."""
    status: int | None = None
    """The status of the answer; None while there is none."""
    fault: str | None = None
    """The name of the fault that hit it."""
    finished: bool = field(default=False)
    """Whether the answer was sent, or the connection was broken."""


class RequestLog:
    """The last `limit` requests, and exact counters of all."""

    def __init__(self, limit: int) -> None:
        self.seen: deque[SeenRequest] = deque(maxlen=limit)
        self._arrived: Counter[tuple[str, str]] = Counter()
        self._answered: Counter[tuple[str, str, int]] = Counter()

    def arrive(self, seen: SeenRequest) -> None:
        """Count a request that came in."""
        self.seen.append(seen)
        self._arrived[seen.operation, seen.worker] += 1

    def finish(self, seen: SeenRequest, status: int | None) -> None:
        """Count its answer; None when there was none."""
        seen.status = status
        seen.finished = True
        if status is not None:
            self._answered[seen.operation, seen.worker, status] += 1

    def count(self, operation: str | None, status: int | None, worker: str | None) -> int:
        """How many requests came in; with a status, how many were answered with it. None stands for any."""
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
