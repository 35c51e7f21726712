"""Answers that are broken, endless, huge, late or not from the API."""

from __future__ import annotations

import asyncio
import json
import resource
import zlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from kognitos_async import (
    APIStatusError,
    AuthenticationError,
    DecodeError,
    KognitosClient,
    KognitosError,
    NotFoundError,
    OutcomeUnknownError,
    PaginationError,
    PermissionDeniedError,
    PlatformClient,
    RateLimitError,
    RetryPolicy,
    RunRequest,
    RunStatus,
    ServerError,
    Stage,
    StartUncertainError,
)
from kognitos_async.testing import KognitosServer, faults
from tests.hostile.raw_server import answer, read_request, serving

ONCE = RetryPolicy(max_attempts=1)


@pytest.mark.parametrize("after_work", [False, True])
async def test_resets(server, client, after_work):
    """A GET is retried while its connections break."""
    server.misbehave("get_health", faults.reset(after_work=after_work), times=3)
    assert (await client.health()).ok


async def test_resets_without_end(server, client):
    """Connections that always break are an OutcomeUnknownError with the number of attempts."""
    server.misbehave("get_health", faults.reset(after_work=False), times=None)
    with pytest.raises(OutcomeUnknownError) as caught:
        await client.health()
    assert caught.value.attempts == 4
    assert server.count() == 4  # and aiohttp sends nothing again by itself


@pytest.mark.parametrize(
    "fault",
    [faults.cut_body(), faults.reset(after_work=True), faults.wrong_json(), faults.wrong_shape()],
    ids=lambda fault: fault.name,
)
async def test_a_broken_answer_is_a_kognitos_error(server, connect, fault):
    """Truncated, lost or undocumented bodies never become a partial model."""
    client = await connect(server, retry=ONCE)
    made = server.add_run(status="Succeeded")
    server.misbehave("*", fault, times=None)
    for call in (client.runs.get(made.id), client.health(), client.runs.list(server.process.id).collect()):
        with pytest.raises((OutcomeUnknownError, DecodeError)):
            await call


async def test_a_truncated_body_is_retried(server, client):
    """A GET whose body was cut is sent again."""
    server.misbehave("get_health", faults.cut_body(), times=2)
    assert (await client.health()).ok


@asynccontextmanager
async def _cutting(status):
    """A client of a server that refuses each request with a truncated body."""

    async def program(reader, writer):
        await read_request(reader)
        writer.write(answer({"message": "no"}, status)[:-3])

    async with (
        serving(program) as url,
        KognitosClient("k", agent_id="a", base_url=url, retry=ONCE) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (404, NotFoundError), (429, RateLimitError)]
)
async def test_a_refusal_with_a_truncated_body_is_known_by_its_status(status, kind):
    """It was received; only its explanation was lost."""
    async with _cutting(status) as client:
        with pytest.raises(kind):
            await client.runs.get("r")
        if status != 404:
            with pytest.raises(kind):
                await client.runs.start("p", name="x")


async def test_a_refused_start_whose_explanation_was_lost_is_uncertain():
    """The words of a 403 tell whether the organization is at capacity."""
    async with _cutting(403) as client:
        with pytest.raises(StartUncertainError):
            await client.runs.start("p", name="x")


async def test_a_refused_download_whose_body_drips():
    """request_timeout limits the body of the refusal as a whole."""

    async def program(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    options = {"organization_id": "o", "request_timeout": 0.3, "retry": ONCE}
    async with serving(program) as url, PlatformClient("kgn_pat_x", base_url=url, **options) as client:
        async with asyncio.timeout(3):
            with pytest.raises(PermissionDeniedError):
                async with client.files.download("f"):
                    pass


async def test_hung_answers(server, connect):
    """An answer that never comes ends each attempt after request_timeout, and says so."""
    client = await connect(server, request_timeout=0.3, retry=ONCE)
    server.misbehave("*", faults.hang(), times=None)
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(OutcomeUnknownError, match="request_timeout") as caught:
        await client.health()
    assert caught.value.timed_out
    assert 0.25 < loop.time() - before < 2


async def test_dripping_bodies(server, connect):
    """request_timeout covers the body too: one that drips for an hour ends with it."""
    client = await connect(server, request_timeout=0.3, retry=ONCE)
    server.misbehave("*", faults.slow_body(3600, chunks=1000), times=None)
    async with asyncio.timeout(5):
        with pytest.raises(OutcomeUnknownError):
            await client.health()


async def test_endless_bodies(server, connect):
    """They end by time or size, within bounded memory."""
    client = await connect(server, request_timeout=2.0, retry=ONCE)
    server.misbehave("*", faults.endless_body(), times=None)
    async with asyncio.timeout(15):
        with pytest.raises(OutcomeUnknownError):
            await client.health()


async def test_a_gzip_bomb(server, connect):
    """A small body that unpacks to 1 GB is refused at 64 MiB, without unpacking the rest into memory."""
    client = await connect(server, request_timeout=10, retry=ONCE)
    server.misbehave("*", faults.answer(200, _bomb(), {"Content-Encoding": "gzip"}), times=None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with asyncio.timeout(15):
        with pytest.raises(OutcomeUnknownError, match="larger than"):
            await client.health()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 400


def _bomb() -> bytes:
    packer = zlib.compressobj(wbits=31)
    first, again = (packer.compress(b" " * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 1023 + packer.flush()


async def test_deep_json(server, connect):
    """JSON a million levels deep is a DecodeError, and an empty message in an error body."""
    client = await connect(server, retry=ONCE)
    deep = b"[" * 1_000_000 + b"]" * 1_000_000
    server.misbehave("*", faults.answer(200, deep))
    with pytest.raises(DecodeError):
        await client.health()
    server.misbehave("*", faults.answer(200, b'{"status":"OK","x":' + deep + b"}"))
    with pytest.raises(DecodeError):
        await client.health()
    server.misbehave("*", faults.answer(400, b'{"message":' + deep + b"}"))
    with pytest.raises(APIStatusError) as caught:
        await client.health()
    assert caught.value.message == ""
    assert len(caught.value.body) <= 65536


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff\xfe", b"NaN", b'{"status":null}', b"\x00"]
)
async def test_bodies_that_are_not_documented(server, connect, body):
    """A 200 whose body is no health answer is a DecodeError."""
    client = await connect(server, retry=ONCE)
    server.misbehave("get_health", faults.answer(200, body))
    with pytest.raises(DecodeError):
        await client.health()


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b'{"items":{}}', b'{"items":[null]}'])
async def test_lists_that_are_not_documented(server, connect, body):
    """A list without items is an error, not an empty list."""
    client = await connect(server, retry=ONCE)
    server.misbehave("list_runs", faults.answer(200, body))
    with pytest.raises(DecodeError):
        await client.runs.list(server.process.id).collect()


async def test_pages_of_proxies(server, connect):
    """HTML is named as such: in a DecodeError with 200, in a ServerError with 502."""
    client = await connect(server, retry=ONCE)
    server.misbehave("get_health", faults.html_page(200))
    with pytest.raises(DecodeError, match="HTML") as caught:
        await client.health()
    assert caught.value.malformed
    server.misbehave("get_health", faults.proxy_error(502))
    with pytest.raises(ServerError, match="HTML") as refused:
        await client.health()
    assert (refused.value.status, refused.value.message) == (502, "")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [faults.repeat_token, faults.cyclic_token])
async def test_tokens_that_never_end(server, connect, kind):
    """A token seen before ends the listing with PaginationError instead of a loop."""
    client = await connect(server)
    for number in range(40):
        server.add_run(name=f"r{number}")
    server.misbehave("list_runs", kind(), times=None)
    for walk in (_items, _collect):
        with pytest.raises(PaginationError):
            await walk(client.runs.list(server.process.id, limit=10))
    assert server.count() < 20


async def _items(pager):
    return [item async for item in pager]


async def _collect(pager):
    return await pager.collect()


async def test_null_items_at_the_end(server, client):
    """`items` null without a token is an empty list."""
    server.misbehave("list_runs", faults.answer(200, b'{"items":null}'))
    assert await client.runs.list(server.process.id).collect() == []


@pytest.mark.parametrize("token", [b"null", b'""'])
async def test_tokens_that_mean_the_end(server, client, token):
    """A token null or empty ends the list."""
    server.misbehave("list_runs", faults.answer(200, b'{"items":[],"continuation_token":' + token + b"}"))
    assert await client.runs.list(server.process.id).collect() == []
    assert server.count() == 1


def _run_json(**changes) -> bytes:
    run = {
        "id": "run-1", "name": "n", "agent_id": "a", "process_id": "p", "stage": "Draft",
        "status": "Running", "created_at": "2026-01-02T03:04:05", "file_ids": None, "outputs": None,
    }  # fmt: skip
    return msgspec.json.encode({**run, **changes})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05.123456789", datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)),
        ("2026-01-02T05:04:05.5+02:00", datetime(2026, 1, 2, 3, 4, 5, 500000, UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, 0, UTC)),
    ],
)
async def test_times(server, client, text, moment):
    """Times with nine digits, with and without a zone, are read as UTC."""
    server.misbehave("get_run", faults.answer(200, _run_json(created_at=text)))
    run = await client.runs.get("run-1")
    assert run.created_at.utcoffset() == timedelta(0)
    assert abs(run.created_at - moment) <= timedelta(microseconds=1)


async def test_unknown_fields_and_words(server, client):
    """Unknown fields are ignored; unknown values are kept and never count as settled."""
    server.add_run(status="Succeeded", outputs={"a": 1})
    server.misbehave("*", faults.extra_fields(), times=2)
    [run] = await client.runs.list(server.process.id).collect()
    assert (await client.runs.get(run.id)) == run
    server.behave()
    body = _run_json(status="Hibernating", stage="Canary")
    server.misbehave("get_run", faults.answer(200, body))
    odd = await client.runs.get("run-1")
    assert (type(odd.status), str(odd.status), odd.settled) == (RunStatus, "Hibernating", False)
    assert (type(odd.stage), str(odd.stage)) == (Stage, "Canary")
    assert (odd.file_ids, odd.outputs) == ((), ())


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
async def test_come_back_in_an_hour(server, client, status, as_date):
    """A Retry-After of an hour, in seconds or as a date, is raised at once; other requests are not paused."""
    when = datetime.now(UTC) + timedelta(hours=1) if as_date else 3600
    fault = faults.rate_limited(when) if status == 429 else faults.unavailable(when)
    server.misbehave("get_health", fault)
    async with asyncio.timeout(2):
        with pytest.raises(APIStatusError) as caught:
            await client.health()
    assert (caught.value.status, caught.value.attempts) == (status, 1)
    assert caught.value.retry_after == pytest.approx(3600, abs=5)
    async with asyncio.timeout(2):
        assert (await client.health()).ok


@pytest.mark.parametrize(
    "word", ["soon", "-5", "nan", "inf", "1e999", "Thu, 99 Foo 2026 00:00:00 GMT", "0x5"]
)
async def test_a_malformed_retry_after_is_ignored(server, client, word):
    """A Retry-After that cannot be read is as good as none."""
    server.misbehave("get_health", faults.unavailable(word))
    async with asyncio.timeout(5):
        assert (await client.health()).ok


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(serve, connect, server, status):
    """A redirect is an error; its target gets no request, for GETs, starts and uploads."""
    elsewhere = await serve()
    client = await connect(server, retry=ONCE)
    server.misbehave("*", faults.redirect(f"{elsewhere.url}/v2/health", status), times=None)
    for call in (
        client.health(),
        client.runs.list(server.process.id).collect(),
        client.runs.start(server.process.id, name="x"),
        client.files.create("a.txt"),
        client.request("DELETE", "/anything"),
    ):
        with pytest.raises(KognitosError):
            await call
    server.behave()
    server.misbehave("upload_file", faults.redirect(f"{elsewhere.url}/_files/x", status), times=None)
    with pytest.raises(KognitosError):
        await client.files.upload(b"secret", file_name="a.txt")
    assert elsewhere.count() == 0


async def test_cookies_never_go_back(server, client):
    """A cookie that an answer sets is not sent back."""
    server.misbehave("get_health", faults.answer(200, b'{"status":"OK"}', {"Set-Cookie": "sid=1; Path=/"}))
    await client.health()
    await client.health()
    assert "cookie" not in {name.lower() for name in server.log[-1].headers}


async def test_a_server_that_is_not_http(server, connect):
    """It is a TransportError."""

    async def respond(reader, writer):
        await reader.read(10)
        writer.write(b"\x00\x01\x02 220 ready\r\n\r\n")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    client = await connect(server, base_url=f"http://127.0.0.1:{port}", retry=ONCE)
    with pytest.raises(OutcomeUnknownError):
        await client.health()
    listener.close()
    await listener.wait_closed()


async def test_headers_without_end(server, connect):
    """A header above the limit ends the attempt, within bounded memory."""

    async def handle(_request):
        return web.Response(text='{"status":"OK"}', headers={"X-Long": "x" * 200_000})

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = await connect(server, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}", retry=ONCE)
    with pytest.raises(OutcomeUnknownError):
        await client.health()
    await client.aclose()
    await runner.cleanup()


async def test_a_long_error_body_is_truncated(server, connect):
    """Of 5 MB the error keeps 64 KiB, and one line of text."""
    client = await connect(server, retry=ONCE)
    body = msgspec.json.encode({"message": "no\n" * 1_000_000})
    server.misbehave("get_health", faults.answer(400, body))
    with pytest.raises(APIStatusError) as caught:
        await client.health()
    assert len(caught.value.body) <= 65536
    assert len(str(caught.value)) < 2000
    assert "\n" not in str(caught.value)


BEYOND = {"Date": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "Retry-After": "0"}
"""A Date that no calendar holds."""


async def test_a_date_beyond_the_calendar_ends_no_wait(server, client):
    """Neither that of the run whose poll was answered with it, nor another's."""
    runs = [await client.runs.start(server.process.id, name=f"n{number}") for number in range(3)]
    server.misbehave("get_run", faults.answer(503, b"", BEYOND), times=2)
    server.misbehave("list_runs", faults.answer(503, b"", BEYOND), times=2)
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(client.wait_for_run(run.id, timeout=5)) for run in runs]
    assert all(wait.result().succeeded for wait in waits)


async def test_a_date_beyond_the_calendar_ends_no_job(server, client, tmp_path):
    """It is as if the answers to the starts had none."""
    server.misbehave("create_run", faults.more_headers(BEYOND), times=None)
    requests = [RunRequest(process_id=server.process.id, name=f"n{number}") for number in range(4)]
    async with client.run_many(requests, journal=tmp_path / "j") as outcomes:
        assert [outcome.error async for outcome in outcomes] == [None] * 4


async def test_an_answer_about_another_resource_is_refused(server, connect):
    """As after an unsolicited response on a connection of a user's session."""
    client = await connect(server, retry=ONCE)
    [mine, other] = [server.add_run(name=name) for name in ("mine", "other")]
    theirs = (await client.runs.get(other.id)).to_dict()
    server.misbehave("get_run", faults.answer(200, json.dumps(theirs).encode()))
    with pytest.raises(DecodeError, match="the answer to another request") as caught:
        await client.runs.get(mine.id)
    assert caught.value.path == "$.id"
    server.misbehave("get_run", faults.answer(200, json.dumps(theirs).encode()))
    assert (await client.wait_for_run(mine.id, timeout=5)).id == mine.id
    started = {**theirs, "process_id": "another"}
    server.misbehave("create_run", faults.answer(201, json.dumps(started).encode()))
    with pytest.raises(StartUncertainError):
        await client.runs.start(server.process.id, name="x")


@pytest.mark.parametrize("kind", ["Automation", "Workspace"])
async def test_an_answer_about_another_platform_resource_is_refused(kind):
    """For each resource that is read by its name."""
    async with KognitosServer() as server, server.platform_client(retry=ONCE) as client:
        parts = server.platform.automation.name.split("/")
        one = "/".join(parts if kind == "Automation" else parts[:4])
        read = getattr(client, f"{kind.lower()}s").get
        theirs = msgspec.json.encode({"name": f"{(await read(one)).name}x"})
        server.misbehave(f"Get{kind}", faults.answer(200, theirs))
        with pytest.raises(DecodeError, match="the answer to another request"):
            await read(one)
