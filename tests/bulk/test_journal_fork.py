"""A process that is forked has no share in the journals that were open before."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import pytest

from tests.bulk.journals import record
from tests.bulk.test_journal_lock import LOCK, elsewhere
from tests.fork_server import shared

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

COMMON = """
import gc, os, signal, sqlite3, sys, traceback
from pathlib import Path
from kognitos_async import Journal, JournalError
from kognitos_async.bulk.file_lock import lock
from kognitos_async.bulk.journal_file import JournalFile

path = Path(sys.argv[1])

def forked(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def refused(*, writing):
    try:
        JournalFile(path, writing=writing)
    except JournalError as problem:
        return str(problem)
    raise AssertionError("not refused")

def locked():
    another = os.open(path, os.O_RDWR)
    try:
        lock(another)
    except BlockingIOError:
        return True
    return False
"""
SIBLINGS = (
    COMMON
    + """
ready, done = os.pipe(), os.pipe()
journal = Journal(path)
journal.summary()

def first():
    os.close(done[1])  # ends with the parent
    assert journal.summary()["settled"] == 1  # opened again
    job = JournalFile(path, writing=True)
    job.disconnect(job.connect())
    journal.close()
    os.write(ready[1], b"1")
    os.read(done[0], 1)
    job.close()

def second():
    assert "in use by another process" in refused(writing=True)
    with journal, Journal(path) as another:
        assert journal.in_use and another.in_use

one = forked(first)
os.close(ready[1])  # ends with the child
assert os.read(ready[0], 1) == b"1"
assert ended(forked(second)) == 0
assert "in use by another process" in refused(writing=True)
os.write(done[1], b"1")
assert ended(one) == 0
JournalFile(path, writing=True).close()
assert journal.summary()["settled"] == 1
"""
)
OF_A_JOB = (
    COMMON
    + """
companion = path.with_name(f"{path.name}-journal")
job = JournalFile(path, writing=True)
reader = Journal(path)
assert reader.in_use
database = job.connect()
database.execute("PRAGMA cache_size = 1")  # so that changes reach the file before the commit
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE runs SET request = zeroblob(200000)")

def files():
    return path.read_bytes(), companion.read_bytes()

def dropping():
    global job, database, reader
    for writing in (True, False):
        assert "was in use by a job of the process that this one was forked from" in refused(writing=writing)
    try:
        reader.summary()
    except JournalError:
        pass
    reader.close()
    job.close()
    del job, database, reader
    gc.collect()

def closing():
    job.disconnect(database)
    job.close()
    job.close()

before = files()
assert ended(forked(dropping)) == 0
assert ended(forked(closing)) == 0
assert files() == before
assert locked()
database.commit()
job.check(database)
job.disconnect(database)
assert reader.summary()["settled"] == 1
reader.close()
job.close()
assert not locked()
"""
)
KILLED = (
    COMMON
    + """
job = JournalFile(path, writing=True)
gate = os.open(sys.argv[2], os.O_RDONLY)
forked(lambda: os.read(gate, 1))
os.kill(os.getpid(), signal.SIGKILL)
"""
)


@pytest.mark.parametrize("program", [SIBLINGS, OF_A_JOB], ids=["siblings", "of a job"])
async def test_children_neither_get_nor_drop_a_lock_of_their_parent_or_of_each_other(tmp_path, program):
    """Whatever they close that the parent had open; a job's transaction goes on."""
    await record(tmp_path / "job", "a")
    assert await elsewhere(program, tmp_path / "job") == (0, "")


async def test_a_child_does_not_keep_the_lock_of_a_killed_job(tmp_path):
    """The next job begins at once."""
    path, gate = tmp_path / "job", tmp_path / "gate"
    await record(path, "a")
    os.mkfifo(gate)
    opened = os.open(gate, os.O_RDWR)
    nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    job = await asyncio.to_thread(
        shared().start, "-c", KILLED, str(path), str(gate), env=os.environ, **nowhere
    )
    assert await job.ended() == -signal.SIGKILL
    job.close()
    result = await elsewhere(LOCK, path)
    os.write(opened, b"1")  # the child ends only now
    os.close(opened)
    assert result == (0, "")
