"""The outcome of a request, and what a bulk job needs of an API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from kognitos_async.errors import KognitosError
from kognitos_async.notebook import record_html
from kognitos_async.uploads.sources import FileSource
from kognitos_async.web_models import WebModel, builtins_of, error_as_dict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Collection

    from kognitos_async.bulk.ledger import Entry, Others
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp

Q = TypeVar("Q")
R = TypeVar("R")


class RunOutcome(WebModel, msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """What became of one request.

    `run` is the run as last seen, None if it never started; `error` is None once the run has settled, in
    whatever status: ask it with `run.raise_for_status()`. `attempts` counts the starts tried, those of
    earlier processes included; `resumed` says that a journal already knew the request.
    """

    request: Q
    """The request as it was given."""
    run: R | None = None
    """The run as last seen; None if it never started."""
    error: KognitosError | None = None
    """Why there is no settled run; None once the run has settled, in whatever status."""
    attempts: int = 0
    """The number of starts tried, those of earlier processes included."""
    resumed: bool = False
    """Whether a journal already knew the request."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values: its run as `run.to_dict()`, its error as type and message."""
        run: Any = self.run
        return {
            "request": builtins_of(_without_contents(self.request)),
            "run": None if run is None else run.to_dict(),
            "error": None if self.error is None else error_as_dict(self.error),
            "attempts": self.attempts,
            "resumed": self.resumed,
        }

    def _columns_(self) -> list[tuple[str, object]]:
        name = getattr(self.request, "name", None) or getattr(self.request, "automation", None)
        run: Any = self.run
        error = None if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return [
            ("request", name),
            ("status", None if run is None else run.status),
            ("run", None if run is None else run.id),
            ("error", error),
            ("attempts", self.attempts),
            ("resumed", "yes" if self.resumed else "no"),
        ]

    def _repr_html_(self) -> str:
        return record_html("RunOutcome", self._columns_())


def _without_contents(value: Any) -> Any:
    """A request, or what is in it, with files by their names."""
    if isinstance(value, FileSource):
        return value.name
    if isinstance(value, list | tuple):
        return [_without_contents(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_contents(member) for name, member in value.items()}
    if isinstance(value, msgspec.Struct):
        held = {
            name: _without_contents(getattr(value, name))
            for name in ("inputs", "files")
            if name in value.__struct_fields__
        }
        return msgspec.structs.replace(value, **held) if held else value
    return value


class EncodedStart(msgspec.Struct, frozen=True):
    """A request as it is recorded and sent: encoded once, whatever becomes of the objects it was made of.

    `content` is equal for requests that mean the same.
    """

    name: str
    record: bytes
    content: bytes
    files: dict[str, FileSource] = {}
    """The files to upload first, by the texts that stand for their ids in `record`."""


class Jobs(Protocol[Q, R]):
    """What a bulk job needs of a client."""

    @property
    def api(self) -> str:
        """Which API it is of, as journals record it."""
        ...

    @property
    def unfinished(self) -> Collection[str]:
        """The statuses of settled runs that are read again in any case when a journal is resumed."""
        ...

    @property
    def changeable(self) -> Collection[str]:
        """The statuses of settled runs that a person can change."""
        ...

    def encode(self, request: Q) -> EncodedStart:
        """The request as it is sent; `TypeError` or `ValueError` if it cannot be."""
        ...

    def fingerprint(self, record: bytes) -> bytes:
        """What is equal for records of requests that mean the same."""
        ...

    def decode(self, name: str, record: bytes) -> Q:
        """The request again."""
        ...

    async def upload(self, request: Q, file: FileSource) -> str:
        """What stands for a file in a request once it is uploaded. Raises what `files.upload` raises."""
        ...

    def start(self, request: Q, record: bytes, before_send: Callable[[], Awaitable[object]]) -> Awaitable[R]:
        """One attempt at a start; every refusal is raised at once."""
        ...

    async def wait(self, request: Q, run: R | str) -> R:
        """The settled run of a request."""
        ...

    async def look_up(
        self,
        request: Q,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[R]:
        """What became of a lost start: its run, certainly none, or that it cannot be told.

        `known_ids` are the runs of other requests, as `run_key` names them; `in_doubt_too` says that a
        start which could have made the same run is in doubt too.
        """
        ...

    def load(self, content: bytes) -> R:
        """The run again, from its JSON."""
        ...


class Ledger(Protocol):
    """What a bulk job needs of its record of starts: a journal or nothing."""

    @property
    def resolves_doubts(self) -> bool:
        """Whether starts in doubt are looked up."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether no request was on record when the job began, so that `first_start` may be called."""
        ...

    async def begin(self, name: str, request: bytes = ..., content: bytes = ...) -> Entry:
        """The entry of a request, new or as it was left."""
        ...

    async def first_start(self, name: str, request: bytes, content: bytes, window: bytes) -> None:
        """Record a request together with its first start, which goes out next."""
        ...

    async def resume(self, name: str) -> Entry:
        """The entry of a request as it was left, whatever it says now."""
        ...

    async def again(self, name: str) -> Entry:
        """Plan a settled request again."""
        ...

    async def about_to_send(self, name: str, attempt: int, window: bytes | None = None) -> None:
        """Record that a start goes out next."""
        ...

    async def not_sent(self, name: str) -> None:
        """Record that the start certainly did nothing."""
        ...

    def started_soon(self, name: str, handle: Any) -> asyncio.Future[None] | None:
        """Record the run that the request became before any later step; done once that is durable."""
        ...

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run."""
        ...

    async def needs_start(self, name: str) -> bool:
        """Whether the request of that name has no run and is not in doubt."""
        ...

    async def file_id(self, mark: str) -> str | None:
        """What stands for the file that `mark` names, if it was uploaded."""
        ...

    async def uploaded(self, mark: str, file_id: str) -> None:
        """Record an uploaded file."""
        ...

    async def left_over(self, after: int) -> Entry | None:
        """The next unfinished entry behind position `after` that the job's input did not contain."""
        ...

    async def others(self, entry: Entry) -> Others:
        """What is recorded for other entries that a look-up must not mistake for its own."""
        ...
