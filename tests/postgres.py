"""PostgreSQL for tests: one server a process of the suite, a new database for each test that asks.

A conftest.py that imports `postgres` and `postgres_url` offers them to its tests.
"""

from __future__ import annotations

import secrets

import psycopg
import pytest
from psycopg import sql

from kognitos_async.testing.postgres import PostgresServer, PostgresUnavailableError

REASON = "PostgreSQL cannot be started here: "


@pytest.fixture(scope="session")
def postgres():
    """The server; a test that restarts or crashes it leaves it running."""
    server = PostgresServer()
    try:
        server.__enter__()
    except PostgresUnavailableError as problem:
        pytest.skip(f"{REASON}{problem}")
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres):
    """The URL of an empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url(), autocommit=True) as session:
        session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield postgres.url(name)
    with psycopg.connect(postgres.url(), autocommit=True) as session:
        session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def skipped_lines(reports):
    """What the last lines of a run of the suite say about tests that were left out."""
    reasons = [report.longrepr[2] for report in reports if isinstance(report.longrepr, tuple)]
    without = [reason.removeprefix("Skipped: ") for reason in reasons if REASON in reason]
    return [f"{len(without)} tests left out: {reason}" for reason in sorted(set(without))[:1]]
