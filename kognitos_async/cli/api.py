"""The interface between the commands and either API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from kognitos_async.errors import DecodeError

    Skipped = Callable[[DecodeError], object]

Record = dict[str, Any]
Columns = dict[str, list[Any]]
"""Records by column: the values of each, row by row."""


class Start(NamedTuple):
    """A run to start. `source` is the process or automation; `files` are (input name, path), the name for the
    platform API only.
    """

    source: str
    name: str | None
    stage: str
    inputs: Mapping[str, object]
    files: Sequence[tuple[str | None, Path]]


class Api(Protocol):
    """One of the two APIs, with the settings of the command."""

    @property
    def client(self) -> Any:
        """The open client."""
        ...

    @property
    def run_columns(self) -> Sequence[str]:
        """Columns of a listed run."""
        ...

    @property
    def settled_columns(self) -> Sequence[str]:
        """Columns of a settled run."""
        ...

    @property
    def record_columns(self) -> tuple[str, ...]:
        """All columns of a run."""
        ...

    async def health(self) -> Record:
        """The health of the API, with a boolean `ok`."""
        ...

    def runs(
        self, source: str, stage: str | None, since: Any, skipped: Skipped, *, page: int | None = None
    ) -> AsyncIterator[Any]:
        """The runs of a process or automation, created at `since` or later, at most `page` a request.

        `skipped` is called for items that cannot be decoded, here and below.
        """
        ...

    def history(
        self, source: str, stage: str | None, since: Any, token: str | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[Any], str | None]]:
        """Pages of runs from `token` on, each with the token of the next page.

        Raises `TypeError` or `ValueError` at once for arguments that the API does not accept.
        """
        ...

    async def find_source(self, source: str) -> None:
        """Raise `NotFoundError` if the process or automation does not exist."""
        ...

    def record(self, run: Any) -> Record:
        """The printed form of a run."""
        ...

    def columns(self, runs: Sequence[Any]) -> Columns:
        """The records of `runs` by column, those of `record_columns`."""
        ...

    def status(self, run: Any) -> str:
        """The status of a run."""
        ...

    def run_name(self, run: str, automation: str | None) -> str:
        """The identifier that the client expects for a run named on the command line."""
        ...

    async def start(self, start: Start) -> Any:
        """Start a run."""
        ...

    async def upload(self, path: Path, file_name: str | None) -> Record:
        """Upload a file."""
        ...

    def exceptions(self, source: str | None, state: str | None, skipped: Skipped) -> AsyncIterator[Record]:
        """The exceptions that wait for a person."""
        ...

    async def exception(self, name: str, automation: str | None, skipped: Skipped) -> Record:
        """One exception."""
        ...
