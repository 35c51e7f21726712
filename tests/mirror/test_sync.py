"""A local mirror of the history, against the emulator."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kognitos_async import MirrorError, PaginationError
from kognitos_async.mirror.store import store_of
from kognitos_async.testing import KognitosServer, faults
from tests.support import FAST, eventually

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STORES = ["runs.sqlite", "runs.duckdb", "folder/"]


def history(server, count, *, start=0, status="Succeeded", step=60):
    """Runs a minute apart, the first at noon."""
    return [
        server.add_run(
            name=f"run {number}",
            status=status,
            created_at=NOON + timedelta(seconds=step * number),
            outputs={"the output number": number} if status == "Succeeded" else None,
        )
        for number in range(start, start + count)
    ]


def mirrored(path, api="rest_v2"):
    store = store_of(path)
    store.open(api)
    try:
        return {run.key: run for run in store.rows()}
    finally:
        store.close()


async def truth(client, process_id):
    return {run.id: run async for run in client.runs.list(process_id)}


async def assert_mirror_is_true(path, client, process_id):
    expected = await truth(client, process_id)
    found = mirrored(path)
    assert {key: (run.status, run.created_at, run.outputs) for key, run in found.items()} == {
        key: (str(run.status), run.created_at, run.outputs_by_name) for key, run in expected.items()
    }


@pytest.mark.parametrize("name", STORES)
async def test_a_mirror_holds_the_history_and_follows_it(tmp_path, name):
    """Everything at first; later what is new and what had not ended, and nothing twice."""
    path = f"{tmp_path}/{name}"
    async with KognitosServer() as server, server.client(**FAST) as client:
        history(server, 350)
        going = history(server, 5, start=350, status="Running")
        first = await client.runs.sync(path, process_id=server.process.id)
        assert (first.new, first.changed, first.pages) == (355, 0, 4)
        await assert_mirror_is_true(path, client, server.process.id)
        for run in going[:3]:
            server.set_status(run.id, "Succeeded", {"the output total": 1})
        history(server, 2, start=400)
        second = await client.runs.sync(path, process_id=server.process.id)
        assert (second.new, second.changed) == (2, 3)
        assert second.pages <= 2
        await assert_mirror_is_true(path, client, server.process.id)
        third = await client.runs.sync(path, process_id=server.process.id)
        assert (third.new, third.changed) == (0, 0)


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
async def test_no_change_is_missed_whatever_the_order_of_the_list(tmp_path, order):
    """A run that continued after an exception, weeks later, is read again."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer(order=order) as server, server.client(**FAST) as client:
        runs = history(server, 450)
        old = history(server, 3, start=1000, status="Exception")
        await client.runs.sync(path, process_id=server.process.id)
        history(server, 150, start=2000)
        server.set_status(old[0].id, "Succeeded")
        result = await client.runs.sync(path, process_id=server.process.id)
        assert (result.new, result.changed) == (150, 1)
        await assert_mirror_is_true(path, client, server.process.id)
        assert result.pages <= {"newest": 3, "oldest": 3, "shuffled": 7}[order]
        assert len(runs) == 450


async def test_a_second_pass_over_a_long_history_reads_what_is_new_and_what_was_open(tmp_path):
    """Not the history again: 50 runs that had not ended are 50 reads and a page."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        history(server, 5000)
        going = history(server, 50, start=100, status="Running", step=61)
        await client.runs.sync(path, process_id=server.process.id)
        for run in going:
            server.set_status(run.id, "Succeeded")
        before = server.count()
        result = await client.runs.sync(path, process_id=server.process.id)
        assert (result.changed, result.reads) == (50, 50)
        assert server.count() - before <= 50 + 1
        await assert_mirror_is_true(path, client, server.process.id)


async def test_an_interrupted_pass_resumes(tmp_path):
    """Each page is on disk before the next is requested."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        history(server, 1000)
        handle = server.misbehave("list_runs", faults.answer(403, b'{"message":"no"}'), skip=6)
        with pytest.raises(Exception, match="403"):
            await client.runs.sync(path, process_id=server.process.id)
        handle.cancel()
        history(server, 1, start=1000)
        result = await client.runs.sync(path, process_id=server.process.id)
        assert result.pages <= 5
        await client.runs.sync(path, process_id=server.process.id)
        await assert_mirror_is_true(path, client, server.process.id)


async def test_a_list_that_repeats_a_token_ends_the_pass(tmp_path):
    """The next one goes on from there, and misses nothing."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        history(server, 350)
        tokens = []

        def repeat(page):
            tokens.append(page["continuation_token"])
            return {**page, "continuation_token": tokens[0]}

        fault = server.misbehave("list_runs", faults.rewritten(repeat), times=None)
        with pytest.raises(PaginationError, match="repeated"):
            await client.runs.sync(path, process_id=server.process.id)
        assert server.count("list_runs") == 2
        fault.cancel()
        await client.runs.sync(path, process_id=server.process.id)
        await assert_mirror_is_true(path, client, server.process.id)


async def test_a_cancelled_pass_leaves_a_mirror_that_can_be_used(tmp_path):
    """Whenever it is cancelled; the next pass completes it."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        history(server, 600)
        for _ in range(5):
            task = asyncio.create_task(client.runs.sync(path, process_id=server.process.id))
            seen = server.count("list_runs")
            await eventually(lambda before=seen: server.count("list_runs") > before)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await client.runs.sync(path, process_id=server.process.id)
        await client.runs.sync(path, process_id=server.process.id)
        await assert_mirror_is_true(path, client, server.process.id)


async def test_a_run_that_is_gone_stays_in_the_mirror(tmp_path):
    """As last seen; it is not read again for ever."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        [run] = history(server, 1, status="Running")
        await client.runs.sync(path, process_id=server.process.id)
        server.misbehave("get_run", faults.answer(404, b'{"message":"no such run"}'))
        server.misbehave("list_runs", faults.answer(200, b'{"items":[]}'))
        result = await client.runs.sync(path, process_id=server.process.id)
        assert result.missing == 1
        assert mirrored(path)[run.id].status == "Running"


async def test_all_processes_without_a_process_id(tmp_path):
    """Draft and Published once."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.client(**FAST) as client:
        other = server.add_process("Other")
        server.add_run(name="a")
        server.add_run(name="b", process_id=other.id)
        assert (await client.runs.sync(path)).new == 2
        assert {run.parent for run in mirrored(path).values()} == {server.process.id, other.id}


async def test_platform_runs_are_filtered_by_time(tmp_path):
    """A second pass reads new runs and those that had not ended."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.platform_client(**FAST) as client:
        run = await client.automations.invoke(server.platform.automation.name)
        waiting = await client.automations.invoke(server.platform.automation.name)
        server.platform.set_state(run.id, "completed", outputs={"total": {"number": {"lo": 7}}})
        server.platform.set_state(waiting.id, "awaiting_guidance", description="which vendor?")
        assert (await client.runs.sync(path)).new == 2
        server.platform.set_state(waiting.id, "completed")
        result = await client.runs.sync(path)
        assert (result.new, result.changed) == (0, 1)
        found = mirrored(path, "platform_v1")
        assert found[run.name].outputs == {"total": {"number": {"lo": 7}}}
        assert found[run.name].settled_at is not None
        assert {one.status for one in found.values()} == {"completed"}


async def test_no_run_is_missed_after_the_clock_of_the_service_was_set_back(tmp_path):
    """It was an hour ahead, so that new runs seem older than those that the mirror holds."""
    path, ahead = tmp_path / "runs.sqlite", timedelta(hours=1)
    async with (
        KognitosServer(created_at=lambda now: now + ahead) as server,
        server.platform_client(**FAST) as client,
    ):
        for _ in range(3):
            await client.automations.invoke(server.platform.automation.name)
        assert (await client.runs.sync(path)).new == 3
        ahead = timedelta(0)
        for _ in range(5):
            await client.automations.invoke(server.platform.automation.name)
        assert (await client.runs.sync(path)).new == 5
        assert set(mirrored(path, "platform_v1")) == {run.name for run in server.platform.runs.values()}


@pytest.mark.parametrize("api", ["rest_v2", "platform_v1"])
async def test_a_run_stamped_in_the_future_hides_no_other(tmp_path, api):
    """Neither in the next pass nor once its time has come, and no pass reads the whole list again."""
    path, now = tmp_path / "runs.sqlite", datetime.now(UTC)
    async with (
        KognitosServer() as server,
        server.client(**FAST) as v2,
        server.platform_client(**FAST) as platform,
    ):
        client, emulated = (v2, server) if api == "rest_v2" else (platform, server.platform)

        def add(created_at):
            named = {"name": "run"} if api == "rest_v2" else {}
            emulated.add_run(**named, created_at=created_at)

        for number in range(2500):
            add(now - timedelta(minutes=10 + number))
        for number in range(150):
            add(now + timedelta(hours=1, minutes=number))
        assert (await client.runs.sync(path)).new == 2650
        for number in range(5):
            add(now + timedelta(seconds=number))
        result = await client.runs.sync(path)
        assert (result.new, result.pages <= 3) == (5, True)
        assert set(mirrored(path, api)) == {
            run.id if api == "rest_v2" else run.name for run in emulated.runs.values()
        }


async def test_a_pass_that_was_interrupted_misses_nothing_that_began_after_it(tmp_path, monkeypatch):
    """However long the interruption, and although a run of the future is the newest."""
    path, start = tmp_path / "runs.sqlite", datetime.now(UTC) - timedelta(hours=3)
    now = start

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz)

    monkeypatch.setattr("kognitos_async.mirror.sync.datetime", Clock)
    async with KognitosServer() as server, server.platform_client(**FAST) as client:
        for number in range(2500):
            server.platform.add_run(created_at=start - timedelta(minutes=10 + number))
        server.platform.add_run(created_at=start + timedelta(days=1))
        handle = server.misbehave("ListRuns", faults.answer(403, b'{"message":"no"}'), skip=1)
        with pytest.raises(Exception, match="403"):
            await client.runs.sync(path)
        handle.cancel()
        server.platform.add_run(created_at=start + timedelta(minutes=1))
        now = start + timedelta(hours=2)
        await client.runs.sync(path)
        await client.runs.sync(path)
        assert len(mirrored(path, "platform_v1")) == 2502


async def test_a_mirror_that_has_missed_runs_of_the_past_is_completed(tmp_path):
    """Earlier versions took the time of a future run for read."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer() as server, server.platform_client(**FAST) as client:
        for _ in range(3):
            server.platform.add_run()
        await client.runs.sync(path)
        scope = server.platform.automation.name
        server.platform.add_run()
        store = store_of(path)
        store.open("platform_v1")
        ahead = datetime.now(UTC) + timedelta(hours=2)
        store.write(scope, [], msgspec.structs.replace(store.progress(scope), horizon=ahead))
        store.close()
        assert (await client.runs.sync(path)).new == 1


async def test_a_mirror_of_the_other_api_is_refused(tmp_path):
    """So is a file that is no mirror; both are left as they were."""
    path = tmp_path / "runs.sqlite"
    strange = tmp_path / "strange.sqlite"
    with sqlite3.connect(strange) as database:
        database.execute("CREATE TABLE runs (a)")
    database.close()
    async with KognitosServer() as server:
        async with server.client(**FAST) as client:
            await client.runs.sync(path, process_id=server.process.id)
            with pytest.raises(MirrorError, match="not a mirror"):
                await client.runs.sync(strange)
        async with server.platform_client(**FAST) as client:
            with pytest.raises(MirrorError, match="rest_v2"):
                await client.runs.sync(path)


async def test_lists_that_leave_outputs_out(tmp_path):
    """The runs that have succeeded are completed one by one, once."""
    path = tmp_path / "runs.sqlite"
    async with KognitosServer(list_outputs=False) as server, server.client(**FAST) as client:
        history(server, 30)
        result = await client.runs.sync(path, process_id=server.process.id)
        assert result.reads == 30
        assert all(run.outputs for run in mirrored(path).values())
        assert (await client.runs.sync(path, process_id=server.process.id)).changed == 0


@pytest.mark.parametrize("name", STORES)
async def test_that_a_run_needed_a_person_is_remembered(tmp_path, name):
    """The API forgets it once the run has gone on."""
    path = f"{tmp_path}/{name}"
    async with KognitosServer() as server, server.client(**FAST) as client:
        [run] = history(server, 1, status="Exception")
        await client.runs.sync(path, process_id=server.process.id)
        server.set_status(run.id, "Succeeded")
        await client.runs.sync(path, process_id=server.process.id)
        found = mirrored(path)[run.id]
        assert (found.status, found.needed_person) == ("Succeeded", True)


def undecodable(run_id):
    """The answer with that run in a form of no known version."""

    def change(answer):
        for run in answer.get("items", [answer]):
            if run["id"] == run_id:
                run["created_at"] = "long ago"
        return answer

    return faults.rewritten(change)


@pytest.mark.parametrize("name", STORES)
async def test_a_run_that_cannot_be_decoded_keeps_no_other_out_of_the_mirror(tmp_path, name, caplog):
    """It is counted and logged; the mirror keeps the last state of one that it holds, and reads it again."""
    path = f"{tmp_path}/{name}"
    async with KognitosServer() as server, server.client(**FAST) as client:
        runs = history(server, 450)
        [going] = history(server, 1, start=-1000, status="Running")
        handle = server.misbehave("list_runs", undecodable(runs[20].id), times=None)
        first = await client.runs.sync(path, process_id=server.process.id)
        assert (first.new, first.undecoded, first.pages) == (450, 1, 5)
        assert "cannot be decoded" in caplog.text
        assert set(mirrored(path)) == {run.id for run in [*runs, going]} - {runs[20].id}
        handle.cancel()
        handle = server.misbehave("get_run", undecodable(going.id), times=None)
        server.set_status(going.id, "Succeeded")
        server.add_run(name="new", status="Succeeded")
        second = await client.runs.sync(path, process_id=server.process.id)
        assert (second.new, second.changed, second.missing, second.undecoded) == (1, 0, 0, 1)
        assert mirrored(path)[going.id].status == "Running"
        handle.cancel()
        third = await client.runs.sync(path, process_id=server.process.id)
        assert (third.changed, third.undecoded) == (1, 0)
        assert mirrored(path)[going.id].status == "Succeeded"
