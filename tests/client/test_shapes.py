"""Request shapes and error mapping without a socket."""

from __future__ import annotations

from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses

from kognitos_async import (
    CapacityError,
    KognitosClient,
    NotSentError,
    OutcomeUnknownError,
    RetryPolicy,
    StartUncertainError,
)

BASE = "https://rest-api.eu.kognitos.com/v2"
ONCE = RetryPolicy(max_attempts=1)


class Response(aiohttp.ClientResponse):
    """Supplies what newer versions of aiohttp want and aioresponses does not give."""

    def __init__(self, *args, **kwargs):
        try:
            super().__init__(*args, **{**kwargs, "stream_writer": Mock(output_size=0)})
        except TypeError:
            super().__init__(*args, **kwargs)


@pytest.fixture
async def client():
    """A client of the European region that tries once."""
    async with KognitosClient("a-key", region="eu", agent_id="a1", retry=ONCE) as client:
        yield client


async def test_a_get(client):
    """A GET goes to the region's host with the key and without a body, redirects off."""
    seen = []

    def answer(url, **options):
        seen.append((str(url), options))
        return CallbackResult(body=b'{"status":"OK"}', response_class=Response)

    with aioresponses() as mocked:
        mocked.get(f"{BASE}/health", callback=answer)
        assert (await client.health()).ok
    [(url, options)] = seen
    assert url == f"{BASE}/health"
    assert options["headers"]["x-api-key"] == "a-key"
    assert options["data"] is None
    assert options["allow_redirects"] is False


async def test_a_start(client):
    """A start posts compact JSON as application/json; a 403 about concurrent runs is CapacityError."""
    seen = []

    def answer(url, **options):
        seen.append(options)
        body = b'{"message":"Resource Not Available"}'
        return CallbackResult(status=403, body=body, response_class=Response)

    with aioresponses() as mocked:
        mocked.post(f"{BASE}/runs", callback=answer)
        with pytest.raises(CapacityError):
            await client.runs.start("p1", name="n")
    assert seen[0]["data"] == b'{"name":"n","process_id":"p1","agent_id":"a1","stage":"Published"}'
    assert seen[0]["headers"]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (aiohttp.ClientConnectorError(Mock(ssl=True), OSError(111, "refused")), NotSentError),
        (aiohttp.ConnectionTimeoutError(), NotSentError),
        (aiohttp.ServerDisconnectedError(), OutcomeUnknownError),
        (aiohttp.ClientOSError(104, "reset"), OutcomeUnknownError),
        (aiohttp.ClientPayloadError(), OutcomeUnknownError),
        (aiohttp.SocketTimeoutError(), OutcomeUnknownError),
        (TimeoutError(), OutcomeUnknownError),
        (ConnectionResetError(), OutcomeUnknownError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_low_level_errors(client, problem, kind):
    """Each of aiohttp's errors says either that nothing was sent or that the outcome is unknown."""
    with aioresponses() as mocked:
        mocked.get(f"{BASE}/health", exception=problem)
        with pytest.raises(kind):
            await client.health()
        mocked.post(f"{BASE}/runs", exception=problem)
        with pytest.raises(NotSentError if kind is NotSentError else StartUncertainError):
            await client.runs.start("p1", name="n")
