"""A `StartLedger` on PostgreSQL, for workers on any number of machines. Needs the extra `postgres`."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, Self

import msgspec

from kognitos_async.bulk.ledger import Entry, run_key
from kognitos_async.checks import seconds, text
from kognitos_async.errors import ConfigurationError, JournalError
from kognitos_async.event_loop import steady_time

try:
    import psycopg
    from psycopg import sql
except ImportError as _missing:
    raise ConfigurationError(
        "kognitos_async.integrations.postgres_ledger needs psycopg: pip install 'kognitos-async[postgres]'"
    ) from _missing

if TYPE_CHECKING:
    from types import TracebackType
    from typing import LiteralString

_STALE = 3.0
"""Seconds after which a passed fence is void: the process may have been frozen meanwhile."""
_CREATING = 7_261_002
"""Key of the advisory lock for creating the table."""

_TABLE = """CREATE TABLE IF NOT EXISTS {table} (
    name TEXT PRIMARY KEY,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    owner BIGINT NOT NULL,
    request BYTEA NOT NULL,
    state TEXT NOT NULL DEFAULT 'planned',
    attempts INTEGER NOT NULL DEFAULT 0,
    since TIMESTAMPTZ,
    run_id TEXT,
    handle BYTEA,
    status TEXT,
    run BYTEA
)"""
_LIMIT = "SELECT set_config(%s, %s, false)"
_INDEX = "CREATE INDEX IF NOT EXISTS {index} ON {table} (owner) WHERE state <> 'settled'"
_ONE_EACH = "CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {table} (run_id)"
"""A run belongs to one request."""
_GIVE_BACK = "UPDATE {table} SET owner = 0 WHERE owner = %s AND state <> 'settled'"
_COLUMNS = (
    "position, t.name, request, state, attempts, "
    # By the clock of the database: those of the workers may differ.
    "extract(epoch FROM clock_timestamp() - since)::float8, run_id, status, run, handle"
)
_LIVES = """EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = t.owner)"""
_BEGIN = """INSERT INTO {table} AS t (name, request, owner) VALUES (%(name)s, %(request)s, %(owner)s)
ON CONFLICT (name) DO UPDATE SET owner = %(owner)s,
    request = CASE WHEN t.state = 'planned' THEN excluded.request ELSE t.request END
WHERE t.state <> 'settled' AND (t.owner IN (0, %(owner)s) OR (
    clock_timestamp() - pg_postmaster_start_time() > %(lifetime)s * interval '1 second' AND NOT {lives}))
RETURNING {columns}"""
_SETTLED_ALREADY = "SELECT {columns} FROM {table} AS t WHERE name = %(name)s AND state = 'settled'"
_ABOUT_TO_SEND = """UPDATE {table} SET state = 'starting', attempts = greatest(attempts, %(attempt)s),
    since = coalesce(since, clock_timestamp())
WHERE name = %(name)s AND owner = %(owner)s AND state IN ('planned', 'starting') RETURNING 1"""
_NOT_SENT = """UPDATE {table} SET state = 'planned', since = NULL
WHERE name = %(name)s AND owner = %(owner)s AND state IN ('planned', 'starting') RETURNING 1"""
# Not fenced: that a run exists or has settled is true, whoever records it.
_STARTED = """UPDATE {table} SET state = CASE state WHEN 'settled' THEN state ELSE 'started' END,
    run_id = %(run_id)s, handle = coalesce(handle, %(handle)s)
WHERE name = %(name)s AND (run_id IS NULL OR run_id = %(run_id)s) RETURNING 1"""
_SETTLED = """UPDATE {table} SET state = 'settled', run_id = %(run_id)s, status = %(status)s, run = %(run)s
WHERE name = %(name)s AND (run_id IS NULL OR run_id = %(run_id)s) RETURNING 1"""
_RECORDED = "SELECT state, run_id FROM {table} WHERE name = %(name)s"


class NameTakenError(JournalError):
    """Another live worker has begun the request of that name, or has taken it over."""


class PostgresLedger:
    """A `StartLedger` shared by workers on many machines; an async context manager.

    Each worker opens one. `begin` claims a name that no other live worker holds. `about_to_send` records the
    intent and checks in the same statement that the name still belongs to this worker: a process that was
    frozen or disconnected while another took over gets a `NameTakenError` instead of starting a second run.

    A worker is alive while its session holds an advisory lock. The server ends the session of a killed
    process at once, and one without a heartbeat after `lifetime` seconds. Lost connections, also by a restart
    of the server, are reopened for up to `reconnect_for` seconds; names not taken over meanwhile still belong
    to this worker. Within `lifetime` seconds after a start of the server no worker is considered dead,
    because all have lost their sessions.

    `url` is a psycopg connection string: a URL or key=value pairs. Needs PostgreSQL 14 or newer, without a
    pooler in transaction mode. `table` is created if it does not exist. Methods raise `JournalError` if the
    database cannot be reached or a step cannot be recorded; the step must not be taken then.
    """

    def __init__(
        self,
        url: str,
        *,
        table: str = "kognitos_starts",
        lifetime: float = 12.0,
        reconnect_for: float = 60.0,
    ) -> None:
        self._url = url
        self._name = table
        self._table = sql.Identifier(*text("table", table).split("."))
        self._index = sql.Identifier(f"{table.rpartition('.')[2]}_open")
        self._index_of_runs = sql.Identifier(f"{table.rpartition('.')[2]}_runs")
        self._lifetime = seconds("lifetime", lifetime)
        if self._lifetime < 1:
            raise ValueError(f"lifetime must be 1 or more seconds, got {lifetime}")
        self._reconnect_for = seconds("reconnect_for", reconnect_for)
        # Never zero; one key for all sessions of this worker.
        self._owner = secrets.randbits(62) + 1
        self._session: psycopg.AsyncConnection[Any] | None = None
        self._connecting = asyncio.Lock()
        self._signs: asyncio.Task[None] | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise RuntimeError("this ledger is already open")
        self._is_open = True
        try:
            await self._connected()
        except psycopg.Error as problem:
            self._is_open = False
            raise JournalError(f"the ledger's database cannot be used: {problem}") from problem
        except BaseException:
            self._is_open = False
            raise
        self._signs = asyncio.create_task(self._give_signs(), name="kognitos-ledger")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._signs is not None:
            self._signs.cancel()
            await asyncio.wait([self._signs])
        await self._close()

    def __repr__(self) -> str:
        return f"PostgresLedger(table={self._name!r})"

    async def begin(self, name: str, request: bytes = b"{}") -> Entry:
        """Claim a name and return its entry, new if there is none.

        `request` is stored for readers of the table, until the request is sent. The entry's `since`, of an
        uncertain start, is by this machine's clock; its `handle` is JSON of a `RunHandle` or `StartedRun`. A
        settled request is returned whoever owns it. Raises `NameTakenError` if a live worker holds the name.
        """
        values = {"name": name, "request": request, "lifetime": self._lifetime}
        rows = await self._execute(_BEGIN, values) or await self._execute(_SETTLED_ALREADY, values)
        if not rows:
            raise NameTakenError(f"request {name!r} is held by another live worker")
        position, name, request, state, attempts, age, run_id, status, run, handle = rows[0]
        return Entry(
            position,
            name,
            bytes(request),
            state,
            attempts,
            since=None if age is None else time.time() - max(0.0, age),
            run_id=run_id,
            status=status,
            run=run,
            handle=handle,
        )

    async def about_to_send(self, name: str, attempt: int) -> None:
        """Record that start number `attempt` is about to be sent, if the name still belongs to this worker.

        Raises `NameTakenError` if another worker has taken it over or it already has a run.
        """
        while True:
            before = steady_time()
            if not await self._execute(_ABOUT_TO_SEND, {"name": name, "attempt": attempt}):
                raise await self._refusal(name)
            if steady_time() - before < _STALE:
                return

    async def not_sent(self, name: str) -> None:
        """Record that no attempt so far created a run: the request is planned again.

        Raises what `about_to_send` raises.
        """
        if not await self._execute(_NOT_SENT, {"name": name}):
            raise await self._refusal(name)

    async def started(self, name: str, handle: Any) -> None:
        """Record the run of the request, given as a run or a handle, whoever holds the name by now.

        Raises `JournalError` if another run is recorded, or the run belongs to another request.
        """
        whole = getattr(handle, "handle", handle)
        await self._record(_STARTED, name, handle, {"handle": msgspec.json.encode(whole)})

    async def settled(self, name: str, run: Any) -> None:
        """Record the settled run with its outputs. Raises what `started` raises."""
        await self._record(_SETTLED, name, run, {"status": str(run.status), "run": msgspec.json.encode(run)})

    async def _record(self, statement: LiteralString, name: str, run: Any, values: dict[str, Any]) -> None:
        run_id = run_key(run)
        try:
            done = await self._execute(statement, {"name": name, "run_id": run_id, **values})
        except psycopg.errors.UniqueViolation:
            raise JournalError(f"run {run_id} belongs to another request, not to {name!r}") from None
        if not done:
            raise await self._refusal(name, run_id)

    async def _refusal(self, name: str, run_id: str | None = None) -> JournalError:
        rows = await self._execute(_RECORDED, {"name": name})
        if not rows:
            return JournalError(f"the ledger holds no request {name!r}: call begin() first")
        state, recorded = rows[0]
        if run_id is not None:
            return JournalError(f"request {name!r} already has run {recorded}, not {run_id}")
        if recorded is not None:
            return NameTakenError(f"request {name!r} is {state}: it already has run {recorded}")
        return NameTakenError(f"request {name!r} was taken over by another worker")

    async def _execute(self, statement: LiteralString, values: dict[str, Any] | None = None) -> list[Any]:
        """Execute a statement and return its rows, with retries on new connections while the server is away.

        A statement whose answer was lost may be executed twice: all of them are idempotent.
        """
        query = sql.SQL(statement).format(table=self._table, columns=sql.SQL(_COLUMNS), lives=sql.SQL(_LIVES))
        parameters = {"owner": self._owner, **(values or {})}
        deadline = time.monotonic() + self._reconnect_for
        while True:
            session = None
            try:
                session = await self._connected()
                cursor = await session.execute(query, parameters)
                return await cursor.fetchall() if cursor.description is not None else []
            except (psycopg.OperationalError, psycopg.InterfaceError) as problem:
                if session is not None:
                    await session.close()
                if not self._is_open or time.monotonic() >= deadline:
                    raise JournalError(f"the ledger's database cannot be reached: {problem}") from problem
            except psycopg.errors.UniqueViolation:
                raise  # handled by the caller
            except psycopg.Error as problem:
                raise JournalError(f"the ledger cannot record: {problem}") from problem
            await asyncio.sleep(0.2)

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """The session that holds the lock of this worker, reopened if it is closed."""
        async with self._connecting:
            if not self._is_open:
                raise psycopg.InterfaceError("the ledger is closed")
            if self._session is None or self._session.closed:
                self._session = await self._connect()
            return self._session

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        session = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=5,
            application_name="kognitos ledger",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=int(self._lifetime * 1000),
        )
        try:
            await session.execute(_LIMIT, ("idle_session_timeout", f"{self._lifetime}s"))
            # The last session may still hold the lock, until the server notices that it is gone.
            await session.execute(_LIMIT, ("lock_timeout", f"{self._lifetime * 2}s"))
            await session.execute("SELECT pg_advisory_lock(%s)", (self._owner,))
            await session.execute("SELECT pg_advisory_lock(%s)", (_CREATING,))
            await session.execute(sql.SQL(_TABLE).format(table=self._table))
            await session.execute(sql.SQL(_INDEX).format(table=self._table, index=self._index))
            await session.execute(sql.SQL(_ONE_EACH).format(table=self._table, index=self._index_of_runs))
            await session.execute("SELECT pg_advisory_unlock(%s)", (_CREATING,))
        except BaseException:
            await session.close()
            raise
        return session

    async def _give_signs(self) -> None:
        while True:
            await asyncio.sleep(self._lifetime / 4)
            with contextlib.suppress(JournalError):  # the next step reports it
                await self._execute("SELECT 1")

    async def _close(self) -> None:
        self._is_open = False
        session, self._session = self._session, None
        if session is None or session.closed:
            return
        try:
            # Release the names at once; otherwise others wait until this worker is considered dead.
            with contextlib.suppress(psycopg.Error):
                await session.execute(sql.SQL(_GIVE_BACK).format(table=self._table), (self._owner,))
        finally:
            await session.close()
