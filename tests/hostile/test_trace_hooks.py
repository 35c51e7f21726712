"""Errors of a user's trace hooks, which aiohttp raises as if they were its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from unittest.mock import Mock

import aiohttp
import pytest

from kognitos_async import (
    NotSentError,
    OutcomeUnknownError,
    PollPolicy,
    RetryPolicy,
    RunRequest,
    StartUncertainError,
)
from kognitos_async.testing import Schedule, faults

pytestmark = pytest.mark.usefixtures("nothing_left")

ERRORS = {
    "text": UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range(128)"),
    "refused": aiohttp.ClientConnectorError(Mock(ssl=True), OSError(111, "refused")),
    "connect timeout": aiohttp.ConnectionTimeoutError(),
    "proxy": aiohttp.ClientHttpProxyError(Mock(), ()),
    "address": aiohttp.InvalidURL("no address"),
    "timeout": TimeoutError(),
    "ours": NotSentError("of another client"),
}
AFTER_SENDING = ("on_request_chunk_sent", "on_request_end")


def failing(hook, error, *, times=None):
    """A TraceConfig whose `hook` raises `error`, `times` times."""
    raised = 0

    async def fail(session, context, params):
        nonlocal raised
        if getattr(params, "method", "POST") == "POST" and (times is None or raised < times):
            raised += 1
            raise error

    config = aiohttp.TraceConfig()
    getattr(config, hook).append(fail)
    return config


@asynccontextmanager
async def traced(server, config, *, given, **options):
    """A client with these hooks, on its own session or on a user's."""
    if not given:
        async with server.client(trace_configs=[config], **options) as client:
            yield client
        return
    async with (
        aiohttp.ClientSession(trace_configs=[config]) as session,
        server.client(session=session, **options) as client,
    ):
        yield client


@pytest.mark.parametrize("given", [False, True], ids=["own session", "user's session"])
@pytest.mark.parametrize("hook", AFTER_SENDING)
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_a_start_is_not_repeated_after_an_error_of_a_hook(serve, error, hook, given):
    """Whatever its type: the request was sent, so the start is in doubt."""
    server = await serve()
    async with traced(server, failing(hook, error), given=given) as client:
        with pytest.raises(StartUncertainError):
            await client.runs.start(server.process.id, name="pay invoice 1")
    assert server.count("create_run") == (hook == "on_request_end")


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_a_hook_that_replaces_the_error_of_a_lost_answer(serve, error):
    """The connection was lost after the work: what the hook raises instead proves nothing."""
    server = await serve()
    server.misbehave("create_run", faults.reset(after_work=True), times=None)
    async with traced(server, failing("on_request_exception", error), given=False) as client:
        with pytest.raises(StartUncertainError):
            await client.runs.start(server.process.id, name="pay invoice 1")
    assert server.count("create_run") == 1


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
async def test_a_post_without_a_body_is_not_repeated_after_an_error_of_a_hook(serve, error):
    """It has no body whose writing would show that it was sent."""
    server = await serve()
    async with traced(server, failing("on_request_end", error), given=False) as client:
        with pytest.raises(OutcomeUnknownError):
            await client.request("POST", "/runs")
    assert server.count("create_run") == 1


async def test_an_upload_is_not_repeated_after_an_error_of_a_hook(serve):
    """A streamed body was sent too."""
    server = await serve()
    async with (
        aiohttp.ClientSession(trace_configs=[failing("on_request_end", ERRORS["refused"])]) as session,
        server.platform_client(session=session) as client,
    ):
        with pytest.raises(OutcomeUnknownError):
            await client.files.upload(b"content", file_name="a.txt")
    assert server.count("UploadFile") == 1


async def test_a_job_finds_the_run_of_a_start_whose_hook_failed(serve, tmp_path):
    """The lost start is looked up like any other."""
    server = await serve(schedule=Schedule.fixed(0.05))
    config = failing("on_request_end", ERRORS["text"], times=1)
    async with traced(server, config, given=False, poll=PollPolicy(initial=0.05, maximum=0.05)) as client:
        requests = [RunRequest(process_id=server.process.id, name=f"r{i}") for i in range(2)]
        async with client.run_many(requests, journal=tmp_path / "journal", absence_delay=0.05) as outcomes:
            found = [outcome async for outcome in outcomes]
    assert all(outcome.run.succeeded for outcome in found)
    assert server.count("create_run") == 2


async def test_a_closed_session_after_sending_leaves_the_start_in_doubt(serve):
    """A hook that uses a closed session raises the error of a request that was never sent."""
    server = await serve()

    async def close(session, context, params):
        await session.close()
        raise RuntimeError("Session is closed")

    config = aiohttp.TraceConfig()
    config.on_request_end.append(close)
    async with traced(server, config, given=True) as client:
        with pytest.raises(StartUncertainError):
            await client.runs.start(server.process.id, name="pay invoice 1")
    assert server.count("create_run") == 1


@pytest.mark.parametrize("given", [False, True], ids=["own session", "user's session"])
async def test_a_host_that_cannot_be_encoded_is_never_reached(serve, monkeypatch, given):
    """Resolving it raises an error of text, before anything is sent."""

    async def encode(*_, **__):
        raise ERRORS["text"]

    server = await serve()
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", encode, raising=False)
    options = {"base_url": "https://kognitos.invalid", "retry": RetryPolicy(max_attempts=1)}
    async with traced(server, aiohttp.TraceConfig(), given=given, **options) as client:
        for call in (client.health, lambda: client.runs.start("p", name="n")):
            with pytest.raises(NotSentError, match="cannot be a domain name"):
                await call()
