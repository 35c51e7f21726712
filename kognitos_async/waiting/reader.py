"""What the shared polls need of an API: reading runs, alone and by the page."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from kognitos_async.paging import Page


class Word(Protocol):
    """A status word: text that knows whether this version knows it."""

    @property
    def known(self) -> bool: ...  # noqa: D102


class Waitable(Protocol):
    """What the wait needs of a run, whichever API it is of."""

    @property
    def status(self) -> Word: ...  # noqa: D102


R = TypeVar("R", bound=Waitable)


class RunReader(Protocol[R]):
    """How runs of one API are read."""

    async def read(self, run_id: str) -> R:
        """The run, whole."""
        ...

    async def read_page(self, group: Any, token: str | None, since: datetime | None = None) -> Page[R]:
        """A page of the group's list, as large as may be; where the API can, of runs created since then."""
        ...

    def key(self, run: R) -> str:
        """What `read` finds the run by."""
        ...

    def group_of(self, run: R) -> Hashable:
        """What a run's list is found by."""
        ...

    def created(self, run: R) -> datetime:
        """When the run was created."""
        ...

    def incomplete(self, run: R) -> bool:
        """Whether a run met in a list may lack what reading it gives."""
        ...


class Waited(msgspec.Struct, Generic[R], frozen=True):
    """A run that is waited for, as far as it is known: by its key, and perhaps as last read.

    `age` is in seconds since the start, infinity where nothing tells; a `fresh` one was started so short a
    time ago that it is not worth reading at once. `born` is when it was created by the server's clock.
    """

    key: str
    run: R | None
    group: Hashable | None
    age: float
    fresh: bool
    born: datetime | None = None
