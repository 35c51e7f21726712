"""The outcome of a request, and the protocols a bulk job depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from kognitos_async.errors import ConfigurationError, KognitosError
from kognitos_async.notebook import record_html
from kognitos_async.uploads.sources import FileSource
from kognitos_async.web_models import WebModel, builtins_of, error_as_dict

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Collection, Iterable

    from kognitos_async.bulk.ledger import Entry, Others, Recorded
    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp

Q = TypeVar("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Begun: TypeAlias = Any
"""A run that was started: the run, what the API answers a start with, or its key."""


class RunOutcome(WebModel, msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """The outcome of one request of a bulk job.

    A settled run is not an error, whatever its status: call `run.raise_for_status()` to check it.
    """

    request: Q
    """The request as given."""
    run: R | None = None
    """The run as last seen; None if it never started."""
    error: KognitosError | None = None
    """Why there is no settled run; None once the run has settled, in any status."""
    attempts: int = 0
    """Number of starts attempted, including those of earlier processes."""
    resumed: bool = False
    """Whether an earlier process had already begun the request, as the journal shows."""

    def to_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values: the run as `run.to_dict()`, the error as type and message."""
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
    """A request, or a value inside one, with each file replaced by its name."""
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
    """A request as recorded and sent. It is encoded once, so later changes to its objects have no effect."""

    name: str
    record: bytes
    """The request as JSON."""
    content: bytes
    """The fingerprint of the request: equal for equivalent requests."""
    files: dict[str, FileSource] = {}
    """The files to upload before the start, by their placeholders in `record`."""


def unusable_record(name: str | None, run_id: str) -> ConfigurationError:
    """The error for a request whose recorded run cannot be read by its id; others are not affected."""
    return ConfigurationError(
        f"the journal holds {run_id!r} as the run of request {name!r}, which is no id: correct it with "
        "Journal.resolve"
    )


class Jobs(Protocol[Q, R_co]):
    """The operations of a client that a bulk job uses."""

    @property
    def api(self) -> str:
        """The API, as recorded in journals: `rest_v2` or `platform_v1`."""
        ...

    @property
    def unfinished(self) -> Collection[str]:
        """Settled statuses whose runs are always read again when a journal is resumed."""
        ...

    @property
    def changeable(self) -> Collection[str]:
        """Settled statuses that a person can still change."""
        ...

    def encode(self, request: Q) -> EncodedStart:
        """The encoded request. Raises `TypeError` or `ValueError` for an invalid one."""
        ...

    def fingerprint(self, record: bytes) -> bytes:
        """The fingerprint of an encoded request: equal for equivalent requests."""
        ...

    def decode(self, name: str, record: bytes) -> Q:
        """The request decoded from its record."""
        ...

    async def upload(self, request: Q, file: FileSource) -> str:
        """Upload a file; return the id that a request refers to it by. Raises what `files.upload` raises."""
        ...

    def start(
        self, request: Q, record: bytes, before_send: Callable[[], Awaitable[object]]
    ) -> Awaitable[Begun]:
        """The run started by one attempt; a refusal is raised without a retry."""
        ...

    def recall(self, recorded: Iterable[Recorded]) -> None:
        """Take up the runs that earlier processes started, as if this client had started them."""
        ...

    async def wait(self, request: Q, run: Begun) -> R_co:
        """The settled run. Raises what `wait_for_run` raises."""
        ...

    async def look_up(
        self,
        request: Q,
        window: StartWindow,
        *,
        known_ids: Collection[str] = (),
        in_doubt_too: bool = False,
    ) -> LookUp[Begun]:
        """The result of looking up a start in doubt: `Found`, `Absent` or `Undecided`.

        `known_ids` are the runs of other requests, as returned by `run_key`. `in_doubt_too` means that
        another start in doubt could have made the same run.
        """
        ...

    def run_of(self, request: Q, begun: Begun) -> R_co:
        """The run as far as it is known: of one that was only started, what its start tells."""
        ...

    def load(self, content: bytes) -> R_co:
        """The run decoded from its JSON."""
        ...


class Ledger(Protocol):
    """The record of starts that a bulk job keeps: a journal, or none."""

    @property
    def resolves_doubts(self) -> bool:
        """Whether starts in doubt are looked up."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether the ledger was empty when the job began, so that `first_start` may be called."""
        ...

    async def begin(self, name: str, request: bytes = ..., content: bytes = ...) -> Entry:
        """The entry of a request, created if there is none."""
        ...

    async def first_start(self, name: str, request: bytes, content: bytes, window: bytes) -> None:
        """Record a new request and its first start, which is sent next."""
        ...

    async def resume(self, name: str) -> Entry:
        """The recorded entry of a request, without comparing its content."""
        ...

    async def again(self, name: str) -> Entry:
        """Plan a settled request again."""
        ...

    async def about_to_send(self, name: str, attempt: int, window: bytes | None = None) -> None:
        """Record that a start is sent next."""
        ...

    async def not_sent(self, name: str) -> None:
        """Record that the start certainly made no run."""
        ...

    def started_soon(self, name: str, handle: Any) -> asyncio.Future[None] | None:
        """Record the run of a request, ahead of any later step; the future is done once it is durable."""
        ...

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run."""
        ...

    async def needs_start(self, name: str) -> bool:
        """Whether the request has no run and no start in doubt."""
        ...

    async def file_id(self, mark: str) -> str | None:
        """The id of the uploaded file with this content mark; None if it was not uploaded."""
        ...

    async def uploaded(self, mark: str, file_id: str) -> None:
        """Record an uploaded file."""
        ...

    async def in_doubt(self) -> list[Entry]:
        """The entries whose starts were in doubt when the job began."""
        ...

    async def left_over(self, after: int) -> Entry | None:
        """The next unfinished entry after position `after` that is not in the job's input."""
        ...

    async def recent(self) -> list[Recorded]:
        """The last 10,000 runs on record by the time of their start, oldest first."""
        ...

    async def others(self, entry: Entry) -> Others:
        """The runs and doubts of the other entries, which a look-up must rule out."""
        ...
