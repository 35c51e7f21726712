"""Answers with members that are absent, null, of a wrong type, or finer than a microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from kognitos_async import DecodeError, PlatformRun
from kognitos_async.messages import Redactor
from kognitos_async.platform_v1.decoding import NOTHING, list_decoder, model_decoder
from kognitos_async.platform_v1.exceptions import Exceptions
from kognitos_async.platform_v1.models import (
    Automation,
    AutomationSchedule,
    AutomationStage,
    Event,
    RunException,
    ScheduleConfig,
    ValueType,
)
from kognitos_async.platform_v1.models.runs import ListRunsResponse
from tests.platform.recorder import SCOPE, WORKSPACE

RUN = f"{WORKSPACE}/automations/a/runs/r"


def read(value, kind):
    return model_decoder(kind).decode(msgspec.json.encode(value))


@pytest.mark.parametrize(
    "error", [{"code": 7, "message": "denied", "details": []}, {"error": {"code": 7}}, {"error": "denied"}]
)
@pytest.mark.parametrize("kind", [PlatformRun, Event, ListRunsResponse, None], ids=str)
def test_an_error_that_comes_as_a_success_is_no_answer(error, kind):
    """It would be an empty page, an empty run, or something done."""
    body = msgspec.json.encode(error)
    decoder = NOTHING if kind is None else model_decoder(kind)
    with pytest.raises(msgspec.ValidationError, match="got an error"):
        decoder.decode(body)
    with pytest.raises(msgspec.ValidationError, match="got an error"):
        list_decoder(ListRunsResponse, "runs").decode(body)


@pytest.mark.parametrize("more", [{"error": None}, {"code": 0, "message": ""}, {"news": 1}, {}])
def test_unknown_members_are_ignored_whatever_their_names(more):
    """Empty ones alone, and any beside one that is known."""
    assert read(more, ListRunsResponse).runs == ()
    assert read({"name": RUN, "error": "x", "code": 3, "message": "y"}, PlatformRun).id == "r"
    NOTHING.decode(msgspec.json.encode({"code": 200, "message": "deleted"}))


def exception(number, **members):
    return {"name": f"{WORKSPACE}/exceptions/e{number}", "run": RUN, "message": "it failed", **members}


@pytest.mark.parametrize("members", [{}, {"location": None}, {"location": {}}], ids=str)
def test_a_required_message_may_be_missing(members):
    """Or null, or empty."""
    found = read(exception(1, **members), RunException)
    assert found.message == "it failed"
    assert found.location is None or found.location.start_byte == 0


def test_null_members_are_their_defaults():
    """Lists, maps, text, numbers, times, words and messages, wherever they are."""
    found = read(
        {
            "name": None,
            "display_name": None,
            "artifacts": None,
            "input_specs": None,
            "create_time": None,
            "activation_state": None,
            "connections": {"mail": {"connection_id": None, "endpoint": "x"}},
            "code_mapping": {"entries": None},
        },
        Automation,
    )
    assert (found.name, found.id, found.display_name, found.artifacts, found.input_specs) == (
        "",
        "",
        "",
        {},
        (),
    )
    assert found.create_time is None
    assert found.activation_state is None
    assert found.connections["mail"].connection_id == ""
    assert found.code_mapping.entries == ()


def test_what_a_request_requires_may_be_missing_in_an_answer():
    """Its zero then, down to words and messages."""
    found = read({"repeat_interval": {"interval": 2}, "yearly_pattern": {}}, ScheduleConfig)
    assert found.start.start_date is None
    assert found.repeat_interval.interval == 2
    assert not found.repeat_interval.unit.known
    assert found.yearly_pattern.day_pattern.day_number == 0


def test_a_run_is_read_whatever_is_missing():
    """Or null; a creation time that is missing is 1970."""
    nulls = dict.fromkeys(
        [
            "name",
            "create_time",
            "update_time",
            "state",
            "stage",
            "stage_version",
            "user_inputs",
            "executable_steps",
        ]
    )
    for value in ({}, nulls):
        found = read({"runs": [value], "next_page_token": None}, ListRunsResponse).runs[0]
        assert found == PlatformRun()
        assert (found.name, found.state, found.stage_version) == ("", "", "")
        assert found.stage == AutomationStage.UNSPECIFIED
        assert found.create_time == datetime(1970, 1, 1, tzinfo=UTC)
        assert found.user_inputs == found.outputs == {}
        assert not found.settled


def test_what_is_no_model_stays_as_it_is():
    """Values keep their nulls, which mean something there."""
    value = {"null_value": None}
    outputs = {"completed": {"outputs": {"a": value}, "update_time": None}}
    found = read(
        {"name": RUN, "stage_version": None, "user_inputs": {"x": value}, "state": outputs}, PlatformRun
    )
    assert found.user_inputs == {"x": None}
    assert found.outputs == {"a": None}
    assert found.state_object == outputs


@pytest.mark.parametrize(
    ("fraction", "microseconds"),
    [
        (".999999999", 999_999),
        (".999999500", 999_999),
        (".9999999", 999_999),
        (".000000999", 0),
        (".123456789", 123_456),
        (".1234567890123", 123_456),
        (".123456", 123_456),
        ("", 0),
    ],
)
def test_times_are_cut_at_the_microsecond(fraction, microseconds):
    """Never rounded into the next second, year or page of a filter; in every zone and place."""
    text = f"2026-12-31T23:59:59{fraction}"
    wanted = datetime(2026, 12, 31, 23, 59, 59, microseconds, tzinfo=UTC)
    run = read(
        {"name": RUN, "create_time": f"{text}Z", "state": {"completed": {}, "update_time": f"{text}Z"}},
        PlatformRun,
    )
    assert run.create_time == run.state_time == wanted
    assert read({"update_time": f"{text}+01:00"}, Event).update_time == wanted - timedelta(hours=1)
    schedule = read({"next_run_times": [f"{text}Z", f"{text}Z"], "config": {}}, AutomationSchedule)
    assert schedule.next_run_times == (wanted, wanted)


def test_text_that_looks_like_a_time_is_not_cut():
    """Only what the schema calls a time is one."""
    text = "2026-12-31T23:59:59.999999999Z"
    run = read(
        {"create_time": text, "user_inputs": {"create_time": {"text": text}}, "stage_version": text},
        PlatformRun,
    )
    assert run.user_inputs == {"create_time": text}
    assert run.stage_version == text


def test_types_that_hold_themselves_are_completed():
    """To any depth that the body has."""
    nested = {"scalar_type": None, "list_type": {"inner": {"table_type": {"columns": None, "is_a": None}}}}
    for _ in range(20):
        nested = {"list_type": {"inner": nested}, "scalar_type": None}
    found = read(nested, ValueType)
    for _ in range(21):
        found = found.list_type.inner
    assert found.table_type.columns == ()


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'{"runs": 3}', b'{"runs": [{"name": 3}]}', b"<html>", b"", b'{"runs": [']
)
def test_what_is_not_as_documented_is_an_error(body):
    """As msgspec tells it, of the body as it came."""
    with pytest.raises(msgspec.DecodeError):
        model_decoder(ListRunsResponse).decode(body)


def test_an_operation_without_an_answer_takes_an_empty_body():
    """Or an object, of which it reads nothing; a page of HTML is no answer of the API."""
    for body in (b"", b" \n", b"{}", b'{"a": [1]}'):
        assert NOTHING.decode(body) is None
    for body in (b"<html>", b"[]", b"null", b'{"a"'):
        with pytest.raises(msgspec.DecodeError):
            NOTHING.decode(body)


def test_one_item_does_not_hide_the_others_of_its_page():
    """One of a wrong type is kept aside; those with members missing or null are read."""
    body = msgspec.json.encode(
        {"runs": [{"name": RUN}, {"name": 3}, {"name": RUN, "stage_version": None}, None]}
    )
    page, bad = list_decoder(ListRunsResponse, "runs").decode(body)
    assert [run.name for run in page.runs] == [RUN, RUN]
    assert [(item.index, item.json) for item in bad] == [(1, b'{"name":3}'), (3, b"null")]


class Pages:
    """Answers with two pages, the first of which holds an item that cannot be decoded."""

    redactor = Redactor("kgn_pat_x")

    async def send(self, request, decoder):
        if "page_token=t" in request.target:
            return decoder.decode(msgspec.json.encode({"exceptions": [exception(3)], "next_page_token": ""}))
        first = [exception(1), exception(2, message=["kgn_pat_x"])]
        return decoder.decode(msgspec.json.encode({"exceptions": first, "next_page_token": "t"}))


async def test_a_history_goes_on_behind_an_item_that_cannot_be_decoded():
    """The error leads on, and holds the item without secrets."""
    resource, found = Exceptions(Pages(), SCOPE), []
    with pytest.raises(DecodeError) as caught:
        async for item in resource.list():
            found.append(item.id)  # noqa: PERF401 - kept when the loop raises
    assert found == ["e1"]
    assert b"[redacted]" in caught.value.undecoded[0]
    found += [item.id async for item in resource.list(page_token=caught.value.continuation_token)]
    assert found == ["e1", "e3"]
