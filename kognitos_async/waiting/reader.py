"""What waiting and following need of an API: reading runs, alone and by the page."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from kognitos_async.paging import Page


class Status(Protocol):
    """A status: text that says whether this version of the library knows it."""

    @property
    def known(self) -> bool: ...  # noqa: D102


class Waitable(Protocol):
    """What a wait needs of a run, of either API."""

    @property
    def status(self) -> Status: ...  # noqa: D102


R = TypeVar("R", bound=Waitable)


class RunReader(Protocol[R]):
    """How runs of one API are read."""

    async def read(self, run_id: str) -> R:
        """The run, whole."""
        ...

    largest_page: int
    """Runs on a page, at most."""
    filters_by_time: bool
    """Whether `read_page` heeds `since`."""

    async def read_page(
        self, group: Any, token: str | None, since: datetime | None = None, *, size: int | None = None
    ) -> Page[R]:
        """A page of the group's list: of `size` runs, else as many as the API allows.

        Where the API can filter by time, only runs created at `since` or later. Runs that cannot be decoded
        are left out of a `PartialPage`.
        """
        ...

    def key(self, run: R) -> str:
        """The id that `read` takes."""
        ...

    def group_of(self, run: R) -> Hashable:
        """The key of the list that holds the run."""
        ...

    def occurrence(self, run: R) -> tuple[object, str | None]:
        """What tells one settled state of a run from the next: its status, and its exception if any."""
        ...

    def created(self, run: R) -> datetime:
        """When the run was created."""
        ...

    def incomplete(self, run: R) -> bool:
        """Whether a run from a list may lack what a single read returns."""
        ...


class Waited(msgspec.Struct, Generic[R], frozen=True):
    """What is known of a run that is waited for: its key, and the run itself if it was read before.

    `age` is in seconds since the start, infinity if unknown; a `fresh` run was started so recently that it
    is not worth reading at once. `born` is when it was created by the server's clock.
    """

    key: str
    run: R | None
    group: Hashable | None
    age: float
    fresh: bool
    born: datetime | None = None
