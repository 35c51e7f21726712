"""The base class of both clients: settings, lifetime, and requests to any endpoint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast, overload

import msgspec

from kognitos_async import settings
from kognitos_async.errors import ConfigurationError
from kognitos_async.messages import Redactor, Request, decoder_for, with_query
from kognitos_async.retry import RetryPolicy
from kognitos_async.sender import Sender
from kognitos_async.server_clock import ServerClock
from kognitos_async.transport import Transport
from kognitos_async.waiting.policy import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    import aiohttp

    from kognitos_async.messages import QueryValue
    from kognitos_async.observers import Observer
    from kognitos_async.secret import Secret
    from kognitos_async.waiting.waits import Waits

T = TypeVar("T")

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_PATH = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")


class _Attribute(Generic[T]):
    def __init__(self, kind: type[T]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> type[T]:
        if instance is not None:
            raise AttributeError(f"{owner.__name__}.{self._name} is set when the client is created")
        return self._kind


def attribute(kind: type[T]) -> T:
    """Declare an attribute that instances set, so that mocks with the class as their spec have it too."""
    return cast("T", _Attribute(kind))


class BaseClient:
    """A client of one API, usable inside `async with`, or between `await open()` and `await aclose()`."""

    _starts: re.Pattern[str]
    """Paths to which a POST starts a run."""
    _confidential: re.Pattern[str]
    """Paths whose answers hold credentials."""
    _waits: Waits[Any]

    def __init__(
        self,
        base_url: str,
        key: Secret[str],
        authorization: Secret[Mapping[str, str]],
        *,
        request_timeout: float,
        max_connections: int,
        requests_per_second: float | None,
        retry: RetryPolicy,
        poll: PollPolicy,
        session: aiohttp.ClientSession | None,
        trace_configs: Sequence[aiohttp.TraceConfig],
    ) -> None:
        settings.positive("request_timeout", request_timeout)
        settings.positive("max_connections", max_connections, whole=True)
        if requests_per_second is not None:
            settings.positive("requests_per_second", requests_per_second)
        for name, value, kind in (("retry", retry, RetryPolicy), ("poll", poll, PollPolicy)):
            if not isinstance(value, kind):
                raise ConfigurationError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
        self._base_url = base_url
        self._poll = poll
        transport = Transport(
            base_url,
            authorization,
            {"Accept": "application/json", "User-Agent": settings.USER_AGENT},
            request_timeout=request_timeout,
            max_connections=max_connections,
            session=session,
            trace_configs=trace_configs,
        )
        self._sender = Sender(
            transport,
            policy=retry,
            redactor=Redactor(key.reveal()),
            max_concurrent=transport.max_connections,
            max_streams=transport.max_streams,
            requests_per_second=requests_per_second,
            clock=ServerClock(request_timeout=request_timeout),
        )

    def __repr__(self) -> str:
        # Debuggers may call this on a client whose `__init__` failed.
        base_url = getattr(self, "_base_url", None)
        return f"{type(self).__name__}({'not set up' if base_url is None else f'base_url={base_url!r}'})"

    async def open(self) -> Self:
        """Open the client and return it; no request is sent. Raises `ClientClosedError` the second time."""
        await self._sender.open()
        return self

    async def aclose(self) -> None:
        """Close the connections. Without effect before the client is opened.

        Calls in flight raise `ClientClosedError`, starts already sent `StartUncertainError`.
        """
        if not self._sender.lifetime.opened:
            return
        try:
            await self._waits.close()
        finally:
            await self._sender.close()

    @property
    def base_url(self) -> str:
        """The address of the API, including its version."""
        return self._base_url

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Register an observer; return a function that removes it.

        The observer (see `kognitos_async.observers.Observer`) is notified of requests, attempts, starts in
        doubt, waits, uploads and jobs that begin from now on. An exception in it is logged once and has no
        other effect. `kognitos_async.telemetry` is an observer.
        """
        return self._sender.observers.add(observer)

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
    ) -> msgspec.Raw: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        response_type: type[T],
    ) -> T: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        response_type: type[T] = msgspec.Raw,  # type: ignore[assignment]  # as the overloads say
    ) -> T:
        """The answer of any endpoint, decoded as `response_type`; the raw JSON by default.

        `path` is percent-encoded, starts with / and is relative to the API's version. `params` is the query:
        None is omitted, a list repeats the parameter. `json` is the body; None sends none. GET, HEAD and
        OPTIONS are retried like reads; other methods only if the API certainly did not process the request.

        Raises `APIStatusError`, `DecodeError`, `NotSentError`, `OutcomeUnknownError` and `ClientClosedError`;
        `TypeError` or `ValueError` for an invalid method or path.
        """
        if not isinstance(method, str) or (verb := method.upper()) not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(sorted(_METHODS))}, got {method!r}")
        if not isinstance(path, str):
            raise TypeError(f"path must be a str, got {type(path).__name__}")
        if not _PATH.fullmatch(path) or path.startswith("//") or {".", ".."} & set(path.split("/")):
            raise ValueError(
                "path must be a percent-encoded path that starts with one /, got something else; "
                "pass the query in params"
            )
        starts = verb == "POST" and self._starts.fullmatch(path) is not None
        return await self._sender.send(
            Request(
                verb,
                with_query(path, params or {}),
                None if json is None else msgspec.json.encode(json),
                repeatable=verb in ("GET", "HEAD", "OPTIONS"),
                starts_run=starts,
                confidential=self._confidential.fullmatch(path) is not None,
            ),
            decoder_for(response_type),
        )
