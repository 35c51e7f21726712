"""The file of a journal: moved, copied, deleted and replaced after and within commits, and of version 1."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from kognitos_async import Journal, JournalError
from kognitos_async.bulk.journal_file import JournalFile
from kognitos_async.bulk.journal_schema import old_pages
from tests import unmeasured
from tests.bulk.journals import RunRecord, record, summary, writer
from tests.fork_server import shared

KILLED = """
import asyncio, sys
from tests.bulk.journals import RunRecord, writer
async def main(path):
    async with writer(path) as journal:
        for number in range(10_000):
            name = f"n{number}"
            await journal.begin(name, b"x" * 300)
            await journal.about_to_send(name, 1)
            print(name, flush=True)
asyncio.run(main(sys.argv[1]))
"""


async def killed(path, after):
    """The names whose start was recorded when the process that wrote them was killed."""
    with shared().start("-c", KILLED, str(path), env=unmeasured.environ(), stderr=subprocess.DEVNULL) as job:
        written = [job.stdout.readline() for _ in range(3)]
        await asyncio.sleep(after)
        job.kill()
        written += job.stdout.read().splitlines(keepends=True)
    return {line.strip() for line in written if line.endswith("\n")}


def names(path):
    with Journal(path) as journal:
        return {entry.name for entry in journal.entries(state="starting")}


@pytest.mark.parametrize("after", [0.0, 0.011, 0.03, 0.052, 0.1])
async def test_after_a_kill_the_file_alone_holds_all_or_is_refused(tmp_path, after):
    """Moved without its companion it has every step that was taken; with it too, wherever the kill fell."""
    recorded = await killed(tmp_path / "job", after)
    within_a_commit = bool(old_pages(tmp_path / "job-journal"))
    (tmp_path / "alone").mkdir()
    (tmp_path / "both").mkdir()
    shutil.copy(tmp_path / "job", tmp_path / "alone" / "job")
    for file in tmp_path.glob("job*"):
        shutil.move(file, tmp_path / "both" / file.name)
    assert recorded <= names(tmp_path / "both" / "job")
    async with writer(tmp_path / "both" / "job"):
        pass
    assert [file.name for file in (tmp_path / "both").iterdir()] == ["job"]
    try:
        async with writer(tmp_path / "alone" / "job"):
            pass
    except JournalError:
        assert within_a_commit
    else:
        assert recorded <= names(tmp_path / "alone" / "job")


async def test_after_a_kill_a_deleted_journal_is_gone(tmp_path):
    """A new one begins empty, whatever lies beside it, or is refused; it never gets the old one's rows."""
    for round_ in range(3):
        path = tmp_path / f"job{round_}"
        await killed(path, 0.01 * round_)
        path.unlink()
        if old_pages(path.with_name(f"{path.name}-journal")):
            with pytest.raises(JournalError, match="restore the journal beside it"):
                await record(path, "new")
        else:
            await record(path, "new")
            assert summary(path) == {"planned": 0, "starting": 0, "started": 0, "settled": 1}


async def test_a_commit_cut_short_is_refused_or_harmless(tmp_path):
    """Of every commit each prefix of its pages, as a kill leaves it: refused, or earlier steps all hold."""
    path, states = tmp_path / "job", []
    async with writer(path) as journal:
        for number in range(60):
            name = f"name {number * 7919 % 1000}"
            await journal.begin(name, b"x" * 400)
            await journal.about_to_send(name, 1)
            states.append((name, "starting", path.read_bytes()))
            if number % 2:
                await journal.started(name, RunRecord(f"r{number}"))
                states.append((name, "started", path.read_bytes()))
    broken = tmp_path / "broken"
    refused = held = 0
    expected = {}
    for (name, state, before), (touched, _, after) in itertools.pairwise(states):
        expected[name] = state
        pages = max(len(before), len(after)) // 4096
        changed = [n for n in range(pages) if before[n * 4096 :][:4096] != after[n * 4096 :][:4096]]
        for count in range(1, len(changed)):
            mixed = bytearray(before)
            for page in changed[:count]:
                mixed[page * 4096 : page * 4096 + 4096] = after[page * 4096 :][:4096]
            broken.write_bytes(mixed)
            try:
                async with writer(broken):
                    pass
                with Journal(broken) as journal:
                    found = {entry.name: entry.state for entry in journal.entries()}
            except JournalError:
                refused += 1
                continue
            held += 1
            for other, was in expected.items():
                assert found[other] == was or other == touched
    assert refused > 20
    assert held > 20


def within_commit(path, folder):
    """Copies of a journal and of its companion from within a commit that has begun to change the file."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = PERSIST")
    database.execute("PRAGMA cache_size = 1")  # so that changes reach the file before the commit
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE runs SET request = zeroblob(20000)")
    database.execute("UPDATE job SET generation = generation + 1")
    for number in range(200):
        database.execute(
            "INSERT INTO runs (name, request, state, generation) VALUES (?, zeroblob(3000), 'planned', 0)",
            (f"unsure {number}",),
        )
    folder.mkdir()
    for file in (path, path.with_name(f"{path.name}-journal")):
        shutil.copy(file, folder / file.name)
    database.rollback()
    database.close()
    return folder / path.name


async def test_a_companion_is_replayed_into_its_own_file_only(tmp_path):
    """Together they are what was recorded; the companion beside another journal or none is refused."""
    for name in ("job", "other"):
        for number in range(3):
            await record(tmp_path / name, f"{name} {number}", run_id=f"{name} {number}")
    cut_short = within_commit(tmp_path / "job", tmp_path / "cut")
    companion = cut_short.with_name("job-journal")
    assert companion.read_bytes()[:8] == bytes.fromhex("d9d505f920a163d7")
    for folder in ("replaced", "deleted", "read"):
        (tmp_path / folder).mkdir()
        shutil.copy(companion, tmp_path / folder / "job-journal")
    for folder in ("replaced", "read"):
        shutil.copy(tmp_path / "other", tmp_path / folder / "job")
    before = (tmp_path / "replaced" / "job").read_bytes()
    with pytest.raises(JournalError, match="belongs to another file"):
        await record(tmp_path / "replaced" / "job", "new")
    with pytest.raises(JournalError, match="belongs to another file"):
        summary(tmp_path / "read" / "job")
    assert (tmp_path / "replaced" / "job").read_bytes() == before
    with pytest.raises(JournalError, match="there is no journal"):
        await record(tmp_path / "deleted" / "job", "new")
    assert not (tmp_path / "deleted" / "job").exists()
    assert summary(cut_short)["settled"] == 3
    assert companion.read_bytes()[:8] != bytes.fromhex("d9d505f920a163d7") if companion.exists() else True


async def test_a_job_continues_after_an_incomplete_commit(tmp_path):
    """Rolling it back shortens the file, which is not taken as damage."""
    await record(tmp_path / "job", "a")
    cut_short = within_commit(tmp_path / "job", tmp_path / "cut")
    size = cut_short.stat().st_size
    await record(cut_short, "b", run_id="r2")
    assert cut_short.stat().st_size < size
    assert summary(cut_short)["settled"] == 2


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
async def test_a_file_that_goes_away_ends_the_job_before_the_next_start(tmp_path, how):
    """JournalError at the next step, and at every later one even if the file comes back."""
    path = tmp_path / "job"
    async with writer(path) as journal:
        await journal.begin("a", b"1")
        await journal.about_to_send("a", 1)
        shutil.copy(path, tmp_path / "copy")
        if how == "replaced":
            (tmp_path / "copy").replace(path)
        elif how == "moved":
            path.rename(tmp_path / "elsewhere")
        else:
            path.unlink()
        with pytest.raises(JournalError, match="deleted, moved or replaced"):
            await journal.started("a", RunRecord("r"))
        if how == "moved":
            (tmp_path / "elsewhere").rename(path)
        with pytest.raises(JournalError, match="deleted, moved or replaced"):
            await journal.about_to_send("a", 2)


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'flying'",
        "state = 'started', run_id = NULL",
        "state = 'settled', run = NULL",
        "state = x'00'",
        "state = 'started', run_id = ''",
        "state = 'starting', since = 'noon'",
        "state = 'starting', since = 1e300",
        "state = 'starting', since = -1.0",
        "name = x'61'",
        "name = ''",
        "attempts = 'two'",
    ],
)
async def test_invalid_rows_are_refused(tmp_path, damage):
    """JournalError from the job and when reading the entries, nothing else."""
    path = tmp_path / "job"
    await record(path, "a")
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE runs SET {damage}")
    database.close()
    with pytest.raises(JournalError, match=r"damaged.* has invalid fields"):
        await record(path, "b")
    with Journal(path) as journal, pytest.raises(JournalError, match="damaged"):
        list(journal.entries())


@pytest.mark.parametrize("damage", ["DELETE FROM job", "UPDATE job SET generation = 'x'", "DROP TABLE runs"])
async def test_a_file_without_its_job_is_refused(tmp_path, damage):
    """JournalError, nothing else."""
    path = tmp_path / "job"
    await record(path, "a")
    with sqlite3.connect(path) as database:
        database.execute(damage)
    database.close()
    message = "no such table" if "DROP" in damage else r"damaged \(its job row is missing or invalid\)"
    with pytest.raises(JournalError, match=message):
        await record(path, "b")


@pytest.mark.parametrize("kind", ["folder", "fifo", "device"])
async def test_what_is_no_regular_file_is_refused(tmp_path, kind):
    """Before anything is read from it."""
    path = Path("/dev/null") if kind == "device" else tmp_path / "job"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    with pytest.raises(JournalError, match="regular file"):
        await record(path, "a")
    with pytest.raises(JournalError, match="regular file"), Journal(path):
        pass


async def test_a_file_that_is_cut_while_the_job_runs_is_noticed(tmp_path):
    """SQLite's cache hides it: the next start would be recorded in a file that can never be read."""
    path = tmp_path / "job"
    async with writer(path) as journal:
        await journal.begin("a")
        await journal.about_to_send("a", 1)
        os.truncate(path, 0)
        with pytest.raises(JournalError, match="cut"):
            await journal.about_to_send("a", 2)


VERSION_1 = """
CREATE TABLE job (generation INTEGER NOT NULL);
INSERT INTO job VALUES (4);
CREATE TABLE runs (
    position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, request BLOB NOT NULL, state TEXT NOT NULL,
    generation INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, since REAL, run_id TEXT, run BLOB
);
CREATE INDEX unfinished ON runs (position) WHERE state IN ('starting', 'started');
PRAGMA application_id = 0x4B474E4A;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
INSERT INTO runs VALUES (0, 'a', CAST('{"name":"a","process_id":"p"}' AS BLOB), 'settled', 4, 1, 1.5, 'r1',
    CAST('{"id":"r1","status":"Exception"}' AS BLOB));
INSERT INTO runs VALUES (1, 'b', CAST('{"name":"b","process_id":"p"}' AS BLOB), 'starting', 4, 2, 12.5,
    NULL, NULL);
"""


def version_1(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(VERSION_1)
    return database


@pytest.mark.parametrize("how", ["written", "read"])
@pytest.mark.parametrize("clean", [True, False])
async def test_a_journal_of_version_1_is_brought_up_to_date(tmp_path, how, clean):
    """With its write-ahead log, where a kill has left one; states, attempts, runs and statuses are kept."""
    path = tmp_path / "job"
    database = version_1(tmp_path / "old")
    if clean:
        database.close()
        shutil.move(tmp_path / "old", path)
    else:
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"old{suffix}", tmp_path / f"job{suffix}")
        database.close()
    if how == "written":
        async with writer(path) as journal:
            entry = await journal.begin("b", b'{"name":"b","process_id":"p"}')
            assert (entry.state, entry.attempts, entry.since) == ("starting", 2, 12.5)
    with Journal(path) as journal:
        assert journal.api == "rest_v2"
        assert journal.summary() == {"planned": 0, "starting": 1, "started": 0, "settled": 1}
        assert journal.statuses() == {"Exception": 1}
    assert sorted(file.name for file in tmp_path.glob("job*")) == ["job"]


async def test_the_log_of_a_deleted_journal_of_version_1_is_not_replayed(tmp_path):
    """Neither into a new journal nor into another one that took its place."""
    database = version_1(tmp_path / "old")
    shutil.copy(tmp_path / "old-wal", tmp_path / "job-wal")
    database.close()
    with pytest.raises(JournalError, match="there is no journal"):
        await record(tmp_path / "job", "new")
    await record(tmp_path / "other", "new")
    shutil.move(tmp_path / "other", tmp_path / "job")
    with pytest.raises(JournalError, match="belongs to another file"):
        summary(tmp_path / "job")


def descriptors(path):
    """How often this process holds the file open; None where the system does not tell."""
    held = Path("/proc/self/fd")
    if not held.exists():
        return None
    return sum(os.path.realpath(entry) == str(path.resolve()) for entry in held.iterdir())


async def test_a_process_holds_a_journal_open_once_for_all_its_users(tmp_path):
    """Closing one descriptor of several would drop the writer's lock."""
    path = tmp_path / "job"
    await record(path, "a")
    job = JournalFile(path, writing=True)
    readers = [JournalFile(path, writing=False) for _ in range(2)]
    assert all(reader.in_use for reader in readers)
    assert descriptors(path) in (1, None)
    for reader in readers:
        reader.close()
        assert descriptors(path) in (1, None)
    with pytest.raises(JournalError, match="is in use by this process: end that job first"):
        JournalFile(path, writing=True)
    database = job.connect()  # the refused one has not closed what the job holds
    job.check(database)
    job.disconnect(database)
    job.close()
    assert descriptors(path) in (0, None)


async def test_a_job_may_end_before_those_who_read_its_journal(tmp_path):
    """The next job then takes over, and the last user closes the file."""
    path = tmp_path / "job"
    await record(path, "a")
    job, reader = JournalFile(path, writing=True), JournalFile(path, writing=False)
    job.close()
    another = JournalFile(path, writing=False)
    assert not another.in_use
    second = JournalFile(path, writing=True)
    for user in (second, reader, another):
        assert descriptors(path) in (1, None)
        user.close()
    assert descriptors(path) in (0, None)


async def test_a_refused_file_is_not_held(tmp_path):
    """Neither one of another kind nor one that is locked."""
    path = tmp_path / "job"
    with pytest.raises(JournalError, match=rf"^there is no journal {path}$"):
        JournalFile(path, writing=False)
    path.write_bytes(b"x" * 10)
    with pytest.raises(JournalError, match="it has only 10 bytes"):
        JournalFile(path, writing=False)
    path.write_bytes(b"x" * 4096)
    for writing in (True, False):
        with pytest.raises(
            JournalError, match=rf"^{path} is not a journal of kognitos-async; it was not changed$"
        ):
            JournalFile(path, writing=writing)
    assert path.read_bytes() == b"x" * 4096
    assert descriptors(path) in (0, None)


async def test_a_journal_of_a_later_version_is_refused(tmp_path):
    """The message says which there are."""
    path = tmp_path / "job"
    await record(path, "a")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(JournalError, match=rf"^journal {path} has format version 9, but this version of"):
        JournalFile(path, writing=False)
    assert descriptors(path) in (0, None)


@pytest.mark.parametrize("writing", [True, False])
async def test_a_write_ahead_log_beside_a_journal_is_anothers(tmp_path, writing):
    """Today's journals have none; it is named, and the file is let go."""
    path = tmp_path / "job"
    await record(path, "a")
    log = tmp_path / "job-wal"
    log.write_bytes(b"x" * 64)
    advice = (
        "restore the journal that it was left beside when its process was killed, or delete the companion"
    )
    with pytest.raises(JournalError, match=rf"^{log} belongs to another file than journal {path}: {advice}$"):
        JournalFile(path, writing=writing)
    assert descriptors(path) in (0, None)
    log.unlink()
    JournalFile(path, writing=writing).close()


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced", "cut"])
async def test_a_file_in_use_is_watched(tmp_path, how):
    """It may grow, but must stay where and what it is."""
    path = tmp_path / "job"
    await record(path, "a")
    job = JournalFile(path, writing=True)
    job.check_in_place()
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\0" * 4096)
    job.check_in_place()
    if how == "deleted":
        path.unlink()
    elif how == "moved":
        path.rename(tmp_path / "elsewhere")
    elif how == "replaced":
        shutil.copy(path, tmp_path / "copy")
        (tmp_path / "copy").replace(path)
    else:
        os.truncate(path, size)
    expected = (
        f"it was truncated from {size + 4096} to {size} bytes"
        if how == "cut"
        else f"journal {path} was deleted, moved or replaced while the job was running"
    )
    with pytest.raises(JournalError, match=expected):
        job.check_in_place()
    job.close()
