"""The journal of a bulk job, read before the job begins or after it has ended."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Recorded:
    """The content of a journal; empty if the file does not exist."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal

    def has_run(self, name: str) -> bool:
        """Whether the request has a run, so that its file is no longer needed."""
        return name in self._states

    def states(self) -> dict[str, int]:
        """The number of requests in each state. Raises `JournalError` for an invalid journal."""
        if not self._journal.exists():
            return {}
        from kognitos_async.bulk.journal import Journal  # noqa: PLC0415 - it brings SQLite

        with Journal(self._journal) as opened:
            return opened.summary()

    @cached_property
    def _states(self) -> dict[str, str]:
        """The state of each request that has a run."""
        if not self._journal.exists():
            return {}
        from kognitos_async.bulk.journal import Journal  # noqa: PLC0415 - it brings SQLite

        with Journal(self._journal) as opened:
            return {
                entry.name: state for state in ("started", "settled") for entry in opened.entries(state=state)
            }
