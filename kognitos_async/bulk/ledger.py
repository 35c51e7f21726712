"""The record of starts, written before each step, so that no start is lost in a crash."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

from kognitos_async.errors import JournalError

PLANNED, STARTING, STARTED, SETTLED = "planned", "starting", "started", "settled"
STATES = (PLANNED, STARTING, STARTED, SETTLED)
REST_V2, PLATFORM_V1 = "rest_v2", "platform_v1"
"""The APIs as recorded in a journal."""


def run_key(run: Any) -> str:
    """The key under which a run or its handle is recorded: its id, on the platform API its full name."""
    key: str = run.name if hasattr(run, "automation") else run.id
    return key


class StartLedger(Protocol):
    """A durable record of starts, keyed by name. A step is durable when its call returns.

    A caller that starts runs calls `begin` first, `about_to_send` right before each attempt (as
    `before_send` of the start), then `started` and `settled`. After a crash the state returned by `begin`
    says how to resume: `planned` was certainly not started, `starting` may have been, `started` and
    `settled` were. Each call raises `JournalError` when it cannot record, or when another worker has taken
    over the name; the caller must then not proceed with the step.
    """

    async def begin(self, name: str) -> object:
        """The recorded entry of the request `name`, planned if there was none."""
        ...

    async def about_to_send(self, name: str, attempt: int) -> None:
        """Record that start number `attempt` (from 1) is sent next."""
        ...

    async def started(self, name: str, handle: Any) -> None:
        """Record the run of the request: a run or its handle."""
        ...

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run with its outputs."""
        ...


class Entry(NamedTuple):
    """The record of one request.

    `since` is a POSIX time; `request`, `window`, `run` and `handle` are JSON. A journal stores no handle.
    """

    position: int
    name: str
    request: bytes
    state: str
    attempts: int = 0
    since: float | None = None
    window: bytes | None = None
    run_id: str | None = None
    status: str | None = None
    run: bytes | None = None
    content: bytes | None = None
    handle: bytes | None = None


class Recorded(NamedTuple):
    """A run on record: the name and JSON of its request, its key, and the POSIX time of its first start."""

    name: str
    request: bytes
    run_id: str
    since: float


class Others(NamedTuple):
    """The runs of all entries, and whether another start with equal content or a like name is in doubt."""

    run_ids: set[str]
    in_doubt: bool


class DuplicateNameError(JournalError):
    """Two requests of a job with a journal have the same name; the second is not run."""


class ChangedRequestError(JournalError):
    """The journal holds a different request of that name that has or may have a run; this one is not run."""


class NullLedger:
    """The ledger of a job without a journal. It records nothing, so starts in doubt stay in doubt."""

    resolves_doubts = False
    is_new = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    async def begin(self, name: str, request: bytes = b"", content: bytes = b"") -> Entry:
        """A planned entry."""
        return Entry(0, name, request, PLANNED, content=content)

    async def resume(self, name: str) -> Entry:
        """A planned entry."""
        return await self.begin(name)

    async def again(self, name: str) -> Entry:
        """A planned entry."""
        return await self.begin(name)

    async def about_to_send(self, name: str, attempt: int, window: bytes | None = None) -> None:
        """Do nothing."""

    async def first_start(self, name: str, request: bytes, content: bytes, window: bytes) -> None:
        """Do nothing."""

    async def not_sent(self, name: str) -> None:
        """Do nothing."""

    def started_soon(self, name: str, handle: Any) -> None:
        """Do nothing."""

    async def settled(self, name: str, run: Any) -> None:
        """Do nothing."""

    async def needs_start(self, name: str) -> bool:  # noqa: ARG002 - as the journal's
        """Always True."""
        return True

    async def file_id(self, mark: str) -> str | None:  # noqa: ARG002 - as the journal's
        """Always None."""
        return None

    async def uploaded(self, mark: str, file_id: str) -> None:
        """Do nothing."""

    async def in_doubt(self) -> list[Entry]:
        """Always empty."""
        return []

    async def left_over(self, after: int) -> Entry | None:  # noqa: ARG002 - as the journal's
        """Always None."""
        return None

    async def recent(self) -> list[Recorded]:
        """Always empty."""
        return []

    async def others(self, entry: Entry) -> Others:  # noqa: ARG002 - as the journal's
        """No other runs, and no doubt."""
        return Others(set(), in_doubt=False)
