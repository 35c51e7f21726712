"""Detection of a list that shows old statuses: single reads are compared with what it shows later."""

from __future__ import annotations

_FIRST_CHECK, _LAST_CHECK = 5, 20
"""Sweeps in a row without a change before a run is read singly: at first, and at most."""
LAG = 5.0
"""Seconds by which a list may lag behind single reads."""


class StaleCheck:
    """Decides for one list when to check it with a single read, and whether it is stale. Pure."""

    def __init__(self) -> None:
        self._quiet = 0
        self._check_after = _FIRST_CHECK
        self.run_id: str | None = None
        """The run whose single read was ahead of the list, None without one."""
        self._listed: object = None
        self._read_at = 0.0

    def swept(self, *, changed: bool) -> bool:
        """Record a sweep; return whether one of the runs it met should be read singly now."""
        if changed:
            self._quiet, self._check_after = 0, _FIRST_CHECK
            return False
        self._quiet += 1
        if self._quiet < self._check_after:
            return False
        self._quiet, self._check_after = 0, min(2 * self._check_after, _LAST_CHECK)
        return True

    def read(self, run_id: str, status: object, *, listed: object, now: float) -> None:
        """Record a single read of a run that the list has shown as `listed`."""
        if self.run_id is None and listed is not None and status != listed:
            self.run_id, self._listed, self._read_at = run_id, listed, now

    def is_disproved(self, status: object, *, asked_at: float) -> bool:
        """Whether a page requested at `asked_at` shows `status` for `run_id` though it ended long before."""
        late = asked_at >= self._read_at + LAG
        caught_up = status != self._listed
        if late or caught_up:
            self.run_id = None
        return late and not caught_up
