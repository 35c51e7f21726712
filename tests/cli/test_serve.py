"""`kognitos serve`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from kognitos_async import KognitosClient, PlatformClient, PollPolicy, RateLimitError, RetryPolicy, RunStatus
from kognitos_async.cli.app import run
from kognitos_async.testing import KognitosServer, ServerControl


async def use(environ: dict[str, str]) -> RunStatus:
    async with KognitosClient(
        environ["KOGNITOS_API_KEY"],
        base_url=environ["KOGNITOS_BASE_URL"],
        agent_id=environ["KOGNITOS_AGENT_ID"],
        poll=PollPolicy(initial=0.05),
    ) as client:
        return (await client.run_and_wait(environ["KOGNITOS_PROCESS_ID"], name="a run", timeout=20)).status


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_it_prints_a_usable_environment_and_ends_cleanly(command, ending):
    started, environ = command.serve("--duration", "0.1")
    assert set(environ) == {
        "KOGNITOS_BASE_URL",
        "KOGNITOS_API_KEY",
        "KOGNITOS_AGENT_ID",
        "KOGNITOS_PROCESS_ID",
        "KOGNITOS_TOKEN",
        "KOGNITOS_ORGANIZATION_ID",
        "KOGNITOS_WORKSPACE_ID",
        "KOGNITOS_AUTOMATION_ID",
    }
    assert await use(environ) in {"Succeeded", "Exception", "Stopped"}
    started.send_signal(ending)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, err) == (0, "")
    assert re.fullmatch(r"requests [2-9], runs 1, files 0\n", out)


async def test_clients_of_both_apis_take_that_environment_as_it_is(command, monkeypatch):
    started, environ = command.serve("--duration", "0.1")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    async with PlatformClient(poll=PollPolicy(initial=0.05)) as client:
        run = await client.run_and_wait(os.environ["KOGNITOS_AUTOMATION_ID"], timeout=20)
    assert run.settled
    async with KognitosClient(poll=PollPolicy(initial=0.05)) as client:
        process_id = os.environ["KOGNITOS_PROCESS_ID"]
        assert (await client.run_and_wait(process_id, name="a run", timeout=20)).settled
    started.send_signal(signal.SIGTERM)
    assert re.fullmatch(r"requests ([4-9]|1\d), runs 2, files 0\n", started.communicate(timeout=20)[0])


async def test_every_run_can_be_told_to_need_a_person(command):
    """So that an exception can be looked at without waiting for chance."""
    _, environ = command.serve("--duration", "0", "--outcome", "exception")
    assert await use(environ) == "Exception"
    source = environ["KOGNITOS_AUTOMATION_ID"]
    platform = {name: value for name, value in environ.items() if name != "KOGNITOS_API_KEY"}
    code, out, err = command.run("automations", "invoke", source, "--wait", "--json", **platform)
    assert (code, json.loads(out)["state"]) == (3, "awaiting_guidance"), err
    code, _, err = command.run("serve", "--outcome", "good")
    assert code == 2
    assert err.startswith("kognitos: '--outcome': 'good' is not one of 'random', 'succeeded'")


async def test_a_run_survives_kill_9_and_moves_on(command, tmp_path):
    options = ["--state", str(tmp_path / "state"), "--duration", "3"]
    started, environ = command.serve(*options)
    port = environ["KOGNITOS_BASE_URL"].rpartition(":")[2].partition("/")[0]
    settings = {"base_url": environ["KOGNITOS_BASE_URL"], "agent_id": environ["KOGNITOS_AGENT_ID"]}
    async with KognitosClient(environ["KOGNITOS_API_KEY"], **settings) as client:
        run = await client.runs.start(environ["KOGNITOS_PROCESS_ID"], name="a run")
    started.kill()
    started.wait()
    _, again = command.serve(*options, "--port", port)
    assert again == environ
    async with KognitosClient(
        environ["KOGNITOS_API_KEY"], poll=PollPolicy(initial=0.05), **settings
    ) as client:
        assert (await client.wait_for_run(run, timeout=20)).settled


def test_another_process_sets_faults_and_counts(command):
    _, environ = command.serve("--control-token", "secret")
    control = ServerControl(environ["KOGNITOS_BASE_URL"].removesuffix("/v2"), "secret")
    fault = control.misbehave("get_health", "unavailable", worker="w1", times=None)
    program = (
        "import asyncio, os, sys, aiohttp\n"
        "from kognitos_async import KognitosClient, KognitosError, RetryPolicy\n"
        "async def main():\n"
        "    async with aiohttp.ClientSession(headers={'X-Worker': sys.argv[1]}) as session:\n"
        "        async with KognitosClient(session=session, retry=RetryPolicy(max_attempts=1)) as client:\n"
        "            try:\n"
        "                await client.health()\n"
        "            except KognitosError as error:\n"
        "                print(error.status)\n"
        "asyncio.run(main())\n"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", program, worker],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for worker in ("w1", "w2")
    ]
    assert answers == ["503\n", ""]
    assert (fault.hits, control.count("get_health", worker="w2", status=200)) == (1, 1)
    assert control.summary()["by_worker"] == {"w1": 1, "w2": 1}


async def test_all_addresses_are_served_where_that_is_allowed(command):
    started, environ = command.serve("--host", "0.0.0.0", "--allow-remote", "--duration", "0.1")
    assert environ["KOGNITOS_BASE_URL"].startswith("http://127.0.0.1:")
    assert await use(environ)
    started.send_signal(signal.SIGTERM)
    assert started.wait(timeout=20) == 0


async def test_options_reach_the_emulator(command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--port", port, "--api-key", "k1", "--agent", "a1", "--duration", "0-0.1", "--seed", "4"]
    options += ["--rate-limit", "0.001", "--capacity", "1", "--order", "shuffled", "--latency", "0.01"]
    _, environ = command.serve(*options)
    assert environ["KOGNITOS_BASE_URL"] == f"http://127.0.0.1:{port}/v2"
    assert (environ["KOGNITOS_API_KEY"], environ["KOGNITOS_AGENT_ID"]) == ("k1", "a1")
    client = KognitosClient(
        "k1", base_url=environ["KOGNITOS_BASE_URL"], agent_id="a1", retry=RetryPolicy(max_attempts=1)
    )
    async with client:
        assert (await client.health()).ok
        with pytest.raises(RateLimitError):
            await client.health()


def test_a_port_in_use_is_one_line(command, capsys):
    _, environ = command.serve()
    port = environ["KOGNITOS_BASE_URL"].rpartition(":")[2].partition("/")[0]
    assert run(["serve", "--port", port]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("kognitos: ")
    assert "already in use" in err
    assert err.count("\n") == 1


def test_a_state_that_cannot_be_used_is_one_line(command, tmp_path, capsys):
    """A file in use by another server, text, a folder, a database of another program, another seed."""
    used, text, database = (tmp_path / name for name in ("used", "text", "database"))
    started, _ = command.serve("--state", str(used))
    text.write_text("some text " * 1000)
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE t (x)")
    refused = {used: "database is locked", text: "not a database", tmp_path: "unable to open"}
    for path, why in (refused | {database: "of another program"}).items():
        assert run(["serve", "--state", str(path)]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("kognitos: ")
        assert why in err
        assert str(path) in err
    started.send_signal(signal.SIGTERM)
    started.wait(timeout=20)
    with KognitosServer(state=used, seed=3) as server:
        server.add_run()
    assert run(["serve", "--state", str(used)]) == 2
    assert capsys.readouterr().err.startswith(f"kognitos: --seed must be 3, that of {used}, got 0 (")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--host", "0.0.0.0"], "use --allow-remote"),
        (["--duration", "fast"], "must be SECONDS or LOW-HIGH"),
        (["--duration", "5-2"], "must be SECONDS or LOW-HIGH"),
        (["--duration", "1-inf"], "must be SECONDS or LOW-HIGH"),
        (["--capacity", "0"], "--capacity"),
        (["--rate-limit", "0"], "--rate-limit"),
        (["--order", "best"], "--order"),
        (["--port", "70000"], "--port"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_a_bad_option_is_refused(capsys, options, complaint):
    assert run(["serve", *options]) == 2
    assert complaint in capsys.readouterr().err
