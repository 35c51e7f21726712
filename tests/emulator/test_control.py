"""Control over HTTP: another process sets faults, reads counts and moves time."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from kognitos_async.testing import KognitosServer, ServerControl, faults
from kognitos_async.testing.control import _FAULTS
from tests.emulator.test_threads import ask, start


@pytest.fixture
def server():
    with KognitosServer(control_token="control") as server:
        yield server


@pytest.fixture
def control(server):
    return ServerControl(server.url, "control")


def test_what_was_started_twice_and_what_was_lost(server, control):
    for name in ("a", "b", "b"):
        start(server, name)
    assert control.duplicates() == {"b": 2}
    assert control.missing(["a", "b", "c"]) == ["c"]
    assert [run["name"] for run in control.runs()] == ["a", "b", "b"]
    assert [run["id"] for run in control.runs("b")] == [run.id for run in server.runs_named("b")]
    summary = control.summary()
    assert (summary["requests"], summary["by_operation"], summary["by_status"]) == (
        3,
        {"create_run": 3},
        {"201": 3},
    )
    assert control.count() == control.count("create_run", status=201) == 3


def test_faults_by_name(server, control):
    fault = control.misbehave("get_health", "answer", status=503, body="no", headers={"Retry-After": "1"})
    with pytest.raises(urllib.error.HTTPError) as raised:
        ask(server, "/health")
    with raised.value as error:
        assert (error.code, error.read(), error.headers["Retry-After"]) == (503, b"no", "1")
    assert (fault.hits, fault.live) == (1, False)
    second = control.misbehave("*", "reset", times=None, after_work=True)
    second.cancel()
    assert ask(server, "/health")["status"] == "OK"
    third = control.misbehave("*", "unavailable", times=None)
    control.behave()
    assert not third.live
    assert server.count() == 2


def test_every_fault_but_one_can_be_asked_for():
    """`rewritten` takes a function, which no other process can send."""
    made = {
        name for name in dir(faults) if getattr(getattr(faults, name), "__module__", "") == faults.__name__
    }
    assert {name for name in made if not name.startswith("_")} - set(_FAULTS) == {"rewritten"}


def test_time_and_status(server, control):
    run = start(server, "a")["id"]
    control.advance(10)
    assert server.runs[run].status == "Succeeded"
    control.set_status(run, "Stopped")
    assert server.runs[run].status == "Stopped"
    other = server.platform.add_run(state="executing")
    control.set_state(other.id, "stopped", reason="enough")
    assert (other.state, other.members) == ("stopped", {"reason": "enough"})


def test_what_is_refused(server, control):
    with pytest.raises(ValueError, match="401"):
        ServerControl(server.url, "wrong").summary()
    with pytest.raises(ValueError, match="fault must be one of"):
        control.misbehave("get_health", "rewritten")
    with pytest.raises(ValueError, match="operation must be one of"):
        control.misbehave("get_heath", "reset", after_work=True)
    with pytest.raises(ValueError, match="unexpected keyword"):
        control.misbehave("get_health", "reset", soon=True)
    with pytest.raises(LookupError, match="404"):
        control.set_status("none", "Stopped")
    with pytest.raises(ValueError, match="seconds must be at least 0"):
        control.advance(-1)


def test_control_is_off_unless_asked_for():
    """The path is like any other that there is not."""
    with KognitosServer() as server, pytest.raises(ValueError, match="unknown x-api-key"):
        ServerControl(server.url, "").summary()


def test_it_is_plain_json(server):
    body = json.dumps({"operation": "get_health", "fault": "not_found"}).encode()
    request = urllib.request.Request(
        f"{server.url}/_control/fault", body, {"Authorization": "Bearer control"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {"id": "0", "hits": 0, "live": True}
