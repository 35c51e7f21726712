"""The database of DBOS, with one additional table."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy import exc

from kognitos_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_URL = "sqlite:///kognitos.sqlite"
VARIABLE = "KOGNITOS_DATABASE_URL"
_SCHEMA = "dbos"
_SQLITE = (3, 42)
"""First SQLite version with fractions in `unixepoch`, which DBOS uses on Python 3.12 and newer."""
_FROZEN = 12_000
"""Milliseconds after which the server ends a session that is idle in a transaction."""
_CREATING = 7_261_001
"""Key of the advisory lock for creating the table."""
_TABLE = """CREATE TABLE IF NOT EXISTS {starts} (
    workflow_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    since DOUBLE PRECISION,
    run_id TEXT,
    handle TEXT,
    status TEXT,
    run TEXT
)"""
_INDEX = "CREATE INDEX IF NOT EXISTS kognitos_starts_open ON {starts} (state) WHERE state <> 'settled'"
_ONE_EACH = "CREATE UNIQUE INDEX IF NOT EXISTS kognitos_starts_runs ON {starts} (run_id)"
"""A run belongs to one workflow."""


def database_url(given: str | None) -> str:
    """The given URL, else `KOGNITOS_DATABASE_URL`, else a SQLite file in the working directory.

    Raises `ConfigurationError` for other databases, and for a SQLite version too old for DBOS.
    """
    text = given or os.environ.get(VARIABLE) or DEFAULT_URL
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError):  # of a port that is no number, and may be part of a password
        raise ConfigurationError("database_url must be a URL such as postgresql://host/name") from None
    backend = url.get_backend_name()
    if backend in ("postgres", "postgresql"):
        # A worker frozen in a transaction would keep its locks, and no other could be launched.
        options = f"{url.query.get('options', '')} -c idle_in_transaction_session_timeout={_FROZEN}".strip()
        url = url.set(drivername="postgresql").update_query_dict({"options": options})
        address, _, query = url.render_as_string(hide_password=False).partition("?")
        return f"{address}?{query.replace('+', '%20')}"  # libpq does not decode a plus
    if backend != "sqlite":
        raise ConfigurationError(f"database_url must be of sqlite or postgresql, got {url.drivername}")
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("database_url must name a file: an in-memory database is not durable")
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < _SQLITE:
        raise ConfigurationError(
            f"on Python 3.12 and newer DBOS needs SQLite 3.42, this Python has {sqlite3.sqlite_version}: "
            "use a PostgreSQL database as database_url"
        )
    return url.render_as_string(hide_password=False)


class Database:
    """Statements on the tables, each in its own transaction."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_postgres: bool = url.startswith("postgresql")
        prefix = f"{_SCHEMA}." if self.is_postgres else ""
        self._tables = {"starts": f"{prefix}kognitos_starts", "workflows": f"{prefix}workflow_status"}
        # On SQLite not unixepoch('subsec'): before 3.42 it is NULL, and an uncertain start would look unsent.
        self._tables["now"] = (
            "extract(epoch FROM clock_timestamp())"
            if self.is_postgres
            else "((julianday('now') - 2440587.5) * 86400.0)"
        )
        self._tables["share"] = "FOR NO KEY UPDATE" if self.is_postgres else ""
        self._engine: sa.Engine | None = None

    def prepare(self) -> None:
        """Make or migrate all tables. Any number of processes may do so at once."""
        DBOS.migrate(self.url)
        with self.engine.begin() as connection:
            if self.is_postgres:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_CREATING})"))
            for statement in (_TABLE, _INDEX, _ONE_EACH):
                connection.execute(sa.text(statement.format(**self._tables)))

    @property
    def exists(self) -> bool:
        """Whether there is a database file, which the first use would create; true for PostgreSQL."""
        return self.is_postgres or Path(str(sa.make_url(self.url).database)).exists()

    @property
    def engine(self) -> sa.Engine:
        """The pool of connections, made when first used."""
        if self._engine is None:
            url = sa.make_url(self.url)
            if self.is_postgres:
                self._engine = sa.create_engine(
                    url.set(drivername="postgresql+psycopg"),
                    pool_size=3,
                    max_overflow=0,
                    pool_pre_ping=True,
                    connect_args={"connect_timeout": 10, "application_name": "kognitos"},
                )
            else:
                self._engine = sa.create_engine(url, connect_args={"timeout": 30})
        return self._engine

    def execute(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Execute and commit a statement and return its rows. `{starts}` and `{workflows}` are the tables.

        Raises `sqlalchemy.exc.DBAPIError`.
        """
        text = sa.text(statement.format(**self._tables))
        with self.engine.begin() as connection:
            result = connection.execute(text, values or {})
            return list(result.fetchall()) if result.returns_rows else []

    async def run(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Like `execute`, from a coroutine, in a thread."""
        return await asyncio.to_thread(self.execute, statement, values)

    async def run_surely(self, statement: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        """Like `run`, retried while the database cannot be reached."""
        while True:
            try:
                return await self.run(statement, values)
            except exc.SQLAlchemyError as problem:
                if not is_away(problem):
                    raise
            await asyncio.sleep(1.0)

    def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def is_away(problem: BaseException) -> bool:
    """Whether the database was unreachable or busy, so that the statement may succeed later."""
    if isinstance(problem, exc.TimeoutError):  # all connections are in use
        return True
    return isinstance(problem, exc.DBAPIError) and (
        problem.connection_invalidated or isinstance(problem, exc.OperationalError | exc.InterfaceError)
    )
