"""The outcome of a request, and what a bulk job needs of an API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec

from kognitos_async.errors import (
    KognitosError,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from kognitos_async.server_clock import StartWindow
    from kognitos_async.uncertain_start import LookUp

Q = TypeVar("Q")
R = TypeVar("R")


class RunOutcome(msgspec.Struct, Generic[Q, R], frozen=True, kw_only=True):
    """What became of one request.

    `run` is the run as last seen, None if it never started; `error` is None once the run has settled, in
    whatever status: ask it with `run.raise_for_status()`. `attempts` counts the starts tried, those of
    earlier processes included; `resumed` says that a journal already knew the request.
    """

    request: Q
    run: R | None = None
    error: KognitosError | None = None
    attempts: int = 0
    resumed: bool = False


class Jobs(Protocol[Q, R]):
    """What a bulk job needs of a client."""

    def encode(self, request: Q) -> tuple[str, bytes]:
        """The request's name and its whole content; `TypeError` or `ValueError` if it cannot be sent."""
        ...

    def decode(self, name: str, content: bytes) -> Q:
        """The request again."""
        ...

    async def start(self, request: Q) -> R:
        """One start; `CapacityError` at once when there is no room."""
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

        `known_ids` are the runs of other requests, by `id_of`; `in_doubt_too` says that a start which could
        have made the same run is in doubt too.
        """
        ...

    def id_of(self, run: R) -> str:
        """The run's id."""
        ...

    def dump(self, run: R) -> bytes:
        """The run as JSON."""
        ...

    def load(self, content: bytes) -> R:
        """The run again."""
        ...
