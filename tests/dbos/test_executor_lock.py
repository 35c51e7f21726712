"""The advisory lock of a worker, with the times of a worker that is in a hurry."""

from __future__ import annotations

import asyncio
import os
import queue

import psycopg
import pytest
from dbos import DBOSClient

from kognitos_async import ConfigurationError
from kognitos_async.integrations.dbos import executor_lock
from kognitos_async.integrations.dbos.database import Database
from kognitos_async.integrations.dbos.executor_lock import AdvisoryLock, FilePresence
from kognitos_async.integrations.dbos.ledger import Lock
from tests.dbos.conftest import wait_until
from tests.support import eventually

NONE = Lock(0, 0)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    for name, seconds in (("TICK", 0.1), ("LIFETIME", 2.0), ("AFTER_RESTART", 0.0), ("RECONNECTING", 20.0)):
        monkeypatch.setattr(executor_lock, name, seconds)


@pytest.fixture
def lock(postgres_url):
    """Makes locks of executors, released after the test; `ended` has the state of each that gave up.

    A process would end with it. Here the thread goes on, and what the lock is later tells nothing.
    """
    database = Database(postgres_url)
    database.prepare()
    database.close()
    made = []

    def of(executor, *, may_poll=True, scope="kognitos"):
        one = AdvisoryLock(postgres_url, scope, executor, may_poll=may_poll)
        one.ended = queue.Queue()
        one.end = lambda: one.ended.put((one.lock, one.polls))
        made.append(one)
        return one

    yield of
    for one in made:
        one.release()


def sessions(url, executor):
    """The server processes that hold the lock of an executor."""
    with psycopg.connect(url, autocommit=True) as session:
        named = (f"kognitos worker {executor}",)
        rows = session.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", named)
        return [pid for (pid,) in rows]


def test_an_executor_id_is_for_one_worker(lock):
    """A second one waits for a dead namesake's session, and is refused when it lives; scopes are apart."""
    first = lock("a")
    first.acquire()
    first.watch(lambda lost: None)
    with pytest.raises(ConfigurationError, match="another worker has the executor id 'a'"):
        lock("a").acquire()
    lock("a", scope="elsewhere").acquire()
    lock("b").acquire()


async def test_one_worker_polls_and_another_after_it(lock):
    """Those that only start runs never do."""
    starter, first, second = lock("s", may_poll=False), lock("a"), lock("b")
    for one in (starter, first):
        one.acquire()
        one.watch(lambda lost: None)
    await eventually(lambda: first.polls)
    second.acquire()
    second.watch(lambda lost: None)
    await asyncio.sleep(3 * executor_lock.TICK)
    assert (starter.polls, second.polls) == (False, False)
    await asyncio.to_thread(first.release)
    await eventually(lambda: second.polls)
    assert not starter.polls


async def test_workflows_of_executors_without_a_lock_are_taken_over(lock, postgres_url):
    """Of this application; not those of a worker that lives."""
    database = Database(postgres_url)
    client = DBOSClient(system_database_url=postgres_url)
    holders = {"of the dead": "dead", "of the living": "alive", "ours": "a"}
    for name, executor in holders.items():
        client.enqueue({"workflow_name": "w", "queue_name": "q", "workflow_id": name})
        database.execute(
            "UPDATE {workflows} SET status = 'PENDING', executor_id = :executor, "
            "application_name = 'kognitos' WHERE workflow_uuid = :name",
            {"executor": executor, "name": name},
        )
    client.destroy()
    database.close()
    lock("alive").acquire()
    watcher, found = lock("a"), queue.Queue()
    watcher.acquire()
    watcher.watch(found.put)
    assert await asyncio.to_thread(found.get, timeout=20) == ["dead"]


async def test_a_worker_whose_session_is_ended_gives_up(lock, postgres_url):
    """Others may have taken its workflows over; no start passes the fence from then on."""
    one = lock("a")
    one.acquire()
    assert one.lock is not None
    one.watch(lambda lost: None)
    with psycopg.connect(postgres_url, autocommit=True) as session:
        session.execute("SELECT pg_terminate_backend(%s)", (one.lock.pid,))
    held, polls = await asyncio.to_thread(one.ended.get, timeout=20)
    assert held.key  # taken again meanwhile, which helps nobody: the process ends
    assert not polls


async def test_a_worker_goes_on_after_a_restart_of_the_server(lock, postgres):
    """With a lock of its own again, and without giving up."""
    one = lock("a")
    one.acquire()
    before = one.lock
    one.watch(lambda lost: None)
    await asyncio.to_thread(postgres.restart)
    await eventually(lambda: one.lock not in (before, NONE) and one.polls)
    assert one.lock.key == before.key
    assert one.ended.empty()


async def test_a_worker_may_be_closed_while_the_server_is_away(lock, postgres):
    """In good order: that is no lost lock."""
    one = lock("a")
    one.acquire()
    one.watch(lambda lost: None)
    await asyncio.to_thread(postgres.stop)
    try:
        await eventually(lambda: one.lock == NONE)
        await asyncio.to_thread(one.release)
        assert one.ended.empty()
    finally:
        await asyncio.to_thread(postgres.start)


def test_a_lock_that_is_not_given_a_sign_of_life_is_lost(lock, postgres_url):
    """The server ends the session of a worker that is frozen."""
    lock("a").acquire()
    assert sessions(postgres_url, "a")
    wait_until(lambda: not sessions(postgres_url, "a"))
    lock("a").acquire()


@pytest.mark.parametrize("other", ["d", "link"])
def test_a_database_file_is_for_one(tmp_path, other):
    """By whatever link it is reached."""
    (tmp_path / "link").symlink_to(tmp_path / "d")
    first, second = (FilePresence(str(tmp_path / name), polls=True) for name in ("d", other))
    first.acquire()
    with pytest.raises(ConfigurationError, match="SQLite supports one worker"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_forked_process_does_not_release_the_lock_of_its_parent(tmp_path, monkeypatch):
    """Both have the same open file."""
    first, second = (FilePresence(str(tmp_path / "d"), polls=True) for _ in range(2))
    first.acquire()
    of_the_parent = os.dup(first._descriptor)
    monkeypatch.setattr(os, "getpid", lambda: 0)
    first.release()
    with pytest.raises(ConfigurationError, match="SQLite supports one worker"):
        second.acquire()
    os.close(of_the_parent)
    second.acquire()
    second.release()
