"""What event loops do that one would not guess, and what to do about it."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import TypeVar

import anyio

T = TypeVar("T")

_GRAIN = 0.001
_RECEIVE_BUFFER = 256 * 1024
"""What asyncio allocates, and shrinks to what has come, each time it receives."""


if hasattr(time, "CLOCK_BOOTTIME"):

    def steady_time() -> float:
        """Seconds of a clock that goes on while the process or the machine is suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    steady_time = time.monotonic


def due_by(now: float) -> float:
    """Up to which time something counts as due `now`, both in the loop's time.

    uvloop counts whole milliseconds and rounds, so a timer may fire before its time. Whoever then found that
    nothing is due yet, and set it again, would go round and round until the time has come.
    """
    return now + _GRAIN


@cache
def keep_receive_buffers() -> None:
    """Let the C library keep the memory of asyncio's receive buffers, where it is glibc.

    It maps blocks that large anew each time, and unmaps them, until one of that size is freed at its whole
    size, which a buffer that is shrunk never is. A sixth of what a page of a history costs went there.
    """
    bytes(2 * _RECEIVE_BUFFER)


async def let_input_in() -> None:
    """Let the loop take in what lies in its sockets, above all that the other side has closed them.

    One turn of the loop finds it, the next handles it, and a third passes it through TLS.
    """
    for _ in range(3):
        await asyncio.sleep(0)


async def finished(work: asyncio.Future[T]) -> T:
    """The result of work that must not be left under way: a cancellation is raised once it has ended."""
    cancelled: asyncio.CancelledError | None = None
    # The shield keeps a cancelled anyio scope around the caller from cancelling every await again.
    with anyio.CancelScope(shield=True):
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
    if cancelled is None:
        return work.result()
    if not work.cancelled():
        work.exception()  # retrieved: the cancellation takes its place
    raise cancelled
