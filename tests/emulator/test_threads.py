"""`with KognitosServer()`: the server in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from kognitos_async.testing import KognitosServer, Schedule, faults
from tests.conftest import open_sockets


def ask(server: KognitosServer, path: str, body: object = None) -> dict:
    headers = {"x-api-key": server.api_key, "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(server.base_url + path, data, headers)
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return json.load(answer)


def start(server: KognitosServer, name: str) -> dict:
    process = server.process
    body = {"name": name, "agent_id": process.agent_id, "process_id": process.id, "stage": "Published"}
    return ask(server, "/runs", body)


def test_blocking_code_sees_a_run_settle_without_waiting():
    with KognitosServer(schedule=Schedule.fixed(3600)) as server:
        run = start(server, "a")
        assert ask(server, f"/runs/{run['id']}")["status"] == "Running"
        server.advance(3600)
        assert ask(server, f"/runs/{run['id']}")["status"] == "Succeeded"
        assert server.runs[run["id"]].status == "Succeeded"


@pytest.fixture
def new_threads():
    """Tells the threads begun since; those of earlier tests may end meanwhile."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


def test_nothing_is_left_behind(new_threads):
    before = open_sockets()
    with KognitosServer() as server, socket.create_connection(("127.0.0.1", int(server.url[-5:].strip(":")))):
        assert len(new_threads()) == 1
    assert not new_threads()
    assert not open_sockets() - before


def test_a_block_left_by_an_exception_ends_the_thread(new_threads):
    with pytest.raises(ZeroDivisionError), KognitosServer():
        1 / 0  # noqa: B018 - it raises
    assert not new_threads()


def test_a_taken_port_is_an_error_where_the_block_begins(new_threads):
    with KognitosServer() as server, pytest.raises(OSError, match="already in use"):
        KognitosServer(port=int(server.url.rpartition(":")[2])).__enter__()
    assert not new_threads()


async def test_inside_a_running_loop():
    with KognitosServer() as server:
        async with server.client() as client:
            assert (await client.run_and_wait(server.process.id, name="a", timeout=5)).succeeded
        with pytest.raises(RuntimeError, match="running already"):
            await server.start()


async def test_stopped_and_started_from_another_loop():
    """Its thread stays its own, and so do port and runs."""
    with KognitosServer() as server:
        url = server.url
        async with server.client() as client:
            run = await client.runs.start(server.process.id, name="a")
        await server.stop()
        with pytest.raises(urllib.error.URLError):
            await asyncio.to_thread(ask, server, "/health")
        await server.start()
        assert server.url == url
        assert (await asyncio.to_thread(ask, server, f"/runs/{run.id}"))["id"] == run.id


def test_the_same_server_again():
    server = KognitosServer()
    with server:
        first = server.url
        run = start(server, "a")
    with server:
        assert server.url == first
        assert ask(server, f"/runs/{run['id']}")["name"] == "a"


@pytest.fixture
def threads_take_turns_often():
    """A hundred times as often: more orders of events, and no thread waits for another's turn to end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 100)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("threads_take_turns_often")
def test_control_while_requests_come_in():
    """Iterating, counting, arming and setting from one thread while others start runs."""
    with KognitosServer(capacity=None, schedule=Schedule.random(0.0, 0.01)) as server:
        done = threading.Event()
        errors = []

        def control() -> None:
            try:
                while not done.is_set():
                    assert all(run.status for run in server.runs.values())
                    assert len(server.log) <= server.count()
                    server.misbehave("get_health", faults.not_found()).cancel()
                    server.duplicates()
                    for run in server.platform.runs.values():
                        assert run.state
                        assert all(run.threads.values())
                    server.platform.add_run()
            except BaseException as error:  # noqa: BLE001 - which the test raises
                errors.append(error)

        controller = threading.Thread(target=control)
        controller.start()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: start(server, f"run {number % 50}"), range(200)))
        done.set()
        controller.join()
        assert not errors
        assert len(server.runs) == server.count("create_run", status=201) == 200
        assert server.duplicates() == {f"run {number}": 4 for number in range(50)}
