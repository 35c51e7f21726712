"""`kognitos` as a process: what is read again, rates and delays, proxies, completion."""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults


def bulk(server, folder, *, api="v2", rows=3):
    path = folder / "rows.csv"
    path.write_text("name\n" + "".join(f"row {number}\n" for number in range(rows)))
    source = (
        ("--process", server.process.id) if api == "v2" else ("--automation", server.platform.automation.id)
    )
    return "runs", "bulk", str(path), *source, "--journal", str(folder / "job.journal")


@pytest.mark.parametrize(
    ("api", "word", "settled"), [("v2", "Exception", "Succeeded"), ("platform", "stopped", "completed")]
)
def test_runs_that_a_person_dealt_with_are_read_again(command, tmp_path, api, word, settled):
    """With --recheck alone, and nothing is started again."""
    with KognitosServer(schedule=Schedule.fixed(0.0, word)) as server:
        environ = server.environ if api == "v2" else server.platform.environ
        runs = server.runs if api == "v2" else server.platform.runs
        job = bulk(server, tmp_path, api=api)
        assert command.run(*job, **environ)[0] == 3
        for run in list(runs):
            if api == "v2":
                server.set_status(run, settled)
            else:
                server.platform.set_state(run, settled)
        assert command.run(*job, **environ)[0] == 3
        asked = server.count()
        output = tmp_path / "out.jsonl"
        code, _, err = command.run(*job, "--recheck", "--output", str(output), **environ)
        assert code == 0, err
        assert server.count() > asked
        outcomes = [json.loads(line) for line in output.read_text().splitlines()]
        assert [outcome["status"] for outcome in outcomes] == [settled] * 3
        assert len(runs) == 3


@pytest.mark.parametrize(
    ("api", "word", "again"),
    [
        ("v2", "Exception", True),
        ("v2", "Stopped", True),
        ("platform", "failed", True),
        ("platform", "stopped", True),
        ("platform", "awaiting_guidance", False),
    ],
)
def test_requests_whose_run_failed_are_started_again(command, tmp_path, api, word, again):
    """Those whose run an answer resumes are not, as the help says."""
    with KognitosServer(schedule=Schedule.fixed(0.0, word)) as server:
        environ = server.environ if api == "v2" else server.platform.environ
        runs = server.runs if api == "v2" else server.platform.runs
        job = bulk(server, tmp_path, api=api, rows=2)
        assert command.run(*job, **environ)[0] == 3
        assert command.run(*job, "--retry-failed", **environ)[0] == 3
        assert len(runs) == (4 if again else 2)
    code, out, _ = command.run("runs", "bulk", "--help")
    assert (code, "settled without success, except in awaiting_guidance" in " ".join(out.split())) == (
        0,
        True,
    )


def test_a_job_sends_no_more_requests_a_second_than_it_may(command, tmp_path):
    """By the emulator's clock."""
    rate = 20
    with KognitosServer(schedule=Schedule.fixed(0.0), capacity=None) as server:
        job = bulk(server, tmp_path, rows=10)
        code, _, err = command.run(*job, "--requests-per-second", str(rate), **server.environ)
        assert code == 0, err
        starts = [seen.time for seen in server.log if seen.operation == "create_run"]
        assert len(starts) == 10
        assert starts[-1] - starts[0] >= 0.9 * 9 / rate


def test_a_lost_start_is_looked_up_no_sooner_than_the_absence_delay(command, tmp_path):
    """And started again after it, as the list shows none."""
    with KognitosServer(schedule=Schedule.fixed(0.0)) as server:
        server.misbehave("create_run", faults.reset(after_work=False))
        code, _, err = command.run(
            *bulk(server, tmp_path, rows=1), "--absence-delay", "1.5", **server.environ
        )
        assert code == 0, err
        starts = [seen.time for seen in server.log if seen.operation == "create_run"]
        looks = [seen.time for seen in server.log if seen.operation == "list_runs"]
        assert len(starts) == 2
        assert min(looks) - starts[0] >= 1.4


@contextmanager
def proxy():
    """Its address, and the first lines of what it was asked; it answers 502."""
    asked = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            asked.append(self.rfile.readline().decode())
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("how", ["option", "HTTPS_PROXY", "https_proxy"])
def test_a_proxy_is_asked(command, how):
    """That of the option, or of the environment; what fails there is said in one line."""
    with proxy() as (address, asked):
        options = ("--proxy", address) if how == "option" else ()
        environ = {} if how == "option" else {how: address}
        settings = {"KOGNITOS_API_KEY": "k", "KOGNITOS_BASE_URL": "https://kognitos.invalid"}
        code, _, err = command.run("health", *options, **settings, **environ)
    assert code == 1
    assert asked
    assert set(asked) == {"CONNECT kognitos.invalid:443 HTTP/1.1\r\n"}
    assert len(err.splitlines()) == 1, err


@pytest.mark.parametrize("address", ["http://u:hidden@[::1", "http://u:hidden@h:99999", "u:hidden@h:8080"])
@pytest.mark.parametrize("how", ["--proxy", "HTTPS_PROXY"])
def test_a_proxy_that_is_no_url(command, how, address):
    """It is named as wrong use, without its password."""
    options, environ = (("--proxy", address), {}) if how == "--proxy" else ((), {how: address})
    code, _, err = command.run("health", *options, KOGNITOS_API_KEY="k", **environ)
    assert code == 2
    assert f"{how}: must be a URL" in err
    assert "hidden" not in err


def test_hosts_beside_the_proxy_are_asked_directly(command):
    """NO_PROXY is obeyed."""
    with proxy() as (address, asked):
        settings = {"KOGNITOS_API_KEY": "k", "KOGNITOS_BASE_URL": "https://localhost.invalid"}
        code, _, _ = command.run("health", HTTPS_PROXY=address, NO_PROXY="localhost.invalid", **settings)
    assert (code, asked) == (1, [])


@pytest.mark.parametrize(
    ("words", "position", "found"),
    [
        ("kognitos ru", 1, {"runs"}),
        ("kognitos runs b", 2, {"bulk"}),
        ("kognitos runs bulk --re", 3, {"--recheck"}),
    ],
)
def test_a_shell_completes_verbs_and_options(command, words, position, found):
    code, out, err = command.run(
        _KOGNITOS_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(position)
    )
    assert code == 0, err
    assert found <= set(out.split())
