"""Runs of the platform API: how they move, stop and go on, and what is told of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from kognitos_async.messages import _CAPACITY
from kognitos_async.testing import Schedule
from kognitos_async.testing.platform_v1.values import from_number

# Moving


async def test_a_run_is_pending_then_executes_then_completes(platform):
    api = await platform(schedule=Schedule.fixed(10, created=2))
    run = await api.start({"a": {"number": {"lo": 40}}, "b": {"number": {"lo": 25, "flags": 1 << 16}}})
    assert await api.state(run) == ("pending", {})
    api.server.advance(3)
    assert await api.state(run) == ("executing", {})
    api.server.advance(8)
    word, members = await api.state(run)
    assert word == "completed"
    assert from_number(members["outputs"]["total"]["number"]) == Decimal("42.5")
    assert api.platform.runs[run.rpartition("/")[2]].state == "completed"


@pytest.mark.parametrize("word", ["Succeeded", "completed"])
async def test_one_schedule_moves_runs_of_both_apis(make, word):
    api = await make(schedule=Schedule.fixed(1, word))
    old, new = api.server.add_run(), api.server.platform.add_run()
    api.server.advance(2)
    assert (old.status, new.state) == ("Succeeded", "completed")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Failed", "failed"),
        ("TimedOut", "failed"),
        ("Exception", "awaiting_guidance"),
        ("awaiting_guidance", "awaiting_guidance"),
        ("Cancelled", "stopped"),
        ("napping", "napping"),
    ],
)
async def test_outcomes_are_words_of_either_api(platform, word, state):
    api = await platform(schedule=Schedule.fixed(1, word))
    run = api.platform.add_run()
    api.server.advance(2)
    assert run.state == state


async def test_a_failed_run_says_why(platform):
    api = await platform(schedule=Schedule.fixed(0, "failed"))
    word, members = await api.state(await api.start())
    assert word == "failed"
    assert members["id"]
    assert members["description"]


async def test_a_manual_run_stays_pending_until_told(platform):
    api = await platform(schedule=Schedule.manual())
    run = api.platform.add_run()
    api.server.advance(1e6)
    assert await api.state(run.name) == ("pending", {})
    api.platform.set_state(run.id, "completed", outputs={"total": 42, "ok": True, "note": None})
    assert (await api.state(run.name))[1] == {
        "outputs": {
            "total": {"number": {"lo": 42}},
            "ok": {"bool_value": True},
            "note": {"null_value": "NULL_VALUE"},
        }
    }
    api.platform.set_state(run.id, "napping", since="noon")
    answer = await api.send("GET", run.name, checked=False)
    assert answer.json["state"]["napping"] == {"since": "noon"}
    with pytest.raises(KeyError):
        api.platform.set_state("unknown", "stopped")


async def test_lists_may_leave_outputs_out(platform):
    api = await platform(list_outputs=False)
    run = api.platform.add_run(state="completed", outputs={"total": 1})
    (listed,) = (await api.get(f"{api.automation}/runs")).json["runs"]
    assert listed["state"]["completed"] == {}
    assert (await api.state(run.name))[1]["outputs"] == {"total": {"number": {"lo": 1}}}


async def test_timestamps_have_any_number_of_digits(api):
    runs = [await api.start() for _ in range(12)]
    texts = [(await api.get(run)).json["create_time"] for run in runs]
    assert all(text.endswith("Z") for text in texts)
    assert {len(text.partition(".")[2]) - 1 for text in texts} >= {3, 6, 9}
    whole = api.platform.add_run(created_at=datetime(2025, 1, 31, 12, tzinfo=UTC))
    assert (await api.get(whole.name)).json["create_time"] == "2025-01-31T12:00:00Z"
    api.server.advance(11)
    entered = {(await api.get(run)).json["state"]["update_time"].partition(".")[2] for run in runs}
    assert {len(text) for text in entered} >= {0, 4, 7}


async def test_runs_invoked_at_once_still_have_an_order(api):
    runs = await asyncio.gather(*(api.start() for _ in range(20)))
    listed = [run["name"] for run in (await api.get(f"{api.automation}/runs", page_size=20)).json["runs"]]
    assert listed == [run.name for run in api.platform.runs.values()][::-1]
    assert sorted(listed) == sorted(runs)


async def test_at_capacity_an_invocation_is_403_and_waiting_runs_do_not_count(platform):
    api = await platform(capacity=2)
    first, second = await api.start(), await api.start()
    answer = await api.invoke()
    assert (answer.status, answer.json["code"]) == (403, 7)
    assert _CAPACITY.search(answer.json["message"])
    assert len(api.platform.runs) == 2
    api.platform.set_state(first.rpartition("/")[2], "awaiting_guidance")
    assert (await api.invoke()).status == 200
    assert (await api.invoke()).status == 403
    api.platform.set_state(second.rpartition("/")[2], "stopped")
    assert (await api.invoke()).status == 200
    api.server.advance(11)
    assert [(await api.invoke()).status for _ in range(3)] == [200, 200, 403]


# Stopping and going on


async def test_a_paused_run_stops_and_goes_on_from_where_it_was(api):
    run = await api.start()
    api.server.advance(4)
    paused = await api.post(f"{run}:pause", {"reason": "lunch"})
    assert paused.status == 200
    assert paused.json["state"]["stopping"] == {"reason": "lunch"}
    api.server.advance(1)
    assert await api.state(run) == ("stopped", {"reason": "lunch"})
    api.server.advance(100)
    assert (await api.state(run))[0] == "stopped"
    assert (await api.post(f"{run}:continue")).json["state"]["executing"] == {}
    api.server.advance(5)
    assert (await api.state(run))[0] == "executing"
    api.server.advance(2)
    assert (await api.state(run))[0] == "completed"


async def test_a_run_stopped_by_hand_can_be_continued(api):
    run = api.platform.add_run(state="stopped")
    assert (await api.state(run.name))[1]["reason"]
    await api.post(f"{run.name}:continue")
    api.server.advance(11)
    assert run.state == "completed"


@pytest.mark.parametrize(
    ("state", "verb", "body"),
    [
        ("completed", "pause", {"reason": "x"}),
        ("failed", "pause", {"reason": "x"}),
        ("stopped", "pause", {"reason": "x"}),
        ("executing", "continue", {}),
        ("awaiting_guidance", "continue", {}),
        ("completed", "continue", {}),
    ],
)
async def test_what_a_state_does_not_allow_is_a_failed_precondition(api, state, verb, body):
    run = api.platform.add_run(state=state)
    answer = await api.post(f"{run.name}:{verb}", body)
    assert (answer.status, answer.json["code"]) == (400, 9)
    assert run.state == state


async def test_a_pause_needs_a_reason(api):
    run = await api.start()
    assert (await api.post(f"{run}:pause", {})).status == 400
    assert (await api.post(f"{run}:pause", {"reason": 1})).status == 400


# What happened to a run


async def test_run_events_tell_the_story_oldest_first(api):
    run = await api.start({"a": {"text": "x"}})
    api.server.advance(11)
    events = await api.walk(f"{run}/events", "run_events", page_size=2)
    states = [
        next(word for word in event["run_update"]["run"]["state"] if word != "update_time")
        for event in events
        if "run_update" in event
    ]
    assert states == ["pending", "executing", "completed"]
    assert events[-1]["execution_journal"]["completed"]["outputs"]["reference"]
    calls = await api.walk(f"{run}/events", "run_events", filter='node_kind = "FunctionCall"')
    assert {"node_started", "node_executed"} == {
        name for event in calls for name in event["execution_journal"] if name.startswith("node_")
    }
    assert len(await api.walk(f"{run}/events", "run_events", filter='node_kind = "Loop"')) == 0
    assert (await api.get(f"{run}/events", filter='kind = "Loop"')).status == 400


async def test_outputs_are_read_by_execution(api):
    run = api.platform.add_run(state="completed", outputs={"total": 1, "who": "me", "tags": ["a"]})
    outputs = (await api.get(f"{api.workspace}/executions/{run.execution_id}/outputs")).json["outputs"]
    assert outputs["total"] == {
        "value": {"number": {"lo": 1}},
        "type": {"scalar_type": "VALUE_SCALAR_TYPE_NUMBER"},
    }
    assert outputs["tags"]["value"] == {"list": {"items": [{"text": "a"}]}}
    assert (await api.get(f"{api.workspace}/executions/exec_unknown/outputs")).status == 404


async def test_runs_are_counted_by_automation_and_by_day(api):
    day = datetime(2025, 3, 1, 23, 30, tzinfo=UTC)
    for number in range(3):
        api.platform.add_run(state="completed", created_at=day + timedelta(hours=number))
    api.platform.add_run(api.platform.add_automation("Other").id, state="executing", created_at=day)
    answer = (await api.get(f"{api.workspace}:automationRunAggregates")).json
    assert [entry["stats"] for entry in answer["automation_run_aggregates"]] == [
        {"total_runs": "3", "completed_runs": "3"},
        {"total_runs": "1", "completed_runs": "0"},
    ]
    path = f"{api.workspace}:dailyRunAggregates"

    async def days(**params):
        entries = (await api.get(path, **{"time_zone": "UTC", **params})).json["daily_run_aggregates"]
        return {entry["date"]: entry["stats"]["total_runs"] for entry in entries}

    assert await days() == {"2025-03-01": 2, "2025-03-02": 2}
    assert await days(time_zone="Europe/Berlin") == {"2025-03-02": 4}
    assert await days(filter=f'automation_id = "{api.platform.automation.id}"') == {
        "2025-03-01": 1,
        "2025-03-02": 2,
    }
    start = {"start_date.year": 2025, "start_date.month": 3, "start_date.day": 2}
    assert await days(**start) == {"2025-03-02": 2}
    assert (await api.get(path)).status == 400
    assert (await api.get(path, time_zone="Mars/Base")).status == 400
    assert (await api.get(path, time_zone="UTC", **{"start_date.month": 13})).status == 400
