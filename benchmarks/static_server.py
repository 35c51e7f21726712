"""Canned answers, so that only the client is measured: nginx, or a small asyncio server."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.figures import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_ID = "9nvx1hdm9bd74rp585oe81t5i"
ITEMS = 100
_LATE = 0.0015
"""Maximum delay of an event loop timer; the rest of a latency is busy-waited."""


def answers() -> dict[str, bytes]:
    """Bodies by name: `run`, and `page_TOKEN` for each page of the history; the first page has no token."""
    run = {
        "id": RUN_ID,
        "name": "Process invoice 42",
        "process_id": "b4fznghynbdemslfd5k044fgd",
        "agent_id": "a7xm2kp9qwj3v5nh8t4c6r1e9z",
        "stage": "Published",
        "status": "Succeeded",
        "created_at": "2021-01-01T12:00:00",
        "file_ids": ["s3://bucket/path/to/file.pdf"],
        "outputs": [
            {"name": "the output total", "value": 42},
            {"name": "the output customer", "value": "A 7"},
        ],
    }
    bodies = {"run": msgspec.json.encode(run)}
    for page in range(PAGES):
        items = [{**run, "id": f"{page:05d}{n:05d}"} for n in range(ITEMS)]
        token = f"t{page + 1}" if page + 1 < PAGES else None
        name = f"page_t{page}" if page else "page_"
        bodies[name] = msgspec.json.encode({"items": items, "continuation_token": token})
    return bodies


@contextmanager
def static_server(*, latency: float = 0.0) -> Iterator[tuple[str, str]]:
    """The base URL and the kind of server; `latency` needs the asyncio one."""
    nginx = shutil.which("nginx")
    port = free_port()
    if nginx and not latency:
        with _nginx(nginx, port):
            yield f"http://127.0.0.1:{port}/v2", "nginx"
        return
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port, latency), daemon=True)
    process.start()
    try:
        until_listening(port)
        yield f"http://127.0.0.1:{port}/v2", "a small asyncio server"
    finally:
        process.terminate()
        process.join()


@contextmanager
def _nginx(program: str, port: int) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name, body in answers().items():
            (root / f"{name}.json").write_bytes(body)
        (root / "nginx.conf").write_text(
            f"""
daemon off; pid {root}/pid; error_log {root}/error.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; keepalive_requests 1000000; default_type application/json; open_file_cache max=100;
  client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
  uwsgi_temp_path {root}; scgi_temp_path {root};
  server {{
    listen 127.0.0.1:{port}; root {root};
    location = /v2/runs {{ try_files /page_$arg_continuation_token.json =404; }}
    location /v2/runs/ {{ try_files /run.json =404; }}
  }}
}}
"""
        )
        server = subprocess.Popen([program, "-c", str(root / "nginx.conf"), "-p", folder])
        try:
            until_listening(port)
            yield
        finally:
            server.terminate()
            server.wait(10)


def _serve(port: int, latency: float) -> None:
    ready = {
        name: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
        for name, body in answers().items()
    }

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport
            self._received = b""

        def data_received(self, data: bytes) -> None:
            self._received += data
            while b"\r\n\r\n" in self._received:
                head, self._received = self._received.split(b"\r\n\r\n", 1)
                target = head.split(b" ", 2)[1].decode()
                _, asked, token = target.partition("continuation_token=")
                paged = "/runs?" in target
                name = f"page_{token.partition('&')[0] if asked else ''}" if paged else "run"
                due = time.perf_counter() + latency
                asyncio.get_running_loop().call_later(latency - _LATE, self._answer, due, ready[name])

        def _answer(self, due: float, answer: bytes) -> None:
            while time.perf_counter() < due:
                pass
            self._transport.write(answer)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(main())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the server of the benchmark does not listen")
