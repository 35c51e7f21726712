"""A mirror that is only read: nothing is created or changed, also during a pass."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from kognitos_async import MirrorError
from kognitos_async.mirror.rows import MirrorBusyError, MirrorChangedError, MirroredRun, Progress
from kognitos_async.mirror.sqlite_store import SQLiteStore
from kognitos_async.mirror.store import read_mirror, store_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STORES = ["runs.sqlite", "runs.duckdb", "folder/"]


def run_number(number):
    return MirroredRun(
        key=str(number),
        id=str(number),
        name=f"run {number}",
        parent="process",
        stage="PUBLISHED",
        status="Succeeded",
        settled=True,
        ended=True,
        needed_person=False,
        created_at=NOON + timedelta(minutes=number),
        settled_at=None,
        outputs={"text": "a" * 500},
        content=b"{}",
    )


def write(path, numbers):
    store = store_of(path)
    store.open("rest_v2")
    try:
        store.write("process", [run_number(number) for number in numbers], Progress())
        store.publish()
    finally:
        store.close()


def keys_of(path):
    return read_mirror(path, lambda runs: [int(run.key) for run in runs])


def state_of(folder):
    """The files below a folder with their content."""
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", STORES)
def test_reading_changes_nothing_and_creates_nothing(tmp_path, name):
    """Not even while it is under way, so that who may only read can."""
    path = f"{tmp_path}/{name}"
    write(path, range(1500))
    before = state_of(tmp_path)
    during = []

    def use(runs):
        first = next(runs)
        during.append(state_of(tmp_path))
        return [first, *runs]

    assert [run.id for run in read_mirror(path, use)] == [str(number) for number in range(1500)]
    assert during == [before]
    assert state_of(tmp_path) == before


@pytest.mark.parametrize("name", ["empty.sqlite", "folder/"])
def test_what_is_no_mirror_yet_is_none_after_reading(tmp_path, name):
    """It can still become one, of either API."""
    path = Path(f"{tmp_path}/{name}")
    path.mkdir() if name.endswith("/") else path.touch()
    with pytest.raises(MirrorError, match="not a mirror"):
        keys_of(f"{tmp_path}/{name}")
    assert state_of(tmp_path) == {path: False if name.endswith("/") else b""}
    write(f"{tmp_path}/{name}", range(3))
    assert keys_of(f"{tmp_path}/{name}") == [0, 1, 2]


@pytest.mark.parametrize("name", STORES)
def test_a_mirror_that_is_missing_is_not_created(tmp_path, name):
    with pytest.raises(MirrorError):
        keys_of(f"{tmp_path}/{name}")
    assert not state_of(tmp_path)


def foreign(path, mode="DELETE"):
    if path.suffix == ".duckdb":
        with duckdb.connect(path) as database:
            database.execute("CREATE TABLE runs (a TEXT)")
        return
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode = {mode}")
    database.execute("CREATE TABLE runs (a)")
    database.close()


@pytest.mark.parametrize(("name", "mode"), [("a.sqlite", "DELETE"), ("a.sqlite", "WAL"), ("a.duckdb", "")])
def test_a_database_of_another_program_is_refused_and_left_as_it_was(tmp_path, name, mode):
    """Its journal mode too; by reading and by writing."""
    path = tmp_path / name
    foreign(path, mode)
    before = state_of(tmp_path)
    with pytest.raises(MirrorError, match="not a mirror of kognitos-async; it was not changed"):
        keys_of(path)
    with pytest.raises(MirrorError, match="not a mirror of kognitos-async; it was not changed"):
        store_of(path).open("rest_v2")
    assert state_of(tmp_path) == before


@pytest.mark.parametrize("name", ["runs.sqlite", "folder/"])
def test_a_mirror_is_read_while_a_pass_writes_to_it(tmp_path, name):
    """What is stored so far."""
    path = f"{tmp_path}/{name}"
    store = store_of(path)
    store.open("rest_v2")
    try:
        store.write("process", [run_number(1)], Progress())
        assert keys_of(path) == [1]
        store.write("process", [run_number(2)], Progress())
        assert keys_of(path) == [1, 2]
    finally:
        store.close()


def test_what_a_pass_has_changed_meanwhile_is_read_again(tmp_path):
    """No result mixes two states of the mirror."""
    path = tmp_path / "runs.sqlite"
    write(path, range(1500))
    tries = []

    def use(runs):
        tries.append(next(runs))
        if len(tries) == 1:
            write(path, range(1500, 3000))
        return 1 + sum(1 for _ in runs)

    assert read_mirror(path, use) == 3000
    assert len(tries) == 2


def test_a_mirror_that_changes_whenever_it_is_read_is_given_up(tmp_path):
    """With an error that says so."""
    path = tmp_path / "runs.sqlite"
    write(path, [0])
    tries = []

    def use(runs):
        tries.append(next(runs))
        write(path, [len(tries)])
        return list(runs)

    with pytest.raises(MirrorChangedError, match="changed while it was read"):
        read_mirror(path, use)
    assert len(tries) == 5


def test_a_duckdb_file_in_use_and_an_unusable_one_have_different_errors(tmp_path):
    """A later try may succeed."""
    path = tmp_path / "runs.duckdb"
    write(path, range(3))
    store = store_of(path)
    store.open("rest_v2")
    try:
        with pytest.raises(MirrorBusyError, match="between the passes"):
            keys_of(path)
    finally:
        store.close()
    store.open_to_read()
    try:
        with pytest.raises(MirrorBusyError, match="no pass can run while it is read"):
            write(path, [4])
    finally:
        store.close()
    assert keys_of(path) == [0, 1, 2]


def test_a_sqlite_file_that_stays_locked_has_an_error_of_its_own(tmp_path, monkeypatch):
    """After the time that writers wait for each other."""
    monkeypatch.setattr("kognitos_async.mirror.sqlite_file._TIMEOUT", 0.05)
    path = tmp_path / "runs.sqlite"
    write(path, [1])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(MirrorBusyError, match="locked"):
            SQLiteStore(path).open("rest_v2")
        assert keys_of(path) == [1]
    finally:
        holder.close()


def test_a_damaged_mirror_is_an_error_of_the_library(tmp_path):
    path = tmp_path / "runs.sqlite"
    write(path, range(200))
    content = bytearray(path.read_bytes())
    content[8192:] = b"\x07" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(MirrorError, match="cannot be read"):
        keys_of(path)


def test_an_empty_path_is_no_store():
    """It would be the current folder."""
    with pytest.raises(ValueError, match="store must be a path"):
        store_of("")
