"""What the journal of a bulk job has recorded, read before the job begins."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Recorded:
    """A journal as it was left; empty where there is none yet."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def has_run(self, name: str) -> bool:
        """Whether the request of this name has a run, so that its file is needed no more."""
        return name in self._states

    def states(self) -> dict[str, int]:
        """How many requests are in each state. Raises `JournalError` for what is no journal."""
        if not self._journal.exists():
            return {}
        from kognitos_async.bulk.journal import Journal  # noqa: PLC0415 - it brings SQLite

        with Journal(self._journal) as opened:
            return opened.summary()

    @cached_property
    def _states(self) -> dict[str, str]:
        """The states of all requests that have a run."""
        if not self._journal.exists():
            return {}
        from kognitos_async.bulk.journal import Journal  # noqa: PLC0415 - it brings SQLite

        with Journal(self._journal) as opened:
            return {
                entry.name: state for state in ("started", "settled") for entry in opened.entries(state=state)
            }
