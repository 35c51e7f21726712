"""Runs of the platform API: every way in which a state may be written."""

from __future__ import annotations

import copy
import io
import json
import pickle
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
import rich.console

from kognitos_async import FileRef, PlatformRun, RunState, Table, UnknownValue

NAME = "organizations/o/workspaces/w/automations/a/runs/r"


def run(state=None, **members):
    content = {"name": NAME, "create_time": "2026-01-01T00:00:00Z", **members}
    if state is not None:
        content["state"] = state
    return msgspec.json.decode(msgspec.json.encode(content), type=PlatformRun, strict=False)


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"pending": {}}, "pending"),
        ({"executing": {}, "update_time": "2026-01-01T00:00:00Z"}, "executing"),
        ({"executing": None, "completed": {}}, "completed"),
        ({"update_time": "2026-01-01T00:00:00Z", "awaiting_guidance": {}}, "awaiting_guidance"),
        ({"running": {}}, "executing"),
        ({"waiting": {}}, "awaiting_guidance"),
        ("running", "executing"),
        ("waiting", "awaiting_guidance"),
        ("completed", "completed"),
        ({"hibernating": {}}, "hibernating"),
        ({"hibernating": {}, "failed": {}}, "failed"),
        ({"failed": "odd"}, "failed"),
        ({}, ""),
        (None, ""),
    ],
    ids=str,
)
def test_the_state_is_the_member_that_is_there(state, word):
    """Empty objects and the overview page's words count too; unknown words are kept and never settled."""
    found = run(state)
    assert found.state == found.status == word
    assert isinstance(found.state, RunState)
    assert found.state.known == (word in list(RunState))
    assert found.settled == (word in ("completed", "failed", "awaiting_guidance"))


@pytest.mark.parametrize("digits", ["", ".123", ".123456", ".123456789"])
def test_times_have_any_number_of_digits(digits):
    """Aware, to the microsecond."""
    found = run({"completed": {}, "update_time": f"2026-01-01T00:00:00{digits}Z"})
    assert found.state_time.replace(microsecond=0) == datetime(2026, 1, 1, tzinfo=UTC)
    assert run(create_time=f"2026-01-01T00:00:00{digits}Z").create_time.tzinfo is not None


def test_a_state_without_a_time_has_none():
    """Nor has one that is nonsense."""
    assert run("running").state_time is None
    assert run({"pending": {}}).state_time is None
    assert run({"pending": {}, "update_time": "soon"}).state_time is None


def test_details_that_are_not_as_documented_do_no_harm():
    """The state is known all the same."""
    failure = run({"failed": {"description": 3, "location": {"start_byte": "7"}}}).failure
    assert (failure.description, failure.location.start_byte, failure.location.end_byte) == ("", 7, 0)
    assert run({"awaiting_guidance": {"exception": "x"}}).guidance.exception == "x"
    assert run({"stopped": {"reason": 3}}).stop_reason is None
    assert run({"completed": {"outputs": 3}}).outputs == {}


def test_outputs_and_inputs_are_python_values():
    """What this version does not know is kept."""
    found = run(
        {"completed": {"outputs": {"a": {"text": "x"}, "b": {"new_kind": 1}}}},
        user_inputs={"n": {"number": {"lo": "3"}}},
    )
    assert found.outputs == {"a": "x", "b": UnknownValue({"new_kind": 1})}
    assert found.has_outputs
    assert found.user_inputs == {"n": 3}
    assert pickle.loads(pickle.dumps(found)) == found
    assert len({found, found}) == 1
    assert (found.id, found.automation) == ("r", NAME.removesuffix("/runs/r"))


def test_a_run_survives_a_journal():
    """Written and read again it is the same."""
    found = run({"completed": {"outputs": {"a": {"text": "x"}}}}, stage="AUTOMATION_STAGE_PUBLISHED")
    again = msgspec.json.decode(msgspec.json.encode(found), type=PlatformRun, strict=False)
    assert again == found


WHOLE = {
    "state": {
        "completed": {
            "outputs": {
                "total": {"number": {"lo": 1250, "flags": 131072}},
                "count": {"number": {"lo": 3}},
                "paid": {"bool_value": True},
                "due": {"date": {"year": 2026, "month": 3, "day": 1}},
                "lines": {
                    "table": {
                        "inline": {
                            "columns": [{"name": "a", "values": [{"number_value": 1}, {"text_value": "N/A"}]}]
                        }
                    }
                },
                "scan": {"file": {"inline": {"file_name": "s.pdf", "content": "c2VjcmV0"}}},
                "tags": {"set": {"items": [{"text": "x"}]}},
                "wait": {"duration": "90s"},
                "map": {
                    "dictionary": {"entries": [{"key": {"number": {"lo": 1}}, "value": {"null_value": ""}}]}
                },
                "new": {"new_kind": 1},
            }
        },
        "update_time": "2026-01-01T00:01:00Z",
    },
    "update_time": "2026-01-01T01:00:00+01:00",
    "stage": "AUTOMATION_STAGE_DRAFT",
    "stage_version": "1.2",
    "invocation_details": {"user_id": "u", "invocation_source": "INVOCATION_SOURCE_MANUAL"},
    "user_inputs": {"case": {"text": "7"}},
    "executable_steps": {
        "executables": [
            {"code": "x", "phase_type": "AUTOMATION_PHASE_TYPE_MAIN", "book_connections": {"m": {}}}
        ]
    },
}


def whole():
    return run(WHOLE["state"], **{name: value for name, value in WHOLE.items() if name != "state"})


def test_a_run_as_json_ready_values():
    """By attribute: times in ISO 8601, decimals as text, tables as rows; plain JSON takes all of it."""
    found = whole().to_dict()
    assert json.loads(json.dumps(found)) == found
    assert (found["id"], found["state"], found["stage"]) == ("r", "completed", "AUTOMATION_STAGE_DRAFT")
    assert found["create_time"] == "2026-01-01T00:00:00+00:00"
    assert found["update_time"] == "2026-01-01T00:00:00+00:00"
    assert found["state_time"] == "2026-01-01T00:01:00+00:00"
    assert found["outputs"] == {
        "total": "12.50",
        "count": 3,
        "paid": True,
        "due": "2026-03-01",
        "lines": [{"a": 1}, {"a": "N/A"}],
        "scan": {"file_name": "s.pdf", "content": "c2VjcmV0"},
        "tags": ["x"],
        "wait": "PT90S",
        "map": {"1": None},
        "new": {"new_kind": 1},
    }
    assert found["user_inputs"] == {"case": "7"}
    assert found["invocation_details"]["user_id"] == "u"
    assert found["executable_steps"]["executables"][0]["code"] == "x"
    assert found["failure"] is found["guidance"] is found["stop_reason"] is None


def test_a_run_in_need_of_a_person_as_json_ready_values():
    """With all members of what it needs."""
    found = run({"awaiting_guidance": {"exception": "e", "location": {"end_byte": "9"}}}).to_dict()
    assert found["guidance"] == {
        "exception": "e",
        "description": "",
        "location": {"start_byte": 0, "end_byte": 9},
    }
    assert found["outputs"] == {}


def test_all_ways_out_of_a_run_agree():
    """With its attributes and with one another."""
    found = whole()
    members = msgspec.structs.asdict(found)
    assert {name: getattr(found, name) for name in found.__struct_fields__} == members
    assert msgspec.structs.astuple(found) == tuple(members.values())
    for twin in (
        pickle.loads(pickle.dumps(found)),
        copy.copy(found),
        copy.deepcopy(found),
        msgspec.structs.replace(found),
        PlatformRun(**members),
        msgspec.convert(msgspec.to_builtins(found), PlatformRun, strict=False),
        msgspec.json.decode(msgspec.json.encode(found), type=PlatformRun, strict=False),
    ):
        assert twin == found
        assert not twin != found  # noqa: SIM202 - another method
        assert hash(twin) == hash(found)
        assert repr(twin) == repr(found)
        assert twin.to_dict() == found.to_dict()
    assert msgspec.json.decode(msgspec.json.encode(found)) == json.loads(
        json.dumps(msgspec.to_builtins(found))
    )
    assert found != msgspec.structs.replace(found, stage_version="2")


@pytest.mark.parametrize(
    "written", ["2026-01-01T00:00:00", "2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00Z"]
)
def test_times_are_in_utc_however_they_are_written(written):
    """Without a zone as well; so runs of different sources compare."""
    found = run({"completed": {}, "update_time": written}, update_time=written, create_time=written)
    for moment in (found.create_time, found.update_time, found.state_time):
        assert moment == datetime(2026, 1, 1, tzinfo=UTC)
        assert moment.tzinfo is UTC
    made = PlatformRun(name=NAME, create_time=datetime(2026, 1, 1))
    assert made.create_time.tzinfo is UTC


@pytest.mark.parametrize("written", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_at_the_ends_of_the_calendar_are_kept(written):
    """In UTC they would lie beyond it."""
    found = run({"completed": {}, "update_time": written}, update_time=written, create_time=written)
    kept = datetime.fromisoformat(written).replace(tzinfo=UTC)
    assert (found.create_time, found.update_time, found.state_time) == (kept,) * 3


def test_no_repr_shows_what_files_hold():
    """Nor rich's: values may be large, and secret."""
    found = whole()
    for shown in (repr(found), str(found.__rich_repr__())):
        assert "c2VjcmV0" not in shown
        assert "secret" not in shown
        assert "completed" in shown
        assert "'scan'" in shown
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(found)
    assert "c2VjcmV0" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("total", Decimal, Decimal("12.50")),
        ("total", float, 12.5),
        ("count", int, 3),
        ("count", Decimal, Decimal(3)),
        ("count", float, 3.0),
        ("paid", bool, True),
        ("due", date, date(2026, 3, 1)),
        ("tags", set, {"x"}),
        ("wait", timedelta, timedelta(seconds=90)),
        ("map", dict, {1: None}),
        ("scan", FileRef, FileRef(None, "s.pdf", b"secret")),
        ("new", UnknownValue, UnknownValue({"new_kind": 1})),
        ("lines", Table, Table(columns={"a": [1, "N/A"]})),
        ("paid", object, True),
    ],
)
def test_an_output_is_narrowed(name, kind, value):
    """To the type asked for; numbers to every type that holds them exactly."""
    found = whole().output(name, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("total", int),
        ("total", str),
        ("paid", int),
        ("count", bool),
        ("count", str),
        ("due", datetime),
        ("scan", Table),
        ("new", str),
    ],
)
def test_an_output_of_another_type_is_refused(name, kind):
    """Naming the output and both types."""
    with pytest.raises(TypeError, match=rf"output '{name}' of run r must be {kind.__name__}, got "):
        whole().output(name, kind)


def test_an_output_that_is_missing_is_named():
    """With those that are there."""
    with pytest.raises(KeyError, match="no output 'sum'; it has 'total', 'count'"):
        whole().output("sum", Decimal)
    with pytest.raises(KeyError, match=r"\(executing\) has no output 'sum'; it has none"):
        run({"executing": {}}).output("sum", Decimal)


def test_tables_of_pyarrow_pass_for_a_table():
    """So that a program need not know which of the two an output is."""
    pytest.importorskip("pyarrow")
    value = {"table": {"inline": {"columns": [{"name": "a", "values": [{"number_value": 1}]}]}}}
    found = run({"completed": {"outputs": {"lines": value}}})
    assert found.output("lines", Table).to_pylist() == [{"a": 1}]
    assert found.to_dict()["outputs"] == {"lines": [{"a": 1}]}


def test_numbers_that_no_float_shows_stay_decimals():
    """A double of 17 digits would be another number."""
    found = run(
        {"completed": {"outputs": {"n": {"number": {"lo": 1, "mid": 1, "hi": 1, "flags": 20 << 16}}}}}
    )
    with pytest.raises(TypeError, match="must be float, got Decimal"):
        found.output("n", float)


def test_the_code_that_ran_is_read():
    """As structs."""
    [step] = whole().executable_steps.executables
    assert (step.code, step.phase_type) == ("x", "AUTOMATION_PHASE_TYPE_MAIN")
    assert step.book_connections["m"].connection_id == ""
