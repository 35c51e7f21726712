"""Steps taken together: as few statements as there are kinds, with the outcome of one by one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from kognitos_async.bulk.journal_steps import ChangedRow, NewRow, apply_steps
from kognitos_async.bulk.ledger import DuplicateNameError
from kognitos_async.errors import JournalError

PATH = Path("j")
STARTED = ("state = 'started'", "run_id = {}")
SETTLED = ("state = 'settled'", "status = {}", "run = {}")


@pytest.fixture
def database():
    with sqlite3.connect(":memory:", isolation_level=None) as opened:
        opened.execute("CREATE TABLE runs (name TEXT UNIQUE, state TEXT, run_id TEXT, status TEXT, run BLOB)")
        yield opened
    opened.close()


def new(name: str) -> NewRow:
    return NewRow(("name", "state"), name, (name, "starting"))


def started(name: str, run_id: str) -> ChangedRow:
    return ChangedRow(STARTED, name, (run_id,))


def settled(name: str, status: str, run: bytes) -> ChangedRow:
    return ChangedRow(SETTLED, name, (status, run))


def rows(database) -> list[tuple]:
    return database.execute("SELECT * FROM runs ORDER BY rowid").fetchall()


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
def test_many_rows_become_what_each_alone_would(database, count):
    names = [f"n{number}" for number in range(count)]
    assert apply_steps(database, PATH, [new(name) for name in names]) == [None] * count
    assert apply_steps(database, PATH, [started(name, f"run of {name}") for name in names]) == [None] * count
    assert (
        apply_steps(database, PATH, [settled(name, "Succeeded", name.encode()) for name in names])
        == [None] * count
    )
    assert rows(database) == [(n, "settled", f"run of {n}", "Succeeded", n.encode()) for n in names]


def test_rows_of_one_kind_are_one_statement(database):
    statements: list[str] = []
    apply_steps(database, PATH, [new(f"n{number}") for number in range(40)])
    database.set_trace_callback(statements.append)
    mixed = [
        started(f"n{number}", "r") if number % 2 else settled(f"n{number}", "s", b"") for number in range(40)
    ]
    apply_steps(database, PATH, mixed)
    assert len(statements) == 2


def test_steps_of_one_request_keep_their_order(database):
    apply_steps(
        database,
        PATH,
        [new("a"), new("b"), started("a", "1"), settled("a", "Succeeded", b"{}"), started("b", "2")],
    )
    assert rows(database) == [("a", "settled", "1", "Succeeded", b"{}"), ("b", "started", "2", None, None)]


def test_what_a_step_reads_includes_the_rows_before_it_and_none_after(database):
    def count(connection: sqlite3.Connection) -> int:
        return connection.execute("SELECT count(*) FROM runs").fetchone()[0]

    assert apply_steps(database, PATH, [new("a"), new("b"), count, new("c")]) == [None, None, 2, None]


def test_a_name_on_record_or_twice_is_refused_alone(database):
    apply_steps(database, PATH, [new("a"), started("a", "1")])
    first, known, again, last = apply_steps(database, PATH, [new("b"), new("a"), new("b"), new("c")])
    assert (first, last) == (None, None)
    assert isinstance(known, DuplicateNameError)
    assert isinstance(again, DuplicateNameError)
    assert [row[:3] for row in rows(database)] == [
        ("a", "started", "1"),
        ("b", "starting", None),
        ("c", "starting", None),
    ]


def test_a_request_that_is_not_on_record_is_refused_alone(database):
    apply_steps(database, PATH, [new("a"), new("b")])
    first, missing, last = apply_steps(
        database, PATH, [started("a", "1"), started("x", "2"), started("b", "3")]
    )
    assert (first, last) == (None, None)
    assert isinstance(missing, JournalError)
    assert "'x'" in str(missing)
    assert [row[2] for row in rows(database)] == ["1", "3"]
