"""Where the steps of starts are recorded, so that no start is sent that nobody would know of."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

from kognitos_async.errors import JournalError

PLANNED, STARTING, STARTED, SETTLED = "planned", "starting", "started", "settled"
STATES = (PLANNED, STARTING, STARTED, SETTLED)
REST_V2, PLATFORM_V1 = "rest_v2", "platform_v1"
"""The APIs that a journal may be of."""


def run_key(run: Any) -> str:
    """What a run, or its handle, is recorded by: its id, on the platform API its full name."""
    key: str = run.name if hasattr(run, "automation") else run.id
    return key


class StartLedger(Protocol):
    """A durable record of starts, keyed by name. A step is durable when its call returns.

    Whoever starts runs calls `begin` before anything else, `about_to_send` right before each attempt
    (`before_send` of a start), `started` and `settled` with what came of it. After a crash the state that
    `begin` returns says how to go on: `planned` was certainly not started, `starting` may have been,
    `started` and `settled` were. Each call raises `JournalError` when it cannot record, or when another
    worker has taken the name over: then the step must not be taken.
    """

    async def begin(self, name: str) -> object:
        """What is recorded of the request called `name`, which is planned now if nothing was."""
        ...

    async def about_to_send(self, name: str, attempt: int) -> None:
        """Record that start number `attempt` (from 1) goes out next."""
        ...

    async def started(self, name: str, handle: Any) -> None:
        """Record the run that the request became: a run or its handle."""
        ...

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run, outputs and all."""
        ...


class Entry(NamedTuple):
    """What is recorded of one request.

    `since` is a POSIX time; `request`, `window`, `run` and `handle` are JSON. A journal keeps no handle.
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


class Others(NamedTuple):
    """The runs of all entries, and whether the start of an equal or like-named one is in doubt too."""

    run_ids: set[str]
    in_doubt: bool


class DuplicateNameError(JournalError):
    """The input of a job with a journal names a request twice; the second is not run."""


class ChangedRequestError(JournalError):
    """The journal holds another request of that name, which has a run or may have one; it is not run."""


class NullLedger:
    """The ledger of a job without a journal: records nothing, so that no lost start can be resolved."""

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
        """Nothing."""

    async def first_start(self, name: str, request: bytes, content: bytes, window: bytes) -> None:
        """Nothing."""

    async def not_sent(self, name: str) -> None:
        """Nothing."""

    def started_soon(self, name: str, handle: Any) -> None:
        """Nothing."""

    async def settled(self, name: str, run: Any) -> None:
        """Nothing."""

    async def needs_start(self, name: str) -> bool:  # noqa: ARG002 - as the journal's
        """Every request does."""
        return True

    async def file_id(self, mark: str) -> str | None:  # noqa: ARG002 - as the journal's
        """No file is on record."""
        return None

    async def uploaded(self, mark: str, file_id: str) -> None:
        """Nothing."""

    async def left_over(self, after: int) -> Entry | None:  # noqa: ARG002 - as the journal's
        """Nothing is left over."""
        return None

    async def others(self, entry: Entry) -> Others:  # noqa: ARG002 - as the journal's
        """Nobody else's runs are known."""
        return Others(set(), in_doubt=False)
