"""HTTP with aiohttp: sessions, single attempts, and the mapping of its errors.

No other module may depend on aiohttp, so that a change in it affects this file only; hence its length.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import aiohttp
from yarl import URL

from kognitos_async import messages
from kognitos_async.errors import (
    ClientClosedError,
    ConfigurationError,
    KognitosError,
    NotSentError,
    OutcomeUnknownError,
    TransportError,
)
from kognitos_async.event_loop import finished, keep_receive_buffers, process_input, steady_time
from kognitos_async.messages import Response
from kognitos_async.secret import Secret
from kognitos_async.upload_body import UploadBody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

    from kognitos_async.messages import Request, Upload

    _Sending: TypeAlias = "_Body | _Progress | None"

LARGEST_ANSWER = 64 * 1024 * 1024
"""Maximum bytes of a 2xx response."""
_LARGEST_REFUSAL = 256 * 1024
"""Maximum bytes read of an answer other than 2xx."""
_LONGEST_CONNECT = 10.0
"""Maximum seconds to connect."""
_LARGEST_BYTES = 2**20
"""Maximum size of a body that aiohttp takes as bytes without a warning."""
_LONGEST_HEADER = 64 * 1024
_MOST_HEADERS = 1024
_MAX_DROPPED = 10
"""Connections with unsolicited data that are dropped for one request."""
_CREDENTIALS = ("Cookie", "Authorization", "x-api-key")
"""Default headers of a user's session that are removed from every request."""

_NO_DEADLINE = nullcontext[None]()


class Transport:
    """Sends single attempts to the API and to the file store.

    The key is sent to `base_url` only. Its own sessions keep no cookies. Of a user's `session`, only the
    connections, proxies and TLS settings are used; options that change requests or responses are overridden.
    """

    def __init__(
        self,
        base_url: str,
        authorization: Secret[Mapping[str, str]],
        headers: Mapping[str, str],
        *,
        request_timeout: float,
        max_connections: int,
        session: aiohttp.ClientSession | None,
        trace_configs: Sequence[aiohttp.TraceConfig],
    ) -> None:
        _check_session(session, trace_configs)
        self._base_url = base_url
        self._authorization = authorization
        # aiohttp refuses an Authorization header beside the `auth` of a session; in a user's session the
        # middleware therefore adds the key last.
        self._headers = {**headers, **authorization.reveal()} if session is None else dict(headers)
        self._headers_with_body = {**self._headers, "Content-Type": "application/json"}
        self._store_headers = {"User-Agent": headers["User-Agent"]}
        self.request_timeout = request_timeout
        self.max_connections: int
        self.max_streams: int
        self.max_connections, self.max_streams = _budgets(max_connections, session)
        self._sessions = _Sessions(session, trace_configs)
        # Shorter than the total, so that a total timeout implies that the request was sent. The wait for a
        # connection from a user's pool is not included.
        connect = min(_LONGEST_CONNECT, request_timeout / 2)
        limits = {"connect": connect} if session is None else {"sock_connect": connect}
        self._timeout = aiohttp.ClientTimeout(total=request_timeout, **limits)
        self._timeout_of_parts = aiohttp.ClientTimeout(total=None, **limits)
        # Options passed with each request.
        self._to_api: dict[str, Any] = {"allow_redirects": False, "middlewares": (_send_once,)}
        self._to_store = self._to_api
        if session is not None:
            stated = {**_RESPONSE_OPTIONS, "allow_redirects": False}
            self._to_api = {**stated, "middlewares": (_SendOnceAs(authorization),)}
            self._to_store = {**stated, "middlewares": (_SendOnceAs(Secret({})),)}

    async def open(self) -> None:
        """Create the sessions; no connection is made yet."""
        keep_receive_buffers()
        self._sessions.open()

    async def close(self) -> None:
        """Close the transport's own sessions; attempts in flight fail."""
        await self._sessions.close()

    def deadline(self, seconds: float | None) -> AbstractAsyncContextManager[asyncio.Timeout]:
        """A time limit that expires at once when the client is closed."""
        return self._sessions.deadline(seconds)

    async def attempt(self, request: Request, fresh_until: float | None = None) -> Response:
        """The complete response to one attempt. After `fresh_until`, a steady time, no body is sent.

        Raises `NotSentError` if nothing was sent; `OutcomeUnknownError` if the response was lost, late, or a
        2xx of more than 64 MiB; `ClientClosedError` if the client is closed.
        """
        if not request.repeatable:
            await process_input()
        sessions = self._sessions
        session = sessions.for_request(request)
        given = session is sessions.given
        options = self._to_api
        progress = _progress(request, fresh_until, in_pool=given)
        if progress is not None:
            options = {**options, "middlewares": (progress.follow, *options["middlewares"])}
        answer: aiohttp.ClientResponse | None = None
        try:
            async with (
                sessions.deadline(None) if given else _NO_DEADLINE,
                session.request(
                    request.method,
                    URL(self._base_url + request.target, encoded=True),
                    data=_data(request.body),
                    headers=self._headers if request.body is None else self._headers_with_body,
                    timeout=self._timeout,
                    **options,
                ) as answer,
            ):
                needs_body = messages.means_by_body(request, answer.status)
                return Response(answer.status, answer.headers, await _read(answer, whole=needs_body))
        except _AIOHTTP_FAILURES as problem:
            answer = None  # its repr shows the whole address
            failure = self._failed(problem, str(request), session, progress)
            cause = _safe_cause(problem)
        # Outside the handler: inside, aiohttp's error and its frames would be chained as the context.
        raise failure from cause

    async def send_form(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str],
        pieces: AsyncGenerator[bytes | memoryview],
    ) -> Response:
        """The file store's response to a streamed body, sent without the key.

        `headers` must include Content-Length. `request_timeout` bounds the time without progress, not the
        whole upload. `pieces` is always closed. Raises what `attempt` raises, `OutcomeUnknownError` for a 2xx
        received before the whole body was sent, and what iterating `pieces` raises.
        """
        target, hidden = Secret(url), Secret({**self._store_headers, **headers})
        del url, headers
        what = f"{method} to the file store"
        return await self._send_body(
            self._sessions.store(), method, target, hidden, pieces, what, self._to_store
        )

    async def attempt_with(self, request: Request, upload: Upload) -> Response:
        """The API's response to a streamed body; time limits and errors as in `send_form`."""
        form = {"Content-Type": upload.content_type, "Content-Length": str(upload.size)}
        return await self._send_body(
            self._sessions.for_request(request),
            request.method,
            Secret(self._base_url + request.target),
            Secret({**self._headers, **form}),
            upload.pieces(),
            str(request),
            self._to_api,
        )

    async def _send_body(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: Secret[str],
        headers: Secret[dict[str, str]],
        pieces: AsyncGenerator[bytes | memoryview],
        what: str,
        stated: Mapping[str, Any],
    ) -> Response:
        body = UploadBody(pieces, int(headers.reveal()["Content-Length"]), _boundary(headers))
        answer: aiohttp.ClientResponse | None = None
        try:
            async with (
                self.deadline(None) as deadline,
                body.watched(self.request_timeout, partial(_move, deadline), partial(_has_queue, session)),
                session.request(
                    method,
                    URL(target.reveal(), encoded=True),
                    data=_Payload(body),
                    headers=headers.reveal(),
                    timeout=self._timeout_of_parts,
                    **stated,
                ) as answer,
            ):
                early = 200 <= answer.status < 300 and not body.complete
                response = await _response_to(body, answer)
        except _AIOHTTP_FAILURES as problem:
            if isinstance(problem, TimeoutError) and body.started and not body.complete:
                what += f", {max(0, body.taken())} of {body.size} bytes"
            unconnected = session is self._sessions.given and not body.started
            progress = _Progress(sent=body.started, in_pool=unconnected)
            failure = self._failed(problem, what, session, progress)
            cause = _safe_cause(problem)
        else:
            if not early:
                return response
            cause = None
            failure = OutcomeUnknownError(
                f"{what}: answered {response.status} before the whole body was sent; not taken as success"
            )
        finally:
            answer = None  # its repr shows the whole address
            await body.aclose()
        if body.source_error is not None:
            raise body.source_error
        raise failure from cause

    def stream(self, request: Request, *, accept: str) -> AbstractAsyncContextManager[Streamed]:
        """The response to one attempt, with its body unread.

        `request_timeout` bounds the wait for the response headers; `Streamed.pieces` has its own idle
        timeout. Raises what `attempt` raises, and `ClientClosedError` in the block once the client is closed.
        """
        headers = Secret({**self._headers, "Accept": accept})
        target = Secret(self._base_url + request.target)
        return self._stream(self._sessions.api, request.method, target, headers, str(request), self._to_api)

    def stream_from_store(self, url: str) -> AbstractAsyncContextManager[Streamed]:
        """`stream` for a presigned URL, without the key."""
        target = Secret(url)
        del url
        what = "GET from a presigned address"
        headers = Secret(self._store_headers)
        return self._stream(self._sessions.store(), "GET", target, headers, what, self._to_store)

    @asynccontextmanager
    async def _stream(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: Secret[str],
        headers: Secret[dict[str, str]],
        what: str,
        stated: Mapping[str, Any],
    ) -> AsyncGenerator[Streamed]:
        broken = partial(self._broken, what, session)
        streamed: Streamed | None = None
        failure: KognitosError | None = None
        cause: Exception | None = None
        try:
            async with self.deadline(self.request_timeout):
                streamed = Streamed(
                    await session.request(
                        method,
                        URL(target.reveal(), encoded=True),
                        headers=headers.reveal(),
                        timeout=self._timeout_of_parts,
                        **stated,
                    ),
                    broken,
                )
        except _AIOHTTP_FAILURES as problem:
            failure, cause = broken(problem, None), _safe_cause(problem)
        if failure is not None or streamed is None:
            raise failure or RuntimeError("no answer") from cause
        # No time limit around the block, which includes the time of the reader.
        self._sessions.streams.add(streamed)
        try:
            yield streamed
        finally:
            self._sessions.streams.discard(streamed)
            streamed.close()

    def _broken(
        self, what: str, session: aiohttp.ClientSession, problem: Exception, idle: float | None
    ) -> KognitosError:
        """The error for a stream that broke; `idle` is its idle timeout."""
        if self._sessions.closed:
            return ClientClosedError(f"{what}: the client was closed while the answer was read")
        if isinstance(problem, TimeoutError) and idle is not None:
            return OutcomeUnknownError(
                f"{what}: the answer stopped for {idle:g} s (request_timeout, or the idle_timeout given)",
                timed_out=True,
            )
        return self._failed(problem, what, session)

    def _failed(
        self, problem: Exception, what: str, session: aiohttp.ClientSession, progress: _Sending = None
    ) -> KognitosError:
        closed = self._sessions.closed
        return _failure(problem, what, session, progress, closed=closed, timeout=self.request_timeout)


class _Sessions:
    """The sessions of one client: its own, or the user's `given` session, which is never closed."""

    def __init__(
        self, given: aiohttp.ClientSession | None, trace_configs: Sequence[aiohttp.TraceConfig]
    ) -> None:
        self.given = given
        self._trace_configs = list(trace_configs)
        self._api: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._store: aiohttp.ClientSession | None = None
        # What is in flight in a session that is not closed with the client.
        self._deadlines: set[asyncio.Timeout] = set()
        self.streams: set[Streamed] = set()

    def open(self) -> None:
        """Create the session for ordinary requests."""
        self._api = self.given or self._session()

    async def close(self) -> None:
        """Close the client's own sessions; attempts in flight fail."""
        sessions = {self._api, self._fresh, self._store} - {None, self.given}
        self._api = self._fresh = self._store = None
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            _move(deadline, now)
        for streamed in self.streams:
            streamed.close()
        closing = [session.close() for session in sessions if session is not None]
        # All of them even if this call is cancelled: they cannot be closed later.
        await finished(asyncio.gather(*closing))

    @property
    def closed(self) -> bool:
        """Whether the client is closed, or not opened yet."""
        return self._api is None

    @property
    def api(self) -> aiohttp.ClientSession:
        """The session for ordinary requests. Raises `ClientClosedError` once the client is closed."""
        if self._api is None:
            raise ClientClosedError("the client is closed")
        return self._api

    def for_request(self, request: Request) -> aiohttp.ClientSession:
        """The session for `request`. Raises `ClientClosedError` once the client is closed.

        Requests that are not repeatable use new connections: if the server closes an idle connection just as
        it is reused, it is unknown whether the request was received.
        """
        if request.repeatable or self.given is not None:
            return self.api
        if self.closed:
            raise ClientClosedError("the client is closed")
        if self._fresh is None:
            self._fresh = self._session(force_close=True)
        return self._fresh

    def store(self) -> aiohttp.ClientSession:
        """The session for file stores. Raises `ClientClosedError` once the client is closed."""
        if self.closed:
            raise ClientClosedError("the client is closed")
        if self._store is None:
            self._store = self.given or self._session()
        return self._store

    @asynccontextmanager
    async def deadline(self, seconds: float | None) -> AsyncGenerator[asyncio.Timeout]:
        """A time limit that expires at once when the client is closed."""
        async with asyncio.timeout(seconds) as deadline:
            self._deadlines.add(deadline)
            try:
                yield deadline
            finally:
                self._deadlines.discard(deadline)

    def _session(self, *, force_close: bool = False) -> aiohttp.ClientSession:
        # The gates bound the connections: a limit here would add a second queue, without their warnings.
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, force_close=force_close),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs or None,
            **_RESPONSE_OPTIONS,
        )


class Streamed:
    """A response whose body is streamed."""

    def __init__(
        self, answer: aiohttp.ClientResponse, broken: Callable[[Exception, float | None], KognitosError]
    ) -> None:
        self._answer = answer
        self._broken = broken
        self._closed = False
        self.status: int = answer.status
        self.headers: Mapping[str, str] = answer.headers

    def close(self) -> None:
        """Close the connection; further reads raise."""
        self._closed = True
        self._answer.close()

    async def refusal(self, limit: float) -> bytes:
        """The body of an error response: what arrives in `limit` seconds, at most about 256 KiB.

        Empty for a 2xx, whose body remains unread.
        """
        found = b""
        if 200 <= self.status < 300:
            return found
        with suppress(TimeoutError, TransportError):  # its status tells more than what broke it
            async with asyncio.timeout(limit), aclosing(self.pieces(None)) as pieces:
                async for piece in pieces:
                    found += piece
                    if len(found) > _LARGEST_REFUSAL:
                        break
        return found

    async def pieces(self, idle_timeout: float | None) -> AsyncGenerator[bytes]:
        """The body as received. Raises `OutcomeUnknownError` after `idle_timeout` seconds without data.

        The time that the reader takes between pieces does not count. Raises `ClientClosedError` once the
        client is closed.
        """
        while True:
            try:
                if self._closed:
                    raise aiohttp.ClientConnectionError("closed")
                async with asyncio.timeout(idle_timeout):
                    piece = await self._answer.content.readany()
            except _AIOHTTP_FAILURES as problem:
                failure, cause = self._broken(problem, idle_timeout), _safe_cause(problem)
            else:
                if not piece:
                    return
                yield piece
                continue
            raise failure from cause


class _Connector(aiohttp.TCPConnector):
    """Drops idle connections with unsolicited data, which would be read as the next response."""

    async def connect(self, *args: Any, **named: Any) -> Connection:
        """A connection for one request."""
        for _ in range(_MAX_DROPPED):
            connection = await super().connect(*args, **named)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        # New connections too: the server sends before the request. It is not HTTP; the response will show it.
        return await super().connect(*args, **named)


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """A middleware that disables aiohttp's own retry.

    aiohttp repeats idempotent requests when a reused connection breaks, outside of any retry policy.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as problem:
        broken: aiohttp.ClientError = _BrokenError(_describe(problem))
    except UnicodeError as problem:  # within the handler only names and headers are encoded
        broken = _NoDomainError(f"{type(problem).__name__}: the host cannot be a domain name")
    raise broken


class _SendOnceAs:
    """`_send_once` for a user's session, whose cookies and credentials it replaces by `authorization`."""

    def __init__(self, authorization: Secret[Mapping[str, str]]) -> None:
        self._authorization = authorization

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        for name in _CREDENTIALS:
            request.headers.popall(name, None)
        request.headers.update(self._authorization.reveal())
        return await _send_once(request, handler)


class _BrokenError(aiohttp.ClientError):
    """A broken connection, of a type that aiohttp does not retry. Its message holds no data of a request."""


class _NoDomainError(aiohttp.ClientError):
    """The host cannot be resolved because it is no domain name."""


class _TooLargeError(aiohttp.ClientError):
    """The body of a response exceeds `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class _Progress:
    """The progress of an attempt without a body: `sent` is whether it may have been sent.

    The type of an error does not tell: a user's trace hook may raise any, after the answer too.
    """

    stale = False

    def __init__(self, *, sent: bool = False, in_pool: bool = False) -> None:
        self.sent = sent
        self.in_pool = in_pool

    async def follow(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """A middleware that notices whether the request got a connection."""
        self.sent = True
        try:
            return await handler(request)
        except _NOT_SENT:
            self.sent = False
            raise


class _Body(aiohttp.Payload):
    """A JSON body that is not sent after `fresh_until`, and the progress of its attempt.

    `sent` is whether some of it may have been sent, `stale` whether it was too late for that, `in_pool`
    whether the request may still wait for a user's pool.
    """

    def __init__(self, value: bytes, fresh_until: float | None, *, in_pool: bool) -> None:
        super().__init__(value, content_type="application/json")
        self._size = len(value)
        self._fresh_until = fresh_until
        self.in_pool = in_pool
        self.sent = False
        self.stale = False

    async def follow(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """A middleware that replaces the body of the request by this one."""
        await request.update_body(self)
        return await handler(request)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return str(self._value, encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body, or raise if it is stale: the last moment at which sending can be prevented."""
        if self._fresh_until is not None and steady_time() > self._fresh_until:
            self.stale = True
            raise ConnectionAbortedError("stale")
        self.in_pool = False
        self.sent = True
        await writer.write(self._value)


def _progress(request: Request, fresh_until: float | None, *, in_pool: bool) -> _Sending:
    """The progress to follow in an attempt, None where the type of an error tells enough."""
    if request.body is not None and (in_pool or fresh_until is not None or not request.repeatable):
        return _Body(request.body, fresh_until, in_pool=in_pool)
    return None if request.repeatable else _Progress()


def _data(body: bytes | None) -> bytes | io.BytesIO | None:
    """The body as aiohttp takes it without a ResourceWarning for its size."""
    return body if body is None or len(body) <= _LARGEST_BYTES else io.BytesIO(body)


class _Payload(aiohttp.Payload):
    """An adapter of `UploadBody` to aiohttp."""

    _autoclose = True  # its owner closes it

    def __init__(self, body: UploadBody) -> None:
        super().__init__(None)
        self._size = body.size
        self._body = body

    async def write(self, writer: Any) -> None:
        await self._body.write(writer)

    def decode(self, *_: str, **__: str) -> str:
        raise TypeError("the body of an upload is read once, as it is sent")


_RESPONSE_OPTIONS: dict[str, Any] = {
    "raise_for_status": False,
    "auto_decompress": True,
    "read_bufsize": 2**16,
    "max_line_size": _LONGEST_HEADER,
    "max_field_size": _LONGEST_HEADER,
    "max_headers": _MOST_HEADERS,
}
"""Options for the handling of responses, which a user's session may set differently."""

# aiohttp raises RuntimeError when the session was closed. Trace hooks may raise the last two.
_AIOHTTP_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, RuntimeError, UnicodeError, KognitosError)
_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    _NoDomainError,
)
"""Errors of connecting. One raised once the request was sent is a trace hook's own."""


def _failure(
    problem: Exception,
    what: str,
    session: aiohttp.ClientSession,
    progress: _Sending,
    *,
    closed: bool,
    timeout: float,
) -> KognitosError:
    """The library's error for one of aiohttp or the operating system in an attempt at `what`."""
    progress = progress or _Progress()
    if isinstance(problem, _NOT_SENT) and not progress.sent:
        return NotSentError(f"{what}: no connection ({_describe(problem)}); nothing was sent")
    if isinstance(problem, RuntimeError) and not isinstance(problem, KognitosError):
        if not session.closed:
            raise problem
        if not progress.sent:
            return ClientClosedError(f"{what}: the session is closed")
    if isinstance(problem, _TooLargeError):
        return OutcomeUnknownError(
            f"{what}: the answer is larger than {problem.limit} bytes and was not read. Request less, for "
            "instance smaller pages",
            too_large=True,
        )
    if progress.stale:
        return NotSentError(
            f"{what}: the last check before sending has expired, for instance because the process was "
            "suspended; nothing was sent"
        )
    if progress.in_pool and isinstance(problem, TimeoutError):
        # The request may have waited for a user's pool, proxy or resolver until it timed out.
        why = "the client was closed" if closed else _describe(problem)
        return NotSentError(f"{what}: no connection was free or could be made ({why}); nothing was sent")
    if closed:
        return OutcomeUnknownError(f"{what}: sent, but the client was closed before the answer came")
    if isinstance(problem, TimeoutError):
        return OutcomeUnknownError(
            f"{what}: sent, but no complete answer within {timeout:g} s (request_timeout)",
            timed_out=True,
        )
    return OutcomeUnknownError(f"{what}: sent, but the answer was lost ({_describe(problem)})")


def _check_session(session: object, trace_configs: Sequence[aiohttp.TraceConfig]) -> None:
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError(
            f"session must be an aiohttp.ClientSession or None, got {type(session).__name__}"
        )
    if session is not None and trace_configs:
        raise ConfigurationError(
            "trace_configs must not be combined with session: pass them to the session when creating it"
        )


def _budgets(max_connections: int, session: aiohttp.ClientSession | None) -> tuple[int, int]:
    """Maximum requests and maximum streams in flight; within the limits of a user's pool."""
    connector = None if session is None else session.connector
    if connector is None:
        return max_connections, max_connections
    limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit]
    pool = min([max_connections, *limits])
    return pool, max(1, pool // 2)


def _has_queue(session: aiohttp.ClientSession) -> bool:
    """Whether requests wait for a connection from the pool of a session."""
    return bool(getattr(session.connector, "_waiters", None))  # aiohttp tells it in no public way


def _describe(problem: Exception) -> str:
    """The type and reason of a low-level error, without its message, which may quote the request."""
    if isinstance(problem, _BrokenError | _NoDomainError):
        return str(problem)
    kind = type(problem).__name__
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        reason = getattr(problem.certificate_error, "verify_message", "") or "it does not match the host"
        return f"{kind}: the TLS certificate is not accepted, {reason}"
    low = problem.os_error if isinstance(problem, aiohttp.ClientConnectorError) else problem
    if isinstance(low, ssl.SSLError):
        return f"{kind}: TLS failed, {(low.reason or 'no reason given').replace('_', ' ').lower()}"
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return f"{kind}: the host name was not found"
    if isinstance(problem, aiohttp.InvalidURL):
        return f"{kind}: the address of the server or of the proxy is not a URL"
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return f"{kind}: the proxy answered {problem.status}"
    if isinstance(problem, aiohttp.ClientResponseError):
        long = "Got more than" in problem.message
        return f"{kind}: a header of the answer is too long" if long else f"{kind}: the answer is not HTTP"
    code = getattr(problem, "errno", None)
    return f"{kind}: {os.strerror(code)}" if code and code > 0 else kind


def _safe_cause(problem: Exception) -> Exception | None:
    """The cause to chain, without its frames, whose local variables hold headers, addresses and bodies.

    None for an error that itself holds the headers of the request or an address with its password.
    """
    if isinstance(problem, aiohttp.ClientResponseError | aiohttp.InvalidURL):
        return None
    if isinstance(problem, aiohttp.ClientConnectorError) and getattr(problem.args[0], "proxy", None):
        problem = problem.os_error  # aiohttp's own shows the password of the proxy
    problem.__cause__ = problem.__context__ = None
    return problem.with_traceback(None)


def _boundary(headers: Secret[dict[str, str]]) -> bytes | None:
    """The multipart boundary in these headers; None for other bodies."""
    boundary = headers.reveal().get("Content-Type", "").partition("boundary=")[2]
    return boundary.encode() or None


async def _response_to(sent: UploadBody, answer: aiohttp.ClientResponse) -> Response:
    """The complete response to an upload; of a refused one without an echo of the body `sent`."""
    body = await _read(answer, whole=True)
    if not 200 <= answer.status < 300:
        body = sent.without_echo(body)
    return Response(answer.status, answer.headers, body)


async def _read(answer: aiohttp.ClientResponse, *, whole: bool, limit: int = LARGEST_ANSWER) -> bytes:
    """The decompressed body. Raises `_TooLargeError` above `limit`.

    Of an answer other than 2xx its start, and if that need not be `whole`, what came before it broke.
    """
    refused = not 200 <= answer.status < 300
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await answer.content.readany():
            size += len(piece)
            pieces.append(piece)
            if refused and size > _LARGEST_REFUSAL:
                answer.close()
                break
            if size > limit:
                answer.close()
                raise _TooLargeError(limit)
    except (aiohttp.ClientError, OSError):
        if whole or not refused:
            raise
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _move(deadline: asyncio.Timeout, when: float | None) -> None:
    if not deadline.expired():  # an expired one cannot be rescheduled
        deadline.reschedule(when)
