"""Reused, closed and shared connections: nothing is sent twice, and no start is in doubt needlessly."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp
import pytest

from kognitos_async import (
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    KognitosClient,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PlatformClient,
    RetryPolicy,
)
from kognitos_async.testing import faults
from tests.hostile.raw_server import RUN, answer, read_request, serving
from tests.support import eventually

ONCE = RetryPolicy(max_attempts=1)
SESSIONS = pytest.mark.parametrize("given", [False, True], ids=["own session", "session given"])


async def test_a_large_body_brings_no_warning():
    """As an error, the warning of aiohttp for a MiB of bytes would end the start."""

    async def program(reader, writer):
        while (await read_request(reader)) is not None:
            writer.write(answer(RUN, 201))

    async with serving(program) as url, KognitosClient("k", agent_id="a", base_url=url) as client:
        await client.runs.start("p", name="n", inputs={"text": "x" * 2**21})
        await client.request("POST", "/files", json={"text": "x" * 2**21})


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as opened:
        yield opened


@SESSIONS
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"])
async def test_a_broken_reused_connection_is_not_retried_by_aiohttp(method, given, session):
    """It would repeat idempotent requests outside of the retry policy."""
    arrived = Counter()

    async def program(reader, writer):
        while (found := await read_request(reader)) is not None:
            arrived[found[0], found[1]] += 1
            if found[1].endswith("/things"):
                return  # it is done; nobody is told
            writer.write(answer({"status": "OK"}))

    async with serving(program) as base:
        options = {"retry": ONCE, "session": session if given else None}
        async with KognitosClient("k", base_url=base, agent_id="a", **options) as client:
            await client.health()
            with pytest.raises(OutcomeUnknownError):
                await client.request(method, "/things", json=None if method == "GET" else {})
    assert arrived[method, "/v2/things"] == 1


@pytest.mark.parametrize("attempts", [1, 3])
async def test_reads_are_sent_as_often_as_the_policy_says(attempts):
    """Each attempt once."""
    arrived = 0

    async def program(reader, writer):
        nonlocal arrived
        while await read_request(reader) is not None:
            arrived += 1
            if arrived > 1:
                return
            writer.write(answer({"status": "OK"}))

    async with serving(program) as base:
        policy = RetryPolicy(max_attempts=attempts, base_delay=0.001)
        async with KognitosClient("k", base_url=base, agent_id="a", retry=policy) as client:
            await client.health()
            with pytest.raises(OutcomeUnknownError):
                await client.health()
    assert arrived == 1 + attempts


async def test_a_delete_that_was_done_is_not_reported_as_not_found():
    """Its answer was lost, which is the error."""
    gone = False

    async def program(reader, writer):
        nonlocal gone
        while (found := await read_request(reader)) is not None:
            if found[0] == "DELETE" and not gone:
                gone = True
                return
            writer.write(answer({"code": 5, "message": "no such file"}, 404) if gone else answer({}))

    async with (
        serving(program) as base,
        PlatformClient("kgn_pat_x", base_url=base, organization_id="o") as client,
    ):
        await client.request("GET", "/organizations")
        with pytest.raises(OutcomeUnknownError):
            await client.files.delete("f1")


STARTS = {
    "v2": lambda client, platform: client.runs.start("p", name="n"),
    "platform": lambda client, platform: platform.automations.invoke("a", {"n": 1}),
}


@pytest.mark.parametrize("api", STARTS)
async def test_a_server_that_closes_kept_connections_leaves_no_start_in_doubt(api):
    """It announces keep-alive but closes just after its answer."""
    started = 0

    async def program(reader, writer):
        nonlocal started
        if await read_request(reader) is not None:
            started += 1
            writer.write(answer(RUN, 201, "Connection: keep-alive"))
            await writer.drain()
            await asyncio.sleep(0.001)

    async with (
        serving(program) as base,
        KognitosClient("k", base_url=base, agent_id="a") as client,
        PlatformClient("kgn_pat_x", base_url=base, organization_id="o", workspace_id="w") as platform,
    ):
        for _ in range(30):
            await STARTS[api](client, platform)
    assert started == 30


@SESSIONS
@pytest.mark.parametrize("api", STARTS)
async def test_a_start_after_a_blocked_loop_avoids_dead_connections(api, given, session):
    """The FIN of the connection is pending in its socket."""
    posts = 0

    async def program(reader, writer):
        nonlocal posts
        while (found := await read_request(reader)) is not None:
            posts += found[0] == "POST"
            writer.write(answer({**RUN, "status": "OK"}, 200))
            if found[0] == "GET":
                await writer.drain()
                return

    options = {"session": session if given else None}
    async with (
        serving(program) as base,
        KognitosClient("k", base_url=base, agent_id="a", **options) as client,
        PlatformClient(
            "kgn_pat_x", base_url=base, organization_id="o", workspace_id="w", **options
        ) as platform,
    ):
        for _ in range(3):
            await client.health()
            await asyncio.sleep(0)
            time.sleep(0.02)  # noqa: ASYNC251 - what stands still
            await STARTS[api](client, platform)
    assert posts == 3


async def test_an_unsolicited_response_is_not_taken_for_the_next():
    """Some proxies send 408 on an idle connection before they close it; a faulty server answers twice."""
    spoken = asyncio.Event()

    async def program(reader, writer):
        while (found := await read_request(reader)) is not None:
            name = found[1].rpartition("/")[2]
            writer.write(answer({**RUN, "id": name}))
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(answer({**RUN, "id": "nobody"}))
            await writer.drain()
            spoken.set()

    async with serving(program) as base, KognitosClient("k", base_url=base, retry=ONCE) as client:
        for number in range(5):
            assert (await client.runs.get(f"r{number}")).id == f"r{number}"
            await spoken.wait()
            spoken.clear()
            await asyncio.sleep(0.02)  # what was written arrives


async def test_a_users_session_does_not_change_responses(serve, connect, tmp_path, monkeypatch):
    """Neither raise_for_status, decompression, cookies, credentials nor netrc have an effect."""
    seen = []

    async def program(reader, writer):
        while True:
            try:
                seen.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
            except asyncio.IncompleteReadError:
                return
            writer.write(answer({"message": "none"}, 404, "Set-Cookie: who=nobody"))

    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password of-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    async def refuse(*_):
        raise AssertionError("not asked")

    options = {
        "raise_for_status": True,
        "auto_decompress": False,
        "trust_env": True,
        "cookies": {"who": "somebody"},
        "cookie_jar": aiohttp.CookieJar(unsafe=True),
        "headers": {"Accept": "text/html"},
        "middlewares": [refuse],
        "connector": aiohttp.TCPConnector(limit=1),
    }
    async with serving(program) as base, aiohttp.ClientSession(**options) as session:
        for client in (
            KognitosClient("k", base_url=base, session=session),
            PlatformClient("kgn_pat_x", base_url=base, session=session),
        ):
            async with client:
                for _ in range(2):
                    with pytest.raises(NotFoundError):
                        await client.request("GET", "/health")
    assert len(seen) == 4
    for head in seen:
        assert "cookie:" not in head
        assert "accept: application/json" in head
        assert head.count("authorization:") == ("bearer kgn_pat_x" in head)
        assert ("x-api-key: k\r\n" in head) != ("bearer kgn_pat_x" in head)

    server = await serve()
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        client = await connect(server, session=session, retry=ONCE)
        server.misbehave("create_run", faults.capacity_reached())
        with pytest.raises(CapacityError):
            await client.runs.start(server.process.id, name="n")


async def test_a_key_among_the_headers_of_a_session_stays_with_the_api(serve, connect):
    """As made for calls by hand: no file store of either API gets it."""
    server = await serve()
    headers = {"x-api-key": server.api_key, "Authorization": f"Bearer {server.platform.token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        client = await connect(server, session=session)
        await client.files.upload(b"content", file_name="a.txt")
        async with server.platform_client(session=session) as platform:
            url = await platform.files.generate_upload_url()
            await platform.files.upload_presigned(url, b"content")
            await platform.automations.list().collect()
    assert server.leaks == 0


@pytest.mark.parametrize("wrong", [object(), "https://example.invalid", aiohttp])
def test_another_object_as_session_is_refused(wrong):
    """At once; the error names the argument."""
    with pytest.raises(ConfigurationError, match=r"session must be an aiohttp\.ClientSession"):
        KognitosClient("k", session=wrong)


async def test_traces_beside_a_session_are_refused(session):
    """They would never be called."""
    with pytest.raises(ConfigurationError, match="trace_configs"):
        KognitosClient("k", session=session, trace_configs=[aiohttp.TraceConfig()])


async def test_a_small_pool_of_a_user_bounds_the_requests_in_flight(serve):
    """Requests wait for a slot, not in the pool, where their timeout runs."""
    server = await serve()
    server.misbehave("get_health", faults.slow_body(0.5), times=None)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session,
        server.client(session=session, request_timeout=1.5, retry=ONCE) as client,
    ):
        await asyncio.gather(*(client.health() for _ in range(8)))


async def test_a_start_that_never_left_a_pool_was_not_sent(serve):
    """With the only connection of the session in use, the start is not in doubt."""
    server = await serve()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
        server.client(session=session, request_timeout=0.2, retry=ONCE) as client,
    ):
        server.misbehave("get_health", faults.hang())
        url = f"{server.base_url.removesuffix('/v2')}/v2/health"
        async with asyncio.TaskGroup() as group:
            other = group.create_task(session.get(url, headers={"x-api-key": server.api_key}))
            await asyncio.sleep(0.05)
            with pytest.raises(NotSentError):
                await client.runs.start(server.process.id, name="n")
            other.cancel()
    assert server.count("create_run") == 0


async def test_a_header_of_many_kilobytes_is_read():
    """Gateways add policies of that length."""
    for size in (9_000, 50_000):

        async def program(reader, writer, size=size):
            while await read_request(reader) is not None:
                writer.write(answer({"status": "OK"}, 200, f"Content-Security-Policy: {'x' * size}"))

        async with serving(program) as base, KognitosClient("k", base_url=base) as client:
            assert (await client.health()).ok


async def test_the_error_for_a_too_long_header_says_so():
    """It quotes none of it."""

    async def program(reader, writer):
        while await read_request(reader) is not None:
            writer.write(answer({"status": "OK"}, 200, f"Content-Security-Policy: {'x' * 200_000}"))

    async with serving(program) as base, KognitosClient("k", base_url=base, retry=ONCE) as client:
        with pytest.raises(OutcomeUnknownError, match="header") as caught:
            await client.health()
    assert "xxx" not in str(caught.value)


@pytest.mark.parametrize("host", ["foo..bar.invalid", "a" * 70 + ".invalid", ".invalid"])
def test_an_invalid_host_is_refused(host):
    """Before a DNS look-up."""
    with pytest.raises(ConfigurationError, match="base_url"):
        KognitosClient("k", base_url=f"https://{host}")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("POST", 202), ("DELETE", 204)])
async def test_an_answer_without_a_body_reads_as_null(method, status):
    """Of a method that has none, and of a status that has none."""

    async def program(reader, writer):
        while await read_request(reader) is not None:
            writer.write(answer(b"", status))

    async with serving(program) as base, KognitosClient("k", base_url=base) as client:
        assert bytes(await client.request(method, "/things")) == b"null"
        assert await client.request(method, "/things", response_type=None) is None


def test_a_client_in_another_event_loop_is_refused(serve):
    """With an error that names the cause."""

    async def make(base):
        return await KognitosClient("k", base_url=base).open()

    loop = asyncio.new_event_loop()
    try:
        client = loop.run_until_complete(make("http://127.0.0.1:9"))

        async def use():
            await client.health()

        with pytest.raises(ConfigurationError, match="event loop"):
            asyncio.run(use())
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()


async def test_closing_an_unopened_client_has_no_effect(serve):
    """A shutdown hook may run although startup failed."""
    server = await serve()
    client = server.client()
    await client.aclose()
    run = server.add_run(status="Succeeded")
    async with client:
        assert (await client.runs.get(run.id)).id == run.id
        assert (await client.wait_for_run(run.id, timeout=5)).succeeded
    with pytest.raises(ClientClosedError):
        await client.health()


async def test_a_hundred_idle_streams_do_not_block_requests(serve):
    """They have separate slots."""
    server = await serve()
    run = server.platform.add_run(state="executing")
    async with server.platform_client(max_connections=3) as client, AsyncExitStack() as stack:
        for _ in range(3):
            events = await stack.enter_async_context(client.exceptions.stream(run.name))
            stack.push_async_callback(cancelled, asyncio.create_task(anext(events)))
        await eventually(lambda: server.count("StreamEvents") == 3)
        async with asyncio.timeout(2):
            await asyncio.gather(*(client.runs.get(run.name) for _ in range(10)))


async def cancelled(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_tls_and_dns_failures_are_described(tmp_path, monkeypatch):
    """Not by an errno of another meaning."""
    key, certificate = tmp_path / "k", tmp_path / "c"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    async def close(reader, writer):
        writer.close()

    async def plain(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def nowhere(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def failure(base):
        async with KognitosClient("k", base_url=base, retry=ONCE) as client:
            with pytest.raises(NotSentError) as caught:
                await client.health()
            return str(caught.value)

    trusted = await asyncio.start_server(close, "127.0.0.1", 0, ssl=context)
    async with trusted, await asyncio.start_server(plain, "127.0.0.1", 0) as untrusted:
        ports = [server.sockets[0].getsockname()[1] for server in (trusted, untrusted)]
        assert "certificate is not accepted, self-signed" in await failure(f"https://127.0.0.1:{ports[0]}")
        assert "TLS failed" in await failure(f"https://127.0.0.1:{ports[1]}")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nowhere, raising=False)
    assert "host name was not found" in await failure("https://kognitos.invalid")
