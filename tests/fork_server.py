"""Python processes forked from one that has imported the package.

An interpreter spends most of a short command on imports. A fork server imports once and forks for every
program: a process of its own, with its own environment, streams, signals and exit status. The processes of
xdist share one server. Tests of imports, of memory or of interpreter options need `subprocess` instead.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import gc
import importlib
import importlib.util
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, Self

from tests import unmeasured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
IMPORTED = (
    *("asyncio", "jsonschema", "sqlite3", "kognitos_async.bulk", "kognitos_async.testing.server"),
    *("kognitos_async.cli.runs", "kognitos_async.cli.journal", "kognitos_async.cli.exceptions"),
    *("kognitos_async.cli.files", "kognitos_async.cli.processes", "kognitos_async.cli.automations"),
    *("kognitos_async.cli.status", "kognitos_async.cli.serve", "kognitos_async.cli.demo"),
    *("kognitos_async.cli.api_v2", "kognitos_async.cli.api_platform", "kognitos_async.bulk.job"),
    *("kognitos_async.platform_v1.client", "anyio._backends._asyncio"),
)
LATE = ("typer._adapters",)
"""What some versions of Typer import in the middle of a command: pydantic, and that takes a while."""
ENGINE = (
    *("kognitos_async.cli.engine", "kognitos_async.integrations.dbos", "sqlalchemy.dialects.sqlite"),
    *("sqlalchemy.dialects.postgresql.psycopg", "kognitos_async.testing.postgres"),
)
"""What programs of `kognitos engine` import besides."""
WEB = (
    *("fastapi", "fastapi.middleware.trustedhost", "fastapi.staticfiles", "python_multipart"),
    *("uvicorn", "uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"),
)
"""What a web application imports besides."""


class Process:
    """A program that was forked: what the tests use of `subprocess.Popen`, as text."""

    def __init__(self, pid: int, ending: socket.socket, streams: Sequence[IO[str] | None]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdout, self.stderr = streams
        self._ending = ending

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(timeout=0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._ending.settimeout(timeout)
            try:
                received = self._ending.recv(16)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
            self._ending.close()
            self.returncode = int(received)
        return self.returncode

    async def ended(self) -> int:
        """Its exit status. The event loop goes on."""
        if self.returncode is None:
            self._ending.setblocking(False)
            received = await asyncio.get_running_loop().sock_recv(self._ending, 16)
            self._ending.close()
            self.returncode = int(received)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Its output and errors, to their end."""
        output = ["", ""]

        def read(number: int, stream: IO[str]) -> None:
            output[number] = stream.read()
            stream.close()

        readers = [
            threading.Thread(target=read, args=(number, stream), daemon=True)
            for number, stream in enumerate((self.stdout, self.stderr))
            if stream and not stream.closed
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.wait(timeout)
        return output[0], output[1]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self.close()

    def close(self) -> None:
        for stream in (self.stdout, self.stderr):
            if stream:
                stream.close()
        self._ending.close()


class ForkServer:
    """Starts Python programs."""

    def __init__(self, address: str) -> None:
        self._lock = threading.Lock()
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(address)

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str],
        cwd: str | Path | None = None,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        imports: Sequence[str] = (),
    ) -> Process:
        """A process as `python ARGUMENTS…` starts it: `-W` options, then `-m MODULE`, `-c CODE` or a file.

        `imports` are modules that the server imports as well, once, before it forks.
        """
        with contextlib.ExitStack() as given:
            ours: list[IO[str] | None] = []
            theirs = [given.enter_context(open(os.devnull, "r+b", buffering=0)).fileno()]  # noqa: PTH123 - a descriptor is wanted
            for wanted in (stdout, stderr):
                if wanted == subprocess.PIPE:
                    reading, wanted = os.pipe()  # noqa: PLW2901
                    given.callback(os.close, wanted)
                    ours.append(os.fdopen(reading))
                else:
                    ours.append(None)
                same = {subprocess.DEVNULL: theirs[0], subprocess.STDOUT: theirs[-1]}
                theirs.append(same.get(wanted, wanted))
            # In packets: the pid and the exit status of a short program may be there at once.
            ending, reported = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            given.enter_context(reported)
            request = {
                "arguments": arguments,
                "imports": imports,
                "env": dict(env),
                "cwd": str(cwd or Path.cwd()),
            }
            with self._lock:
                socket.send_fds(self._control, [b"+"], [*theirs, reported.fileno()])
                self._control.sendall(json.dumps(request).encode() + b"\n")
        return Process(int(ending.recv(16)), ending, ours)

    def run(self, *arguments: str, timeout: float = 50, **options: Any) -> subprocess.CompletedProcess[str]:
        """The output of the program after its end; it is killed after `timeout` seconds."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.close()
            raise
        return subprocess.CompletedProcess(arguments, process.wait(), out, err)

    def close(self) -> None:
        self._control.close()


ADDRESS = "FORK_SERVER"
"""The variable with the address of the server that the processes of xdist share."""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of a server that has not imported anything yet. It ends with the block."""
    folder = tempfile.mkdtemp(prefix="forks")
    address = str(Path(folder) / "s")
    ours, lifeline = socket.socketpair()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        with lifeline, socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen()
            descriptors = (lifeline.fileno(), listener.fileno())
            server = subprocess.Popen(
                [
                    *(sys.executable, "-W", "default::ResourceWarning", "-m", "tests.fork_server"),
                    *map(str, descriptors),
                ],
                env=unmeasured.environ({"PYTHONPATH": path}),
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
            )
        with ours:
            yield address
        server.wait()
    finally:
        shutil.rmtree(folder)


@functools.cache
def shared() -> ForkServer:
    """The server of this process or of all processes of xdist."""
    address = os.environ.get(ADDRESS)
    if address is None:
        started = contextlib.ExitStack()
        address = started.enter_context(serving())
        atexit.register(started.close)
    server = ForkServer(address)
    atexit.register(server.close)
    return server


def requests(
    lifeline: socket.socket, listener: socket.socket, connections: set[socket.socket]
) -> Iterator[dict[str, Any] | None]:
    """What is to be started, with `descriptors`; None when a child may have ended."""
    alarm, ring = socket.socketpair()
    with alarm, ring, selectors.DefaultSelector() as selector:
        ring.setblocking(False)
        signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for each in (lifeline, listener, alarm):
            selector.register(each, selectors.EVENT_READ)
        try:
            while lifeline not in (ready := {key.fileobj for key, _ in selector.select()}):
                if alarm in ready:
                    alarm.recv(1024)
                    yield None
                if listener in ready:
                    accepted, _ = listener.accept()
                    connections.add(accepted)
                    selector.register(accepted, selectors.EVENT_READ)
                for connection in ready & connections:
                    _, descriptors, _, _ = socket.recv_fds(connection, 1, 4)
                    if not descriptors:
                        selector.unregister(connection)
                        connections.remove(connection)
                        connection.close()
                        continue
                    with connection.makefile("rb", buffering=0) as text:
                        yield {**json.loads(text.readline()), "descriptors": descriptors}
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def serve(lifeline: socket.socket, listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns it in the child, and None in the server at its end."""
    started: dict[int, socket.socket] = {}
    connections: set[socket.socket] = set()
    for request in requests(lifeline, listener, connections):
        if request is None:
            while started:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                with started.pop(pid) as reported, contextlib.suppress(BrokenPipeError):
                    reported.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        *streams, ending = request["descriptors"]
        reported = socket.socket(fileno=ending)
        prepare([*IMPORTED, *late(), *request["imports"]])
        pid = os.fork()
        if not pid:
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for each in (*started.values(), *connections, reported):
                each.close()
            request["descriptors"] = streams
            return request
        for stream in streams:
            os.close(stream)
        started[pid] = reported
        reported.sendall(str(pid).encode())
    for connection in connections:
        connection.close()
    return None


@functools.cache
def late() -> Sequence[str]:
    return [name for name in LATE if importlib.util.find_spec(name)]


def prepare(modules: Sequence[str]) -> None:
    """Import what is not imported yet."""
    missing = [name for name in modules if name not in sys.modules]
    for name in missing:
        importlib.import_module(name)
    if missing:
        gc.collect()
        gc.freeze()


def become(request: dict[str, Any]) -> None:
    """Run the program of the request in this process, which was just forked."""
    for stream in request["descriptors"]:
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as an interpreter opens them
    sys.stdout = open(1, "w", closefd=False, buffering=1 if at_once or os.isatty(1) else -1)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115
    if "COVERAGE_PROCESS_START" in os.environ:
        importlib.import_module("coverage").process_startup()
    kind, *arguments = request["arguments"]
    while kind == "-W":
        warnings.filterwarnings(arguments[0].partition(":")[0])  # type: ignore[arg-type]
        kind, *arguments = arguments[1:]
    if kind == "-m":
        sys.argv = arguments
        sys.path[0] = request["cwd"]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        sys.argv = ["-c", *arguments[1:]]
        sys.path[0] = ""
        exec(compile(arguments[0], "<string>", "exec"), vars(main))
    else:
        sys.argv = [kind, *arguments]
        sys.path[0] = str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")


def run(asked: dict[str, Any]) -> NoReturn:
    """Run the program and end as an interpreter does, but leave the modules standing.

    To take them down would copy all memory that is shared with the server: four fifths of a short program.
    """
    code = 0
    interrupted = False
    try:
        become(asked)
    except SystemExit as error:
        if isinstance(error.code, int | None):
            code = error.code or 0
        else:
            print(error.code, file=sys.stderr)
            code = 1
    except BaseException as error:  # noqa: BLE001 - as an interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
        interrupted = isinstance(error, KeyboardInterrupt)
    threading._shutdown()  # type: ignore[attr-defined]  # there is no other way
    atexit._run_exitfuncs()
    program = vars(sys.modules["__main__"])
    if program is not globals():
        program.clear()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code % 256)


if __name__ == "__main__":
    with (
        socket.socket(fileno=int(sys.argv[1])) as lifeline,
        socket.socket(fileno=int(sys.argv[2])) as listener,
    ):
        asked = serve(lifeline, listener)
    if asked:
        run(asked)
