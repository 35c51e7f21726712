"""Running again, reading again and deciding by hand: rerun, recheck, Journal."""

from __future__ import annotations

import asyncio

import pytest

from kognitos_async import (
    InvokeRequest,
    Journal,
    JournalError,
    RunRequest,
    RunState,
    RunStatus,
    StartUncertainError,
)
from kognitos_async.bulk import journal as journal_module
from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.bulk.test_ending import client_of, outcomes_of, requests_of, runs_of


async def test_what_did_not_succeed_is_run_again_and_both_runs_stay_on_record(tmp_path):
    """Only those in the statuses given; the journal knows the earlier run, the outcome is the new one."""
    words = {"Succeeded": 0.5, "Exception": 0.25, "Stopped": 0.25}
    async with KognitosServer(schedule=Schedule.random(0, 0.05, outcomes=words, seed=3)) as server:
        requests = requests_of(server, "v2", 24)
        first = {o.request.name: o.run for o in await outcomes_of(server, "v2", requests, tmp_path / "j")}
        stopped = {name for name, run in first.items() if run.status == "Stopped"}
        assert 0 < len(stopped) < 24
        second = await outcomes_of(server, "v2", requests, tmp_path / "j", rerun={RunStatus.STOPPED})
        for outcome in second:
            name = outcome.request.name
            assert (outcome.run.id != first[name].id) == (name in stopped)
            assert (outcome.attempts, outcome.resumed) == (1 + (name in stopped), True)
        assert {name for name in first if len(server.runs_named(name)) == 2} == stopped
        with Journal(tmp_path / "j") as journal:
            for entry in journal.entries():
                assert entry.earlier_runs == ((first[entry.name],) if entry.name in stopped else ())
        third = await outcomes_of(server, "v2", requests, tmp_path / "j")
        assert {o.run.id for o in third} == {o.run.id for o in second}
        assert len(server.runs) == 24 + len(stopped)


async def test_a_rerun_that_was_lost_is_not_taken_for_the_first_run(tmp_path):
    """The earlier run of the same name is on record, so the lost start is found or made anew."""
    async with KognitosServer(schedule=Schedule.fixed(0.02, outcome="Stopped")) as server:
        requests = requests_of(server, "v2", 1)
        (first,) = await outcomes_of(server, "v2", requests, tmp_path / "j")
        server.misbehave("create_run", faults.reset(after_work=True))
        (second,) = await outcomes_of(server, "v2", requests, tmp_path / "j", rerun=["Stopped"])
        assert second.error is None
        assert second.run.id != first.run.id
        assert len(server.runs) == 2


@pytest.mark.parametrize(
    ("api", "first", "read"),
    [
        ("v2", "Exception", "recheck"),
        ("v2", "Stopped", "never"),
        ("platform", "stopped", "recheck"),
        ("platform", "awaiting_guidance", "always"),
        ("platform", "failed", "never"),
    ],
)
async def test_what_a_person_can_have_changed_is_read_again(tmp_path, api, first, read):
    """With recheck; a question of the platform API in any case; what never changes is not asked for."""
    async with KognitosServer(schedule=Schedule.manual()) as server:
        requests = requests_of(server, api, 1)

        def to(status):
            [run_id] = runs_of(server, api)
            if api == "v2":
                server.set_status(run_id, status)
            else:
                server.platform.set_state(run_id, status)

        async def settle():
            while not runs_of(server, api):  # noqa: ASYNC110 - nothing tells otherwise
                await asyncio.sleep(0.01)
            to(first)

        settling = asyncio.create_task(settle())
        (outcome,) = await outcomes_of(server, api, requests, tmp_path / "j")
        await settling
        assert outcome.run.status == first
        good = "Succeeded" if api == "v2" else "completed"
        if read != "never":
            to(good)
        (plain,) = await outcomes_of(server, api, requests, tmp_path / "j")
        assert plain.run.status == (good if read == "always" else first)
        seen = server.count()
        (again,) = await outcomes_of(server, api, requests, tmp_path / "j", recheck=True)
        assert again.run.status == (first if read == "never" else good)
        assert again.resumed
        assert (server.count() > seen) == (read == "recheck")
        assert len(runs_of(server, api)) == 1


async def test_a_doubt_is_decided_by_hand(tmp_path):
    """The run that it was is awaited, one that was not started is started; wrong decisions are refused."""
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        automation = server.platform.automation.id
        requests = [InvokeRequest(automation=automation, name=f"r{n}", inputs={"n": n}) for n in range(4)]
        server.misbehave("InvokeAutomation", faults.reset(after_work=True), times=1)
        server.misbehave("InvokeAutomation", faults.reset(after_work=False), times=1, skip=1)
        server.misbehave("ListRuns", faults.answer(403, b"{}"), times=None)
        got = await outcomes_of(server, "platform", requests, tmp_path / "j", max_in_flight=1)
        lost = [o.request.name for o in got if isinstance(o.error, StartUncertainError)]
        assert lost == ["r0", "r2"]
        server.behave()
        journal = Journal(tmp_path / "j")
        assert [entry.name for entry in journal.entries(state="starting")] == lost
        assert all(entry.since is not None for entry in journal.entries(state="starting"))
        known = {o.run.id for o in got if o.run is not None}
        [made] = [run_id for run_id in server.platform.runs if run_id not in known]
        taken = next(o.run for o in got if o.run is not None)
        for name, run, message in (
            ("nobody", made, "holds no request"),
            ("r3", made, "not in doubt"),
            ("r0", taken, "belongs to request"),
        ):
            with pytest.raises(JournalError, match=message):
                await journal.resolve(name, run=run)
        for wrong in (None, 5, "", " "):
            with pytest.raises(TypeError, match="run must be"):
                await journal.resolve("r0", run=wrong)
        await journal.resolve("r0", run=made)
        await journal.resolve("r2", run="not started")
        assert journal.summary() == {"planned": 1, "starting": 0, "started": 1, "settled": 2}
        journal.close()
        got = await outcomes_of(server, "platform", requests, tmp_path / "j")
        assert [o.error for o in got] == [None] * 4
        assert next(o.run.id for o in got if o.request.name == "r0") == made
        assert len(server.platform.runs) == 4


async def test_what_a_journal_tells_by_itself(tmp_path, monkeypatch):
    """Counts, statuses and entries by state and status, with `for` and `async for`, of both APIs."""
    monkeypatch.setattr(journal_module, "_BATCH", 20)  # so that there is more than one step
    async with KognitosServer(schedule=Schedule.fixed(0.02), capacity=None) as server:
        for api in ("v2", "platform"):
            requests = requests_of(server, api, 50)
            got = await outcomes_of(server, api, requests, tmp_path / api)
            good = RunStatus.SUCCEEDED if api == "v2" else RunState.COMPLETED
            async with Journal(tmp_path / api) as journal:
                assert journal.api == ("rest_v2" if api == "v2" else "platform_v1")
                assert journal.statuses() == {good: 50}
                entries = [entry async for entry in journal.entries(state="settled", status=good)]
                assert entries == list(journal.entries())
                assert {entry.name: entry.run for entry in entries} == {o.request.name: o.run for o in got}
                assert [entry.name for entry in entries] == [request.name for request in requests]
                assert not list(journal.entries(state="planned"))
                assert not list(journal.entries(status="Stopped"))
                with pytest.raises(ValueError, match="state must be one of"):
                    journal.entries(state="done")
    with pytest.raises(JournalError, match="there is no journal"):
        Journal(tmp_path / "none").summary()


async def test_a_journal_of_the_other_api_is_refused(tmp_path):
    """Before anything is sent."""
    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        await outcomes_of(server, "v2", requests_of(server, "v2", 1), tmp_path / "j")
        seen = server.count()
        with pytest.raises(JournalError, match="other API"):
            await outcomes_of(server, "platform", requests_of(server, "platform", 1), tmp_path / "j")
        assert server.count() == seen


async def test_equal_requests_are_known_in_whatever_order_they_are_written(tmp_path):
    """Dicts filled from the other end, sets in another order: the run is resumed, not refused."""

    class Backwards(set):
        def __iter__(self):
            return iter(sorted(super().__iter__(), reverse=True))

    async with KognitosServer(schedule=Schedule.fixed(0.02)) as server:
        automation, process = server.platform.automation.id, server.process.id
        vendor = {"name": "ACME", "city": "Rome"}
        tags = {"a", "b", "c"}
        for inputs, other in (
            ({"x": 1, "y": "z"}, {"y": "z", "x": 1}),
            (
                {"vendor": vendor, "tags": tags},
                {"tags": Backwards(tags), "vendor": dict(reversed(vendor.items()))},
            ),
        ):
            platform = "vendor" in inputs
            api = "platform" if platform else "v2"
            for number, given in enumerate((inputs, other)):
                request = (
                    InvokeRequest(automation=automation, inputs=given)
                    if platform
                    else RunRequest(process_id=process, name="one", inputs=given)
                )
                (outcome,) = await outcomes_of(server, api, [request], tmp_path / api)
                assert (outcome.error, outcome.resumed) == (None, number == 1)
            assert len(runs_of(server, api)) == 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"rerun": "Stopped"}, TypeError),
        ({"rerun": 5}, TypeError),
        ({"rerun": [5]}, TypeError),
        ({"recheck": 1}, TypeError),
    ],
)
async def test_wrong_arguments_are_refused_at_once(wrong, error):
    """TypeError from the call itself, of both clients."""
    async with KognitosServer() as server:
        for api in ("v2", "platform"):
            async with client_of(server, api) as client:
                with pytest.raises(error, match="must be"):
                    client.run_many([], **wrong)
