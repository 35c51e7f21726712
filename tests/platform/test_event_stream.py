"""The event stream: reconnects, repeats no event, ends with an error on an invalid message."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web

from kognitos_async import (
    APIStatusError,
    AuthenticationError,
    DecodeError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
)
from kognitos_async.platform_v1 import event_stream as module
from kognitos_async.platform_v1.models.generated.exceptions import RunException
from kognitos_async.platform_v1.models.generated.shared import Location
from tests.support import eventually

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
    """Each connection tells its lines: it breaks at ..., pauses for a number of seconds, stays open at None,
    and ends in the middle of a line that is a str. `listed` is what the list of events holds, newest first.
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
            if isinstance(found, float):
                await asyncio.sleep(found)
            else:
                await response.write(found.encode() if isinstance(found, str) else line(found))
        await response.write_eof()
        return response

    return handler


async def received(client, **options):
    async with client.exceptions.stream("r", automation="a", **options) as events:
        return [(found.id, found.agent_message.content) async for found in events]


async def test_events_are_reported_in_every_wrapping(platform):
    """Bare, as a result, as an event; blank lines only keep the connection alive."""
    seen = []
    lines = [event(1), b"", {"event": event(2)}, {"result": {"event": event(3)}}, {"result": event(4)}]
    client = await platform(telling(lines, seen=seen))
    assert [name for name, _ in await received(client)] == ["e1", "e2", "e3", "e4"]
    assert seen == [
        (f"/api/v1/{RUN}/agents/astral/events:stream", "application/x-ndjson"),
    ]


async def test_a_reconnect_repeats_no_event(platform):
    """An event that has changed meanwhile is yielded again."""
    client = await platform(
        telling(
            [event(1), event(2, "hel", "STATE_STREAMING"), ...],
            [event(1), event(2, "hello"), ...],
            [event(1), event(2, "hello"), event(3)],
        )
    )
    assert await received(client) == [("e1", "hello"), ("e2", "hel"), ("e2", "hello"), ("e3", "hello")]


async def test_a_stream_that_keeps_breaking_at_once_raises(platform):
    """After as many attempts as the policy allows, counted anew after each new event."""
    seen = []
    client = await platform(
        telling([event(1), ...], seen=seen), retry=RetryPolicy(max_attempts=3, base_delay=0)
    )
    with pytest.raises(OutcomeUnknownError):
        await received(client)
    assert len(seen) == 3


async def test_breaks_of_an_idle_stream_are_no_failed_attempts(platform):
    """Proxies close idle connections; the event may come after any number of them."""
    seen = []
    silent = [[0.3, ...]] * 4
    client = await platform(
        telling(*silent, [event(1)], seen=seen), retry=RetryPolicy(max_attempts=2, base_delay=0)
    )
    assert await received(client) == [("e1", "hello")]
    assert len(seen) == 5


async def test_reconnects_after_short_connections_back_off(platform, monkeypatch):
    """By the policy's backoff; after a connection that lasted it begins with the shortest delay again."""
    asked = []
    monkeypatch.setattr(module.retry, "backoff", lambda policy, attempt, random: asked.append(attempt) or 0.0)
    monkeypatch.setattr(module, "_MIN_LIFETIME", 0.0)  # a slow client sees a short connection only at its end
    policy = RetryPolicy(base_delay=0.001, max_delay=0.5)
    cuts = [[0.02, ...], [0.02, ...], [0.02, ...], [0.8, ...], [0.02, ...], [event(1)]]
    client = await platform(telling(*cuts), retry=policy)
    assert await received(client) == [("e1", "hello")]
    assert asked == [1, 2, 3, 1, 2]


async def test_events_missed_during_a_break_come_from_the_list(platform):
    """Oldest first, before those of the new connection; none is repeated."""
    lists = []
    client = await platform(
        telling(
            [event(1), event(2), ...],
            [event(5), event(4), event(6)],
            listed=[event(5), event(4), event(3), event(2), event(1)],
            lists=lists,
        )
    )
    assert [name for name, _ in await received(client)] == ["e1", "e2", "e3", "e4", "e5", "e6"]
    assert len(lists) == 1


async def test_the_list_is_read_page_by_page_as_far_as_the_last_event(platform):
    """And no further."""
    pages = {
        None: {"events": [event(5), event(4)], "next_page_token": "b"},
        "b": {"events": [event(3), event(2)], "next_page_token": "c"},
        "c": {"events": [event(1)], "next_page_token": "d"},
    }
    lists = []
    client = await platform(
        telling(
            [event(2), ...],
            [event(6)],
            listed=lambda request: web.json_response(pages[request.query.get("page_token")]),
            lists=lists,
        )
    )
    assert [name for name, _ in await received(client)] == ["e2", "e3", "e4", "e5", "e6"]
    assert [query.get("page_token") for query in lists] == [None, "b"]


async def test_an_event_that_was_being_written_is_completed_from_the_list(platform):
    """However far down it stands; an earlier form of it that is replayed is no news."""
    client = await platform(
        telling(
            [event(1, "hel", "STATE_STREAMING"), event(2), ...],
            [event(1, "hel", "STATE_STREAMING"), event(3)],
            listed=[event(2), event(1, "hello")],
        )
    )
    assert await received(client) == [("e1", "hel"), ("e2", "hello"), ("e1", "hello"), ("e3", "hello")]


async def test_before_the_first_event_the_time_decides_what_was_missed(platform):
    """Events from before the stream began are none of its."""
    now = datetime.now(UTC)
    earlier, later = ((now + timedelta(seconds=shift)).isoformat() for shift in (-60, 60))
    client = await platform(
        telling(
            [0.3, ...],
            [event(3)],
            listed=[{**event(2), "create_time": later}, {**event(1), "create_time": earlier}],
        )
    )
    assert [name for name, _ in await received(client)] == ["e2", "e3"]


async def test_a_list_that_cannot_be_read_now_is_read_again(platform):
    """At the latest when the stream ends, and then with the attempts of any request."""
    answers = [503, 503, 200]

    def listed(request):
        status = answers.pop(0)
        body = {"events": [event(2), event(1)]} if status == 200 else {"code": 14, "message": "later"}
        return web.json_response(body, status=status)

    client = await platform(telling([event(1), ...], [event(3)], listed=listed))
    assert [name for name, _ in await received(client)] == ["e1", "e3", "e2"]
    assert answers == []


async def test_events_received_while_the_list_fails_hide_none(platform):
    """An event received after the break does not prove that earlier ones were."""
    answers = [503, 200]

    def listed(request):
        body = {"events": [event(number) for number in (4, 3, 2, 1)]}
        return web.json_response(body, status=answers.pop(0))

    client = await platform(telling([event(1), ...], [event(4)], listed=listed))
    assert [name for name, _ in await received(client)] == ["e1", "e4", "e2", "e3"]


async def test_an_end_raises_if_the_list_cannot_be_read(platform):
    """The iteration does not just end: events may be missing."""
    client = await platform(
        telling(
            [event(1), ...],
            [event(2)],
            listed=lambda request: web.json_response({"code": 14, "message": "never"}, status=503),
        )
    )
    got = []
    with pytest.raises(ServerError, match="never"):
        async with client.exceptions.stream("r", automation="a") as events:
            async for found in events:
                got.append(found.id)  # noqa: PERF401
    assert got == ["e1", "e2"]


async def test_a_list_that_is_refused_for_good_leaves_a_warning(platform, caplog):
    """The stream itself works."""
    client = await platform(
        telling(
            [event(1), ...],
            [event(2)],
            listed=lambda request: web.json_response({"code": 7, "message": "not yours"}, status=403),
        )
    )
    assert [name for name, _ in await received(client)] == ["e1", "e2"]
    assert "may be missing" in caplog.text


async def test_a_list_that_repeats_a_token_is_not_read_for_ever(platform, caplog):
    """The stream itself goes on."""
    lists = []
    client = await platform(
        telling(
            [event(1), ...],
            [event(2)],
            listed=lambda request: web.json_response({"events": [], "next_page_token": "a"}),
            lists=lists,
        )
    )
    assert [name for name, _ in await received(client)] == ["e1", "e2"]
    assert len(lists) == 2
    assert "may be missing" in caplog.text


@pytest.mark.parametrize("half", ['{"name": "organizations/o/wor', "{", '{"name": "x"}{'])
async def test_half_a_last_line_is_a_broken_connection(platform, half):
    """Which is made again; a whole line may do without its end."""
    client = await platform(telling([event(1), half], [event(1), msgspec.json.encode(event(2)).decode()]))
    assert [name for name, _ in await received(client)] == ["e1", "e2"]


@pytest.mark.parametrize(
    "empty", [{}, {"result": {}}, {"heartbeat": {}}, {"event": {"name": ""}}, {"code": 0}]
)
async def test_objects_that_tell_nothing_are_passed_over(platform, empty):
    """Gateways send them to keep a connection alive."""
    client = await platform(telling([event(1), empty, event(2)]))
    assert [name for name, _ in await received(client)] == ["e1", "e2"]


async def test_an_event_of_an_unknown_kind_is_reported(platform):
    """It has a name, and its content may matter to somebody."""
    client = await platform(telling([{"name": f"{RUN}/agents/astral/events/e9", "new_kind": {}}]))
    async with client.exceptions.stream("r", automation="a") as events:
        assert [found.id async for found in events] == ["e9"]


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
    ("found", "kind"),
    [
        ({"error": {"code": 7, "message": "no more"}}, PermissionDeniedError),
        ({"error": {"code": "x", "message": "no more"}}, ServerError),
        (
            {"error": {"code": 403, "message": "no more", "status": "PERMISSION_DENIED"}},
            PermissionDeniedError,
        ),
        ({"error": {"grpc_code": 5, "http_code": 404, "message": "no more"}}, NotFoundError),
        ({"error": {"status": "NOT_FOUND", "message": "no more"}}, NotFoundError),
        ({"error": "no more"}, ServerError),
        ({"result": {"error": {"code": 5, "message": "no more"}}}, NotFoundError),
        ({"code": 5, "message": "no more", "details": []}, NotFoundError),
        ({"code": "16", "message": "no more"}, AuthenticationError),
        ({"code": "RESOURCE_EXHAUSTED", "message": "no more"}, RateLimitError),
        ({"code": 13, "message": "no more"}, ServerError),
    ],
)
async def test_a_line_that_tells_an_error_raises_it(platform, found, kind):
    """As its status would have, in whichever shape gateways give to a google.rpc.Status."""
    client = await platform(telling([event(1), found, event(2)]))
    got = []
    with pytest.raises(kind, match="no more"):
        async with client.exceptions.stream("r", automation="a") as events:
            async for one in events:
                got.append(one.id)  # noqa: PERF401
    assert got == ["e1"]


async def test_a_stream_that_is_refused_is_that_error(platform):
    """Before the first event."""

    async def handler(request):
        return web.json_response({"code": 7, "message": "not yours"}, status=403)

    client = await platform(handler)
    with pytest.raises(APIStatusError, match="not yours"):
        await received(client)


async def test_an_error_with_an_endless_code_is_an_error_like_any(platform):
    """Python reads no number of that many digits."""
    client = await platform(telling([{"error": {"code": "9" * 5000, "message": "no"}}]))
    with pytest.raises(ServerError, match="no"):
        await received(client)


async def test_times_without_a_zone_are_in_utc(platform):
    """Of the events of a connection and of the list, where they decide what was missed."""
    early, late = "2001-01-01T00:00:00", "2101-01-01T00:00:00"
    listed = [event(2) | {"create_time": late}, event(0) | {"create_time": early}]
    updated = event(1, "hel", "STATE_STREAMING") | {"update_time": early}
    client = await platform(telling([...], [updated, event(1) | {"update_time": late + "Z"}], listed=listed))
    assert await received(client) == [("e2", "hello"), ("e1", "hel"), ("e1", "hello")]


def test_a_date_beyond_the_calendar_is_ignored():
    """The local time counts instead."""
    found = module._time_of({"Date": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"})
    assert abs(found - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_line_without_an_end_is_refused(platform, monkeypatch):
    """Whatever a server sends, memory stays bounded."""
    monkeypatch.setattr(module, "_LONGEST_LINE", 1000)
    client = await platform(telling([b"x" * 5000]))
    with pytest.raises(DecodeError, match=r"longer|line 1"):
        await received(client)


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
        await received(client, idle_timeout=0.2)
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
    """A reader that waits gets ClientClosedError."""
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


class Counted(bytes):
    """A piece that counts the bytes it is asked to search."""

    searched = 0

    def split(self, *args):
        Counted.searched += len(self)
        return super().split(*args)


async def test_a_long_line_costs_what_its_length_does():
    """Each byte is searched once, however small the pieces in which it comes."""
    text = b"x" * 50_000 + b"\n" + b"y" * 10 + b"\n\n" + b"z"

    async def pieces():
        for start in range(0, len(text), 7):
            yield Counted(text[start : start + 7])

    Counted.searched = 0
    async with aclosing(module._lines(pieces(), "/path")) as lines:
        got = [found async for found in lines]
    assert got == [(b"x" * 50_000, True), (b"y" * 10, True), (b"", True), (b"z", False)]
    assert Counted.searched == len(text)
