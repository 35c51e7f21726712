"""A sender that sends nothing: it holds requests against the API's document and answers with samples."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from kognitos_async.observers import Observers
from kognitos_async.platform_v1.names import Scope
from kognitos_async.server_clock import ServerClock
from tests.platform import spec

SCOPE = Scope("o1", "w1")
WORKSPACE = "organizations/o1/workspaces/w1"
AUTOMATION = f"{WORKSPACE}/automations/a1"


class Recorder:
    """Keeps each request; `answers` come before samples."""

    def __init__(self) -> None:
        self.clock = ServerClock()
        self.observers = Observers()
        self.requests: list[Any] = []
        self.answers: list[Any] = []

    async def send(self, request: Any, decoder: Any, *, before_send: Any = None, attempts: Any = None) -> Any:
        """The answer decoded, once the request is as the document wants it."""
        if before_send is not None:
            await before_send()
        name = spec.check(request.method, request.target, request.body)
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
        else:
            answer = spec.sample(spec.answer_schema(name))
            answer.pop("next_page_token", None)
        return decoder.decode(msgspec.json.encode(answer))

    @property
    def last(self) -> Any:
        """The request sent last."""
        return self.requests[-1]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query of the request sent last."""
        return query_of(self.last)

    @property
    def body(self) -> Any:
        """The body of the request sent last."""
        return msgspec.json.decode(self.last.body)


def query_of(request: Any) -> list[tuple[str, str]]:
    """The query of a request, in order."""
    return parse_qsl(urlsplit(request.target).query, keep_blank_values=True)


async def sent(operation: str, call: Any, resource: Any) -> Any:
    """What one call has sent, which is the operation."""
    recorder = Recorder()
    await call(resource(recorder, SCOPE))
    assert spec.operation_of(recorder.last.method, recorder.last.target) == operation
    return recorder
