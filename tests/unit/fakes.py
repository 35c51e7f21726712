"""A transport that answers from a script, for code that runs under virtual time."""

from __future__ import annotations

import asyncio

import msgspec
from multidict import CIMultiDict

from kognitos_async import KognitosClient
from kognitos_async.messages import Response

RUN = {
    "id": "r-1",
    "name": "Invoice 42",
    "agent_id": "agent-1",
    "process_id": "p-1",
    "stage": "Published",
    "status": "Running",
    "created_at": "2021-01-01T12:00:00",
    "file_ids": None,
    "outputs": None,
}


def run(status="Running", **fields):
    """A run as the API writes it."""
    if status == "Succeeded":
        fields.setdefault("outputs", [{"name": "the output total", "value": 42}])
    return {**RUN, "status": status, **fields}


def answer(status, value=None, headers=None):
    """A complete answer."""
    body = value if isinstance(value, bytes) else b"" if value is None else msgspec.json.encode(value)
    return Response(status, CIMultiDict(headers or {}), body)


class Scripted:
    """Answers each attempt with the next step of a script, its last step for ever.

    A step is a Response, an exception, or a function from the request to one of these. `sent` holds loop
    time and request of each attempt.
    """

    def __init__(self, *steps, latency=0.0):
        self.steps = list(steps)
        self.latency = latency
        self.sent = []
        self.cancelled = 0
        self.opened = self.closed = 0

    async def open(self):
        self.opened += 1

    async def close(self):
        self.closed += 1

    async def attempt(self, request, fresh_until=None):
        loop = asyncio.get_running_loop()
        self.sent.append((loop.time(), request))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        try:
            await asyncio.sleep(self.latency)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if callable(step) and not isinstance(step, type):
            step = step(request)
        if isinstance(step, BaseException):
            raise step
        return step

    @property
    def times(self):
        """When the attempts were made."""
        return [time for time, _ in self.sent]


def client_of(transport, **options):
    """A client that sends through `transport`."""
    client = KognitosClient("test-key", base_url="http://127.0.0.1:1", agent_id="agent-1", **options)
    client._sender.transport = transport
    return client
