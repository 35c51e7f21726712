"""The listening server, in the caller's event loop or in its own thread."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from aiohttp import web

from kognitos_async.loop_thread import LoopThread
from kognitos_async.testing.delivery import Delivery

if TYPE_CHECKING:
    from types import TracebackType

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.dispatch import Dispatcher

_GRACE = 1.0
"""Seconds that a request in flight has to end when the server stops."""


class Listener:
    """An HTTP server in the running event loop or in a thread. A restart uses the same port.

    `async with`, or `start` and `stop`, serves in the running loop; `with` serves in a thread. Inside `with`,
    `start` and `stop` act in that thread, whichever loop awaits them.
    """

    def __init__(self, dispatcher: Dispatcher, clock: Clock, *, host: str, port: int) -> None:
        self._dispatcher = dispatcher
        self._clock = clock
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._listening: socket.socket | None = None
        self._thread: LoopThread | None = None

    @property
    def url(self) -> str:
        """`http://host:port`. Raises `RuntimeError` until the server has a port."""
        if not self._port:
            message = "the server must be started first: it has no address yet"
            raise RuntimeError(message)
        # Clients cannot connect to a wildcard address.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - only read
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Start listening. Raises `RuntimeError` if already listening, `OSError` if the port is taken."""
        await (self._listen() if self._thread is None else self._thread.run(self._listen()))

    async def stop(self) -> None:
        """Stop listening and end every request in flight. No effect if already stopped."""
        await (self._close() if self._thread is None else self._thread.run(self._close()))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        if self._thread is not None or self._runner is not None:
            raise _running()
        thread = LoopThread("KognitosServer")
        thread.start()
        try:
            thread.call(self._listen())
        except BaseException:
            thread.close()
            raise
        self._thread = thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            thread.call(self._close())
        finally:
            thread.close()

    async def _listen(self) -> None:
        if self._runner is not None:
            raise _running()
        self._clock.follow(asyncio.get_running_loop().time)
        self._dispatcher.delivery = Delivery()
        runner = web.ServerRunner(
            web.Server(self._dispatcher.handle, access_log=None), shutdown_timeout=_GRACE
        )
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self._port), family=family, backlog=1024)
        try:
            await runner.setup()
            await web.SockSite(runner, listening, backlog=1024).start()
        except BaseException:
            listening.close()
            await runner.cleanup()
            raise
        self._runner, self._listening = runner, listening
        self._port = listening.getsockname()[1]

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None or self._listening is None or self._dispatcher.delivery is None:
            return
        # A closing asyncio server leaks connections that are accepted but not set up yet.
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().remove_reader(self._listening)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._dispatcher.delivery.stop()
        await runner.cleanup()
        self._dispatcher.state.flush()
        self._dispatcher.state.close()


def _running() -> RuntimeError:
    return RuntimeError("the server is running already")
