"""Events as they happen: reconnected, never told twice, ended by what is no event."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiohttp import web

from kognitos_async import (
    APIStatusError,
    DecodeError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RetryPolicy,
    ServerError,
)
from kognitos_async.platform_v1 import event_stream as module
from kognitos_async.platform_v1.models.generated.exceptions import RunException
from kognitos_async.platform_v1.models.generated.shared import Location
from tests.client.helpers import eventually

RUN = "organizations/o/workspaces/w/automations/a/runs/r"


def event(number, text="hello", state="STATE_COMPLETE"):
    return {
        "name": f"{RUN}/agents/astral/events/e{number}",
        "state": state,
        "agent_message": {"content": text},
    }


def line(found):
    return (found if isinstance(found, bytes) else msgspec.json.encode(found)) + b"\n"


def telling(*connections, seen=None, listed=(), lists=None):
    """Each connection tells its lines: one that ends with ... breaks there, ... after None a moment later,
    one with None alone stays open, bytes are sent as they are. `listed` is what the list of events holds.
    """
    left = list(connections)

    async def handler(request):
        if request.path.endswith("/events"):
            if lists is not None:
                lists.append(dict(request.query))
            return listed(request) if callable(listed) else web.json_response({"events": list(listed)})
        if seen is not None:
            seen.append((request.path, request.headers["Accept"]))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for found in left.pop(0) if len(left) > 1 else left[0]:
            if found is ...:
                request.transport.close()
                return response
            if found is None:
                await asyncio.Event().wait()
            await response.write(line(found))
        await response.write_eof()
        return response

    return handler


async def told(client, **options):
    async with client.exceptions.stream("r", automation="a", **options) as events:
        return [(found.id, found.agent_message.content) async for found in events]


async def test_events_are_told_in_every_wrapping(platform):
    """Bare, as a result, as an event; blank lines only keep the connection alive."""
    seen = []
    lines = [event(1), b"", {"event": event(2)}, {"result": {"event": event(3)}}, {"result": event(4)}]
    client = await platform(telling(lines, seen=seen))
    assert [name for name, _ in await told(client)] == ["e1", "e2", "e3", "e4"]
    assert seen == [
        (f"/api/v1/{RUN}/agents/astral/events:stream", "application/x-ndjson"),
    ]


async def test_a_break_repeats_nothing(platform):
    """What has changed meanwhile is told again, for it is not the same any more."""
    client = await platform(
        telling(
            [event(1), event(2, "hel", "STATE_STREAMING"), ...],
            [event(1), event(2, "hello"), ...],
            [event(1), event(2, "hello"), event(3)],
        )
    )
    assert await told(client) == [("e1", "hello"), ("e2", "hel"), ("e2", "hello"), ("e3", "hello")]


async def test_a_stream_that_only_breaks_is_given_up(platform):
    """After as many attempts as the policy allows, counted anew whenever something new was told."""
    seen = []
    client = await platform(
        telling([event(1), ...], seen=seen), retry=RetryPolicy(max_attempts=3, base_delay=0)
    )
    with pytest.raises(OutcomeUnknownError):
        await told(client)
    assert len(seen) == 3


@pytest.mark.parametrize("wrong", [b"{", b"<html>", b"3", b'{"name": 3}', b"\xff"], ids=str)
async def test_a_line_that_is_no_event_is_named(platform, wrong):
    """By its number, counted in this connection."""
    client = await platform(telling([event(1), b"", wrong]))
    got = []
    with pytest.raises(DecodeError, match="line 3") as caught:
        async with client.exceptions.stream("r", automation="a") as events:
            async for found in events:
                got.append(found.id)  # noqa: PERF401
    assert got == ["e1"]
    assert caught.value.path == "line 3"


@pytest.mark.parametrize(
    ("code", "kind"), [(7, PermissionDeniedError), (5, NotFoundError), (13, ServerError), ("x", ServerError)]
)
async def test_a_line_that_tells_an_error_raises_it(platform, code, kind):
    """Of google.rpc's codes, as the status would have."""
    client = await platform(telling([{"error": {"code": code, "message": "no more"}}]))
    with pytest.raises(kind, match="no more"):
        await told(client)


async def test_a_stream_that_is_refused_is_that_error(platform):
    """Before the first event."""

    async def handler(request):
        return web.json_response({"code": 7, "message": "not yours"}, status=403)

    client = await platform(handler)
    with pytest.raises(APIStatusError, match="not yours"):
        await told(client)


async def test_a_line_without_an_end_is_refused(platform, monkeypatch):
    """Whatever a server sends, memory stays bounded."""
    monkeypatch.setattr(module, "_LONGEST_LINE", 1000)
    client = await platform(telling([b"x" * 5000]))
    with pytest.raises(DecodeError, match=r"longer|line 1"):
        await told(client)


async def test_silence_is_waited_for_unless_it_is_bounded(platform):
    """A quiet stream is not a broken one."""
    seen = []
    client = await platform(
        telling([event(1), None], seen=seen),
        request_timeout=0.2,
        retry=RetryPolicy(max_attempts=2, base_delay=0),
    )
    async with client.exceptions.stream("r", automation="a") as events:
        assert (await anext(events)).id == "e1"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await anext(events)
    assert len(seen) == 1
    with pytest.raises(OutcomeUnknownError):
        await told(client, idle_timeout=0.2)
    assert len(seen) == 3


async def test_leaving_the_block_closes_the_connection(platform):
    """And the client has its place back."""
    gone = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(line(event(1)))
        while request.transport is not None:  # noqa: ASYNC110 - nothing tells otherwise
            await asyncio.sleep(0.01)
        gone.set()
        return response

    client = await platform(handler, max_connections=1)
    for _ in range(2):
        async with client.exceptions.stream("r", automation="a") as events:
            await anext(events)
    await gone.wait()


async def test_closing_the_client_ends_the_stream(platform):
    """With an error for whoever waits."""
    client = await platform(telling([event(1), None]))
    async with client.exceptions.stream("r", automation="a") as events:
        await anext(events)
        waiting = asyncio.ensure_future(anext(events))
        await eventually(lambda: not waiting.done())
        await client.aclose()
        with pytest.raises(Exception, match="closed"):
            await waiting


async def test_an_exception_stands_for_its_run(platform):
    """It knows it by name."""
    seen = []
    client = await platform(telling([event(1)], seen=seen))
    asked = RunException(
        run=RUN, location=Location(), message="m", name="organizations/o/workspaces/w/exceptions/x"
    )
    async with client.exceptions.stream(asked) as events:
        assert [found.id async for found in events] == ["e1"]
    assert asked.id == "x"
    assert seen[0][0] == f"/api/v1/{RUN}/agents/astral/events:stream"
