"""Sending of requests: admission by the gate, attempts, and retries."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from kognitos_async import messages, retry
from kognitos_async.attempts import Attempts, Retries
from kognitos_async.errors import (
    APIStatusError,
    CapacityError,
    ClientClosedError,
    RateLimitError,
    TransportError,
)
from kognitos_async.event_loop import steady_time
from kognitos_async.lifetime import Lifetime
from kognitos_async.messages import Response
from kognitos_async.observers import Observers
from kognitos_async.server_clock import ServerClock
from kognitos_async.throttle import Gate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
    from types import TracebackType

    from kognitos_async.messages import Redactor, Request, Upload
    from kognitos_async.retry import RetryPolicy
    from kognitos_async.transport import Streamed, Transport

T = TypeVar("T")


class _ObservedRequest:
    """Notifies observers of the beginning and the end of a request, around its wait for a slot."""

    __slots__ = ("_began", "_observer", "_request")

    def __init__(self, observers: Observers, request: Request) -> None:
        self._observer = observers.current
        self._request = request
        self._began: object = None

    def __enter__(self) -> None:
        if self._observer is not None:
            self._began = self._observer.request_began(self._request)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """Notify observers of the end. Only the first call has an effect."""
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.request_ended(self._began, error)


_FRESH = 4.0
"""Seconds for which the result of `before_send` is valid.

Well below the time after which a worker without a heartbeat is presumed dead.
"""


class Sender:
    """Sends the requests of one client, with retries."""

    def __init__(
        self,
        transport: Transport,
        *,
        policy: RetryPolicy,
        redactor: Redactor,
        max_concurrent: int,
        max_streams: int | None = None,
        requests_per_second: float | None,
        chance: random.Random | None = None,
        clock: ServerClock | None = None,
    ) -> None:
        self.transport = transport
        self.policy = policy
        self.redactor = redactor
        self.quota: retry.RetryQuota = retry.RetryQuota()
        self.chance: random.Random = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self.lifetime: Lifetime = Lifetime()
        self.observers: Observers = Observers()
        self._retries = Retries(policy, self.quota, self.chance, self.sleep, self.observers)
        once = msgspec.structs.replace(policy, max_attempts=1)
        self._once = Retries(once, self.quota, self.chance, self.sleep, self.observers)
        self.clock: ServerClock = clock or ServerClock()
        self._max_concurrent = max_concurrent
        self._max_streams = max_streams or max_concurrent
        self._requests_per_second = requests_per_second
        self._gate: Gate | None = None
        self._streams: Gate | None = None
        self.upload_slots: asyncio.Semaphore = asyncio.Semaphore(max_concurrent)
        """Slots of uploads, separate from those of requests; as many as `max_connections`."""

    async def open(self) -> None:
        """Create the gates and sessions. Raises `ClientClosedError` the second time."""
        self.lifetime.begin()
        self._gate = Gate(max_concurrent=self._max_concurrent, requests_per_second=self._requests_per_second)
        self._streams = Gate(max_concurrent=self._max_streams, requests_per_second=None, what="streams")
        await self.transport.open()

    async def close(self) -> None:
        """Close the sessions. Queued and sleeping requests raise `ClientClosedError`; attempts fail."""
        if not self.lifetime.end():
            return
        for gate in (self._gate, self._streams):
            if gate is not None:
                gate.close()
        await self.transport.close()

    @property
    def gate(self) -> Gate:
        """The gate of an open client. Raises `ClientClosedError` before it is opened."""
        if self._gate is None:
            self.lifetime.check()
            raise ClientClosedError("the client is closed")
        return self._gate

    def exceeds_limit(self, error: RateLimitError) -> bool:
        """Whether Retry-After exceeds the policy's limit."""
        return error.retry_after is not None and error.retry_after > self.policy.retry_after_limit

    def attempts(self) -> Attempts:
        """The attempts of one call, none made yet."""
        return Attempts(self._retries)

    def single_attempt(self) -> Attempts:
        """A single attempt, for callers with their own retry logic: every failure is raised at once."""
        return Attempts(self._once)

    def send(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[T],
        *,
        before_send: Callable[[], Awaitable[object]] | None = None,
        attempts: Attempts | None = None,
    ) -> Coroutine[Any, Any, T]:
        """The decoded 2xx answer to `request`.

        `before_send` is awaited immediately before each attempt, in its slot. If it raises, the attempt is
        not made and the error is raised. If the body is not sent within 4 s after it, for instance because
        the process was suspended, the attempt fails with `NotSentError`: the result of the hook may be
        outdated. `attempts` are shared by the requests of one call, whose owner records success.

        Raises `TransportError`, `APIStatusError`, `DecodeError` and `ClientClosedError`. Cancelling closes
        the connection.

        Not a coroutine function, to save a frame when there is no observer.
        """
        sending = self._send(request, decoder, before_send, attempts)
        return sending if self.observers.current is None else self._observed(request, sending)

    async def _observed(self, request: Request, sending: Coroutine[Any, Any, T]) -> T:
        with _ObservedRequest(self.observers, request):
            return await sending

    async def _send(
        self,
        request: Request,
        decoder: msgspec.json.Decoder[T],
        before_send: Callable[[], Awaitable[object]] | None,
        attempts: Attempts | None,
    ) -> T:
        gate = self.gate
        tries = attempts or Attempts(self._retries)
        while True:
            response: Response | None = None
            sent_at = await gate.enter(starts_run=request.starts_run)
            try:
                fresh_until: float | None = None
                if before_send is not None:
                    await before_send()
                    fresh_until = steady_time() + _FRESH
                tries.begin(sent_at)
                try:
                    response = await self.transport.attempt(request, fresh_until)
                except TransportError as error:
                    failure: TransportError | APIStatusError | None = error
                    tries.record(request, error)
                except asyncio.CancelledError:
                    tries.record(request, "cancelled")
                    raise
                else:
                    failure = self._refusal(request, response, tries, sent_at)
            finally:
                gate.leave()
            if failure is not None:
                await self._back_off(request, failure, tries)
            elif response is not None:
                if attempts is None:
                    tries.succeeded()
                return messages.decode(decoder, request, response, self.redactor)

    def send_upload(self, request: Request, upload: Upload) -> Coroutine[Any, Any, Response]:
        """The 2xx answer to `request`, whose body is streamed.

        It obeys the rate, but holds no slot of the gate; the caller holds one of `upload_slots`. Raises what
        `send` raises, and what iterating the pieces of `upload` raises.
        """
        sending = self._send_upload(request, upload)
        return sending if self.observers.current is None else self._observed(request, sending)

    async def _send_upload(self, request: Request, upload: Upload) -> Response:
        gate = self.gate
        tries = Attempts(self._retries)
        while True:
            response: Response | None = None
            sent_at = await gate.enter(starts_run=request.starts_run)
            gate.leave()
            tries.begin(sent_at)
            try:
                response = await self.transport.attempt_with(request, upload)
            except TransportError as error:
                failure: TransportError | APIStatusError | None = error
                tries.record(request, error)
            except asyncio.CancelledError:
                tries.record(request, "cancelled")
                raise
            else:
                failure = self._refusal(request, response, tries, sent_at)
            if failure is not None:
                await self._back_off(request, failure, tries)
            elif response is not None:
                tries.succeeded()
                return response

    @asynccontextmanager
    async def stream(
        self, request: Request, *, accept: str, attempts: Attempts | None = None
    ) -> AsyncGenerator[Streamed]:
        """A 2xx answer whose body is read in the block.

        Streams have separate slots, so that idle ones do not block other requests. Raises what `send` raises.
        Errors within the block are raised without a retry; that is up to the owner of `attempts`.
        """
        gate, streams = self.gate, self._streams
        if streams is None:
            raise ClientClosedError("the client is closed")
        tries = attempts or Attempts(self._retries)
        begun = False
        observed = _ObservedRequest(self.observers, request)
        with observed:
            while True:
                await streams.enter(starts_run=False)
                try:
                    sent_at = await gate.enter(starts_run=False)
                    gate.leave()  # entered only for the rate and the pauses
                    tries.begin(sent_at)
                    async with self.transport.stream(request, accept=accept) as answer:
                        # No variable for the body: error reporters record the locals of frames.
                        response = Response(
                            answer.status,
                            answer.headers,
                            await answer.refusal(self.transport.request_timeout),
                        )
                        failure: TransportError | APIStatusError | None = self._refusal(
                            request, response, tries, sent_at
                        )
                        if failure is None:
                            begun = True
                            if attempts is None:
                                tries.succeeded()
                            observed.end(None)
                            yield answer
                            return
                except TransportError as error:
                    if begun:  # already recorded by its status
                        error.attempts = tries.number
                        raise
                    failure = error
                    tries.record(request, error)
                finally:
                    streams.leave()
                if failure is not None:
                    await self._back_off(request, failure, tries)

    def _refusal(
        self, request: Request, response: Response, attempts: Attempts, sent_at: float
    ) -> APIStatusError | None:
        """The error for an answer other than 2xx; None for a 2xx. Must be called while the slot is held."""
        attempts.record(request, response.status)
        self.clock.note_date(response.headers.get("Date"), age=response.headers.get("Age"))
        if 200 <= response.status < 300:
            self.gate.succeeded()
            return None
        failure = messages.status_error(
            request, response, self.redactor, now=datetime.now(UTC), attempts=attempts.number
        )
        if isinstance(failure, RateLimitError):
            # A 429 applies to the key, so all requests pause; not for a Retry-After beyond the limit, which
            # is raised. The pause begins before the slot is released, so that no request slips in between.
            pause = self.gate.throttled(sent_at, 0.0 if self.exceeds_limit(failure) else failure.retry_after)
            if pause is not None and (observer := self.observers.current) is not None:
                observer.paused(request, pause)
        return failure

    async def _back_off(
        self, request: Request, failure: TransportError | APIStatusError, attempts: Attempts
    ) -> None:
        """Sleep before the next attempt, or raise the failure."""
        if request.repeatable and self.lifetime.closed:
            raise ClientClosedError("the client was closed during the call") from failure
        waits = request.waits_for_capacity or not isinstance(failure, CapacityError)
        retryable = waits and retry.is_retryable(failure, repeatable=request.repeatable)
        await attempts.back_off(failure, retryable=retryable, what=request)

    async def sleep(self, seconds: float) -> None:
        """Sleep. Raises `ClientClosedError` once the client is closed."""
        await self.lifetime.sleep(seconds)
