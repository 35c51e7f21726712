"""What the commands need of an API: one side for each, in records as they are printed."""

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
    """A run to start: `source` is the process or automation, `files` are paths, by input on the platform."""

    source: str
    name: str | None
    stage: str
    inputs: Mapping[str, object]
    files: Sequence[tuple[str | None, Path]]


class Api(Protocol):
    """One of the two APIs, with the settings of the command."""

    @property
    def client(self) -> Any:
        """The library's client, open."""
        ...

    @property
    def run_columns(self) -> Sequence[str]:
        """Of a run in a list."""
        ...

    @property
    def settled_columns(self) -> Sequence[str]:
        """Of a run that has settled, in a line."""
        ...

    @property
    def record_columns(self) -> tuple[str, ...]:
        """All of a record."""
        ...

    async def health(self) -> Record:
        """The status of the API, `ok` among it."""
        ...

    def runs(self, source: str, stage: str | None, since: Any, skipped: Skipped) -> AsyncIterator[Any]:
        """The runs of a process or automation, created at `since` or later.

        `skipped` is called for items that cannot be decoded, here and below.
        """
        ...

    def history(
        self, source: str, stage: str | None, since: Any, token: str | None, skipped: Skipped
    ) -> AsyncIterator[tuple[list[Any], str | None]]:
        """The pages of the runs of a process or automation from `token` on, each with the next token."""
        ...

    async def find_source(self, source: str) -> None:
        """Raise `NotFoundError` where there is no such process or automation."""
        ...

    def record(self, run: Any) -> Record:
        """A run, as it is printed."""
        ...

    def columns(self, runs: Sequence[Any]) -> Columns:
        """The records of `runs` by column, those of `record_columns`."""
        ...

    def status(self, run: Any) -> str:
        """The status of a run."""
        ...

    def run_name(self, run: str, automation: str | None) -> str:
        """What the client calls a run that the command line names."""
        ...

    async def start(self, start: Start) -> Any:
        """The run just started."""
        ...

    async def upload(self, path: Path, file_name: str | None) -> Record:
        """The file just uploaded."""
        ...

    def exceptions(self, source: str | None, state: str | None, skipped: Skipped) -> AsyncIterator[Record]:
        """What waits for a person."""
        ...

    async def exception(self, name: str, automation: str | None, skipped: Skipped) -> Record:
        """One of these."""
        ...
