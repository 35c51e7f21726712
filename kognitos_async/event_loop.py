"""Workarounds for the behaviour of event loops: timers, receive buffers, closed connections."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any, TypeVar

import anyio

T = TypeVar("T")

_GRAIN = 0.001
_RECEIVE_BUFFER = 256 * 1024
"""Size in bytes of the buffer that asyncio allocates for each receive, then shrinks to the data."""


if hasattr(time, "CLOCK_BOOTTIME"):

    def steady_time() -> float:
        """Seconds of a monotonic clock that includes the time for which the machine was suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    steady_time = time.monotonic


def due_by(now: float) -> float:
    """The latest due time that counts as due `now`, both in loop time.

    uvloop rounds to whole milliseconds, so a timer may fire early. Without tolerance its callback would find
    nothing due and set the timer again, in a busy loop until the time has come.
    """
    return now + _GRAIN


@cache
def keep_receive_buffers() -> None:
    """Make glibc reuse the memory of asyncio's receive buffers.

    glibc maps and unmaps a block of that size for each receive until one is freed at its full size, which a
    shrunk buffer never is. Freeing one here saves a sixth of the CPU time of a page of a listing.
    """
    bytes(2 * _RECEIVE_BUFFER)


async def process_input() -> None:
    """Let the loop process pending input of its sockets, so that connections closed by the peer are noticed.

    One iteration of the loop selects the socket, the next reads it, a third passes the data through TLS.
    """
    for _ in range(3):
        await asyncio.sleep(0)


async def ended(*work: asyncio.Future[Any]) -> None:
    """Wait until all of `work` is done, whatever it came to; a cancellation is raised only then."""
    cancelled: asyncio.CancelledError | None = None
    # The shield keeps a cancelled anyio scope around the caller from cancelling every await again.
    with anyio.CancelScope(shield=True):
        while not all(one.done() for one in work):
            try:
                await asyncio.wait(work)
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
    if cancelled is not None:
        raise cancelled


async def finished(work: asyncio.Future[T]) -> T:
    """The result of work that must not be left under way: a cancellation is raised once it has ended."""
    try:
        await ended(work)
    except asyncio.CancelledError:
        if not work.cancelled():
            work.exception()  # retrieved: the cancellation takes its place
        raise
    return work.result()
