"""A journal opened by itself: its entries, its figures, and decisions on starts in doubt."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime

import msgspec
import pytest

from kognitos_async import Journal, JournalEntry, JournalError, RunHandle, RunRequest
from tests.bulk.journals import RunRecord, record, writer
from tests.bulk.test_journal_file import version_1


def body(name):
    """A request as recorded."""
    return msgspec.json.encode({"name": name, "agent_id": "a", "process_id": "p", "stage": "Published"})


class FullRun(msgspec.Struct):
    """A run that can be read again."""

    id: str
    status: str = "Succeeded"
    name: str = "n"
    agent_id: str = "a"
    process_id: str = "p"
    stage: str = "Published"
    created_at: str = "2026-01-02T03:04:05Z"


async def journal_of_all_states(path):
    async with writer(path) as journal:
        for name in ("planned", "starting", "started", "settled"):
            await journal.begin(name, body(name))
            if name != "planned":
                await journal.about_to_send(name, 1)
            if name in ("started", "settled"):
                await journal.started(name, RunRecord(f"run-of-{name}"))
        await journal.settled("settled", FullRun("run-of-settled", "Exception"))


def damage(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


@pytest.fixture
async def path(tmp_path):
    await journal_of_all_states(tmp_path / "job")
    return tmp_path / "job"


async def test_the_entries_of_a_journal_in_the_order_in_which_they_were_planned(path):
    """With what is known of each."""
    with Journal(path) as journal:
        entries = list(journal.entries())
        assert repr(journal) == f"Journal({str(path)!r})"
        assert journal.api == "rest_v2"
    assert [(e.name, e.state, e.status, e.run_id, e.attempts) for e in entries] == [
        ("planned", "planned", None, None, 0),
        ("starting", "starting", None, None, 1),
        ("started", "started", None, "run-of-started", 1),
        ("settled", "settled", "Exception", "run-of-settled", 1),
    ]
    assert {entry.api for entry in entries} == {"rest_v2"}
    assert [entry.request for entry in entries] == [
        RunRequest(name=name, process_id="p", agent_id="a")
        for name in ("planned", "starting", "started", "settled")
    ]
    assert [entry.request_json for entry in entries] == [body(entry.name) for entry in entries]
    assert [entry.run is None for entry in entries] == [True, True, True, False]
    assert (entries[3].run.id, entries[3].run.status) == ("run-of-settled", "Exception")
    assert entries[3].earlier_runs == ()
    assert repr(entries[2]) == "JournalEntry(name='started', state='started', run_id='run-of-started')"
    async with Journal(path) as journal:
        assert [entry async for entry in journal.entries()] == entries


async def test_entries_are_chosen_by_state_and_status(path):
    """Or refused, where there is no such state."""
    with Journal(path) as journal:
        assert [entry.name for entry in journal.entries(state="started")] == ["started"]
        assert [entry.name for entry in journal.entries(status="Exception")] == ["settled"]
        assert [entry.name for entry in journal.entries(state="settled", status="Exception")] == ["settled"]
        assert list(journal.entries(state="settled", status="Succeeded")) == []
        with pytest.raises(
            ValueError, match=r"^state must be one of planned, starting, started, settled, got 'done'$"
        ):
            journal.entries(state="done")
        with pytest.raises(TypeError, match=r"^status must be a str, got int$"):
            journal.entries(status=3)


async def test_a_long_journal_is_read_in_batches(tmp_path):
    """Each entry once, in order."""
    async with writer(tmp_path / "job") as journal:
        for number in range(450):
            await journal.begin(f"n{number}", b"{}")
    expected = [f"n{number}" for number in range(450)]
    async with Journal(tmp_path / "job") as journal:
        assert [entry.name for entry in journal.entries()] == expected
        assert [entry.name async for entry in journal.entries(state="planned")] == expected


async def test_the_runs_of_a_request_that_was_run_again_are_kept(path):
    """Oldest first."""
    for number in (2, 3):
        async with writer(path) as journal:
            await journal.begin("settled", body("settled"))
            await journal.again("settled")
            await journal.about_to_send("settled", number)
            await journal.started("settled", FullRun(f"run-{number}"))
            await journal.settled("settled", FullRun(f"run-{number}"))
    with Journal(path) as journal:
        [entry] = journal.entries(state="settled")
    assert [run.id for run in entry.earlier_runs] == ["run-of-settled", "run-2"]
    assert (entry.run.id, entry.attempts) == ("run-3", 3)


async def test_the_figures_of_a_journal(path):
    """Each state has a number; statuses come the most frequent first."""
    for name in ("x", "y"):
        await record(path, name, run_id=f"run-{name}")
    with Journal(path) as journal:
        assert journal.summary() == {"planned": 1, "starting": 1, "started": 1, "settled": 3}
        assert list(journal.statuses().items()) == [("Succeeded", 2), ("Exception", 1)]


async def test_the_time_of_a_start_in_doubt_is_reported(path):
    """In UTC."""
    damage(path, "UPDATE runs SET since = 1780000000.0 WHERE name = 'starting'")
    with Journal(path) as journal:
        [entry] = journal.entries(state="starting")
    assert entry.since == datetime.fromtimestamp(1_780_000_000, UTC)


async def test_a_damaged_record_is_named(path):
    """By its request, or by its state."""
    damage(path, "UPDATE runs SET request = CAST('{' AS BLOB) WHERE name = 'planned'")
    with Journal(path) as journal:
        [entry] = journal.entries(state="planned")
    with pytest.raises(JournalError) as caught:
        _ = entry.request
    text = str(caught.value)
    assert text.startswith("the journal is damaged: request 'planned' cannot be decoded (")
    assert text.endswith("). Restore the journal from a backup")
    damage(path, "UPDATE runs SET state = 'odd' WHERE name = 'planned'")
    with Journal(path) as journal, pytest.raises(JournalError, match="unknown request state 'odd'"):
        journal.summary()


async def test_a_journal_is_opened_by_its_first_use_and_may_be_closed_twice(path):
    """And used again."""
    journal = Journal(path)
    assert journal.summary()["settled"] == 1
    journal.close()
    journal.close()
    assert not journal.in_use
    journal.close()


async def test_a_missing_journal_is_neither_read_nor_made(tmp_path):
    """JournalError says which."""
    missing = tmp_path / "none"
    for use in (lambda: Journal(missing).summary(), lambda: Journal(missing).in_use):
        with pytest.raises(JournalError, match=f"^there is no journal {missing}$"):
            use()
    with pytest.raises(JournalError, match=f"^there is no journal {missing}$"):
        await Journal(missing).resolve("a", "r1")
    assert not missing.exists()


async def test_a_journal_of_version_1_is_read_and_brought_up_to_date(tmp_path):
    """Its entries are the same."""
    version_1(tmp_path / "job").close()
    with Journal(tmp_path / "job") as journal:
        assert [(entry.name, entry.state, entry.attempts) for entry in journal.entries()] == [
            ("a", "settled", 1),
            ("b", "starting", 2),
        ]
        assert not journal.in_use
    async with writer(tmp_path / "job") as journal:  # which nobody holds any more
        await journal.begin("c", b"{}")


# Decisions


@pytest.mark.parametrize(
    "run", ["r9", RunHandle(id="r9", agent_id="a", process_id="p", created_at=None), FullRun("r9")]
)
@pytest.mark.parametrize("name", ["starting", "planned"])
async def test_a_start_in_doubt_gets_its_run(path, run, name):
    """A run, its handle or its id; the next call of the job awaits it."""
    await Journal(path).resolve(name, run)
    with Journal(path) as journal:
        entry = {entry.name: entry for entry in journal.entries()}[name]
    assert (entry.state, entry.run_id) == ("started", "r9")


async def test_a_start_in_doubt_was_not_made(path):
    """The next call of the job starts it."""
    damage(path, "UPDATE runs SET since = 1780000000.0 WHERE name = 'starting'")
    await Journal(path).resolve("starting", "not started")
    with Journal(path) as journal:
        entry = {entry.name: entry for entry in journal.entries()}["starting"]
    assert (entry.state, entry.run_id, entry.since) == ("planned", None, None)


@pytest.mark.parametrize(
    ("name", "run", "message"),
    [
        ("nobody", "r9", "journal {} holds no request 'nobody'"),
        (
            "started",
            "r9",
            "request 'started' of journal {} is not in doubt: it is started, run run-of-started",
        ),
        (
            "settled",
            "not started",
            "request 'settled' of journal {} is not in doubt: it is settled, run run-of-settled",
        ),
        ("starting", "run-of-started", "run run-of-started belongs to request 'started' in journal {}"),
    ],
)
async def test_a_decision_that_cannot_be_is_refused(path, name, run, message):
    """And changes nothing."""
    with Journal(path) as journal:
        before = list(journal.entries())
    with pytest.raises(JournalError) as caught:
        await Journal(path).resolve(name, run)
    assert str(caught.value) == message.format(path)
    with Journal(path) as journal:
        assert list(journal.entries()) == before


async def test_a_run_of_an_earlier_round_belongs_to_its_request_too(path):
    """It is nobody else's."""
    async with writer(path) as journal:
        await journal.begin("settled", body("settled"))
        await journal.again("settled")
    for name in ("starting", "settled"):
        with pytest.raises(JournalError, match="run run-of-settled belongs to request 'settled'"):
            await Journal(path).resolve(name, "run-of-settled")


@pytest.mark.parametrize(
    ("name", "run", "message"),
    [
        (3, "r9", "name must be a str, got int"),
        ("starting", 7, "run must be a run, its id or 'not started', got int"),
        ("starting", " ", "run must be a run, its id or 'not started', got str"),
    ],
)
async def test_a_decision_of_another_type_is_refused(path, name, run, message):
    """TypeError names the argument."""
    with pytest.raises(TypeError) as caught:
        await Journal(path).resolve(name, run)
    assert str(caught.value) == message


NO_IDS = ["..", ".", "abc\n", "a\0b", "\ud800"]
AUTOMATION = "organizations/o/workspaces/w/automations/x"


@pytest.mark.parametrize("run", NO_IDS)
async def test_what_is_no_id_decides_nothing(path, run):
    """ValueError, and the start is still in doubt."""
    with pytest.raises(ValueError, match="run must be"):
        await Journal(path).resolve("starting", run)
    await Journal(path).resolve("starting", "abc")


@pytest.mark.parametrize(
    "run",
    [
        *NO_IDS,
        "automations/x/runs/r",
        AUTOMATION,
        f"{AUTOMATION}/runs/..",
        f"{AUTOMATION}/runs/",
        f"{AUTOMATION}/runs/r\n",
        f"/{AUTOMATION}/runs/r",
    ],
)
async def test_what_names_no_run_of_the_platform_api_decides_nothing(tmp_path, run):
    """ValueError, and the start is still in doubt."""
    path = tmp_path / "job"
    async with writer(path, "platform_v1") as journal:
        await journal.begin("a", msgspec.json.encode({"automation": AUTOMATION, "inputs": {}}))
        await journal.about_to_send("a", 1)
    with pytest.raises(ValueError, match="run must be"):
        await Journal(path).resolve("a", run)
    await Journal(path).resolve("a", "abc")


async def test_a_recorded_run_that_is_no_id_may_be_corrected(path):
    """As an earlier version could record it."""
    damage(path, "UPDATE runs SET run_id = 'abc' || char(10) WHERE name = 'started'")
    await Journal(path).resolve("started", "abc")
    with Journal(path) as journal:
        [entry] = [entry for entry in journal.entries() if entry.name == "started"]
    assert (entry.state, entry.run_id) == ("started", "abc")
    with pytest.raises(JournalError, match="not in doubt"):
        await Journal(path).resolve("started", "not started")


async def test_an_id_of_the_platform_api_is_recorded_by_its_full_name(tmp_path):
    """Its automation is that of the request."""
    path = tmp_path / "job"
    request = msgspec.json.encode({"automation": "organizations/o/workspaces/w/automations/x", "inputs": {}})
    async with writer(path, "platform_v1") as journal:
        for name in ("a", "b"):
            await journal.begin(name, request)
            await journal.about_to_send(name, 1)
    await Journal(path).resolve("a", "r7")
    await Journal(path).resolve("b", "organizations/o/workspaces/w/automations/x/runs/r8")
    with Journal(path) as journal:
        assert journal.api == "platform_v1"
        assert [entry.run_id for entry in journal.entries()] == [
            f"organizations/o/workspaces/w/automations/x/runs/r{number}" for number in (7, 8)
        ]
        assert all(isinstance(entry, JournalEntry) for entry in journal.entries())
