"""Faults: what a client sees, and whether the work was done."""

from __future__ import annotations

import asyncio
import json
import re
import time
import zlib
from datetime import UTC, datetime
from itertools import pairwise

import aiohttp
import pytest

from kognitos_async.testing import Schedule, faults
from tests.support import eventually

BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (faults.rate_limited(), 429, "rate limit"),
        (faults.capacity_reached(), 403, "maximum of 150 concurrent runs"),
        (faults.unavailable(), 503, "unavailable"),
        (faults.server_error(), 500, "error"),
        (faults.server_error(504), 504, "error"),
        (faults.not_found(), 404, "Not found"),
    ],
)
async def test_refusals_are_error_models_and_do_no_work(api, fault, status, text):
    api.server.misbehave("create_run", fault)
    answer = await api.start()
    assert answer.status == answer.json["status_code"] == status
    assert text in answer.json["message"]
    assert not api.server.runs
    assert api.server.log[-1].fault == fault.name
    assert (await api.start()).status == 201


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (3, "3"),
        (0.25, "0.25"),
        ("soon", "soon"),
        (datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC), "Mon, 03 Feb 2031 04:05:06 GMT"),
        (None, None),
    ],
)
async def test_retry_after_in_every_form(api, retry_after, header):
    for fault in (faults.rate_limited(retry_after), faults.unavailable(retry_after)):
        api.server.misbehave("get_health", fault)
        assert (await api.get("/v2/health")).headers.get("Retry-After") == header


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("kind", [faults.server_error, faults.proxy_error])
async def test_errors_before_and_after_the_work(api, kind, after_work):
    api.server.misbehave("create_run", kind(502, after_work=after_work))
    answer = await api.start()
    assert answer.status == 502
    assert answer.headers["Content-Type"].startswith(
        "text/html" if kind is faults.proxy_error else "application/json"
    )
    assert len(api.server.runs) == after_work


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize("kind", [faults.reset, lambda **k: faults.hang(0.01, **k)])
async def test_connections_break_before_and_after_the_work(api, kind, after_work):
    api.server.misbehave("create_run", kind(after_work=after_work))
    with pytest.raises(BROKEN):
        await api.start()
    assert len(api.server.runs) == after_work
    assert api.server.log[-1].status is None
    assert api.server.log[-1].body["name"] == "Invoice 42"


async def test_a_cut_body_is_shorter_than_it_says_and_the_work_is_done(api):
    api.server.misbehave("create_run", faults.cut_body())
    with pytest.raises(aiohttp.ClientPayloadError):
        await api.start()
    assert len(api.server.runs) == 1


async def test_a_slow_body_arrives_whole(api):
    api.server.misbehave("create_run", faults.slow_body(0.05, chunks=5))
    started = time.monotonic()
    assert (await api.start()).json["status"] == "Created"
    assert time.monotonic() - started >= 0.04


async def test_an_endless_body_ends_when_the_peer_goes(api):
    api.server.misbehave("get_health", faults.endless_body())
    headers = {"x-api-key": api.server.api_key}
    async with api.session.get(f"{api.server.base_url}/health", headers=headers) as response:
        for _ in range(50):
            assert await response.content.readexactly(65536)
    await eventually(lambda: api.server.log[-1].finished)


async def test_a_gzip_bomb_is_small_on_the_wire(api):
    api.server.misbehave("get_health", faults.gzip_bomb(8 * 1024 * 1024))
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"x-api-key": api.server.api_key}
        async with session.get(f"{api.server.base_url}/health", headers=headers) as response:
            packed = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 100_000
    assert len(zlib.decompress(packed, wbits=31)) == 8 * 1024 * 1024


async def test_fixed_answers(api):
    page = "/v2/health"
    api.server.misbehave("get_health", faults.html_page())
    assert (await api.get(page)).body.startswith(b"<!DOCTYPE html>")
    api.server.misbehave("get_health", faults.redirect("https://elsewhere.example/", 308))
    answer = await api.get(page)
    assert (answer.status, answer.headers["Location"]) == (308, "https://elsewhere.example/")
    api.server.misbehave("get_health", faults.wrong_json())
    assert (await api.get(page)).body == b'{"id": 1'
    api.server.misbehave("get_health", faults.answer(418, b"tea", {"X-Pot": "1"}))
    answer = await api.get(page)
    assert (answer.status, answer.body, answer.headers["X-Pot"]) == (418, b"tea", "1")


async def test_rewritten_answers_keep_all_else(api):
    run = api.server.add_run(status="Running")
    good = await api.run(run.id)
    api.server.misbehave("get_run", faults.status_word("Meditating"))
    assert await api.run(run.id) == {**good, "status": "Meditating"}
    api.server.misbehave("get_run", faults.extra_fields())
    extra = await api.run(run.id)
    assert {**extra, **good} == extra
    assert len(extra) > len(good)
    api.server.misbehave("get_run", faults.wrong_shape())
    assert not isinstance((await api.run(run.id))["id"], str)
    api.server.misbehave("list_runs", faults.wrong_shape())
    assert not isinstance((await api.list()).json["items"], list)
    api.server.misbehave("list_runs", faults.status_word("Meditating"))
    assert (await api.list()).json["items"][0]["status"] == "Meditating"
    assert await api.run(run.id) == good


async def test_a_rewrite_waits_for_an_answer_that_it_fits(api):
    handle = api.server.misbehave("get_run", faults.status_word("Odd"))
    await api.get("/v2/runs/unknown")
    assert handle.hits == 0
    assert api.server.log[-1].fault is None
    run = api.server.add_run()
    assert (await api.run(run.id))["status"] == "Odd"
    assert handle.hits == 1


async def tokens(api, pages):
    """The tokens of the first pages, in order."""
    found, token = [], ""
    for _ in range(pages):
        token = (await api.list(limit=2, continuation_token=token)).json["continuation_token"]
        found.append(token)
    return found


async def test_a_repeated_token_is_the_one_the_page_was_asked_for_with(api):
    for number in range(20):
        api.server.add_run(name=str(number))
    api.server.misbehave("list_runs", faults.repeat_token())
    seen = await tokens(api, 3)
    assert seen[0] == seen[1]
    assert seen[2] not in seen[:2]


async def test_a_cyclic_token_leads_back_to_an_earlier_page(api):
    for number in range(20):
        api.server.add_run(name=str(number))
    api.server.misbehave("list_runs", faults.cyclic_token())
    seen = await tokens(api, 4)
    assert seen[2] == seen[0]
    assert seen[3] == seen[1]
    assert all(one != other for one, other in pairwise(seen))


@pytest.mark.parametrize("kind", [faults.empty_page, faults.null_items])
async def test_empty_pages_lose_nothing_and_repeat_no_token(api, kind):
    for number in range(9):
        api.server.add_run(name=str(number))
    api.server.misbehave("list_runs", kind(), times=3)
    assert sorted(await api.walk(limit=4)) == [str(number) for number in range(9)]
    asked = [seen.query.get("continuation_token") for seen in api.server.log]
    assert len(set(asked)) == len(asked)
    assert api.server.count("list_runs") == 6


async def test_faults_queue_in_order_per_operation(api):
    server = api.server
    server.misbehave("get_health", faults.unavailable(), times=2, skip=1)
    server.misbehave("get_health", faults.rate_limited())
    server.misbehave("list_runs", faults.not_found())
    statuses = [(await api.get("/v2/health")).status for _ in range(5)]
    assert statuses == [200, 503, 503, 429, 200]
    assert (await api.list()).status == 404


async def test_a_fault_for_any_operation_lasts_until_it_is_cancelled(api):
    handle = api.server.misbehave("*", faults.unavailable(), times=None)
    assert [(await api.get("/v2/health")).status, (await api.list()).status] == [503, 503]
    assert handle.hits == 2
    handle.cancel()
    assert (await api.get("/v2/health")).status == 200
    api.server.misbehave("*", faults.unavailable(), times=None)
    api.server.behave()
    assert (await api.get("/v2/health")).status == 200


async def test_chance_lets_several_faults_take_turns_and_repeats_with_the_seed(make):
    async def statuses():
        api = await make(seed=3)
        api.server.misbehave("*", faults.unavailable(), times=None, probability=0.3)
        api.server.misbehave("*", faults.rate_limited(), times=None, probability=0.3)
        return [(await api.get("/v2/health")).status for _ in range(60)]

    first = await statuses()
    assert set(first) == {200, 429, 503}
    assert first == await statuses()


async def test_a_refused_request_uses_no_fault_up(api, session):
    handle = api.server.misbehave("get_health", faults.unavailable())
    async with session.get(f"{api.server.base_url}/health") as response:
        assert response.status == 401
    assert handle.hits == 0


async def test_faults_that_cannot_be_are_refused(api):
    for wrong in (
        lambda: api.server.misbehave("no_such_operation", faults.not_found()),
        lambda: api.server.misbehave("get_run", faults.not_found(), times=0),
        lambda: api.server.misbehave("get_run", faults.not_found(), skip=-1),
        lambda: api.server.misbehave("get_run", faults.not_found(), probability=2),
        lambda: faults.slow_body(1, chunks=0),
    ):
        with pytest.raises(ValueError):
            wrong()


@pytest.mark.parametrize(
    "fault", [faults.hang(), faults.hang(after_work=True), faults.slow_body(3600), faults.endless_body()]
)
async def test_stopping_ends_requests_under_way_at_once(api, fault):
    api.server.misbehave("get_health", fault, times=None)
    waiting = [asyncio.create_task(api.get("/v2/health")) for _ in range(5)]
    await eventually(lambda: api.server.count("get_health") == 5)
    started = time.monotonic()
    await api.server.stop()
    assert time.monotonic() - started < 0.9
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, (*BROKEN, aiohttp.ClientPayloadError))


async def test_stopping_does_not_wait_for_idle_connections(make):
    api = await make(latency=0.01)
    async with aiohttp.ClientSession() as kept:
        async with kept.get(f"{api.server.base_url}/health", headers={"x-api-key": "test-key"}) as response:
            assert response.status == 200
        started = time.monotonic()
        await api.server.stop()
        assert time.monotonic() - started < 0.9


async def give_up(api):
    """Start a run, and cancel the request once it has reached the server."""
    asked = asyncio.create_task(api.start("late"))
    await eventually(lambda: api.server.log)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_work_is_done_although_the_client_gave_up(make):
    api = await make(latency=0.2, schedule=Schedule.manual())
    await give_up(api)
    assert not api.server.runs
    await eventually(lambda: api.server.runs_named("late"))


async def test_a_late_answer_has_its_work_done_first_or_last(api):
    for after_work in (True, False):
        api.server.misbehave("create_run", faults.delay(0.3, after_work=after_work))
        asked = asyncio.create_task(api.start(f"after_work={after_work}"))
        await eventually(lambda: api.server.log and api.server.log[-1].fault == "delay")
        await asyncio.sleep(0.1)
        assert bool(api.server.runs_named(f"after_work={after_work}")) is after_work
        assert (await asked).status == 201


async def test_late_work_is_done_although_the_peer_went(api):
    api.server.misbehave("create_run", faults.delay(0.2, after_work=False))
    await give_up(api)
    assert not api.server.runs
    await eventually(lambda: api.server.runs_named("late"))


async def raw(api, reader_writer, path="/v2/health"):
    reader, writer = reader_writer
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nx-api-key: {api.server.api_key}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    return head, await reader.readexactly(length)


async def test_a_connection_closed_right_after_an_answer_does_not_say_so(api):
    host, port = api.server.url.removeprefix("http://").split(":")
    connection = await asyncio.open_connection(host, int(port))
    head, _ = await raw(api, connection)
    api.server.misbehave("get_health", faults.close_after())
    closed, body = await raw(api, connection)
    assert b"close" not in closed.lower()
    assert (len(closed), body) == (len(head), b'{"status":"OK"}')
    assert await connection[0].read() == b""
    connection[1].close()


async def test_an_answer_nobody_asked_for(api):
    host, port = api.server.url.removeprefix("http://").split(":")
    connection = await asyncio.open_connection(host, int(port))
    api.server.misbehave("get_health", faults.unsolicited_answer(seconds=0.05))
    await raw(api, connection)
    assert (await connection[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 Request Timeout")
    connection[1].close()


async def test_headers_are_added_to_the_real_answer(api):
    api.server.misbehave("get_health", faults.more_headers({"Date": "then", "X-Cache": "hit"}))
    answer = await api.get("/v2/health")
    assert (answer.headers["Date"], answer.headers["X-Cache"]) == ("then", "hit")
    assert answer.json == {"status": "OK"}
    api.server.misbehave("get_health", faults.header_bomb(5000))
    assert len((await api.get("/v2/health")).headers["X-Padding"]) == 5000


async def test_a_store_may_answer_before_it_has_read_the_body(api, session):
    """A 2xx for an upload that was not taken."""
    form = (await api.send("POST", "/v2/files", json={"file_name": "a.bin"})).json
    api.server.misbehave("upload_file", faults.answer(204))

    async def body():
        yield b"x"
        while not api.server.count("upload_file", status=204):  # noqa: ASYNC110 - as in `until`
            await asyncio.sleep(0.01)

    async with session.post(form["upload_url"], data=body()) as answer:
        assert answer.status == 204
    assert not api.server.files


async def test_answers_that_leave_things_out(api):
    run = api.server.add_run(status="Succeeded", outputs={"the output total": 0, "the output note": ""})
    plain = await api.run(run.id)
    assert plain["outputs"][0] == {"name": "the output total", "value": 0}
    api.server.misbehave("get_run", faults.without_zeros())
    sparse = await api.run(run.id)
    assert sparse["outputs"] == [{"name": "the output total"}, {"name": "the output note"}]
    assert "file_ids" not in sparse
    api.server.misbehave("get_run", faults.null_lists())
    assert (await api.run(run.id))["outputs"] is None
    handle = api.server.misbehave("list_runs", faults.without("stage", "created_at"))
    (item,) = (await api.list()).json["items"]
    assert set(plain) - set(item) == {"stage", "created_at"}
    assert handle.hits == 1
    api.server.misbehave("get_run", faults.rewritten(lambda run: {**run, "name": "another"}))
    assert (await api.run(run.id))["name"] == "another"


async def test_refusals_in_any_words(api):
    api.server.misbehave("create_run", faults.refused(409, "Busy", {"Retry-After": "3"}))
    refused = await api.start()
    assert (refused.status, refused.json["message"], refused.headers["Retry-After"]) == (409, "Busy", "3")
    api.server.misbehave("create_run", faults.capacity_reached(7, message="{capacity} is all", status=429))
    refused = await api.start()
    assert (refused.status, refused.json["message"]) == (429, "7 is all")


def asking(api):
    run = api.server.platform.add_run(state="executing")
    for number in range(3):
        api.server.platform.add_event(run.id, f"event {number}")
    path = f"/api/v1/{run.name}/agents/astral/events:stream"
    return run, path, {"Authorization": f"Bearer {api.server.platform.token}"}


async def lines_of(answer, count):
    return [json.loads(await answer.content.readline())["event"]["agent_message"] for _ in range(count)]


async def test_a_stream_that_goes_silent(api, session):
    _, path, headers = asking(api)
    api.server.misbehave("StreamEvents", faults.silent_stream(after=1))
    async with session.get(api.server.url + path, headers=headers) as answer:
        assert await lines_of(answer, 1) == [{"content": "event 0"}]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await answer.content.readline()


async def test_a_stream_that_breaks(api, session):
    _, path, headers = asking(api)
    api.server.misbehave("StreamEvents", faults.cut_stream(after=2))
    async with session.get(api.server.url + path, headers=headers) as answer:
        with pytest.raises(aiohttp.ClientError):
            await lines_of(answer, 3)


async def test_a_stream_that_does_not_repeat_what_was(api, session):
    run, path, headers = asking(api)
    handle = api.server.misbehave("*", faults.stream_without_replay())
    await api.get("/v2/health")
    assert handle.hits == 0
    async with session.get(api.server.url + path, headers=headers) as answer:
        await asyncio.sleep(0.1)
        api.server.platform.add_event(run.id, "new")
        assert await lines_of(answer, 1) == [{"content": "new"}]
