"""`kognitos demo`."""

from __future__ import annotations

import io
import re
import signal

import pytest
from rich.console import Console

from kognitos_async import PollPolicy, RetryPolicy, StartUncertainError
from kognitos_async.cli import demo
from kognitos_async.cli.app import run
from kognitos_async.cli.workload import Workload
from kognitos_async.testing import faults

FIGURES = re.compile(
    r"^runs (\d+)  requests (\d+)  retries (\d+)  recovered (\d+)  duplicates (\d+)  lost (\d+)\n\Z",
    re.MULTILINE,
)


def figures(out: str) -> dict[str, int]:
    found = FIGURES.search(out)
    assert found, out
    names = ("runs", "requests", "retries", "recovered", "duplicates", "lost")
    return dict(zip(names, map(int, found.groups()), strict=True))


@pytest.mark.slow
def test_on_the_emulator_every_run_is_accounted_for(command):
    code, out, err = command.run("demo")
    assert (code, err) == (0, "")
    counted = figures(out)
    assert (counted["runs"], counted["duplicates"], counted["lost"]) == (60, 0, 0)
    assert counted["requests"] > 60
    assert counted["retries"] > 0
    assert "the history holds 1000 runs\n" in out
    assert counted["recovered"] == 3
    assert "starts with a lost answer: 7; found 3, absent and started again 4\n" in out
    assert "it needs a person" in out
    assert "somebody stopped it" in out
    assert "\x1b" not in out
    assert "started 60, running 0, settled 60 of 60\n" in out
    misbehaved = re.search(r"misbehaved (\d+) times", out)
    assert misbehaved
    assert int(misbehaved[1]) == 15


def test_on_an_account_it_takes_the_key_from_the_environment(command, monkeypatch, capsys):
    _, environ = command.serve("--duration", "0.1")
    monkeypatch.setenv("KOGNITOS_API_KEY", environ["KOGNITOS_API_KEY"])
    call = ["demo", "--process", environ["KOGNITOS_PROCESS_ID"], "--agent", environ["KOGNITOS_AGENT_ID"]]
    call += ["--base-url", environ["KOGNITOS_BASE_URL"], "--runs", "5"]
    for repetition in (1, 2):
        assert run(call) == 0
        out = capsys.readouterr().out
        counted = figures(out)
        assert (counted["runs"], counted["retries"], counted["duplicates"], counted["lost"]) == (5, 0, 0, 0)
        assert counted["requests"] >= 8
        assert f"the history holds {5 * repetition} runs\n" in out


@pytest.mark.parametrize("terminal", [True, False])
async def test_duplicates_and_lost_runs_are_failures(kognitos_server, terminal):
    """Four starts are refused for good; the six runs made are called duplicates."""
    kognitos_server.misbehave("create_run", faults.server_error(400), times=4)
    text = io.StringIO()
    console = Console(file=text, width=160, force_terminal=terminal, legacy_windows=False)
    client = kognitos_server.client(
        poll=PollPolicy(initial=0.02, maximum=0.1), retry=RetryPolicy(base_delay=0.01)
    )
    place = demo._Place(
        client=client,
        process_id=kognitos_server.process.id,
        absence_delay=0.0,
        timeout=10.0,
        requests=kognitos_server.count,
        duplicates=lambda history: history.names.total(),
    )
    assert await demo._show(place, console, 10) == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    counted = figures(plain)
    assert (counted["runs"], counted["duplicates"], counted["lost"]) == (10, 6, 4)
    assert "not started" in plain
    assert "400" in plain
    assert ("\x1b" in text.getvalue()) == terminal


async def test_a_start_that_stays_uncertain_is_not_repeated_for_ever(kognitos_server):
    kognitos_server.misbehave("create_run", faults.reset(after_work=False), times=None)
    console = Console(file=io.StringIO(), width=160)
    place = demo._Place(
        client=kognitos_server.client(),
        process_id=kognitos_server.process.id,
        absence_delay=0.0,
        timeout=10.0,
        requests=kognitos_server.count,
        duplicates=lambda _history: 0,
    )
    assert await demo._show(place, console, 1) == 1
    assert kognitos_server.count("create_run") == 5


async def test_of_two_runs_with_one_name_none_is_taken_over(kognitos_server, kognitos_client):
    lines: list[str] = []
    workload = Workload(
        kognitos_client,
        kognitos_server.process.id,
        1,
        absence_delay=0.0,
        timeout=10.0,
        on_change=lambda: None,
        say=lines.append,
    )
    (job,) = workload.jobs
    kognitos_server.add_run(name=job.name)
    kognitos_server.misbehave("create_run", faults.reset(after_work=True))
    await workload.run(await workload.upload())
    assert isinstance(job.error, StartUncertainError)
    assert job.run is None
    assert lines == []


@pytest.mark.slow
def test_ctrl_c_ends_it_at_once(command):
    started = command.start("demo", PYTHONUNBUFFERED="1")
    assert started.stdout
    while "uploaded" not in started.stdout.readline():
        assert started.poll() is None
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=20)
    assert (started.returncode, err) == (130, "")


def test_a_missing_key_is_one_line(capsys):
    assert run(["demo", "--process", "p1", "--agent", "a1"]) == 1
    assert capsys.readouterr().err == "kognitos: no API key: pass api_key or set KOGNITOS_API_KEY\n"


def test_an_error_of_the_api_is_one_line(command, capsys, monkeypatch):
    _, environ = command.serve()
    monkeypatch.setenv("KOGNITOS_API_KEY", "wrong")
    call = ["demo", "--process", "p1", "--agent", "a1", "--base-url", environ["KOGNITOS_BASE_URL"]]
    assert run(call) == 1
    err = capsys.readouterr().err
    assert err.startswith("kognitos: POST /files: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--base-url", "http://127.0.0.1:1"], "--process"),
        (["--agent", "a1"], "--process"),
        (["--runs", "0"], "--runs"),
        (["--runs", "many"], "--runs"),
    ],
)
def test_a_bad_option_is_refused(capsys, options, complaint):
    assert run(["demo", *options]) == 2
    assert complaint in capsys.readouterr().err
