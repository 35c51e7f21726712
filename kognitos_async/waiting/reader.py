"""The operations of an API that waiting and following use: reading runs singly and by page."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from kognitos_async.paging import Page


class Status(Protocol):
    """The status of a run; `known` is False for one that this version does not know."""

    @property
    def known(self) -> bool: ...  # noqa: D102


class Waitable(Protocol):
    """A run of either API, as far as a wait uses it."""

    @property
    def status(self) -> Status: ...  # noqa: D102


R = TypeVar("R", bound=Waitable)


class RunReader(Protocol[R]):
    """Reads runs of one API."""

    async def read(self, run_id: str) -> R:
        """The complete run."""
        ...

    largest_page: int
    """Maximum number of runs on a page."""
    filters_by_time: bool
    """Whether `read_page` applies `since`."""

    async def read_page(
        self, group: Any, token: str | None, since: datetime | None = None, *, size: int | None = None
    ) -> Page[R]:
        """A page of the group's list with `size` runs, by default the maximum.

        If the API can filter by time, only runs created at `since` or later. With runs that cannot be
        decoded, it is a `PartialPage` of the others.
        """
        ...

    def key(self, run: R) -> str:
        """The id that `read` takes."""
        ...

    def group_of(self, run: R) -> Hashable:
        """The key of the list that contains the run."""
        ...

    def occurrence(self, run: R) -> tuple[object, str | None]:
        """The identity of a settled state of a run: its status, and its exception if any."""
        ...

    def created(self, run: R) -> datetime:
        """When the run was created."""
        ...

    def incomplete(self, run: R) -> bool:
        """Whether a run from a list may lack fields that a single read returns."""
        ...


class Waited(msgspec.Struct, Generic[R], frozen=True):
    """A run to wait for: its key, and what is known of it.

    `run` is the run as last read. `age` is in seconds since the start, infinity if unknown; a `fresh` run
    was started so recently that the first poll waits. `created_at` is by the server's clock.
    """

    key: str
    run: R | None
    group: Hashable | None
    age: float
    fresh: bool
    created_at: datetime | None = None
