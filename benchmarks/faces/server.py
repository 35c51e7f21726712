"""One face, served by a small asyncio server in its own process."""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.faces.jobs import Ask, Clock, Late
from benchmarks.static_server import free_port, until_listening

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 64 * 1024
"""Bytes kept of a body; the rest of an upload is counted and discarded."""


@contextmanager
def face_server(name: str, **options: Any) -> Iterator[str]:
    """Serve the face `name`, a module of this package, with `options`; yields its root URL."""
    port = free_port()
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=_serve, args=(name, port, options), daemon=True)
    process.start()
    try:
        until_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


class _Answering(asyncio.Protocol):
    """Reads requests with either body framing and answers them in order."""

    def __init__(self, face: Any, clock: Clock) -> None:
        self._face = face
        self._clock = clock
        self._received = b""
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._body = b""
        self._left = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._received or self._head is not None:
            if self._head is None and not self._read_head():
                return
            if not self._read_body():
                return
            assert self._head is not None
            method, target, headers = self._head
            self._answer(Ask(method, target, headers, self._body))
            self._head, self._body = None, b""

    def _read_head(self) -> bool:
        head, complete, rest = self._received.partition(b"\r\n\r\n")
        if not complete:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._received, self._head = rest, (method, target, headers)
        self._chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._left = int(headers.get("content-length", 0))
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _read_body(self) -> bool:
        if self._chunked:
            # Only the end is detected: the bodies of uploads are not parsed.
            if not self._received.endswith(b"0\r\n\r\n"):
                self._received = self._received[-5:]
                return False
            self._received = b""
            return True
        taken = self._received[: self._left]
        self._left -= len(taken)
        self._received = self._received[len(taken) :]
        if len(self._body) < KEPT:
            self._body += taken[:KEPT]
        return not self._left

    def _answer(self, ask: Ask) -> None:
        if ask.path == "/counted":
            self._write(json.dumps({"requests": self._clock.requests, "began": self._clock.began}).encode())
            return
        self._clock.requests += 1
        answer = self._face.answer(ask)
        if isinstance(answer, Late):
            asyncio.get_running_loop().call_later(answer.seconds, lambda: self._write(answer.make()))
        else:
            self._write(answer)

    def _write(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )


def _serve(name: str, port: int, options: dict[str, Any]) -> None:
    clock = Clock()
    module = importlib.import_module(f"benchmarks.faces.{name}")
    face = module.Face(clock, f"http://127.0.0.1:{port}", **options)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Answering(face, clock), "127.0.0.1", port
        )
        await server.serve_forever()

    asyncio.run(main())
