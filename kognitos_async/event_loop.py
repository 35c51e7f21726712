"""How exact an event loop's timers are."""

from __future__ import annotations

_GRAIN = 0.001


def due_by(now: float) -> float:
    """Up to which time something counts as due `now`, both in the loop's time.

    uvloop counts whole milliseconds and rounds, so a timer may fire before its time. Whoever then found that
    nothing is due yet, and set it again, would go round and round until the time has come.
    """
    return now + _GRAIN
