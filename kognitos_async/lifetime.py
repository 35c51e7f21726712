"""The lifetime of a client, and sleeps that closing it interrupts."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kognitos_async.errors import ClientClosedError


class Lifetime:
    """The state of a client: new, open or closed. It opens once."""

    def __init__(self) -> None:
        self._closed: asyncio.Event | None = None

    @property
    def opened(self) -> bool:
        """Whether the client is open or closed, not new."""
        return self._closed is not None

    @property
    def closed(self) -> bool:
        """Whether the client is closed."""
        return self._closed is not None and self._closed.is_set()

    def begin(self) -> None:
        """Open the client. Raises `ClientClosedError` the second time."""
        if self._closed is not None:
            raise ClientClosedError("a client can be opened only once: create another one")
        self._closed = asyncio.Event()

    def end(self) -> bool:
        """Close the client; return whether it was open."""
        if self._closed is None or self._closed.is_set():
            return False
        self._closed.set()
        return True

    def check(self) -> None:
        """Raise `ClientClosedError` unless the client is open."""
        if self._closed is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        if self._closed.is_set():
            raise ClientClosedError("the client is closed")

    async def wait_closed(self) -> None:
        """Wait until an open client is closed."""
        if self._closed is not None:
            await self._closed.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep. Raises `ClientClosedError` once the client is closed."""
        if self._closed is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        if self._closed.is_set():
            raise ClientClosedError("the client was closed during the call")
