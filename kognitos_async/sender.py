"""The one loop around an attempt: gate, attempt, decision, sleep."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar, overload

from kognitos_async import messages, retry
from kognitos_async.errors import (
    APIStatusError,
    CapacityError,
    ClientClosedError,
    RateLimitError,
    TransportError,
)
from kognitos_async.messages import Response
from kognitos_async.throttle import Gate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import msgspec

    from kognitos_async.messages import Redactor, Request, Upload
    from kognitos_async.retry import RetryPolicy
    from kognitos_async.transport import Streamed, Transport

T = TypeVar("T")

logger = logging.getLogger("kognitos_async")


class Sender:
    """Sends requests of one client until they are answered, refused for good, or out of attempts."""

    def __init__(
        self,
        transport: Transport,
        *,
        policy: RetryPolicy,
        redactor: Redactor,
        max_concurrent: int,
        requests_per_second: float | None,
        chance: random.Random | None = None,
    ) -> None:
        self.transport = transport
        self.policy = policy
        self.redactor = redactor
        self.quota = retry.RetryQuota()
        self.chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self.server_date: str | None = None
        self._max_concurrent = max_concurrent
        self._requests_per_second = requests_per_second
        self._gate: Gate | None = None
        self._closed: asyncio.Event | None = None

    async def open(self) -> None:
        """Make ready for use; once."""
        if self._closed is not None:
            raise ClientClosedError("a client opens once: make another one")
        self._closed = asyncio.Event()
        self._gate = Gate(max_concurrent=self._max_concurrent, requests_per_second=self._requests_per_second)
        await self.transport.open()

    async def close(self) -> None:
        """End everything: who waits, sleeps or is sending gets `ClientClosedError` or a lost answer."""
        if self._closed is None or self._closed.is_set():
            return
        self._closed.set()
        if self._gate is not None:
            self._gate.close()
        await self.transport.close()

    @property
    def gate(self) -> Gate:
        """The gate of an open client; `ClientClosedError` otherwise."""
        if self._gate is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        return self._gate

    def clock_difference(self) -> timedelta:
        """How far the server's clock is ahead of ours, by the Date of its last answer; 0 if it has none."""
        try:
            there = parsedate_to_datetime(self.server_date or "")
        except ValueError:
            return timedelta()
        if there.tzinfo is None:
            there = there.replace(tzinfo=UTC)
        difference = there - datetime.now(UTC)
        # Whole seconds and some travel: small differences say nothing.
        return difference if abs(difference) > timedelta(seconds=2) else timedelta()

    @property
    def cuts(self) -> int:
        """How often a 429 made the client slow down."""
        return self.gate.cuts

    def asks_too_long(self, error: RateLimitError) -> bool:
        """Whether the API asked for a pause beyond the policy's limit."""
        return error.retry_after is not None and error.retry_after > self.policy.retry_after_limit

    def check_open(self) -> None:
        """Raise `ClientClosedError` unless the client is open."""
        if self._closed is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        if self._closed.is_set():
            raise ClientClosedError("the client is closed")

    @overload
    async def send(self, request: Request, decoder: msgspec.json.Decoder[T]) -> T: ...

    @overload
    async def send(self, request: Request, decoder: None, upload: Upload) -> Response: ...

    async def send(
        self, request: Request, decoder: msgspec.json.Decoder[T] | None, upload: Upload | None = None
    ) -> T | Response:
        """The decoded 2xx answer to `request`; without a decoder the answer as it came.

        `upload` is a body sent piece by piece.

        Raises `TransportError`, `APIStatusError`, `DecodeError`, `ClientClosedError`. Cancelling it closes
        the connection in use.
        """
        gate = self.gate
        attempt = taken = 0
        while True:
            attempt += 1
            sent_at = await gate.enter(request.priority)
            try:
                response = await (
                    self.transport.attempt(request)
                    if upload is None
                    else self.transport.attempt_with(request, upload)
                )
            except TransportError as error:
                failure: TransportError | APIStatusError = error
                failure.attempts = attempt
                self._note_attempt(request, attempt, sent_at, type(error).__name__)
            else:
                self._note_attempt(request, attempt, sent_at, response.status)
                self.server_date = response.headers.get("Date")
                if 200 <= response.status < 300:
                    gate.succeeded()
                    self.quota.give_back(taken)
                    if decoder is None:
                        return response
                    return messages.decode(decoder, request, response, self.redactor)
                failure = self._refusal(request, response, attempt)
                if isinstance(failure, RateLimitError):
                    # Before the place is given back: nobody who waits for it may slip out.
                    self._pause_everybody(gate, sent_at, failure)
            finally:
                gate.leave()
            taken = await self._before_next(request, failure, attempt)

    @asynccontextmanager
    async def stream(self, request: Request, *, accept: str) -> AsyncGenerator[Streamed]:
        """The beginning of a 2xx answer, to be read in the block; its place counts as taken until then.

        Raises what `send` raises. What breaks in the block is not tried again.
        """
        gate = self.gate
        attempt = 0
        begun = False
        while True:
            attempt += 1
            sent_at = await gate.enter(request.priority)
            try:
                async with self.transport.stream(request, accept=accept) as answer:
                    self._note_attempt(request, attempt, sent_at, answer.status)
                    self.server_date = answer.headers.get("Date")
                    if 200 <= answer.status < 300:
                        gate.succeeded()
                        begun = True
                        yield answer
                        return
                    response = Response(answer.status, answer.headers, await answer.read())
                    failure: TransportError | APIStatusError = self._refusal(request, response, attempt)
                if isinstance(failure, RateLimitError):
                    self._pause_everybody(gate, sent_at, failure)
            except TransportError as error:
                if begun:
                    raise
                failure = error
                failure.attempts = attempt
            finally:
                gate.leave()
            await self._before_next(request, failure, attempt)

    async def _before_next(
        self, request: Request, failure: TransportError | APIStatusError, attempt: int
    ) -> int:
        """Sleep before the next try and return what it takes of the quota, or raise the failure."""
        delay = retry.decide(self.policy, failure, attempt, repeatable=request.repeatable, random=self.chance)
        if self._closed is not None and self._closed.is_set() and request.repeatable:
            raise ClientClosedError("the client was closed during the call") from failure
        if isinstance(failure, CapacityError) and not request.waits_for_room:
            raise failure
        if delay is None or not (taken := self.quota.take(failure)):
            raise failure
        logger.warning(
            "%s; sending again in %.2f s, attempt %d of %d",
            failure,
            delay,
            attempt + 1,
            self.policy.max_attempts,
        )
        await self.sleep(delay)
        return taken

    async def sleep(self, seconds: float) -> None:
        """Sleep, unless the client is closed meanwhile: then `ClientClosedError`."""
        if self._closed is None:
            raise ClientClosedError("use the client inside `async with`, or after `await client.open()`")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        if self._closed.is_set():
            raise ClientClosedError("the client was closed during the call")

    def _refusal(self, request: Request, response: Response, attempt: int) -> APIStatusError:
        return messages.error_of(request, response, self.redactor, now=datetime.now(UTC), attempts=attempt)

    def _pause_everybody(self, gate: Gate, sent_at: float, failure: RateLimitError) -> None:
        """A 429 concerns the key, so all requests; one that asks for too long concerns only its caller."""
        gate.throttled(sent_at, 0.0 if self.asks_too_long(failure) else failure.retry_after)

    def _note_attempt(self, request: Request, attempt: int, sent_at: float, result: int | str) -> None:
        if logger.isEnabledFor(logging.DEBUG):
            elapsed = asyncio.get_running_loop().time() - sent_at
            logger.debug(
                "%s %s: %s in %.3f s, attempt %d", request.method, request.path, result, elapsed, attempt
            )
