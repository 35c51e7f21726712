"""The only place that talks to aiohttp: sessions, one attempt, and aiohttp's errors turned into ours."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from kognitos_async.errors import (
    ClientClosedError,
    KognitosError,
    NotSentError,
    OutcomeUnknownError,
    TransportError,
)
from kognitos_async.event_loop import keep_receive_buffers
from kognitos_async.messages import Response
from kognitos_async.upload_body import UploadBody

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.messages import Request, Upload

LARGEST_ANSWER = 64 * 1024 * 1024
_LARGEST_STORE_ANSWER = 256 * 1024
_LONGEST_CONNECT = 10.0

_NO_DEADLINE = nullcontext[None]()
_NOT_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)


class Transport:
    """Sends one attempt at a time to the API, and form uploads to the file store.

    The key is only ever in the headers of requests to `base_url`. Its own sessions keep no cookies; a
    session given by the user is used as it is and not closed.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        request_timeout: float,
        session: aiohttp.ClientSession | None,
        trace_configs: Sequence[aiohttp.TraceConfig],
    ) -> None:
        self._base_url = base_url
        self._headers = CIMultiDict(headers)
        self._headers_with_body = CIMultiDict({**headers, "Content-Type": "application/json"})
        self._store_headers = {"User-Agent": headers["User-Agent"]}
        self.request_timeout = request_timeout
        self._given = session
        self._trace_configs = list(trace_configs)
        # The connection's share is always shorter than the whole, so that a plain timeout means: sent.
        self._timeout = aiohttp.ClientTimeout(
            total=request_timeout, connect=min(_LONGEST_CONNECT, request_timeout / 2)
        )
        self._api: aiohttp.ClientSession | None = None
        # Of what is under way in a session that is not closed with the client.
        self._deadlines: set[asyncio.Timeout] = set()
        self._store: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session; no connection yet."""
        keep_receive_buffers()
        self._api = self._given or self._session()

    async def close(self) -> None:
        """Close what was made here; attempts under way fail."""
        api, store, self._api, self._store = self._api, self._store, None, None
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            _move(deadline, now)
        try:
            if api is not None and api is not self._given:
                await api.close()
        finally:
            if store is not None and store is not self._given:
                await store.close()

    async def attempt(self, request: Request) -> Response:
        """The whole answer to one try.

        Raises `NotSentError` when no connection was made, `OutcomeUnknownError` when the answer was lost,
        late or larger than 64 MiB, `ClientClosedError` when the client is closed.
        """
        if (session := self._api) is None:
            raise ClientClosedError("the client is closed")
        body = request.body
        try:
            async with (
                _NO_DEADLINE if session is not self._given else self.deadline(None),
                session.request(
                    request.method,
                    URL(self._base_url + request.target, encoded=True),
                    data=body,
                    headers=self._headers if body is None else self._headers_with_body,
                    allow_redirects=False,
                    timeout=self._timeout,
                ) as answer,
            ):
                return Response(answer.status, answer.headers, await _read(answer, LARGEST_ANSWER))
        except _AIOHTTP_FAILURES as problem:
            what = f"{request.method} {request.path}"
            failure, cause = self._translate(problem, what, self.request_timeout, session), _shown(problem)
        # Outside the handler: inside, the error would keep aiohttp's as its context, headers and all.
        raise failure from cause

    async def send_form(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str],
        pieces: AsyncGenerator[bytes | memoryview],
    ) -> Response:
        """The file store's answer to a body sent piece by piece, without any key.

        `headers` holds its Content-Length. `request_timeout` bounds each stretch in which no byte moves, not
        the whole upload. `pieces` is closed in the end. Raises what `attempt` raises, `OutcomeUnknownError`
        for a 2xx that came before the whole body was sent, and what iterating `pieces` raises.
        """
        return await self._send_body(
            self._store_session(),
            method,
            url,
            {**self._store_headers, **headers},
            pieces,
            f"{method} to the file store",
            _LARGEST_STORE_ANSWER,
        )

    async def attempt_with(self, request: Request, upload: Upload) -> Response:
        """The API's answer to a body sent piece by piece; time limits and errors as those of `send_form`."""
        if (session := self._api) is None:
            raise ClientClosedError("the client is closed")
        headers = self._headers.copy()
        headers["Content-Type"] = upload.content_type
        headers["Content-Length"] = str(upload.size)
        what = f"{request.method} {request.path}"
        url = self._base_url + request.target
        return await self._send_body(
            session, request.method, url, headers, upload.pieces(), what, LARGEST_ANSWER
        )

    async def _send_body(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        pieces: AsyncGenerator[bytes | memoryview],
        what: str,
        largest: int,
    ) -> Response:
        body = UploadBody(pieces, int(headers["Content-Length"]))
        try:
            async with (
                self.deadline(None) as deadline,
                body.watched(self.request_timeout, partial(_move, deadline)),
                session.request(
                    method,
                    URL(url, encoded=True),
                    data=_Payload(body),
                    headers=headers,
                    allow_redirects=False,
                    # Not `connect`, which counts the wait for a connection of a small pool.
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeout.connect),
                ) as answer,
            ):
                if 200 <= answer.status < 300 and not body.complete:
                    raise OutcomeUnknownError(
                        f"{what}: answered {answer.status} before the whole body was sent; it does not count"
                    )
                return Response(answer.status, answer.headers, await _read(answer, largest))
        except _AIOHTTP_FAILURES as problem:
            if body.source_error is not None:
                raise body.source_error from None
            failure, cause = self._translate(problem, what, self.request_timeout, session), _shown(problem)
        finally:
            await body.aclose()
        raise failure from cause

    def stream(self, request: Request, *, accept: str) -> AbstractAsyncContextManager[Streamed]:
        """The answer to one try, whose body is still to be read.

        `request_timeout` bounds the wait for its beginning, and every stretch without bytes where
        `Streamed.pieces` is given one. Raises as `attempt` does, in the block `ClientClosedError` when the
        client is closed.
        """
        if (session := self._api) is None:
            raise ClientClosedError("the client is closed")
        what = f"{request.method} {request.path}"
        headers = {**self._headers, "Accept": accept}
        return self._stream(session, request.method, self._base_url + request.target, headers, what)

    def stream_from_store(self, url: str) -> AbstractAsyncContextManager[Streamed]:
        """The same for a file at a presigned address, without any key."""
        return self._stream(
            self._store_session(), "GET", url, self._store_headers, "GET from a presigned address"
        )

    def _store_session(self) -> aiohttp.ClientSession:
        if self._api is None:
            raise ClientClosedError("the client is closed")
        if self._store is None:
            self._store = self._given or self._session()
        return self._store

    @asynccontextmanager
    async def _stream(
        self, session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str], what: str
    ) -> AsyncGenerator[Streamed]:
        limit = self.request_timeout
        streamed: Streamed | None = None
        deadline: asyncio.Timeout | None = None
        try:
            async with self.deadline(limit) as deadline:
                try:
                    answer = await session.request(
                        method,
                        URL(url, encoded=True),
                        headers=headers,
                        allow_redirects=False,
                        timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout.connect),
                    )
                except _AIOHTTP_FAILURES as problem:
                    failure, cause = self._translate(problem, what, limit, session), _shown(problem)
                    raise failure from cause
                try:
                    streamed = Streamed(answer, deadline, partial(self._broken, what, session))
                    streamed.wait_at_most(None)  # the block may do something else first
                    yield streamed
                finally:
                    answer.close()
        except TimeoutError as problem:
            if deadline is None or not deadline.expired():  # the block's own
                raise
            patience = None if streamed is None else streamed.patience
            raise self._broken(what, session, problem, patience) or problem from None

    def _broken(
        self, what: str, session: aiohttp.ClientSession, problem: Exception | None, patience: float | None
    ) -> TransportError | ClientClosedError | None:
        """What a stream that ends early means, None where nothing has happened to it.

        Nothing is done by reading: that the client is closed says it all.
        """
        if self._api is None:
            return ClientClosedError(f"{what}: the client was closed while the answer was read")
        if isinstance(problem, TimeoutError) and patience is not None:
            return OutcomeUnknownError(
                f"{what}: the answer stopped for {patience:g} s (request_timeout, or the idle_timeout given)",
                timed_out=True,
            )
        return None if problem is None else self._translate(problem, what, self.request_timeout, session)

    @asynccontextmanager
    async def deadline(self, patience: float | None) -> AsyncGenerator[asyncio.Timeout]:
        """A time limit that closing the client brings forward to now."""
        async with asyncio.timeout(patience) as deadline:
            self._deadlines.add(deadline)
            try:
                yield deadline
            finally:
                self._deadlines.discard(deadline)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # The gate and the slots of uploads bound them: a pool would let a request wait in silence.
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._trace_configs or None,
        )

    def _translate(
        self, problem: Exception, what: str, limit: float, session: aiohttp.ClientSession
    ) -> TransportError | ClientClosedError:
        if isinstance(problem, _NOT_SENT):
            return NotSentError(f"{what}: no connection ({_named(problem)}); nothing was sent")
        if isinstance(problem, RuntimeError):
            if not session.closed:
                raise problem
            return ClientClosedError(f"{what}: the session is closed")
        if self._api is None:
            return OutcomeUnknownError(f"{what}: sent, but the client was closed before the answer came")
        if isinstance(problem, _TooLargeError):
            return OutcomeUnknownError(
                f"{what}: the answer is larger than {problem.limit} bytes, and was not read. Ask for less, "
                "smaller pages for instance",
                too_large=True,
            )
        if isinstance(problem, TimeoutError):
            return OutcomeUnknownError(
                f"{what}: sent, but no complete answer within {limit:g} s (request_timeout)", timed_out=True
            )
        return OutcomeUnknownError(f"{what}: sent, but the answer was lost ({_named(problem)})")


class Streamed:
    """An answer that is read piece by piece."""

    def __init__(
        self,
        answer: aiohttp.ClientResponse,
        deadline: asyncio.Timeout,
        broken: Callable[[Exception | None, float | None], KognitosError | None],
    ) -> None:
        self._answer = answer
        self._deadline = deadline
        self._broken = broken
        self.status = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.patience: float | None = None
        """Seconds for which the reading may wait at the moment."""

    async def read(self) -> bytes:
        """The whole body, which is an error's and short."""
        pieces = [piece async for piece in self.pieces(_LONGEST_CONNECT, largest=_LARGEST_STORE_ANSWER)]
        return b"".join(pieces)

    async def pieces(self, patience: float | None, largest: int | None = None) -> AsyncGenerator[bytes]:
        """The body as it comes, at most `patience` seconds apart; the reader's own time does not count."""
        size = 0
        while True:
            self.wait_at_most(patience)
            try:
                piece = await self._answer.content.readany()
                size += len(piece)
                if largest is not None and size > largest:
                    raise _TooLargeError(largest)
            except _AIOHTTP_FAILURES as problem:
                failure, cause = self._broken(problem, patience) or problem, _shown(problem)
                raise failure from cause
            self.wait_at_most(None)
            if not piece:
                return
            yield piece

    def wait_at_most(self, patience: float | None) -> None:
        """Bound the wait for the next bytes, from now on."""
        # Closing the client has set the deadline to now, and that stands.
        if (closed := self._broken(None, None)) is not None:
            raise closed
        self.patience = patience
        when = None if patience is None else asyncio.get_running_loop().time() + patience
        _move(self._deadline, when)


class _Payload(aiohttp.Payload):
    """What aiohttp has to see in the body of an upload."""

    _autoclose = True  # its owner closes it

    def __init__(self, body: UploadBody) -> None:
        super().__init__(None)
        self._size = body.size
        self._body = body

    async def write(self, writer: Any) -> None:
        await self._body.write(writer)

    def decode(self, *_: str, **__: str) -> str:
        raise TypeError("the body of an upload is read once, as it is sent")


class _TooLargeError(aiohttp.ClientError):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


# RuntimeError is how aiohttp says that a session was closed meanwhile.
_AIOHTTP_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, RuntimeError)


def _named(problem: Exception) -> str:
    """The kind of a low-level error and the system's word for it; its own text may quote what was sent."""
    code = getattr(problem, "errno", None)
    return f"{type(problem).__name__}: {os.strerror(code)}" if code and code > 0 else type(problem).__name__


def _shown(problem: Exception) -> Exception | None:
    """The cause to chain: not one that carries the request's headers, the key among them."""
    return None if isinstance(problem, aiohttp.ClientResponseError) else problem


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The decompressed body, read on only while it stays within `limit`."""
    pieces: list[bytes] = []
    size = 0
    while piece := await answer.content.readany():
        size += len(piece)
        if size > limit:
            answer.close()
            raise _TooLargeError(limit)
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _move(deadline: asyncio.Timeout, when: float | None) -> None:
    if not deadline.expired():  # one that has run out cannot be moved any more
        deadline.reschedule(when)
