"""A journal is written by one job at a time; others may read it meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess

import pytest

from kognitos_async import Journal, JournalError
from kognitos_async.bulk import file_lock, journal_file
from kognitos_async.bulk.journal_file import JournalFile
from tests.bulk.journals import RunRecord, record, summary, writer
from tests.fork_server import shared

WRITE = (
    "import asyncio, sys; from tests.bulk.journals import record; asyncio.run(record(sys.argv[1], 'other'))"
)
LOCK = (
    "import sys; from pathlib import Path; from kognitos_async.bulk.journal_file import JournalFile; "
    "JournalFile(Path(sys.argv[1]), writing=True).close()"
)
READ = (
    "import sys; from kognitos_async import Journal; journal = Journal(sys.argv[1]); "
    "print(journal.summary(), 'in use:', journal.in_use); journal.close()"
)
READ_ONLY = """
import os, sys
real = os.open
def opened(path, flags, *rest, **named):
    if flags & os.O_RDWR and str(path) == sys.argv[1]:
        raise OSError(int(sys.argv[2]), os.strerror(int(sys.argv[2])))
    return real(path, flags, *rest, **named)
os.open = opened
""" + READ.replace("import sys; ", "")


async def elsewhere(code, *arguments) -> tuple[int | None, str]:
    job = await asyncio.to_thread(
        shared().run, "-c", code, *map(str, arguments), env=os.environ, stderr=subprocess.STDOUT
    )
    return job.returncode, job.stdout


async def test_a_second_writer_is_refused_and_readers_are_not(tmp_path):
    """Here and in another process; what readers of this process open and close lets no writer in."""
    path = tmp_path / "job"
    async with writer(path) as journal:
        await journal.begin("a", b"1")
        await journal.about_to_send("a", 1)
        with pytest.raises(JournalError, match="in use by this process"):
            await record(path, "b")
        for _ in range(2):
            assert summary(path)["starting"] == 1
            code, output = await elsewhere(READ, path)
            assert (code, "'starting': 1" in output, "in use: True" in output) == (0, True, True), output
            code, output = await elsewhere(WRITE, path)
            assert code
            assert "in use by another process" in output
        with pytest.raises(JournalError, match="in use by this process"):
            await Journal(path).resolve("a", "not started")
        with Journal(path) as reader:
            assert reader.in_use
    assert (await elsewhere(WRITE, path))[0] == 0
    with Journal(path) as reader:
        assert not reader.in_use
    assert summary(path) == {"planned": 0, "starting": 1, "started": 0, "settled": 1}


async def test_a_reader_never_sees_half_a_step_nor_stops_the_writer(tmp_path):
    """Steps beside a reader that reads all the time: counts only grow, and no step fails."""
    path = tmp_path / "job"
    async with writer(path) as journal:
        await journal.begin("first", b"1")
        await journal.about_to_send("first", 1)

        done = 0
        totals = []

        async def steps():
            nonlocal done
            while done < 30 or len(set(totals)) < 5:
                name = f"n{done}"
                await journal.begin(name, b"1")
                await journal.about_to_send(name, 1)
                await journal.started(name, RunRecord(name))
                done += 1

        writing = asyncio.create_task(steps())
        async with Journal(path) as reader:
            while not writing.done():
                totals.append(sum((await asyncio.to_thread(reader.summary)).values()))
        await writing
    assert totals == sorted(totals)
    assert summary(path)["started"] == done


async def test_a_job_that_begins_while_a_reader_opens_the_file_keeps_its_lock(tmp_path, monkeypatch):
    """The reader shares the job's descriptor, and so its lock."""
    path = tmp_path / "job"
    await record(path, "a")
    jobs = []
    real = journal_file.old_pages

    def meanwhile(companion):
        if not jobs:
            jobs.append(None)
            jobs[0] = JournalFile(path, writing=True)
        return real(companion)

    monkeypatch.setattr(journal_file, "old_pages", meanwhile)
    reader = JournalFile(path, writing=False)
    code, output = await elsewhere(LOCK, path)
    assert code
    assert "in use by another process" in output
    reader.close()
    jobs[0].close()
    assert await elsewhere(LOCK, path) == (0, "")


@pytest.mark.parametrize("positioned", [True, False])
async def test_readers_of_many_threads_do_not_disturb_each_other(tmp_path, monkeypatch, positioned):
    """They share a descriptor, and where the system cannot read at a position also its position."""
    if not positioned:
        monkeypatch.delattr(os, "pread", raising=False)
    path = tmp_path / "job"
    await record(path, "a")

    def read():
        for _ in range(300):
            JournalFile(path, writing=False).close()

    await asyncio.gather(*(asyncio.to_thread(read) for _ in range(3)))


async def test_jobs_and_readers_of_many_threads_take_turns(tmp_path):
    """Whoever has the file for writing is the only one, whatever readers open and close meanwhile."""
    path = tmp_path / "job"
    await record(path, "a")
    others = 0

    def read():
        for _ in range(200):
            JournalFile(path, writing=False).close()

    def write():
        nonlocal others
        for _ in range(50):
            job = JournalFile(path, writing=True)
            another = os.open(path, os.O_RDWR)  # an open file of its own, as of another process
            try:
                file_lock.lock(another)
                others += 1
            except BlockingIOError:
                pass
            finally:
                os.close(another)
                job.close()

    await asyncio.gather(*(asyncio.to_thread(work) for work in (read, read, write)))
    assert not others


@pytest.mark.parametrize("refusal", [errno.EACCES, errno.EROFS])
async def test_a_user_who_may_only_read_the_file_sees_that_a_job_runs(tmp_path, refusal):
    """Whether the file or its whole file system is read-only; and finds a companion of another file."""
    path = tmp_path / "job"
    await record(path, "a")
    async with writer(path):
        code, output = await elsewhere(READ_ONLY, path, refusal)
        assert (code, "in use: True" in output) == (0, True), output
    code, output = await elsewhere(READ_ONLY, path, refusal)
    assert (code, "'settled': 1" in output, "in use: False" in output) == (0, True, True), output
    path.with_name("job-wal").write_bytes(b"x" * 64)
    code, output = await elsewhere(READ_ONLY, path, refusal)
    assert code
    assert "belongs to another file" in output


async def test_a_reader_is_not_taken_for_a_job(tmp_path, monkeypatch):
    """By another process that reads the file at the same moment."""
    path = tmp_path / "job"
    await record(path, "a")
    outputs = []
    real = journal_file.old_pages

    def meanwhile(companion):
        outputs.append(shared().run("-c", READ, str(path), env=os.environ, stderr=subprocess.STDOUT).stdout)
        return real(companion)

    monkeypatch.setattr(journal_file, "old_pages", meanwhile)
    JournalFile(path, writing=False).close()
    assert "in use: False" in outputs[0]
