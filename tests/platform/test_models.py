"""Runs of the platform API: every way in which a state may be written."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import msgspec
import pytest

from kognitos_async import PlatformRun, RunState, UnknownValue

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
    assert run({"failed": {"description": 3, "location": {"start_byte": "7"}}}).failure is not None
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
