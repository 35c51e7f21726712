"""A file store that discards bodies as fast as Python can, so that only the client is measured."""

from __future__ import annotations

import asyncio
import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from benchmarks.static_server import free_port, until_listening

if TYPE_CHECKING:
    from collections.abc import Iterator

SINK = "a small asyncio store that reads and forgets"


@contextmanager
def upload_sink() -> Iterator[str]:
    """The base URL of an API whose upload forms lead to the store, both in their own processes."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    process.start()
    try:
        until_listening(port)
        yield f"http://127.0.0.1:{port}/v2"
    finally:
        process.terminate()
        process.join()


def _serve(port: int) -> None:
    form = msgspec.json.encode(
        {
            "id": "s3://bucket/path/to/file.bin",
            "file_name": "file.bin",
            "upload_url": f"http://127.0.0.1:{port}/store",
            "upload_fields": {"key": "path/to/file.bin", "policy": "eyJ", "signature": "abc123"},
            "upload_http_headers": {},
            "upload_http_method": "POST",
        }
    )
    answers = {
        b"/v2/files": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(form), form),
        b"/store": b"HTTP/1.1 204 No Content\r\n\r\n",
    }

    class Reading(asyncio.BufferedProtocol):
        """Reads headers and counts body bytes up to Content-Length."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport
            self._buffer = bytearray(1024 * 1024)
            self._head = b""
            self._left = 0
            self._answer = b""

        def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
            return self._buffer

        def buffer_updated(self, nbytes: int) -> None:
            if not self._answer:
                self._head += self._buffer[:nbytes]
                head, complete, rest = self._head.partition(b"\r\n\r\n")
                if not complete:
                    return
                self._answer = answers[head.split(b" ", 2)[1]]
                lengths = [
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                ]
                self._left = int(lengths[0].split(b":")[1])  # without one the connection breaks: none is sent
                self._head, nbytes = b"", len(rest)
            self._left -= nbytes
            if self._left <= 0:
                self._transport.write(self._answer)
                self._answer = b""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Reading, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())
