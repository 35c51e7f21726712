"""An event loop in a thread of its own, for callers without one or that must not share theirs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in its own event loop until it is closed. The thread is a daemon."""

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._error: BaseException | None = None

    def start(self) -> None:
        """Start the thread and wait until its loop runs. Raises `OSError` if the loop cannot be created."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop, block until it is done, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._running()).result()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the loop and await its result from the caller's loop."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._running()))

    def close(self) -> None:
        """Cancel the tasks of the loop, stop it, and join the thread."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            message = "the thread is not started"
            raise RuntimeError(message)
        return self._loop

    def _main(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._until_closed())
        except OSError as error:  # no file descriptor is left for a loop
            self._error = error
        finally:
            self._ready.set()

    async def _until_closed(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._ready.set()
        await self._stopping.wait()
