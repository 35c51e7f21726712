"""Items of a list that cannot be decoded: reported and left out, exit code 1, the rest is printed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
RUNS = 230
V2, PLATFORM = "KOGNITOS_TOKEN", "KOGNITOS_API_KEY"
"""What is taken out of the environment, by API."""

LISTS = {
    "processes": (V2, ("processes", "list"), "list_processes", "items", 2),
    "runs": (V2, ("runs", "list", "--limit", "0"), "list_runs", "items", RUNS),
    "runs as JSON": (V2, ("runs", "list", "--limit", "0", "--json"), "list_runs", "items", RUNS),
    "runs in exception": (V2, ("exceptions", "list", "--quiet"), "list_runs", "items", RUNS),
    "automations": (PLATFORM, ("automations", "list"), "ListAutomations", "automations", 16),
    "runs of the platform": (PLATFORM, ("runs", "list", "--limit", "0"), "ListRuns", "runs", RUNS),
    "exceptions": (PLATFORM, ("exceptions", "list", "--json"), "ListExceptions", "exceptions", RUNS),
}
"""The command, its operation, the member of an answer that holds the items, and how many there are."""


@pytest.fixture(scope="module")
def server():
    with KognitosServer(schedule=Schedule.manual(), capacity=None) as server:
        for number in range(RUNS):
            at = FIRST + timedelta(hours=number)
            server.add_run(name=f"run {number}", status="Exception", created_at=at)
            server.platform.add_run(state="awaiting_guidance", created_at=at)
        for number in range(15):
            server.platform.add_automation(f"automation {number}")
        yield server


@pytest.fixture(autouse=True)
def _behave(server):
    yield
    server.behave()


def spoiled(member):
    def spoil(page):
        page[member][1] = {**page[member][1], "id": {"not": "a text"}, "name": {"not": "a text"}}
        return page

    return faults.rewritten(spoil)


def environ(server, without):
    return {name: value for name, value in server.environ.items() if name != without}


@pytest.mark.parametrize("which", LISTS)
def test_a_list_goes_on_behind_what_cannot_be_decoded(command, server, which):
    without, call, operation, member, count = LISTS[which]
    server.misbehave(operation, spoiled(member))
    code, out, err = command.run(*call, **environ(server, without))
    assert code == 1
    assert len(err.splitlines()) == 1
    assert err.startswith(f"kognitos: {which.split()[0]} skipped: 1. ")
    assert len(out.splitlines()) == count - 1


@pytest.mark.parametrize("without", [V2, PLATFORM], ids=["v2", "platform"])
def test_a_list_that_ends_before_it_says_nothing(command, server, without):
    """Nor does a page that was asked for ahead leave a trace."""
    operation, member = ("list_runs", "items") if without == V2 else ("ListRuns", "runs")
    server.misbehave(operation, spoiled(member))
    code, out, err = command.run("runs", "list", "--limit", "1", **environ(server, without))
    assert (code, len(out.splitlines()), err) == (0, 1, "")


def test_an_exception_is_shown_without_messages_that_cannot_be_decoded(command, server):
    (exception, *_) = server.platform.exceptions.values()
    server.misbehave("ListEvents", spoiled_event())
    code, out, err = command.run("exceptions", "show", exception.id, "--json", **environ(server, PLATFORM))
    assert code == 1, err
    assert err.startswith("kognitos: events skipped: 1. ")
    assert json.loads(out)["id"] == exception.id


def spoiled_event():
    def spoil(page):
        (member,) = [name for name in page if isinstance(page[name], list)]
        page[member][0] = {"id": 7, "create_time": "never"}
        return page

    return faults.rewritten(spoil)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_export_that_goes_on_still_says_what_its_earlier_call_left_out(command, server, tmp_path, ending):
    """With exit code 1: the file lacks them."""
    output = tmp_path / f"runs.{ending}"
    call = ("runs", "export", "--process", server.process.id, "--output", str(output))
    server.misbehave("list_runs", spoiled("items"))
    server.misbehave("list_runs", faults.refused(400, "Not now"), skip=1)
    code, _, err = command.run(*call, **environ(server, V2))
    assert code == 1
    assert "runs skipped: 1. " in err
    assert not output.exists()
    code, _, err = command.run(*call, **environ(server, V2))
    assert code == 1
    assert "kognitos: runs skipped by an earlier call: 1" in err.splitlines()
    assert f"{RUNS - 1} runs written" in err
    assert output.exists()


@pytest.mark.parametrize("without", [V2, PLATFORM], ids=["v2", "platform"])
def test_a_mirror_lacks_it_and_says_so(command, server, tmp_path, without):
    operation, member = ("list_runs", "items") if without == V2 else ("ListRuns", "runs")
    server.misbehave(operation, spoiled(member))
    source = ("--process", server.process.id)
    if without == PLATFORM:
        source = ("--automation", server.platform.automation.id)
    call = ("runs", "sync", *source, "--into", str(tmp_path / "runs.sqlite"), "--json")
    code, out, err = command.run(*call, **environ(server, without))
    assert code == 1
    assert err == "kognitos: runs left out: 1 cannot be decoded (-v says which)\n"
    result = json.loads(out)
    assert (result["new"], result["undecoded"]) == (RUNS - 1, 1)
