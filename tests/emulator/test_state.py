"""A server that restores the runs and files of an earlier one."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from kognitos_async import NotFoundError, RunStatus
from kognitos_async.testing import KognitosServer, Schedule, state


async def test_runs_continue_where_they_were(tmp_path):
    path = tmp_path / "state"
    async with KognitosServer(state=path, schedule=Schedule.fixed(60)) as server, server.client() as client:
        uploaded = await client.files.upload(b"a,b\n", file_name="a.csv")
        moving = await client.runs.start(
            server.process.id, name="moving", inputs={"amount": 3}, file_ids=[uploaded.id]
        )
        stopped = await client.runs.start(server.process.id, name="stopped")
        server.set_status(stopped.id, "Stopped")
        server.advance(30)
    async with KognitosServer(state=path, schedule=Schedule.fixed(5)) as server, server.client() as client:
        assert [run.name for run in server.runs.values()] == ["moving", "stopped"]
        assert server.files[uploaded.id].content == b"a,b\n"
        again = await client.runs.get(moving.id)
        assert (again.status, again.created_at) == (RunStatus.RUNNING, moving.created_at)
        assert again.file_ids == (uploaded.id,)
        assert (await client.runs.get(stopped.id)).status == RunStatus.STOPPED
        server.advance(31)
        done = await client.wait_for_run(moving.id, timeout=5)
        assert done.output("the output total", int) == 3
        new = await client.runs.start(server.process.id, name="new")
        assert len({moving.id, stopped.id, new.id}) == 3


async def test_the_time_between_counts(tmp_path):
    """As it would have had the server not been gone."""
    path = tmp_path / "state"
    with KognitosServer(state=path, schedule=Schedule.fixed(0.2)) as server:
        run = server.add_run(name="a")
        assert run.status == "Running"
    await asyncio.sleep(0.25)
    with KognitosServer(state=path) as server:
        assert server.runs[run.id].status == "Succeeded"


async def test_questions_answers_and_files_of_the_platform_api(tmp_path):
    path = tmp_path / "state"
    schedule = Schedule.fixed(0.05, "awaiting_guidance")
    async with KognitosServer(state=path, schedule=schedule) as server, server.platform_client() as client:
        automation = server.platform.automation.id
        uploaded = await client.files.upload(b"%PDF", file_name="a.pdf")
        gone = await client.files.upload(b"x", file_name="b.pdf")
        await client.files.delete(gone)
        run = await client.run_and_wait(automation, inputs={"amount": 2}, timeout=5)
        question = await client.exceptions.get(run.guidance.exception)
    async with KognitosServer(state=path, schedule=schedule) as server, server.platform_client() as client:
        assert await client.runs.get(run.name) == run
        assert await client.exceptions.get(run.guidance.exception) == question
        assert next(iter(server.platform.files.values())).content == b"%PDF"
        assert [file.name for file in server.platform.files.values()] == [uploaded.name]
        await client.exceptions.reply(run, "42")
        done = await client.wait_for_run(run, until={"completed"}, timeout=5)
        assert done.outputs["total"] == 2
    async with KognitosServer(state=path, schedule=schedule) as server, server.platform_client() as client:
        assert await client.runs.get(run.name) == done
        kinds = [event.kind for event in server.platform.runs[done.id].threads["astral"]]
        assert kinds[:2] == ["agent_message", "user_message"]


async def test_page_tokens_and_upload_forms_outlive_the_server(tmp_path):
    path = tmp_path / "state"
    async with KognitosServer(state=path) as server, server.client() as client:
        for number in range(3):
            server.add_run(name=str(number))
        page = await client.runs.list(server.process.id, limit=2)
        form = await client.files.create("a.bin")
    port = int(server.url.rpartition(":")[2])
    async with KognitosServer(state=path, port=port) as server, server.client() as client:
        rest = await client.runs.list(server.process.id, limit=2, continuation_token=page.continuation_token)
        assert len(rest.items) == 1
        assert form.upload_fields["key"] in server._store._forms


def test_one_server_at_a_time(tmp_path):
    path = tmp_path / "state"
    with KognitosServer(state=path) as server:
        server.add_run()
        with pytest.raises(OSError, match="cannot be used"):
            KognitosServer(state=path)
    with KognitosServer(state=path) as server:
        assert len(server.runs) == 1


def test_what_is_no_state_is_refused(tmp_path):
    path = tmp_path / "state"
    path.write_bytes(b"something else " * 100)
    with pytest.raises(OSError, match="is not one"):
        KognitosServer(state=path)
    other = tmp_path / "other"
    with KognitosServer(state=other, seed=1) as server:
        server.add_run()
    with pytest.raises(ValueError, match="seed must be 1"):
        KognitosServer(state=other)
    with closing(sqlite3.connect(other)) as database:
        assert database.execute("SELECT count(*) FROM record").fetchone() == (2,)


FOREIGN = {
    "table": ["CREATE TABLE t (x)", "INSERT INTO t VALUES (1)"],
    "record": ["CREATE TABLE record (kind TEXT, data BLOB)"],
    "more": [
        state._TABLE,
        "CREATE VIEW v AS SELECT * FROM record",
    ],
    "application": ["PRAGMA application_id = 7"],
    "log": ["PRAGMA journal_mode = WAL", "CREATE TABLE t (x)"],
}
"""Databases of other programs."""


@pytest.mark.parametrize("statements", FOREIGN.values(), ids=FOREIGN)
def test_a_database_of_another_program_is_refused_and_unchanged(tmp_path, statements):
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    before = path.read_bytes()
    with pytest.raises(OSError, match="is not one"):
        KognitosServer(state=path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_that_its_program_uses_is_refused(tmp_path):
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (x)")
        with pytest.raises(OSError, match="cannot be used"):
            KognitosServer(state=path)
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


@pytest.mark.parametrize("name", [".", "missing/state"])
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path, name):
    with pytest.raises(OSError, match="cannot be used") as failed:
        KognitosServer(state=tmp_path / name)
    assert failed.value.filename == str(tmp_path / name)


def test_a_state_of_an_earlier_version_is_continued(tmp_path):
    """Its file has the table, but no application id."""
    path = tmp_path / "state"
    with KognitosServer(state=path) as server:
        run = server.add_run(name="a")
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        assert database.execute("PRAGMA application_id").fetchone() != (0,)
        database.execute("PRAGMA application_id = 0")
    with KognitosServer(state=path) as server:
        assert server.runs[run.id].name == "a"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() != (0,)


def test_an_empty_file_becomes_a_state(tmp_path):
    """As `mktemp` makes it."""
    path = tmp_path / "state"
    path.touch()
    with KognitosServer(state=path) as server:
        server.add_run(name="a")
    with KognitosServer(state=path) as server:
        assert len(server.runs) == 1


async def test_nothing_is_answered_that_is_not_kept(tmp_path):
    """As after kill -9: the file is read while its server has not been stopped."""
    path = tmp_path / "state"
    server = KognitosServer(state=path)
    async with server, server.client() as client:
        run = await client.runs.start(server.process.id, name="a")
        for name in ("state", "state-wal"):
            if (tmp_path / name).exists():
                (tmp_path / f"copy{name[5:]}").write_bytes((tmp_path / name).read_bytes())
    async with KognitosServer(state=tmp_path / "copy") as second, second.client() as client:
        assert (await client.runs.get(run.id)).name == "a"
        with pytest.raises(NotFoundError):
            await client.runs.get("none")
