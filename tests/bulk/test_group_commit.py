"""Steps of many tasks in one transaction: who is answered before the commit, who after it, and what fails."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time

import pytest

from kognitos_async.bulk import group_commit
from kognitos_async.bulk.group_commit import GroupCommit
from kognitos_async.bulk.journal_steps import NewRow
from kognitos_async.bulk.ledger import DuplicateNameError
from kognitos_async.errors import JournalError

HOLD = group_commit._HOLD


class File:
    """Stands for the journal's file: says in which order it is checked and closed."""

    def __init__(self):
        self.calls = []
        self.gone = False

    def check_in_place(self):
        if self.gone:
            raise JournalError("the file is gone")

    def disconnect(self, database):
        self.calls.append("disconnected")
        database.close()

    def close(self):
        self.calls.append("closed")


class Book:
    """A group commit on a database in memory, and what was committed when."""

    def __init__(self, path):
        self.path = path
        self.file = File()
        self.commits = []
        self.statements = []
        self.thread = None

    async def __aenter__(self):
        self.group = GroupCommit(self.path)
        await self.group.open(self.prepare)
        return self

    async def __aexit__(self, *_):
        await self.group.close()

    def prepare(self):
        self.thread = threading.current_thread().name
        self.database = sqlite3.connect(":memory:", isolation_level=None)
        self.database.execute("CREATE TABLE runs (name TEXT UNIQUE, state TEXT)")
        self.database.set_trace_callback(self.note)
        return self.file, self.database

    def note(self, statement):
        self.statements.append(statement)
        if statement == "COMMIT":
            self.commits.append(time.monotonic())

    def write(self, name):
        return self.group.write(NewRow(("name", "state"), name, (name, "planned")))

    def names(self, *, durable=False):
        def read(database):
            return [row[0] for row in database.execute("SELECT name FROM runs ORDER BY rowid")]

        return self.group.do(read, durable=durable)


@pytest.fixture
async def book(tmp_path):
    async with Book(tmp_path / "job") as opened:
        yield opened


async def test_a_row_is_answered_after_its_commit(book):
    """What is on disk, not what will be."""
    assert await book.write("a") is None
    assert len(book.commits) == 1
    assert not book.database.in_transaction
    assert book.thread.startswith("kognitos-journal")


async def test_rows_that_come_together_share_a_commit(book):
    """A hundred tasks cost as many commits as a few."""
    await asyncio.gather(*(book.write(f"n{number}") for number in range(100)))
    assert len(book.commits) <= 3
    assert await book.names() == [f"n{number}" for number in range(100)]


async def test_what_need_not_be_durable_is_answered_before_the_commit(book):
    """The commit follows a little later by itself."""
    assert await book.names() == []
    assert not book.commits
    began = time.monotonic()
    async with asyncio.timeout(5):
        while not book.commits:  # noqa: ASYNC110 - the thread tells nobody
            await asyncio.sleep(0.005)
    assert book.commits[0] - began >= HOLD / 2
    assert not book.database.in_transaction


async def test_what_must_be_durable_takes_along_what_waits(book):
    """At once, in one transaction."""
    await book.names()
    await book.names(durable=True)
    assert book.statements.count("BEGIN IMMEDIATE") == 1
    assert len(book.commits) == 1


async def test_a_stream_of_light_steps_is_committed_all_the_same(book):
    """Within the time that the first of them may wait."""
    began = time.monotonic()
    while time.monotonic() < began + 4 * HOLD:
        await book.names()
    assert len(book.commits) >= 2


async def test_steps_are_applied_in_their_order_even_if_nobody_waits(book):
    """A cancelled task leaves no gap in the record."""
    blocked = threading.Event()
    first = book.group.do(lambda _: blocked.wait(5), durable=False)
    abandoned, last = book.write("a"), book.write("b")
    abandoned.cancel()
    blocked.set()
    await asyncio.gather(first, last)
    assert await book.names() == ["a", "b"]


async def test_a_step_that_is_refused_undoes_no_other(book):
    """Only its own caller gets an error, each a separate one."""

    def write_and_refuse(database):
        database.execute("INSERT INTO runs VALUES ('kept', 'x')")
        raise JournalError("no")

    await book.write("a")
    twice, other, refused = await asyncio.gather(
        book.write("a"),
        book.write("b"),
        book.group.do(write_and_refuse, durable=True),
        return_exceptions=True,
    )
    assert isinstance(twice, DuplicateNameError)
    assert other is None
    assert str(refused) == "no"
    assert await book.names() == ["a", "b", "kept"]


@pytest.mark.parametrize("kind", ["sqlite", "bug", "file"])
async def test_after_a_failure_nothing_is_written(book, kind, tmp_path):
    """So that the record has no gap: every later step fails with a copy of the same error."""
    await book.write("a")

    def fail(_):
        if kind == "sqlite":
            raise sqlite3.OperationalError("disk I/O error")
        raise ZeroDivisionError("a bug")

    if kind == "file":
        book.file.gone = True
    failing, with_it = book.group.do(fail, durable=True), book.write("b")
    errors = await asyncio.gather(failing, with_it, return_exceptions=True)
    book.file.gone = False
    errors += await asyncio.gather(book.write("c"), book.names(), return_exceptions=True)
    assert [type(error) for error in errors] == [JournalError] * 4
    assert len({id(error) for error in errors}) == 4
    assert len({str(error) for error in errors}) == 1
    if kind == "bug":
        assert str(errors[0]) == f"journal {tmp_path / 'job'} failed: ZeroDivisionError('a bug')"
        assert isinstance(errors[3].__cause__, ZeroDivisionError)
    if kind == "sqlite":
        assert isinstance(errors[3].__cause__, sqlite3.OperationalError)
        assert str(tmp_path / "job") in str(errors[0])
    if kind == "file":
        assert str(errors[0]) == "the file is gone"
    assert len(book.commits) == 1


async def test_closing_commits_what_waits_and_closes_the_file(tmp_path):
    """In this order."""
    book = Book(tmp_path / "job")
    async with book:
        await book.names()
        assert not book.commits
    assert len(book.commits) == 1
    assert book.file.calls == ["disconnected", "closed"]
    with pytest.raises(RuntimeError):  # its thread has ended
        book.write("late")


async def test_closing_after_a_failure_commits_nothing(tmp_path):
    """What was written before the failure is for the next opening to judge."""
    book = Book(tmp_path / "job")
    async with book:
        with pytest.raises(JournalError):
            await book.group.do(lambda _: 1 / 0, durable=True)
    assert not book.commits
    assert book.file.calls == ["disconnected", "closed"]


async def test_closing_is_not_interrupted(tmp_path):
    """The task that closes may be cancelled; the file is closed all the same."""
    book = Book(tmp_path / "job")
    await book.__aenter__()
    await book.names()
    closing = asyncio.create_task(book.group.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    assert closing.cancelled()
    assert book.file.calls == ["disconnected", "closed"]
    assert len(book.commits) == 1


async def test_a_file_that_cannot_be_opened_can_be_closed(tmp_path):
    """Steps fail, saying that it is closed."""
    group = GroupCommit(tmp_path / "job")

    def fail():
        raise JournalError("not a journal")

    with pytest.raises(JournalError, match="not a journal"):
        await group.open(fail)
    with pytest.raises(JournalError, match=rf"^journal {tmp_path / 'job'} is closed$"):
        await group.do(lambda _: 1, durable=True)
    await group.close()
