"""A new journal is made by one of all who use it first at the same time."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time

import pytest

from kognitos_async import JournalError
from kognitos_async.bulk import journal_schema
from kognitos_async.bulk.file_lock import lock
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.bulk.journal_schema import create
from tests.bulk.journals import record, summary


@pytest.fixture(params=[True, False], ids=["hard links", "no hard links"])
def hard_links(request, monkeypatch):
    if not request.param:

        def refused(draft, path):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refused)
    return request.param


def names(folder):
    return sorted(file.name for file in folder.iterdir())


async def test_of_two_who_create_a_journal_one_has_it_and_the_other_is_refused(tmp_path, monkeypatch):
    """Threads of a process, as processes of two containers, may have equal process ids."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    for number in range(20):
        path = tmp_path / f"job{number}"
        together = threading.Barrier(2)

        def use(path=path, together=together):
            together.wait()
            job = JournalFile(path, writing=True)
            database = job.connect()
            job.check(database)
            return job, database

        outcomes = await asyncio.gather(
            asyncio.to_thread(use), asyncio.to_thread(use), return_exceptions=True
        )
        outcomes.sort(key=lambda outcome: isinstance(outcome, Exception))
        job, database = outcomes[0]
        assert isinstance(outcomes[1], JournalError)
        assert "in use by this process" in str(outcomes[1])
        job.disconnect(database)
        job.close()
    assert names(tmp_path) == sorted(f"job{number}" for number in range(20))


async def test_a_journal_made_meanwhile_is_not_replaced(tmp_path, monkeypatch, hard_links):
    """By a process that has found none before."""
    path = tmp_path / "job"
    real = journal_schema._check_locks

    def slowly(of, draft):
        monkeypatch.setattr(journal_schema, "_check_locks", real)
        create(path)
        made.append(path.stat().st_ino)
        real(of, draft)

    made = []
    monkeypatch.setattr(journal_schema, "_check_locks", slowly)
    create(path)
    assert path.stat().st_ino == made[0]
    assert names(tmp_path) == ["job"]
    await record(path, "a")
    assert summary(path)["settled"] == 1


async def test_without_hard_links_a_journal_is_refused_while_another_process_makes_it(
    tmp_path, monkeypatch, hard_links
):
    """Their checks and renames would overlap; a claim that a killed process left is no obstacle."""
    path, claim = tmp_path / "job", tmp_path / ".job.new"
    other = os.open(claim, os.O_RDWR | os.O_CREAT)
    try:
        lock(other)
        if hard_links:
            create(path)
            return
        with pytest.raises(JournalError, match=f"^journal {path} is in use by another process"):
            create(path)
        assert names(tmp_path) == [".job.new"]
    finally:
        os.close(other)
    create(path)
    assert names(tmp_path) == ["job"]


async def test_drafts_of_killed_processes_are_deleted(tmp_path):
    """Not those that may be in use, and nothing else."""
    left = [".kognitos-0123456789abcdef.new", ".kognitos-0123456789abcdef.new-journal"]
    others = [
        ".kognitos-fedcba9876543210.new",
        ".kognitos-0123.new",
        ".job.new",
        "kognitos-0123456789abcdef.new",
    ]
    for name in (*left, *others):
        (tmp_path / name).touch()
        if name != others[0]:
            os.utime(tmp_path / name, (time.time() - 4000,) * 2)
    await record(tmp_path / "job", "a")
    assert names(tmp_path) == sorted([*others, "job"])


async def test_a_journal_may_have_the_longest_name_that_sqlite_can_use(tmp_path):
    """Its companion has eight characters more."""
    path = tmp_path / ("j" * 247)
    await record(path, "a")
    assert summary(path)["settled"] == 1
