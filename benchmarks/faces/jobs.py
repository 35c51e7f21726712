"""Common parts of the faces: runs, requests and answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

PAGES, ITEMS = 50, 100
WAITED_FOR = 200
JOBS = tuple(f"job{n:04d}" for n in range(WAITED_FOR))
"""The ids of the runs to wait for."""
LONGEST = 6.0


def duration(job: str) -> float:
    """Seconds until a run settles: one to six, shuffled."""
    return 1.0 + (LONGEST - 1.0) * (int(job[3:]) * 37 % WAITED_FOR) / WAITED_FOR


class Clock:
    """The start time of the runs: the first request for one of them."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.requests = 0

    def left(self, job: str) -> float:
        """Seconds until a run settles; 0 once it has."""
        if not job.startswith("job"):
            return 0.0
        if self.began is None:
            self.began = time.time()
        return max(0.0, self.began + duration(job) - time.time())


class Ask:
    """A request: its method, path, query, headers in lower case and body."""

    def __init__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> None:
        self.method = method
        self.headers = headers
        self.body = body
        parts = urlsplit(target)
        self.path = parts.path
        self._query = parts.query

    @property
    def last(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def query(self, name: str) -> str:
        """A query parameter; empty if missing."""
        return parse_qs(self._query).get(name, [""])[0] if self._query else ""

    def json(self) -> dict[str, Any]:
        """The body."""
        members: dict[str, Any] = msgspec.json.decode(self.body)
        return members


class Late(NamedTuple):
    """An answer given after some seconds."""

    seconds: float
    make: Callable[[], bytes]


def pages(item: Callable[[int], object], page: Callable[[int, list[Any]], object]) -> list[bytes]:
    """The pages of the history, encoded in advance."""
    return [
        msgspec.json.encode(page(number, [item(number * ITEMS + n) for n in range(ITEMS)]))
        for number in range(PAGES)
    ]
