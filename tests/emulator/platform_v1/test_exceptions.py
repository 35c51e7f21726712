"""Exceptions, and the agents that ask about them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from kognitos_async.testing import Schedule, faults
from tests.emulator.platform_v1.helpers import COMPONENTS, check

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
async def asking(platform):
    """An API with a run that awaits guidance."""
    api = await platform(schedule=Schedule.fixed(10, "awaiting_guidance"))
    api.run = await api.start()
    api.server.advance(11)
    api.agent = f"{api.run}/agents/astral"
    return api


def say(content="42", **more):
    return {"user_message": {"content": content}, **more}


# Exceptions


async def test_a_run_that_awaits_guidance_raises_an_exception(asking):
    word, guidance = await asking.state(asking.run)
    assert word == "awaiting_guidance"
    exception = (await asking.get(f"{asking.workspace}/exceptions/{guidance['exception']}")).json
    assert exception["run"] == asking.run
    assert exception["automation"] == asking.automation
    assert exception["state"] == "EXCEPTION_STATE_PENDING"
    assert exception["description"] == guidance["description"]
    assert exception["location"] == guidance["location"] == {"start_byte": "0", "end_byte": "24"}
    assert list(asking.platform.exceptions) == [guidance["exception"]]


async def test_there_is_no_exception_before_its_time(platform):
    api = await platform(schedule=Schedule.fixed(10, "awaiting_guidance"))
    run = await api.start()
    assert not api.platform.exceptions
    await api.post(f"{run}:pause", {"reason": "wait"})
    api.server.advance(100)
    assert not api.platform.exceptions
    await api.post(f"{run}:continue")
    api.server.advance(11)
    assert len(api.platform.exceptions) == 1


async def test_an_exception_set_by_hand_has_its_messages(api):
    run = api.platform.add_run(state="executing")
    api.platform.set_state(run.id, "awaiting_guidance", exception="exc-1", description="Which vendor?")
    _, guidance = await api.state(run.name)
    assert (guidance["exception"], guidance["description"]) == ("exc-1", "Which vendor?")
    assert api.platform.exceptions["exc-1"].description == "Which vendor?"


async def test_an_answer_lets_the_run_go_on_and_resolves_the_exception(asking):
    (exception,) = asking.platform.exceptions.values()
    reply = await asking.post(f"{asking.agent}/events", say(exception=exception.name))
    assert reply.status == 200
    assert reply.json["user_message"]["content"] == "42"
    assert reply.json["exception"] == exception.name
    assert (await asking.state(asking.run))[0] == "executing"
    assert exception.state == "RESOLVED"
    assert (await asking.get(exception.name)).json["resolver"].startswith("users/")
    asking.server.advance(11)
    assert (await asking.state(asking.run))[0] == "completed"
    kinds = [event.kind for event in asking.platform.runs[asking.run.rpartition("/")[2]].threads["astral"]]
    assert kinds[:2] == ["agent_message", "user_message"]
    assert kinds[-1] == "completion_response"
    assert "agent_message" in kinds[2:]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user_message": {}},
        {"user_message": {"content": ""}},
        {"user_message": "42"},
        {"agent_message": {"content": "x"}},
        say(thinking={"content": "x"}),
        say(system_message={"content": "x"}),
        say(exception="another"),
    ],
)
async def test_only_user_messages_can_be_sent(asking, body):
    answer = await asking.post(f"{asking.agent}/events", body)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert (await asking.state(asking.run))[0] == "awaiting_guidance"


async def test_a_message_may_be_a_list_of_contents(asking):
    message = {"content_list": {"items": [{"text": "see"}, {"file": {"remote": "files/1"}}]}}
    assert (await asking.post(f"{asking.agent}/events", {"user_message": message})).status == 200
    assert (await asking.state(asking.run))[0] == "executing"


async def test_nobody_listens_when_the_run_is_over(api):
    run = api.platform.add_run(state="completed")
    answer = await api.post(f"{run.name}/agents/astral/events", say())
    assert (answer.status, answer.json["code"]) == (400, 9)


# Lists and counts


async def ask_five(api):
    other = api.platform.add_automation("Other")
    for number in range(5):
        run = api.platform.add_run(
            other.id if number == 4 else None, id=f"run-{number}", created_at=START + timedelta(hours=number)
        )
        api.platform.set_state(run.id, "awaiting_guidance", exception=f"exc-{number}")
    return other


async def test_exceptions_come_newest_first_with_their_number(api):
    await ask_five(api)
    path = f"{api.workspace}/exceptions"
    pages = await api.pages(path, "exceptions", page_size=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    names = [item["name"].rpartition("/")[2] for page in pages for item in page]
    assert names == [f"exc-{number}" for number in range(5)][::-1]
    answer = (await api.get(path, page_size=2)).json
    assert answer["total_size"] == 5
    skipped = await api.walk(path, "exceptions", page_size=2, skip=1)
    assert [item["name"].rpartition("/")[2] for item in skipped] == names[1:]
    assert (await api.get(path, skip=-1)).status == 400


async def test_exceptions_can_be_chosen(api):
    other = await ask_five(api)
    await api.post(f"{api.automation}/runs/run-0/agents/astral/events", say())
    path = f"{api.workspace}/exceptions"
    group = api.platform.exceptions["exc-0"].group
    for text, count in (
        ('state = "PENDING"', 4),
        ("state = RESOLVED", 1),
        ('state = "EXCEPTION_STATE_RESOLVED" OR state = "ARCHIVED"', 1),
        ('state != "PENDING"', 1),
        (f'automation = "{other.id}"', 1),
        (f'automation = "{other.name}"', 1),
        ('run = "run-2"', 1),
        (f'group = "{group}"', 2),
        ('group = ""', 0),
        ('create_time > "2999-01-01T00:00:00Z"', 0),
        ('NOT run = "run-2" AND create_time > "2020-01-01T00:00:00Z"', 4),
    ):
        assert len(await api.walk(path, "exceptions", filter=text)) == count, text
    for text in ('state = "OPEN"', 'name = "x"', 'state > "PENDING"', "create_time > 2020"):
        assert (await api.get(path, filter=text)).status == 400


async def test_exceptions_are_counted_by_group_and_by_automation(api):
    await ask_five(api)
    groups = (await api.get(f"{api.workspace}/exceptionGroups")).json["groups"]
    assert len(groups) == 3
    counts = (await api.get(f"{api.workspace}/exceptions:countByGroup")).json
    assert counts["total_exception_count"] == sum(item["count"] for item in counts["group_counts"]) == 5
    assert counts["total_size"] == 3
    assert {item["group"]["name"] for item in counts["group_counts"]} == {group["name"] for group in groups}
    counts = (await api.get(f"{api.workspace}/exceptions:countByAutomation", filter='run = "run-1"')).json
    assert counts["automation_counts"] == [{"automation": api.automation, "count": 1}]
    pages = await api.pages(f"{api.workspace}/exceptions:countByAutomation", "automation_counts", page_size=1)
    assert [page[0]["count"] for page in pages] == [4, 1]


# Events


async def test_events_come_newest_first_with_their_number(asking):
    await asking.post(f"{asking.agent}/events", say())
    events = await asking.walk(f"{asking.agent}/events", "events", page_size=2)
    assert "agent_message" in events[0]
    assert "user_message" in events[-2]
    assert len({event["name"] for event in events}) == len(events)
    answer = (await asking.get(f"{asking.agent}/events", page_size=1)).json
    assert answer["total_size"] == len(events)
    assert (await asking.get(events[0]["name"])).json["name"] == events[0]["name"]
    assert (await asking.get(f"{asking.agent}/events/unknown")).status == 404
    assert (await asking.get(f"{asking.run}/agents/nobody/events")).json["events"] == []


async def test_events_can_be_chosen_by_exception(asking):
    (exception,) = asking.platform.exceptions
    path = f"{asking.agent}/events"
    assert len(await asking.walk(path, "events", filter=f'exception = "{exception}"')) == 1
    assert len(await asking.walk(path, "events", filter=f'exception != "{exception}"')) == 0
    assert (await asking.get(path, filter='state = "x"')).status == 400


@pytest.fixture
def held(asking):
    """The same, with a clock that only `advance` moves."""
    now = asking.server._clock.now()
    asking.server._clock.follow(lambda: now)
    return asking


async def test_an_agent_takes_its_time_to_write(held):
    await held.post(f"{held.agent}/events", say())
    newest = (await held.get(f"{held.agent}/events")).json["events"][0]
    assert newest["state"] == "STATE_STREAMING"
    held.server.advance(1)
    written = (await held.get(newest["name"])).json
    assert written["state"] == "STATE_COMPLETE"
    assert written["agent_message"]["content"].startswith(newest["agent_message"]["content"])


async def test_writing_can_be_cancelled(held):
    await held.post(f"{held.agent}/events", say())
    newest = (await held.get(f"{held.agent}/events")).json["events"][0]
    answer = await held.send("POST", f"{held.agent}/events:cancelGeneration")
    assert answer.json == {}
    held.server.advance(1)
    assert (await held.get(newest["name"])).json == {**newest, "state": "STATE_COMPLETE"}


async def test_events_can_be_added_by_hand(api):
    run = api.platform.add_run(state="executing")
    added = api.platform.add_event(run.id, "Looking", kind="thinking", agent_id="scout")
    (event,) = (await api.get(f"{run.name}/agents/scout/events")).json["events"]
    assert event["name"] == added.name
    assert event["thinking"] == {"content": "Looking"}


# The stream


class Stream:
    def __init__(self, api):
        self.api = api

    async def __aenter__(self):
        headers = {"Authorization": f"Bearer {self.api.platform.token}"}
        url = f"{self.api.platform.base_url}/{self.api.agent}/events:stream"
        self.context = self.api.session.get(url, headers=headers)
        self.response = await self.context.__aenter__()
        assert self.response.status == 200
        assert self.response.headers["Content-Type"] == "application/x-ndjson"
        return self

    async def __aexit__(self, *details):
        await self.context.__aexit__(*details)

    async def next(self):
        async with asyncio.timeout(5):
            line = await self.response.content.readline()
        if not line:
            return None
        assert line.endswith(b"\n")
        found = json.loads(line)
        assert list(found) == ["event"]
        check("GetEvent", 200, found["event"])
        return found["event"]


async def test_a_stream_gives_earlier_events_then_new_ones_then_ends(asking):
    asking.platform.add_event(asking.run.rpartition("/")[2], "Anybody there?")
    async with Stream(asking) as stream:
        first, second = await stream.next(), await stream.next()
        assert "What should be used" in first["agent_message"]["content"]
        assert second["agent_message"]["content"] == "Anybody there?"
        await asking.post(f"{asking.agent}/events", say())
        kinds, states = [], {}
        while (event := await stream.next()) is not None:
            (kind,) = set(event) & set(COMPONENTS["schemas"]["v1Event"]["properties"]) - {
                "name",
                "state",
                "create_time",
                "update_time",
                "exception",
            }
            kinds.append(kind)
            states.setdefault(event["name"], []).append(event["state"])
            if event["state"] == "STATE_COMPLETE" and kind == "agent_message":
                asking.server.advance(11)
    assert kinds[0] == "user_message"
    assert kinds[-1] == "completion_response"
    assert ["STATE_STREAMING", "STATE_COMPLETE"] in states.values()


async def test_a_stream_of_a_run_that_is_over_ends_at_once(asking):
    asking.platform.set_state(asking.run.rpartition("/")[2], "failed")
    async with Stream(asking) as stream:
        assert await stream.next() is not None
        assert await stream.next() is None


async def test_a_stream_ends_when_the_server_stops(asking):
    async with Stream(asking) as stream:
        await stream.next()
        await asking.server.stop()
        with pytest.raises(aiohttp.ClientError):
            await stream.next()


async def test_a_stream_whose_reader_leaves_is_over(asking):
    async with Stream(asking) as stream:
        await stream.next()
    async with asyncio.timeout(5):
        while not asking.server.log[-1].finished:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_stream_can_be_cut_in_the_middle_of_a_line(asking):
    asking.server.misbehave("StreamEvents", faults.cut_body())
    async with Stream(asking) as stream:
        with pytest.raises(aiohttp.ClientPayloadError):
            await stream.response.read()
    async with Stream(asking) as stream:
        assert await stream.next() is not None


async def test_errors_of_a_stream_are_lines_too(asking):
    answer = await asking.send("GET", f"{asking.automation}/runs/unknown/agents/astral/events:stream")
    assert (answer.status, answer.json["code"]) == (404, 5)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
