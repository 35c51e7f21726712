"""Causes and contexts of errors, and failures shared by several calls."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback

import msgspec
import pytest

from kognitos_async import (
    APIStatusError,
    DecodeError,
    KognitosClient,
    KognitosError,
    OutcomeUnknownError,
    RetryPolicy,
    StartUncertainError,
)
from kognitos_async.testing import faults

pytestmark = pytest.mark.usefixtures("nothing_left")

KEY = "sk-9f8e7d6c5b4a-very-secret"
ECHO = msgspec.json.encode({"message": f"the key {KEY} is wrong", "details": [{"name": "k", "value": KEY}]})

FAULTS = {
    "echo 401": faults.answer(401, ECHO),
    "echo 500": faults.answer(500, ECHO, {"X-Request-Id": KEY}),
    "echo 200": faults.answer(200, ECHO),
    "echo html": faults.answer(502, f"<html>{KEY}</html>".encode(), {"Content-Type": "text/html"}),
    "echo malformed": faults.answer(200, f'{{"{KEY}": {KEY}'.encode()),
    "echo in the shape": faults.answer(200, msgspec.json.encode({"status": {KEY: 1}, "id": [KEY]})),
    "reset": faults.reset(after_work=False),
    "cut": faults.cut_body(),
    "hang": faults.hang(),
    "redirect": faults.redirect(f"https://other.example/{KEY}"),
}

HEADS = [
    b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 999999 Strange\r\nContent-Length: 0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    b"\x00" * 5000,
    b"",
]


def chain(error):
    """The error and all errors linked to it, whether or not a traceback would show them."""
    links = []
    while error is not None:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def everything(error):
    """All that a log, a debugger or a queue may show of an error."""
    shown = traceback.format_exception(error)
    for link in chain(error):
        shown += [str(link), repr(link), repr(vars(link)), repr(link.args)]
    shown.append(pickle.dumps(error).decode("latin-1"))
    return "\n".join(shown)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: repr(head[:48]))
async def test_chained_errors_never_hold_the_key(head):
    """The errors of aiohttp hold the request's headers: they are not chained, not even as context."""

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    retry = RetryPolicy(max_attempts=2, base_delay=0.001)
    async with listener, KognitosClient(KEY, base_url=url, retry=retry, request_timeout=2) as client:
        with pytest.raises((OutcomeUnknownError, DecodeError, APIStatusError)) as caught:
            await client.health()
        assert KEY not in everything(caught.value)


@pytest.mark.parametrize("name", FAULTS)
async def test_no_call_shows_the_key(serve, connect, caplog, name):
    """Reads, starts, waits and uploads at once, with everything logged."""
    caplog.set_level(logging.DEBUG)
    server = await serve(api_key=KEY)
    client = await connect(server, request_timeout=0.1)
    server.misbehave("*", FAULTS[name], times=None)
    outcomes = await asyncio.gather(
        client.health(),
        client.runs.get("r"),
        client.runs.list(server.process.id).collect(),
        client.runs.start(server.process.id, name="n"),
        client.wait_for_run("r", timeout=0.2),
        client.files.upload(b"x", file_name="a"),
        client.request("POST", "/files", json={"file_name": "a"}),
        return_exceptions=True,
    )
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert failures
    for failure in failures:
        assert isinstance(failure, KognitosError)
        assert KEY not in everything(failure)
    assert any(record.name == "kognitos_async" for record in caplog.records)
    for record in caplog.records:
        assert KEY not in f"{record.getMessage()} {record.args!r} {record.exc_text}"
    assert server.leaks == 0


@pytest.mark.parametrize("fault", [faults.gzip_bomb(), faults.endless_body()], ids=["gzip bomb", "endless"])
async def test_an_enormous_answer_to_a_start_leaves_it_uncertain(server, connect, fault):
    """The run exists; it is found and not started again."""
    client = await connect(server, request_timeout=2)
    server.misbehave("create_run", fault)
    with pytest.raises(StartUncertainError) as caught:
        await client.runs.start(server.process.id, name="n")
    found = await client.runs.find_started(caught.value.request, since=caught.value.since)
    assert [run.id for run in found] == list(server.runs)
    assert server.count("create_run") == 1


async def test_an_id_from_the_api_is_one_path_segment(client, server):
    """Even if it looks like a path."""
    run = {"id": "../../files?x=1#", "name": "n", "agent_id": "a", "process_id": "p", "stage": "Draft"}
    run |= {"status": "Running", "created_at": "2021-01-01T00:00:00"}
    server.misbehave("get_run", faults.answer(200, msgspec.json.encode(run)))
    odd = await client.runs.get("r")
    with pytest.raises(APIStatusError):
        await client.runs.get(odd.id)
    assert server.log[-1].path == "/v2/runs/..%2F..%2Ffiles%3Fx%3D1%23"


async def test_cookies_of_a_named_host_are_not_sent_back(server):
    """By name, because cookies of bare addresses are dropped by aiohttp anyhow."""
    url = server.base_url.replace("127.0.0.1", "localhost")
    cookie = {"Set-Cookie": "session=tracked; Path=/", "Content-Type": "application/json"}
    server.misbehave("get_health", faults.answer(200, b'{"status": "OK"}', cookie))
    async with KognitosClient(server.api_key, base_url=url) as client:
        await client.health()
        await client.health()
    assert "Cookie" not in server.log[-1].headers
