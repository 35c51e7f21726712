"""The ledger of a running job on disk: what each step records, and what the next process finds. No client."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest

from kognitos_async import Journal, JournalError
from kognitos_async.bulk.journal_writer import JournalWriter
from kognitos_async.bulk.ledger import ChangedRequestError, DuplicateNameError, Entry, Others
from tests.bulk.journals import RunRecord, record, writer


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job"


async def again(path, name="a", request=b"{}"):
    """The entry that the next process finds."""
    async with writer(path) as journal:
        return await journal.begin(name, request)


def damage(path, statement):
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


async def test_a_request_is_planned_once(path):
    """Its entry has all that is known; a second request of its name is refused."""
    async with writer(path) as journal:
        assert journal.is_new
        assert journal.path == path
        assert await journal.begin("a", b"1") == Entry(1, "a", b"1", "planned", content=b"1")
        assert await journal.begin("b", b"2", b"same") == Entry(2, "b", b"2", "planned", content=b"same")
        with pytest.raises(DuplicateNameError, match="two requests have the name 'a': names must be unique"):
            await journal.begin("a", b"1")
    async with writer(path) as journal:
        assert not journal.is_new
        assert await journal.begin("a", b"1") == Entry(1, "a", b"1", "planned", content=b"1")
        with pytest.raises(DuplicateNameError):
            await journal.begin("a", b"1")


async def test_the_first_start_of_a_request_is_one_step(path):
    """Its entry is that of a request whose first start is in doubt."""
    began = time.time()
    async with writer(path) as journal:
        await journal.first_start("a", b"1", b"content", b"{window}")
        with pytest.raises(DuplicateNameError):
            await journal.first_start("a", b"1", b"content", b"{}")
    async with writer(path) as journal:
        [entry] = await journal.in_doubt()
    assert began <= entry.since <= time.time()
    assert entry._replace(since=None) == Entry(
        1, "a", b"1", "starting", 1, window=b"{window}", content=b"content"
    )


async def test_the_time_of_the_first_attempt_in_doubt_is_kept(path):
    """Until one is certainly refused."""
    async with writer(path) as journal:
        await journal.begin("a")
        await journal.about_to_send("a", 1, b"{1}")
    first = await again(path)
    async with writer(path) as journal:
        await journal.resume("a")
        await journal.about_to_send("a", 2)
    second = await again(path)
    assert (second.attempts, second.since, second.window) == (2, first.since, None)
    async with writer(path) as journal:
        await journal.resume("a")
        await journal.not_sent("a")
    third = await again(path)
    assert (third.state, third.attempts, third.since, third.window) == ("planned", 2, None, None)


async def test_a_run_is_recorded_and_settled(path):
    """By its id, then with its outputs."""
    async with writer(path) as journal:
        await journal.begin("a")
        await journal.about_to_send("a", 1)
        await journal.started("a", RunRecord("r1"))
    entry = await again(path)
    assert (entry.state, entry.run_id, entry.run) == ("started", "r1", None)
    async with writer(path) as journal:
        await journal.resume("a")
        await journal.settled("a", RunRecord("r1", "Exception"))
    entry = await again(path)
    assert (entry.state, entry.run_id, entry.status) == ("settled", "r1", "Exception")
    assert entry.run == b'{"id":"r1","status":"Exception"}'


async def test_a_settled_request_is_planned_again_and_keeps_its_run(path):
    """The run is another's from now on."""
    await record(path, "a", run_id="r1")
    async with writer(path) as journal:
        await journal.begin("a")
        entry = await journal.again("a")
        assert (entry.state, entry.run_id, entry.run, entry.status) == ("planned", None, None, None)
        with pytest.raises(JournalError, match=rf"^journal {path} holds no request 'b'$"):
            await journal.again("b")
        with pytest.raises(JournalError, match=rf"^journal {path} holds no request 'b'$"):
            await journal.resume("b")
    with Journal(path) as journal:
        [entry] = journal.entries()
        assert [bytes(run) for run in entry.earlier_json] == [b'{"id":"r1","status":"Succeeded"}']


@pytest.mark.parametrize(("state", "kept"), [("planned", False), ("starting", True), ("settled", True)])
async def test_a_request_that_was_sent_stays_on_record_as_sent(path, state, kept):
    """One of equal content may be written otherwise, and replaces what certainly never started."""

    def book():
        return JournalWriter(path, api="rest_v2", fingerprint=lambda request: request.strip())

    await record(path, "a", state=state, request=b"1")
    async with book() as journal:
        entry = await journal.begin("a", b" 1 ")
        assert (entry.state, entry.request) == (state, b"1" if kept else b" 1 ")
    async with book() as journal:
        assert (await journal.resume("a")).request == (b"1" if kept else b" 1 ")


@pytest.mark.parametrize("state", ["starting", "started", "settled"])
async def test_a_changed_request_that_has_or_may_have_a_run_is_refused(path, state):
    """Neither run nor lost: the name is taken, and a later process finds it."""
    await record(path, "a", state=state, request=b"1")
    async with writer(path) as journal:
        with pytest.raises(ChangedRequestError) as caught:
            await journal.begin("a", b"2")
        assert str(caught.value) == (
            f"journal {path} holds a different request named 'a', which is {state}: rename the changed "
            "request, or restore the original"
        )
        with pytest.raises(DuplicateNameError):
            await journal.begin("a", b"1")
        assert await journal.left_over(-1) is None  # it is in the input, though not as it was
    assert (await again(path, "a", b"1")).state == state


async def test_a_changed_request_that_was_only_planned_replaces_it(path):
    """Nothing was sent of the old one."""
    await record(path, "a", state="planned", request=b"1")
    async with writer(path) as journal:
        entry = await journal.begin("a", b"2")
        assert (entry.request, entry.content) == (b"2", b"2")
    assert (await again(path, "a", b"2")).request == b"2"


async def test_what_still_needs_a_start(path):
    """All that has no run and may have none."""
    for state in ("planned", "starting", "started", "settled"):
        await record(path, state, state=state, run_id=f"run-{state}")
    async with writer(path) as journal:
        needs = [await journal.needs_start(n) for n in ("planned", "starting", "started", "settled", "new")]
    assert needs == [True, False, False, False, True]


async def test_uploaded_files_are_known_to_later_processes(path):
    """By their mark; a second upload of the same replaces the first."""
    async with writer(path) as journal:
        assert await journal.file_id("m1") is None
        await journal.uploaded("m1", "f1")
        await journal.uploaded("m2", "f2")
        await journal.uploaded("m1", "f3")
    async with writer(path) as journal:
        assert [await journal.file_id(mark) for mark in ("m1", "m2", "m3")] == ["f3", "f2", None]


async def test_starts_in_doubt_are_those_of_earlier_processes(path):
    """As long as they are."""
    for name in ("a", "b", "c"):
        await record(path, name, state="starting")
    async with writer(path) as journal:
        assert [entry.name for entry in await journal.in_doubt()] == ["a", "b", "c"]
        await journal.begin("new")
        await journal.about_to_send("new", 1)
        await journal.begin("b")
        await journal.not_sent("b")
        assert [entry.name for entry in await journal.in_doubt()] == ["a", "c"]


async def test_what_an_earlier_process_left_over_is_taken_up(path):
    """One entry after the other, without those of this job's input and without settled ones."""
    for name, state in (
        ("a", "starting"),
        ("b", "settled"),
        ("c", "planned"),
        ("d", "started"),
        ("e", "started"),
    ):
        await record(path, name, state=state, run_id=f"run-{name}")
    async with writer(path) as journal:
        await journal.begin("d")
        first = await journal.left_over(-1)
        second = await journal.left_over(first.position)
        assert (first.name, second.name) == ("a", "e")
        assert await journal.left_over(second.position) is None


async def test_runs_of_other_entries_are_known_to_a_look_up(path):
    """Earlier ones and those of this job included."""
    await record(path, "a", run_id="r1")
    await record(path, "b", run_id="r2")
    async with writer(path) as journal:
        await journal.begin("a")
        await journal.again("a")
        entry = await journal.begin("x", b"x")
        assert await journal.others(entry) == Others({"r1", "r2"}, False)
        await journal.begin("y", b"y")
        await journal.about_to_send("y", 1)
        await journal.started("y", RunRecord("r3"))
        assert await journal.others(entry) == Others({"r1", "r2", "r3"}, False)


@pytest.mark.parametrize(
    ("name", "content", "in_doubt"),
    [
        ("other", b"1", True),
        ("  Invoice  ONE ", b"2", True),
        ("invoice two", b"2", False),
        (None, None, False),
    ],
)
async def test_a_look_up_knows_of_a_like_start_in_doubt(path, name, content, in_doubt):
    """One of equal content, or of a name that a service may keep as the same."""
    await record(path, "invoice one", state="starting", request=b"1")
    if name is not None:
        await record(path, name, state="starting", request=content)
    async with writer(path) as journal:
        entry = await journal.begin("invoice one", b"1")
        assert (await journal.others(entry)).in_doubt == in_doubt


async def test_a_journal_belongs_to_one_api(path):
    """The other client is refused, and told whose it is."""
    async with writer(path, "platform_v1"):
        pass
    with pytest.raises(JournalError) as caught:
        async with writer(path):
            pass
    assert str(caught.value) == (
        f"journal {path} belongs to a job of the other API (platform_v1); use another journal, or the "
        "client that wrote it"
    )
    async with writer(path, "platform_v1") as journal:  # the refused one has let it go
        assert journal.is_new


async def test_a_closed_journal_records_nothing(path):
    """JournalError says so."""
    journal = writer(path)
    for _ in range(2):
        with pytest.raises(JournalError, match=rf"^journal {path} is closed$"):
            await journal.begin("a")
        async with journal:
            pass


async def test_requests_in_doubt_without_a_fingerprint_get_one(path):
    """As in a journal of an earlier version; one that cannot be decoded is damage."""
    await record(path, "a", state="starting", request=b"1")
    await record(path, "b", state="planned", request=b"2")
    damage(path, "UPDATE runs SET content = NULL")
    async with writer(path) as journal:
        [entry] = await journal.in_doubt()
        assert entry.content == b"1"
        assert (await journal.begin("b", b"2")).content == b"2"
        assert (await journal.begin("a", b"1")).state == "starting"
    damage(path, "UPDATE runs SET content = NULL")

    def undecodable(request):
        raise ValueError("no request")

    with pytest.raises(JournalError) as caught:
        async with JournalWriter(path, api="rest_v2", fingerprint=undecodable):
            pass
    assert "a request cannot be decoded: no request" in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'odd'",
        "attempts = 'x'",
        "state = 'started', run_id = ''",
        "state = 'started', run_id = NULL",
        "since = -1.0",
        "since = 253402300800.0",
        "since = 'x'",
        "state = 'settled', run = NULL",
        "name = ''",
    ],
)
async def test_a_row_that_no_job_can_have_written_is_refused(path, change):
    """By whoever reads it while the job runs, too."""
    async with writer(path) as journal:
        await journal.begin("a")
        await journal.about_to_send("a", 1)
        with Journal(path) as reader:
            await journal.started("a", RunRecord("r1"))
            assert [entry.name for entry in reader.entries()] == ["a"]
    damage(path, f"UPDATE runs SET {change}")
    with Journal(path) as reader, pytest.raises(JournalError, match="has invalid fields"):
        list(reader.entries())
    with pytest.raises(JournalError, match="damaged"):
        async with writer(path):
            pass


async def test_times_at_the_edges_are_times(path):
    """Of 1970 and of 9999."""
    await record(path, "a", state="starting")
    for since in (0.0, 253402300799.0):
        damage(path, f"UPDATE runs SET since = {since}")
        assert (await again(path)).since == since
