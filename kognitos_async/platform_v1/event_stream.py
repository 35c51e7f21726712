"""A stream of events, one JSON object per line, that survives broken connections."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async import messages, retry
from kognitos_async.errors import (
    APIStatusError,
    ClientClosedError,
    DecodeError,
    KognitosError,
    OutcomeUnknownError,
    TransportError,
)
from kognitos_async.http_date import parse_http_date
from kognitos_async.messages import Request, Response, with_query
from kognitos_async.paging import TokenTrail
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.models.generated.exceptions import Event, EventState, ListEventsResponse
from kognitos_async.platform_v1.times import in_utc
from kognitos_async.work_stream import WorkStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

    from kognitos_async.attempts import Attempts
    from kognitos_async.sender import Sender
    from kognitos_async.transport import Streamed

logger: logging.Logger = logging.getLogger("kognitos_async")

_LONGEST_LINE = 16 * 1024 * 1024
_REMEMBERED = 10_000
"""Number of emitted events remembered, to recognise repetitions."""
_PAGE_SIZE = 100
_MIN_LIFETIME = 0.25
"""Seconds after which a broken connection counts as having worked."""
_LIST_RETRY_DELAY = 1.0
"""Seconds to wait after a failed reading of the list."""
_LISTED = model_decoder(ListEventsResponse)
_EVENT = model_decoder(Event)
_STATUS_OF_CODE = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429,
    9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}  # fmt: skip
"""The HTTP statuses of google.rpc.Code."""
_CODE_OF_NAME = {
    "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9,
    "ABORTED": 10, "OUT_OF_RANGE": 11, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14,
    "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip


class EventStream(WorkStream[Event]):
    """The events of an agent in the order in which they happen.

    A broken connection is made again, and the events missed meanwhile are read from the list: none is
    missing, and none is repeated unless it changed.
    """

    def __init__(self, sender: Sender, path: str, idle_timeout: float | None) -> None:
        super().__init__(self._follow)
        self._sender = sender
        self._request = Request("GET", f"{path}:stream")
        self._list_path = path
        self._idle_timeout = idle_timeout
        self._emitted = _EmittedEvents()
        self._began: datetime | None = None
        """Time of the first connection, by the server's clock."""
        self._behind = False
        """Whether events may have been missed that the list has not been read for yet."""
        self._since_gap: set[str] = set()
        """Names of the events emitted while earlier ones may be missing."""
        self._list_at = 0.0
        self._short_lived = 0

    async def _follow(self, emit: Callable[[Event], Awaitable[None]]) -> None:
        attempts = self._sender.attempts()
        while not await self._connection(emit, attempts):
            pass
        attempts.succeeded()

    async def _connection(self, emit: Callable[[Event], Awaitable[None]], attempts: Attempts) -> bool:
        """Emit the new events of one connection. Return True if the API ended the stream."""
        loop = asyncio.get_running_loop()
        connected_at: float | None = None
        try:
            async with self._sender.stream(
                self._request, accept="application/x-ndjson", attempts=attempts
            ) as answer:
                connected_at = loop.time()
                await self._read(answer, emit, attempts)
        except TransportError as broken:
            if connected_at is None:
                raise
            failure = broken
        else:
            await self._catch_up(emit, at_end=True)
            return True
        self._behind = True
        lived = loop.time() - connected_at
        idle = isinstance(failure, OutcomeUnknownError) and failure.timed_out
        if idle or isinstance(failure, _TruncatedLineError) or lived < _MIN_LIFETIME:
            await attempts.back_off(failure, retryable=True, what=self._request)
            return False
        # Proxies cut idle connections: not a failed attempt. Repeated cuts are followed by a growing backoff.
        attempts.start_over()
        self._short_lived = 1 if lived > self._sender.policy.max_delay else self._short_lived + 1
        delay = retry.backoff(self._sender.policy, self._short_lived, self._sender.chance)
        logger.warning("%s; connecting again in %.2f s", failure, delay)
        await self._sender.sleep(delay)
        return False

    async def _read(
        self, answer: Streamed, emit: Callable[[Event], Awaitable[None]], attempts: Attempts
    ) -> None:
        if self._began is None:
            self._began = _time_of(answer.headers)
        await self._catch_up(emit)
        number = 0
        async with aclosing(_lines(answer.pieces(self._idle_timeout), self._request.path)) as lines:
            async for line, complete in lines:
                number += 1
                event = self._event(line, number, complete=complete)
                await self._catch_up(emit)
                if event is not None and self._emitted.is_new(event):
                    attempts.start_over()
                    self._short_lived = 0
                    await self._emit_event(event, emit)

    async def _emit_event(self, event: Event, emit: Callable[[Event], Awaitable[None]]) -> None:
        self._emitted.add(event)
        if self._behind and event.name:
            self._since_gap.add(event.name)
        await emit(event)

    def _event(self, line: bytes, number: int, *, complete: bool) -> Event | None:
        """The event in a line, bare or wrapped; None for a keep-alive line.

        Raises the error that a line holds, and `DecodeError` for anything but a JSON object or an event.
        """
        if not line.strip():
            return None
        try:
            found = msgspec.json.decode(line)
            if not isinstance(found, dict):
                raise msgspec.ValidationError(f"Expected `object`, got `{type(found).__name__}`")
            for wrapping in ("result", "event"):
                if isinstance(found.get(wrapping), dict) and not _is_error(found):
                    found = found[wrapping]
            if _is_error(found):
                raise self._error(found)
            event = _EVENT.decode(msgspec.json.encode(found))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            malformed = not isinstance(problem, msgspec.ValidationError)
            if malformed and not complete:
                raise _TruncatedLineError(
                    f"GET {self._request.path}: the stream ended in the middle of line {number}"
                ) from None
            raise DecodeError(
                f"GET {self._request.path}: line {number} of the stream is not an event: {problem}",
                path=f"line {number}",
                body=self._sender.redactor.clean(line),
                malformed=malformed,
            ) from None
        return event if event.name or event.kind else None

    def _error(self, found: dict[str, Any]) -> Exception:
        error = found.get("error", found)
        problem = error if isinstance(error, dict) else {"message": str(error)}
        return messages.status_error(
            self._request,
            Response(_status_of(problem), {}, msgspec.json.encode(problem)),
            self._sender.redactor,
            now=datetime.now(UTC),
            attempts=1,
        )

    async def _catch_up(self, emit: Callable[[Event], Awaitable[None]], *, at_end: bool = False) -> None:
        """Emit the listed events that no connection has delivered, oldest first.

        After a transient failure the list is read again later, at the latest when the stream ends; then the
        error is raised. A permanent failure is logged as a WARNING.
        """
        loop = asyncio.get_running_loop()
        if not self._behind or (loop.time() < self._list_at and not at_end):
            return
        try:
            missed = await self._missed(repeatable=at_end)
        except ClientClosedError:
            raise
        except KognitosError as error:
            transient = isinstance(error, TransportError) or (
                isinstance(error, APIStatusError) and error.status in retry.RETRYABLE_STATUSES
            )
            if transient and at_end:
                raise
            self._behind = transient
            if not transient:
                self._since_gap.clear()
            self._list_at = loop.time() + _LIST_RETRY_DELAY
            logger.warning("%s; events of %s may be missing", error, self._request.path)
            return
        self._behind = False
        self._since_gap.clear()
        for event in missed:
            await self._emit_event(event, emit)

    async def _missed(self, *, repeatable: bool) -> list[Event]:
        """The listed events that are new or changed, oldest first.

        The list is newest first. It is read back to the first emitted, unchanged event, not counting those
        emitted since the gap, and past every event still being written; before any event was emitted, back to
        the time at which the stream began.
        """
        missed: list[Event] = []
        unfinished = self._emitted.unfinished()
        anything_emitted = self._emitted.holds_more_than(self._since_gap)
        token: str | None = None
        trail = TokenTrail()
        while True:
            trail.follow(token)
            query = {"page_size": _PAGE_SIZE, "page_token": token}
            # Without retries: meanwhile the events of the connection would wait.
            request = Request("GET", with_query(self._list_path, query), repeatable=repeatable)
            page = await self._sender.send(request, _LISTED)
            for event in page.events:
                unfinished.discard(event.name or "")
                if self._emitted.is_new(event) and (anything_emitted or not self._is_old(event)):
                    missed.append(event)
                elif not unfinished and event.name not in self._since_gap:
                    return missed[::-1]
            token = page.next_page_token
            if not token:
                break
        # The list no longer holds any emitted event: decide by age.
        return [event for event in reversed(missed) if event.name in self._emitted or not self._is_old(event)]

    def _is_old(self, event: Event) -> bool:
        if event.create_time is None or self._began is None:
            return False
        return in_utc(event.create_time) < self._began


class _TruncatedLineError(OutcomeUnknownError):
    """A connection that ended without error in the middle of a line."""


class _EmittedEvents:
    """The events emitted so far, to recognise repetitions."""

    def __init__(self) -> None:
        self._events: OrderedDict[str, tuple[bytes, bool, datetime | None]] = OrderedDict()

    def holds_more_than(self, names: set[str]) -> bool:
        """Whether any event apart from `names` was emitted."""
        return len(self._events) > len(names)

    def __contains__(self, name: object) -> bool:
        return name in self._events

    def unfinished(self) -> set[str]:
        """The names of events that were still being written when last emitted."""
        return {name for name, (_, finished, _) in self._events.items() if not finished}

    def add(self, event: Event) -> None:
        """Record the event as emitted in this form."""
        if not event.name:
            return
        updated = None if event.update_time is None else in_utc(event.update_time)
        self._events[event.name] = (_digest(event), event.state != EventState.STREAMING, updated)
        self._events.move_to_end(event.name)
        if len(self._events) > _REMEMBERED:
            self._events.popitem(last=False)

    def is_new(self, event: Event) -> bool:
        """Whether the event was not emitted yet or has changed since. An earlier form of it is not new."""
        if not event.name or (before := self._events.get(event.name)) is None:
            return True
        digest, finished, updated = before
        if finished and event.state == EventState.STREAMING:
            return False
        if updated is not None and event.update_time is not None and in_utc(event.update_time) < updated:
            return False
        return digest != _digest(event)


def _digest(event: Event) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(event), digest_size=16).digest()


def _is_error(found: dict[str, Any]) -> bool:
    """Whether an object is a google.rpc.Status other than OK, bare or as a gateway wraps it."""
    if found.get("error"):
        return True
    return "name" not in found and any(found.get(member) for member in ("code", "grpc_code", "http_code"))


def _status_of(problem: Mapping[str, Any]) -> int:
    """The HTTP status equivalent to a google.rpc.Status, in any of its spellings."""
    for member in ("http_code", "code", "grpc_code", "status"):
        code = problem.get(member)
        if isinstance(code, str):
            code = int(code) if code.isdecimal() and len(code) <= 3 else _CODE_OF_NAME.get(code.upper())
        if isinstance(code, int):
            if 400 <= code <= 599:
                return code
            if code in _STATUS_OF_CODE:
                return _STATUS_OF_CODE[code]
    return 500


def _time_of(headers: Mapping[str, str]) -> datetime:
    """The Date header, or else the local time."""
    return parse_http_date(headers.get("Date")) or datetime.now(UTC)


async def _lines(pieces: AsyncIterator[bytes], path: str) -> AsyncGenerator[tuple[bytes, bool]]:
    """The lines without their ends, and whether each had one: the last may not."""
    parts: list[bytes] = []
    size = 0
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        parts.append(first)
        size += len(first)
        if others:
            yield b"".join(parts), True
            for line in others[:-1]:
                yield line, True
            parts = [others[-1]]
            size = len(others[-1])
        if size > _LONGEST_LINE:
            raise DecodeError(
                f"GET {path}: a line of the stream is longer than {_LONGEST_LINE} bytes", path="$", body=b""
            )
    if size:
        yield b"".join(parts), False
