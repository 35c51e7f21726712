"""What every `StartLedger` promises: the journal on SQLite, and the one that workers share on PostgreSQL."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec
import pytest

from kognitos_async import JournalError, PlatformRun, Run, RunHandle, StartedRun
from kognitos_async.integrations.postgres_ledger import PostgresLedger
from tests.bulk.journals import writer

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RUN = Run(
    id="r1",
    name="n",
    agent_id="a1",
    process_id="p1",
    stage="Published",
    status="Succeeded",
    created_at=NOW,
)
HANDLE = RunHandle("r1", "a1", "p1", NOW)
FULL_NAME = "organizations/o1/workspaces/w1/automations/a1/runs/r1"
INVOKED = StartedRun(name=FULL_NAME, started_at=NOW)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request, tmp_path):
    """Opens the one ledger; again is a new process."""
    if request.param == "sqlite":
        return lambda: writer(tmp_path / "journal")
    url = request.getfixturevalue("postgres_url")
    return lambda: PostgresLedger(url, lifetime=30)


async def begun(ledger, name="n", request=b"{}"):
    """What the next process finds."""
    async with ledger() as opened:
        return await opened.begin(name, request)


async def test_each_step_is_what_the_next_process_finds(ledger):
    before = time.time()
    async with ledger() as opened:
        entry = await opened.begin("n", b'{"k":1}')
        assert (entry.name, entry.state, entry.attempts, entry.since) == ("n", "planned", 0, None)
        assert entry.request == b'{"k":1}'
        await opened.about_to_send("n", 1)
    entry = await begun(ledger, request=b'{"k":1}')
    assert (entry.state, entry.attempts) == ("starting", 1)
    assert before - 2 <= entry.since <= time.time() + 2
    async with ledger() as opened:
        await opened.begin("n", b'{"k":1}')
        await opened.started("n", RUN)
    entry = await begun(ledger, request=b'{"k":1}')
    assert (entry.state, entry.run_id) == ("started", "r1")
    async with ledger() as opened:
        await opened.begin("n", b'{"k":1}')
        await opened.settled("n", RUN)
    entry = await begun(ledger, request=b'{"k":1}')
    assert (entry.state, entry.status, entry.run_id) == ("settled", "Succeeded", "r1")
    assert msgspec.json.decode(entry.run, type=Run) == RUN
    assert entry.request == b'{"k":1}'


async def test_the_time_in_doubt_is_that_of_the_first_attempt(ledger):
    async with ledger() as opened:
        await opened.begin("n")
        await opened.about_to_send("n", 1)
    first = (await begun(ledger)).since
    async with ledger() as opened:
        await opened.begin("n")
        await opened.about_to_send("n", 2)
    entry = await begun(ledger)
    assert (entry.state, entry.attempts) == ("starting", 2)
    assert entry.since == pytest.approx(first, abs=0.5)


async def test_what_certainly_was_not_sent_is_planned_again(ledger):
    async with ledger() as opened:
        await opened.begin("n")
        await opened.about_to_send("n", 1)
        await opened.not_sent("n")
    entry = await begun(ledger)
    assert (entry.state, entry.since, entry.attempts) == ("planned", None, 1)


async def test_a_request_that_was_never_sent_may_change(ledger):
    async with ledger() as opened:
        await opened.begin("n", b"1")
    assert (await begun(ledger, request=b"2")).request == b"2"
    assert (await begun(ledger, request=b"2")).request == b"2"


@pytest.mark.parametrize(
    ("handle", "run_id"),
    [(RUN, "r1"), (HANDLE, "r1"), (INVOKED, FULL_NAME)],
    ids=["run", "handle", "invocation"],
)
async def test_runs_and_handles_of_both_apis(ledger, handle, run_id):
    async with ledger() as opened:
        await opened.begin("n")
        await opened.about_to_send("n", 1)
        await opened.started("n", handle)
    assert (await begun(ledger)).run_id == run_id


async def test_a_settled_run_of_the_platform(ledger):
    run = msgspec.convert({"name": FULL_NAME, "state": {"completed": {}}}, PlatformRun, strict=False)
    async with ledger() as opened:
        await opened.begin("n")
        await opened.about_to_send("n", 1)
        await opened.started("n", INVOKED)
        await opened.settled("n", run)
    entry = await begun(ledger)
    assert (entry.state, entry.run_id, entry.status) == ("settled", FULL_NAME, str(run.status))


async def test_names_are_kept_apart(ledger):
    names = ["n", "N", " n", "n'; DROP TABLE runs; --", "\N{SNOWMAN}", "x" * 100]
    async with ledger() as opened:
        for name in names:
            await opened.begin(name)
        await opened.about_to_send(names[3], 1)
    async with ledger() as opened:
        states = [(await opened.begin(name)).state for name in names]
    assert states == ["planned", "planned", "planned", "starting", "planned", "planned"]


async def test_of_two_workers_one_has_a_name(ledger):
    """The other one is refused before it could send anything; once the first is gone it goes on."""
    async with ledger() as first:
        await first.begin("n")
        await first.about_to_send("n", 1)
        with pytest.raises(JournalError):
            await begun(ledger)
        await first.started("n", HANDLE)
    assert (await begun(ledger)).run_id == "r1"


async def test_a_step_of_a_request_that_was_never_begun_is_refused(ledger):
    async with ledger() as opened:
        for step in (
            opened.about_to_send("n", 1),
            opened.not_sent("n"),
            opened.started("n", HANDLE),
            opened.settled("n", RUN),
        ):
            with pytest.raises(JournalError, match="holds no request 'n'"):
                await step


async def test_a_closed_ledger_records_nothing(ledger):
    opened = ledger()
    async with opened:
        await opened.begin("n")
    with pytest.raises(JournalError, match="closed"):
        await opened.about_to_send("n", 1)
