"""The ledger that workers share: lost connections, restarts, and workers that are dead, frozen or late."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import psycopg
import pytest

from kognitos_async import JournalError, RunHandle, StartedRun
from kognitos_async.integrations.postgres_ledger import NameTakenError, PostgresLedger
from tests.distributed.test_ledgers import FULL_NAME, HANDLE, INVOKED, NOW, RUN

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def ledger(postgres_url):
    return lambda lifetime=1.0, **options: PostgresLedger(postgres_url, lifetime=lifetime, **options)


def end_session(postgres, ledger):
    """Break a ledger's connection on the server's side, once it has ended there."""
    with psycopg.connect(postgres.url(), autocommit=True) as session:
        session.execute("SELECT pg_terminate_backend(%s, 10000)", (ledger._session.info.backend_pid,))


async def taken_over(ledger, name="n"):
    """The entry, once the worker that had the name is taken for dead."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ledger.begin(name)
            except NameTakenError:
                await asyncio.sleep(0.1)


async def test_a_lost_connection_is_made_again(postgres, ledger):
    """And the name that nobody else took is still this worker's."""
    async with ledger() as opened:
        await opened.begin("n")
        for attempt in (1, 2):
            end_session(postgres, opened)
            await opened.about_to_send("n", attempt)
        end_session(postgres, opened)
        await opened.started("n", HANDLE)
        end_session(postgres, opened)
        await opened.settled("n", RUN)
    async with ledger() as opened:
        assert (await opened.begin("n")).state == "settled"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_a_restarted_server_is_survived(postgres, ledger, how):
    """Steps that come while it is away wait for it; nothing recorded is lost, nobody's name is taken."""
    async with ledger(lifetime=30) as one, ledger(lifetime=30) as other:
        await one.begin("n")
        await one.about_to_send("n", 1)
        await asyncio.to_thread(postgres.stop, how)
        waiting = asyncio.create_task(one.started("n", HANDLE))
        await asyncio.to_thread(postgres.start)
        with pytest.raises(NameTakenError):
            await other.begin("n")
        await waiting
        await one.settled("n", RUN)
        assert (await other.begin("n")).run_id == "r1"


async def test_a_server_that_stays_away_ends_the_step(postgres, ledger):
    """With an error that keeps the start from being sent."""
    async with ledger(reconnect_for=0.2) as opened:
        await opened.begin("n")
        await asyncio.to_thread(postgres.stop)
        try:
            with pytest.raises(JournalError, match="cannot be reached"):
                await opened.about_to_send("n", 1)
        finally:
            await asyncio.to_thread(postgres.start)


async def test_a_wrong_url_is_reported_at_once(ledger, postgres):
    with pytest.raises(JournalError, match=r"cannot be used.*no_such_database"):
        async with PostgresLedger(postgres.url("no_such_database")):
            pytest.fail("opened")


async def test_of_many_at_once_one_gets_the_name(ledger):
    """Whoever comes first; all others are refused, however close they are."""
    async with ledger() as a, ledger() as b, ledger() as c:
        for name in map(str, range(30)):
            answers = await asyncio.gather(*(one.begin(name) for one in (a, b, c)), return_exceptions=True)
            refused = [answer for answer in answers if isinstance(answer, NameTakenError)]
            assert len(refused) == 2, answers


FROZEN = """
import asyncio, sys
from pathlib import Path

from kognitos_async import JournalError
from kognitos_async.integrations.postgres_ledger import PostgresLedger

async def main(url, go):
    async with PostgresLedger(url, lifetime=3.0) as ledger:
        await ledger.begin("n")
        print("begun", flush=True)
        # A thread reads: until then the ledger gives its signs of life.
        await asyncio.to_thread(Path(go).read_text)
        try:
            await ledger.about_to_send("n", 1)
        except JournalError as problem:
            print(type(problem).__name__, flush=True)
        else:
            print("sent", flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def go(tmp_path):
    """A pipe; a line in it makes the worker go on to its fence."""
    os.mkfifo(tmp_path / "go")
    return tmp_path / "go"


@pytest.fixture
def worker(fork_server, postgres_url, go):
    """Another process that has begun "n"."""
    ledger = ("kognitos_async.integrations.postgres_ledger",)
    process = fork_server.start("-c", FROZEN, postgres_url, str(go), env=os.environ, imports=ledger)
    assert process.stdout.readline() == "begun\n"
    yield process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()


async def test_a_frozen_worker_that_wakes_sends_nothing(worker, ledger, go):
    """Another has taken over meanwhile, and started the run."""
    async with ledger() as opened:
        with pytest.raises(NameTakenError, match="another live worker"):
            await opened.begin("n")
        os.kill(worker.pid, signal.SIGSTOP)
        assert (await taken_over(opened)).state == "planned"
        await opened.about_to_send("n", 1)
        os.kill(worker.pid, signal.SIGCONT)
        await asyncio.to_thread(go.write_text, "\n")
        assert await asyncio.to_thread(worker.stdout.readline) == "NameTakenError\n"
        await opened.started("n", HANDLE)


async def test_a_living_worker_gives_signs_of_life(postgres, ledger):
    """However long it waits for something else."""
    async with ledger() as opened:
        seen = set()
        with psycopg.connect(postgres.url(), autocommit=True) as session:
            async with asyncio.timeout(60):
                while len(seen) < 4:
                    await asyncio.sleep(0.05)
                    pid = opened._session.info.backend_pid
                    seen |= set(
                        session.execute("SELECT state_change FROM pg_stat_activity WHERE pid = %s", (pid,))
                    )
            limit = (await opened._execute("SHOW idle_session_timeout"))[0][0]
        assert limit == "1s"


async def test_a_killed_worker_leaves_its_names(worker, ledger):
    os.kill(worker.pid, signal.SIGKILL)
    async with ledger() as opened:
        assert (await taken_over(opened)).state == "planned"


async def test_a_freeze_during_the_fence_makes_it_be_passed_again(ledger, monkeypatch):
    """An answer that came late may be older than a take-over: here each takes an hour, until one does not."""
    async with ledger() as opened:
        await opened.begin("n")
        passed, times = [], iter([0.0, 3600.0, 3600.0, 3600.1])
        execute = opened._execute

        async def counted(statement, values=None):
            passed.append(statement)
            return await execute(statement, values)

        monkeypatch.setattr(opened, "_execute", counted)
        monkeypatch.setattr("kognitos_async.integrations.postgres_ledger.steady_time", lambda: next(times))
        await opened.about_to_send("n", 1)
        assert len(passed) == 2


async def test_what_a_late_worker_knows_is_recorded(postgres, postgres_url, ledger):
    """Its run exists, whosever the name is now; another run of that name would be one too many."""
    async with ledger() as late, ledger() as other:
        await late.begin("n")
        await late.about_to_send("n", 1)
        with psycopg.connect(postgres_url, autocommit=True) as session:
            session.execute("UPDATE kognitos_starts SET owner = 0")
        assert (await other.begin("n")).state == "starting"
        with pytest.raises(NameTakenError, match="taken over"):
            await late.about_to_send("n", 2)
        with pytest.raises(NameTakenError, match="taken over"):
            await late.not_sent("n")
        await late.started("n", HANDLE)
        with pytest.raises(NameTakenError, match="already has run r1"):
            await other.about_to_send("n", 2)
        with pytest.raises(JournalError, match="already has run r1, not r2"):
            await other.started("n", RunHandle("r2", "a1", "p1", NOW))
        await other.started("n", RUN)


async def test_a_run_belongs_to_one_request(ledger):
    """Two workers whose look-ups found the same one: only the first has it."""
    async with ledger() as first, ledger() as second:
        await first.begin("n")
        await second.begin("m")
        await first.started("n", HANDLE)
        with pytest.raises(JournalError, match="run r1 belongs to another request, not to 'm'"):
            await second.started("m", HANDLE)
        with pytest.raises(JournalError, match="belongs to another request"):
            await second.settled("m", RUN)
        assert (await second.begin("m")).run_id is None
        await first.started("n", HANDLE)


@pytest.mark.parametrize(("handle", "kind"), [(RUN, RunHandle), (HANDLE, RunHandle), (INVOKED, StartedRun)])
async def test_handles_are_json(ledger, handle, kind):
    """What any other process needs to wait for the run."""
    async with ledger() as opened:
        await opened.begin("n")
        await opened.started("n", handle)
        entry = await opened.begin("n")
    assert msgspec.json.decode(entry.handle, type=kind) == getattr(handle, "handle", handle)
    assert entry.run_id == ("r1" if kind is RunHandle else FULL_NAME)


async def test_tables_of_two_jobs_are_apart(postgres_url):
    async with (
        PostgresLedger(postgres_url, table="one") as one,
        PostgresLedger(postgres_url, table="two") as two,
    ):
        await one.begin("n")
        await one.started("n", HANDLE)
        assert (await two.begin("n")).state == "planned"
    with pytest.raises(ValueError, match="table must be"):
        PostgresLedger(postgres_url, table="")
    with pytest.raises(ValueError, match="lifetime must be 1 or more seconds, got 0"):
        PostgresLedger(postgres_url, lifetime=0)


async def test_a_step_that_was_given_up_leaves_the_ledger_usable(postgres_url, ledger):
    """Cancelled while the server lets it wait for a row."""
    async with ledger(lifetime=30) as opened:
        await opened.begin("n")
        with psycopg.connect(postgres_url) as session:
            session.execute("SELECT * FROM kognitos_starts FOR UPDATE")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await opened.about_to_send("n", 1)
        await opened.about_to_send("n", 1)
        assert (await opened.begin("n")).attempts == 1
