"""Liveness of workers: each holds an advisory lock, and takes over workflows of executors without one."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import psycopg

from kognitos_async.bulk.file_lock import NO_LOCKS, lock, unlock
from kognitos_async.errors import ConfigurationError
from kognitos_async.integrations.dbos.database import is_away
from kognitos_async.integrations.dbos.ledger import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_logger = logging.getLogger("kognitos_async")

TICK = 2.0
"""Seconds between heartbeats of a worker, and between checks for dead ones."""
LIFETIME = 12.0
"""Seconds without a heartbeat after which the server ends a worker's session, and so its lock."""
AFTER_RESTART = 10.0
"""Seconds after a start of the server in which no worker is considered dead: all have lost their sessions."""
RECONNECTING = 60.0
"""Seconds for which a worker tries to reconnect to a restarted server."""
GIVEN_UP = 75
"""Exit code of a worker that has lost its lock (EX_TEMPFAIL of sysexits.h): restart it."""
# Keys of advisory locks are hashes of the application and the executor, or of `poller`.
_SESSION = (
    "SELECT pg_backend_pid(), pg_postmaster_start_time()::text, "
    "hashtextextended(%(scope)s || ':' || %(executor)s, 7261000)"
)
_LOCK_POLLER = "SELECT pg_try_advisory_lock(hashtextextended(%(scope)s || ':poller', 7261001))"
_LOST = (
    "SELECT DISTINCT w.executor_id FROM dbos.workflow_status w WHERE w.status = 'PENDING' "
    "AND w.application_name = %(scope)s AND w.executor_id <> %(executor)s "
    "AND clock_timestamp() - pg_postmaster_start_time() > make_interval(secs => %(after_restart)s) "
    "AND NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND (classid::bigint << 32 | objid::bigint) = "
    "hashtextextended(%(scope)s || ':' || w.executor_id, 7261000))"
)


class Presence(Protocol):
    """The liveness of a worker."""

    @property
    def lock(self) -> Lock | None:
        """The lock that fences starts, besides the ownership of the workflow."""
        ...

    @property
    def polls(self) -> bool:
        """Whether this worker is the one that polls."""
        ...

    def acquire(self) -> None:
        """Take the lock. Raises `ConfigurationError` if another process has it."""
        ...

    def watch(self, take_over: Callable[[Sequence[str]], object]) -> None:
        """Start heartbeats; `take_over` is called with dead executors."""
        ...

    def release(self) -> None:
        """Release the lock: others take over at once."""
        ...


class FilePresence:
    """SQLite: a single process, which holds a lock on a file beside the database."""

    lock: Lock | None = None

    def __init__(self, database_path: str, *, polls: bool) -> None:
        self.polls = polls
        self._path = f"{os.path.realpath(database_path)}-worker"  # the same for all links to the database
        self._descriptor: int | None = None
        self._process = 0

    def acquire(self) -> None:
        """Take the lock of the file."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            lock(descriptor)
        except OSError as problem:
            os.close(descriptor)
            if problem.errno in NO_LOCKS:
                raise ConfigurationError(f"the file system of {self._path} does not support locks") from None
            raise ConfigurationError(
                f"another worker uses {self._path.removesuffix('-worker')}: "
                "SQLite supports one worker, use PostgreSQL for several"
            ) from None
        self._descriptor, self._process = descriptor, os.getpid()

    def watch(self, take_over: Callable[[Sequence[str]], object]) -> None:
        """Do nothing: there are no other workers."""

    def release(self) -> None:
        """Release the lock. A process forked since only closes the file: the lock is the parent's too."""
        if self._descriptor is not None:
            if self._process == os.getpid():
                unlock(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


class AdvisoryLock:
    """PostgreSQL: a dedicated session that holds the advisory lock of this executor.

    A thread sends a heartbeat every two seconds. The server ends a session without one for twelve seconds (a
    frozen or disconnected worker), and that of a dead process at once; the next worker to check then takes
    over the workflows of that executor. The worker whose session holds the lock of the poller polls.

    A worker that has lost its session ends its process with exit code 75, because others may have taken over
    its work. Only after a restart of the server, when all have lost their sessions, it takes its lock again
    and continues.
    """

    def __init__(self, url: str, scope: str, executor_id: str, *, may_poll: bool) -> None:
        self._url = url
        self._names = {"scope": scope, "executor": executor_id}
        self._may_poll = may_poll
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._session: psycopg.Connection[Any] | None = None
        self._server = ""
        self.lock: Lock | None = None
        self.polls: bool = False
        self.end: Callable[[], object] = _end_process

    def acquire(self) -> None:
        """Connect and take the lock, waiting for the session of a dead worker with the same id to end."""
        deadline = time.monotonic() + LIFETIME + TICK
        while not self._connect():
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"another worker has the executor id {self._names['executor']!r}: use a unique one"
                )
            time.sleep(0.5)

    def watch(self, take_over: Callable[[Sequence[str]], object]) -> None:
        """Start the heartbeat thread."""
        self._thread = threading.Thread(
            target=self._watch, args=(take_over,), name="kognitos-presence", daemon=True
        )
        self._thread.start()

    def release(self) -> None:
        """End the session."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=10.0)
        if self._session is not None:
            self._session.close()

    def _connect(self) -> bool:
        """Open a new session; whether it has got the lock."""
        session = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=5,
            application_name=f"kognitos worker {self._names['executor']}"[:63],
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=int(LIFETIME * 1000),
        )
        try:
            for setting, seconds in (("idle_session_timeout", LIFETIME), ("statement_timeout", 8.0)):
                session.execute("SELECT set_config(%s, %s, false)", (setting, f"{seconds}s"))
            pid, server, key = _row(session.execute(_SESSION, self._names))
            (locked,) = _row(session.execute("SELECT pg_try_advisory_lock(%s)", (key,)))
        except BaseException:
            session.close()
            raise
        if not locked:
            session.close()
            return False
        self._session, self._server, self.lock = session, server, Lock(pid, key)
        return True

    def _watch(self, take_over: Callable[[Sequence[str]], object]) -> None:
        try:
            self._give_signs(take_over)
        finally:
            if not self._stopped.is_set():
                self.end()  # a worker without heartbeats must not continue

    def _give_signs(self, take_over: Callable[[Sequence[str]], object]) -> None:
        while not self._stopped.wait(TICK):
            try:
                lost = self._tick()
            except psycopg.Error as problem:
                if self._stopped.is_set():
                    return
                self._lost_session(problem)
                continue
            if lost:
                _logger.warning("taking over the workflows of %s", ", ".join(lost))
                try:
                    take_over(lost)
                except Exception as problem:
                    if not is_away(problem):
                        raise
                    _logger.warning("taking over failed and will be retried: %s", problem)

    def _tick(self) -> list[str]:
        """The executors that hold workflows but no lock."""
        session = self._session
        if session is None:
            raise psycopg.OperationalError("no session")
        if self._may_poll and not self.polls:
            (self.polls,) = _row(session.execute(_LOCK_POLLER, self._names))
        return [
            executor
            for (executor,) in session.execute(_LOST, {**self._names, "after_restart": AFTER_RESTART})
        ]

    def _lost_session(self, problem: psycopg.Error) -> None:
        """End the process, unless the server was restarted and the lock can be taken again."""
        server = self._server
        self.lock, self.polls = Lock(0, 0), False  # no start passes the fence
        _logger.warning("lost the session that holds the lock of this worker: %s", problem)
        if self._session is not None:
            self._session.close()
        deadline = time.monotonic() + RECONNECTING
        while not self._stopped.is_set() and time.monotonic() < deadline:
            try:
                if self._connect():
                    break
            except psycopg.Error:
                pass
            self._stopped.wait(1.0)
        else:
            if not self._stopped.is_set():
                self.end()
            return
        if self._server == server:
            self.end()
            return
        _logger.warning("the database server was restarted; this worker continues")


def _row(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    if row is None:
        raise psycopg.OperationalError("a query that returns one row returned none")
    return row


def _end_process() -> None:
    _logger.critical(
        "this worker has lost its lock, and others may have taken over its runs: exiting; restart it"
    )
    logging.shutdown()
    os._exit(GIVEN_UP)
