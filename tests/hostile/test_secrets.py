"""Keys, presigned values and file contents stay out of logs, reprs, errors, pickles and tracebacks."""

from __future__ import annotations

import logging
import pickle
import traceback
from pathlib import Path

import aiohttp
import msgspec
import pytest
from aiohttp import web
from rich.pretty import pretty_repr

from kognitos_async import (
    BadRequestError,
    ConfigurationError,
    KognitosClient,
    KognitosError,
    NotSentError,
    PlatformClient,
    RetryPolicy,
    UploadError,
)
from kognitos_async.testing import KognitosServer, faults
from tests.hostile.raw_server import answer, read_request, serving
from tests.support import answering

TESTS = str(Path(__file__).parents[1])
KEY = "sk-very-secret-key-0123456789"
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
CONTENT = b"the content of a confidential file"
QUOTED = {
    "plain": f'{{"message":"bad key {KEY}","details":["{KEY}"]}}'.encode(),
    "escaped": f'{{"message":"bad key {ESCAPED}"}}'.encode(),
    "html": f"<html>{KEY}</html>".encode(),
    "at the cut": b"x" * (65536 - 10) + KEY.encode(),
}


def _everything(error: BaseException) -> str:
    """All that anybody could print of an error and of what caused it."""
    seen, parts = set(), []
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        parts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        parts += ["".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())]
        if isinstance(error, KognitosError):
            parts.append(repr(pickle.dumps(error)))
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def _frames(error: BaseException) -> str:
    """What the frames of an error and of its causes hold, but for the frames of the tests."""
    parts = []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if not frame.f_code.co_filename.startswith(TESTS):
                parts += [repr(frame.f_locals), pretty_repr(frame.f_locals)]
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


@pytest.fixture
async def server(serve):
    """A server with a key that is easy to find."""
    return await serve(api_key=KEY)


@pytest.fixture
async def client(server, connect):
    """A client that tries twice."""
    return await connect(server, retry=RetryPolicy(max_attempts=2, base_delay=0.001))


@pytest.fixture(autouse=True)
def _nothing_in_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        text = f"{record.getMessage()} {record.args!r} {record.exc_text}"
        assert KEY not in text
        assert CONTENT.decode() not in text


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("body", QUOTED.values(), ids=QUOTED)
async def test_an_answer_that_quotes_the_key(server, client, status, body):
    """An error made of an answer that quotes the key, in any way, shows it nowhere."""
    headers = {"Retry-After": "0", "x-request-id": f"id-{KEY}"}
    server.misbehave("*", faults.answer(status, body, headers), times=None)
    with pytest.raises(KognitosError) as caught:
        await client.runs.start(server.process.id, name="x")
    shown = _everything(caught.value)
    assert KEY not in shown
    assert KEY[:12] not in shown
    assert ESCAPED not in shown


LOST = {
    "reset": faults.reset(after_work=True),
    "cut": faults.cut_body(),
    "redirect": faults.redirect("http://127.0.0.1:9/"),
    "nonsense": faults.wrong_json(),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
async def test_lost_answers(server, client, fault):
    """An error made of a lost answer shows no key, its causes neither."""
    server.misbehave("*", fault, times=None)
    for call in (client.health(), client.runs.start(server.process.id, name="x"), client.files.create("a")):
        with pytest.raises(KognitosError) as caught:
            await call
        assert KEY not in _everything(caught.value)


async def test_a_stream_or_download_refused_with_the_key():
    """Neither the error nor the locals of its frames show what the answer quotes."""
    async with (
        KognitosServer() as server,
        server.platform_client(retry=RetryPolicy(max_attempts=2, base_delay=0.001)) as client,
    ):
        token = server.platform.environ["KOGNITOS_TOKEN"]
        run = server.platform.add_run(state="awaiting_guidance").name
        for status in (401, 503):
            body = f'{{"code": 16, "message": "bad key {token}"}}'.encode()
            server.misbehave("*", faults.answer(status, body), times=None)
            for opened in (client.exceptions.stream(run), client.files.download("f")):
                with pytest.raises(KognitosError) as caught:
                    async with opened as items:
                        await anext(aiter(items))
                assert token not in _everything(caught.value) + _frames(caught.value)


async def test_no_listening_server(server, client):
    """The error of a connection that was never made shows no key."""
    await server.stop()
    with pytest.raises(KognitosError) as caught:
        await client.health()
    assert KEY not in _everything(caught.value)


async def test_reprs(server, client):
    """No repr of the client or of its parts shows the key."""
    parts = [client, client.runs, client.files, client.processes, vars(client), vars(client.runs)]
    await client.health()
    assert KEY not in repr(parts)


async def test_the_form_has_no_values(server, client, caplog):
    """The repr of a presigned form names its host, not its fields."""
    form = await client.files.create("a.txt")
    assert form.id in repr(form)
    for name in ("policy", "signature", "x-amz-security-token"):
        assert form.upload_fields[name] not in f"{form!r} {form!s} {caplog.text}"


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_broken_form_is_not_shown(server, client, status):
    """An answer to create_file that cannot be read is not quoted: it may hold credentials."""
    body = msgspec.json.encode({"message": 5, "upload_fields": {"policy": "p0licy-of-the-form"}, "id": 5})
    server.misbehave("create_file", faults.answer(status, body), times=None)
    with pytest.raises(KognitosError) as caught:
        await client.files.create("a.txt")
    assert "p0licy-of-the-form" not in _everything(caught.value)


STORE = {
    "refused": faults.answer(403, b"<Error><Code>AccessDenied</Code></Error>"),
    "reset": faults.reset(after_work=False),
    "unavailable": faults.unavailable(),
}


@pytest.mark.parametrize("fault", STORE.values(), ids=STORE)
async def test_a_failed_upload(server, client, caplog, fault):
    """A failed upload shows neither presigned values nor content, in error and log."""
    forms = []
    create = client.files.create

    async def remember(*args, **kwargs):
        forms.append(await create(*args, **kwargs))
        return forms[-1]

    client.files.create = remember
    server.misbehave("upload_file", fault, times=None)
    with pytest.raises(KognitosError) as caught:
        await client.files.upload(CONTENT, file_name="a.txt")
    shown = _everything(caught.value) + caplog.text
    assert CONTENT.decode() not in shown
    for form in forms:
        for name in ("policy", "signature", "x-amz-security-token"):
            assert form.upload_fields[name] not in shown
    assert server.leaks == 0


ECHOED = {
    "post": {},
    "put": {"upload_http_method": "PUT", "upload_fields": {}},
    "short": {},
}


@pytest.mark.parametrize("what", ECHOED)
async def test_a_store_that_echoes_the_upload(what):
    """A gateway's debug page quotes what it refuses: the file in it is not shown, what comes before is."""
    content = CONTENT[:12] if what == "short" else CONTENT * 10_000

    async def answer(request):
        if not request.path.endswith("/store"):
            form = {"id": "f", "file_name": "x", "upload_url": f"{base}/store", "upload_fields": {"key": "k"}}
            return web.json_response({**form, **ECHOED[what]}, status=201)
        echo = b"".join([piece async for piece in request.content.iter_any()])
        return web.Response(status=403, body=b"<h1>Forbidden by gateway</h1>" + echo)

    async with answering(answer) as base, KognitosClient("k", base_url=base, agent_id="a") as client:
        with pytest.raises(UploadError) as caught:
            await client.files.upload(content, file_name="x")
    assert caught.value.body.startswith(b"<h1>Forbidden by gateway</h1>")
    assert caught.value.body.endswith(b"[redacted]")
    assert content[:12].decode() not in _everything(caught.value)


async def test_an_api_that_echoes_the_upload():
    """The same on the platform API, which takes the file itself."""

    async def answer(request):
        return web.Response(status=400, body=b"bad request: " + await request.read())

    async with answering(answer) as base, PlatformClient(KEY, base_url=base, organization_id="o") as client:
        with pytest.raises(BadRequestError) as caught:
            await client.files.upload(CONTENT, file_name="x")
    assert caught.value.body == b"bad request: --[redacted]"
    assert CONTENT.decode() not in _everything(caught.value)


async def test_one_debug_record_an_attempt(server, client, caplog):
    """The library logs one DEBUG record an attempt and one WARNING a retry, under its own name."""
    caplog.clear()
    server.misbehave("get_health", faults.server_error(500))
    await client.health()
    records = [record for record in caplog.records if record.name == "kognitos_async"]
    assert [record.levelno for record in records] == [logging.DEBUG, logging.WARNING, logging.DEBUG]


TOKEN = "kgn_pat_secret0123456789abcdef"
FAULTS = {
    "reset": faults.reset(after_work=False),
    "hang": faults.hang(),
    "cut": faults.cut_body(),
    "refused": faults.answer(500, b"no"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("given", [False, True], ids=["own session", "session given"])
async def test_no_frame_of_an_error_holds_a_secret(serve, fault, given, tmp_path):
    """Error reporters store the local variables of each frame, of the causes too; rich shows them."""
    server = await serve(token=TOKEN)
    file = server.platform.add_file("a", b"x" * 5000)
    content = tmp_path / "content"
    content.write_bytes(CONTENT)
    run = server.platform.add_run(state="completed")
    automation = server.platform.automation.id
    async with aiohttp.ClientSession() as session:
        options = {"retry": RetryPolicy(max_attempts=1), "request_timeout": 0.3}
        async with server.platform_client(session=session if given else None, **options) as client:

            async def stream():
                async with client.exceptions.stream(run.name) as events:
                    async for _ in events:
                        pass

            for call in (
                lambda: client.automations.invoke(automation, {"a": "private input"}),
                lambda: client.files.upload(content),
                lambda: client.files.download_to(file.name, tmp_path / "a"),
                lambda: client.runs.list(automation).collect(),
                stream,
            ):
                server.misbehave("*", FAULTS[fault], times=None)
                with pytest.raises(KognitosError) as caught:
                    await call()
                shown = _everything(caught.value) + _frames(caught.value)
                assert TOKEN not in shown
                assert "Bearer" not in shown
                assert CONTENT.decode() not in shown


async def test_a_connection_refused_shows_no_key(unused_tcp_port):
    """The frames of the connector know the headers."""
    base = f"http://127.0.0.1:{unused_tcp_port}"
    async with KognitosClient(KEY, base_url=base, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NotSentError) as caught:
            await client.runs.get("x")
    assert KEY not in _everything(caught.value) + _frames(caught.value)


async def test_a_failed_tunnel_shows_no_password_of_the_proxy():
    """The connector's error names the proxy, with the password."""

    async def program(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 X\r\n\r\n")
        await reader.read(1)
        writer.write(b"this is not TLS")

    async with (
        serving(program) as url,
        aiohttp.ClientSession(proxy=url.replace("//", f"//u:{KEY}@")) as session,
    ):
        once = RetryPolicy(max_attempts=1)
        async with KognitosClient("k", base_url="https://api.example", session=session, retry=once) as client:
            with pytest.raises(NotSentError, match="TLS") as caught:
                await client.health()
    assert caught.value.__cause__ is not None
    assert KEY not in _everything(caught.value) + _frames(caught.value)


async def test_a_proxy_without_a_host_is_not_shown():
    """The error of aiohttp quotes its address."""
    options = {"base_url": "https://api.example", "retry": RetryPolicy(max_attempts=1)}
    async with (
        aiohttp.ClientSession(proxy=f"http://u:{KEY}@") as session,
        KognitosClient("k", session=session, **options) as client,
    ):
        with pytest.raises(NotSentError, match="is not a URL") as caught:
            await client.health()
    assert KEY not in _everything(caught.value) + _frames(caught.value)


async def test_a_refusing_proxy_is_named():
    """With its status, which tells a wrong password from a proxy that is down."""

    async def program(reader, writer):
        await read_request(reader)
        writer.write(answer(b"", 407))

    options = {"base_url": "https://api.example", "retry": RetryPolicy(max_attempts=1)}
    async with (
        serving(program) as url,
        aiohttp.ClientSession(proxy=url) as session,
        KognitosClient("k", session=session, **options) as client,
    ):
        with pytest.raises(NotSentError, match="the proxy answered 407"):
            await client.health()


async def test_an_error_of_a_source_carries_no_frame_that_knows_the_form(server, client):
    """It is raised as it is, without what aiohttp made of it."""

    async def broken():
        yield CONTENT
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        await client.files.upload(broken(), file_name="a.txt", size=10_000)
    shown = _everything(caught.value) + _frames(caught.value)
    assert "x-amz-security-token" not in shown
    assert "upload?" not in shown
    assert "/_store" not in shown
    assert caught.value.__context__ is None


async def test_a_failed_upload_of_bytes_does_not_show_them(server, client):
    """Nor do its frames."""
    server.misbehave("upload_file", faults.reset(after_work=False), times=None)
    with pytest.raises(KognitosError, match="upload of") as caught:
        await client.files.upload(CONTENT * 30_000, file_name="a.txt")
    assert CONTENT.decode() not in _everything(caught.value) + _frames(caught.value)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: KognitosClient(KEY, request_timeout=-1), KEY),
        (lambda: KognitosClient(KEY, session=object()), KEY),
        (lambda: KognitosClient(KEY, region="mars"), KEY),
        (lambda: KognitosClient(TOKEN), TOKEN),
        (lambda: KognitosClient(KEY + " "), KEY),
        (lambda: KognitosClient(KEY.encode()), KEY),
        (lambda: PlatformClient(TOKEN, base_url="ftp://x"), TOKEN),
        (lambda: PlatformClient(TOKEN, workspace_id=3), TOKEN),
        (lambda: PlatformClient(TOKEN + "\n"), TOKEN),
    ],
)
def test_a_failed_constructor_shows_no_key(make, key):
    """Neither the error, its frames nor the incomplete client."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert key not in _everything(caught.value) + _frames(caught.value)
