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
    """The operationId, `upload_file` for the file store, `unknown` for a route there is not."""
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Keys and tokens left out."""
    time: float
    """The server's clock when it came in, in seconds."""
    body: Any = None
    """The parsed JSON body, if any."""
    status: int | None = None
    fault: str | None = None
    """The name of the fault that bit."""
    finished: bool = field(default=False)


class RequestLog:
    """The last `limit` requests, and exact counters of all."""

    def __init__(self, limit: int) -> None:
        self.seen: deque[SeenRequest] = deque(maxlen=limit)
        self._arrived: Counter[str] = Counter()
        self._answered: Counter[tuple[str, int]] = Counter()

    def arrive(self, seen: SeenRequest) -> None:
        """Count a request that came in."""
        self.seen.append(seen)
        self._arrived[seen.operation] += 1

    def finish(self, seen: SeenRequest, status: int | None) -> None:
        """Count its answer; None when there was none."""
        seen.status = status
        seen.finished = True
        if status is not None:
            self._answered[seen.operation, status] += 1

    def count(self, operation: str | None, status: int | None) -> int:
        """Requests that came in; with a status, those answered with it."""
        if status is None:
            return self._arrived.total() if operation is None else self._arrived[operation]
        if operation is not None:
            return self._answered[operation, status]
        return sum(count for (_, answered), count in self._answered.items() if answered == status)
