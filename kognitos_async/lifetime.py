"""The lifetime of a client: opened once, closed once, and sleeping only in between."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kognitos_async.errors import ClientClosedError


class Lifetime:
    """Whether a client is open, and sleeping until it is closed."""

    def __init__(self) -> None:
        self._closed: asyncio.Event | None = None

    @property
    def opened(self) -> bool:
        """Whether the client was opened, closed since or not."""
        return self._closed is not None

    @property
    def closed(self) -> bool:
        """Whether the client was opened and is closed again."""
        return self._closed is not None and self._closed.is_set()

    def begin(self) -> None:
        """Note that the client opens; `ClientClosedError` the second time."""
        if self._closed is not None:
            raise ClientClosedError("a client opens once: make another one")
        self._closed = asyncio.Event()

    def end(self) -> bool:
        """Note that the client closes; False if it was not open."""
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
        """Wait until the client is closed."""
        if self._closed is not None:
            await self._closed.wait()

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the client is closed meanwhile: then `ClientClosedError`."""
        if self._closed is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        if self._closed.is_set():
            raise ClientClosedError("the client was closed during the call")
