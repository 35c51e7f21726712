"""Attempts of calls with several requests: counted, charged and logged; frames down to the socket."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import aiohttp
import pytest

import kognitos_async
from kognitos_async import (
    InvokeRequest,
    OutcomeUnknownError,
    RetryPolicy,
    RunRequest,
    TransportError,
    UploadError,
)
from kognitos_async.testing import faults

PACKAGE = str(Path(kognitos_async.__file__).parent)
MOST = 3
QUICK = RetryPolicy(max_attempts=MOST, base_delay=0.001, max_delay=0.001)


async def read(client, server, tmp_path):
    file = server.platform.add_file("a.bin", b"x" * 5000)
    await client.files.metadata(file.name)


async def download(client, server, tmp_path):
    file = server.platform.add_file("a.bin", b"x" * 5000)
    await client.files.download_to(file.name, tmp_path / "a")


async def stream(client, server, tmp_path):
    run = server.platform.add_run(state="completed")
    server.platform.add_event(run.id, "an event")
    async with client.exceptions.stream(run.name) as events:
        async for _ in events:
            pass


WORK = {"GetFileMetadata": read, "DownloadFile": download, "StreamEvents": stream}


@pytest.mark.parametrize("operation", WORK)
@pytest.mark.parametrize("fault", ["never answered", "unavailable", "cut"])
async def test_max_attempts_bounds_the_work_and_every_attempt_is_logged(
    operation, fault, server, tmp_path, caplog
):
    """Also where a call reconnects by its own loop; one WARNING before each retry."""
    misbehaviour = {
        "never answered": faults.hang,
        "unavailable": faults.unavailable,
        "cut": faults.cut_body,
    }[fault]()
    caplog.set_level(logging.DEBUG, "kognitos_async")
    limit = 0.4 if fault == "never answered" else 20.0
    async with server.platform_client(retry=QUICK, request_timeout=limit) as client:
        server.misbehave(operation, misbehaviour, times=None)
        with pytest.raises(kognitos_async.KognitosError) as caught:
            await WORK[operation](client, server, tmp_path)
    assert server.count(operation) == MOST
    assert caught.value.attempts == MOST
    levels = [record.levelname for record in caplog.records if record.name == "kognitos_async"]
    assert levels.count("WARNING") == MOST - 1
    # After each cut of an event stream the list is asked for what was missed.
    assert levels.count("DEBUG") == MOST + server.count("ListEvents")


@pytest.mark.parametrize("operation", ["DownloadFile", "StreamEvents"])
async def test_successful_calls_are_refunded_their_retry(operation, server, tmp_path):
    """Otherwise a hundred downloads with a retry each would use up the quota."""
    async with server.platform_client(retry=QUICK) as client:
        for fault in (faults.cut_body(), faults.unavailable()):
            server.misbehave(operation, fault)
            await WORK[operation](client, server, tmp_path)
        assert client._sender.quota.tokens == 500
    assert server.count(operation) == 4


async def test_an_upload_and_its_form_share_their_attempts(server):
    """A form that needed two attempts leaves one for the file store."""
    async with server.client(retry=QUICK) as client:
        server.misbehave("create_file", faults.server_error(500), times=2)
        server.misbehave("upload_file", faults.server_error(503), times=None)
        with pytest.raises(UploadError):
            await client.files.upload(b"abc", file_name="a")
    assert server.count("create_file") == MOST
    assert server.count("upload_file") == 1


async def test_the_error_of_a_broken_download_has_its_attempts(server):
    """Opening is retried, reading is not."""
    file = server.platform.add_file("a.bin", b"x" * 5000)
    async with server.platform_client(retry=QUICK) as client:
        server.misbehave("DownloadFile", faults.unavailable())
        server.misbehave("DownloadFile", faults.cut_body())
        with pytest.raises(TransportError) as caught:
            async with client.files.download(file.name) as pieces:
                async for _ in pieces:
                    pass
    assert isinstance(caught.value, OutcomeUnknownError)
    assert caught.value.attempts == 2


def own_frames():
    """Trace settings, and a list that gets the library's frames of each request, the innermost first."""
    seen = []

    async def began(*_):
        frame = sys._getframe()
        frames = []
        while frame is not None:
            frames.append((frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        seen.append([name for file, name in frames if file.startswith(PACKAGE) and "/testing/" not in file])

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(began)
    return tracing, seen


async def test_three_frames_lead_from_a_resource_to_the_socket(server):
    """Additional layers would add frames."""
    tracing, seen = own_frames()
    run = server.add_run()
    async with server.client(trace_configs=[tracing]) as client:
        await client.runs.get(run.id)
        await client.health()
    assert seen == [["attempt", "_send", "get"], ["attempt", "_send", "health"]]


@pytest.mark.parametrize("api", ["rest_v2", "platform_v1"])
async def test_seven_frames_lead_from_a_request_of_a_job_to_its_start(server, api):
    """The innermost is the attempt, the outermost the task of the request."""
    tracing, seen = own_frames()
    if api == "rest_v2":
        client, request = (
            server.client(trace_configs=[tracing]),
            RunRequest(process_id=server.process.id, name="n"),
        )
    else:
        client = server.platform_client(trace_configs=[tracing])
        request = InvokeRequest(automation=server.platform.automation.id, inputs={"n": 1})
    async with client, client.run_many([request]) as outcomes:
        async for outcome in outcomes:
            assert outcome.error is None
    start = seen[0]
    assert len(start) == 7, start
    assert (start[0], start[-1]) == ("attempt", "one")
