"""A stream of events, a JSON object a line, that survives broken connections."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async import messages
from kognitos_async.errors import DecodeError, TransportError
from kognitos_async.messages import Request, Response
from kognitos_async.platform_v1.models.generated.exceptions import Event
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from kognitos_async.attempts import Attempts
    from kognitos_async.sender import Sender

_LONGEST_LINE = 16 * 1024 * 1024
_REMEMBERED = 10_000
"""So many events are known again after a break."""
_HTTP_STATUS = {3: 400, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 16: 401}
"""The statuses of google.rpc's codes; all others are failures of the server."""


class EventStream(WorkStream[Event]):
    """Events in the order in which they come."""

    def __init__(self, sender: Sender, path: str, patience: float | None) -> None:
        super().__init__(self._follow)
        self._sender = sender
        self._request = Request("GET", path)
        self._patience = patience
        self._seen: OrderedDict[str, bytes] = OrderedDict()

    async def _follow(self, emit: Callable[[Event], Awaitable[None]]) -> None:
        attempts = self._sender.attempts()
        while True:
            try:
                await self._connected(emit, attempts)
            except TransportError as failure:
                await attempts.back_off(failure, retryable=True)
            else:
                attempts.succeeded()
                return

    async def _connected(self, emit: Callable[[Event], Awaitable[None]], attempts: Attempts) -> None:
        """Emit the new events of one connection."""
        async with self._sender.stream(
            self._request, accept="application/x-ndjson", attempts=attempts
        ) as answer:
            number = 0
            async with aclosing(_lines(answer.pieces(self._patience), self._request.path)) as lines:
                async for line in lines:
                    number += 1
                    if not line.strip():
                        continue  # only there to keep the connection alive
                    event = self._event(line, number)
                    if self._is_new(event, line):
                        attempts.start_over()
                        await emit(event)

    def _event(self, line: bytes, number: int) -> Event:
        """The event in a line: bare, or wrapped in the name that gateways give to results."""
        try:
            found = msgspec.json.decode(line)
            if not isinstance(found, dict):
                raise msgspec.ValidationError(f"Expected `object`, got `{type(found).__name__}`")
            if isinstance(problem := found.get("error"), dict):
                raise self._error(problem)
            for wrapping in ("result", "event"):
                if isinstance(found.get(wrapping), dict):
                    found = found[wrapping]
            return msgspec.convert(found, Event, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise DecodeError(
                f"GET {self._request.path}: line {number} of the stream is no event: {problem}",
                path=f"line {number}",
                body=self._sender.redactor.clean(line),
                malformed=not isinstance(problem, msgspec.ValidationError),
            ) from None

    def _error(self, problem: dict[str, Any]) -> Exception:
        code = problem.get("code", problem.get("grpc_code"))
        status = _HTTP_STATUS.get(code, 500) if isinstance(code, int) else 500
        return messages.status_error(
            self._request,
            Response(status, {}, msgspec.json.encode(problem)),
            self._sender.redactor,
            now=datetime.now(UTC),
            attempts=1,
        )

    def _is_new(self, event: Event, line: bytes) -> bool:
        """Whether the event was not yet told in this form."""
        if event.name is None:
            return True
        mark = hashlib.blake2b(line.strip(), digest_size=16).digest()
        if self._seen.get(event.name) == mark:
            return False
        self._seen[event.name] = mark
        self._seen.move_to_end(event.name)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True


async def _lines(pieces: AsyncIterator[bytes], path: str) -> AsyncGenerator[bytes]:
    rest = b""
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > _LONGEST_LINE:
            raise DecodeError(
                f"GET {path}: a line of the stream is longer than {_LONGEST_LINE} bytes", path="$", body=b""
            )
    if rest:
        yield rest
