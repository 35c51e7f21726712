"""What the clients of both APIs have in common: settings, life cycle, and requests of any kind."""

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
            raise AttributeError(f"{owner.__name__}.{self._name} is set when the client is made")
        return self._kind


def attribute(kind: type[T]) -> T:
    """Declare an attribute that instances set: mocks with the class as their spec have it too."""
    return cast("T", _Attribute(kind))


class BaseClient:
    """A client of one API, usable inside `async with`, or between `await open()` and `await aclose()`."""

    _starts: re.Pattern[str]
    """The paths to which a POST starts a run."""
    _confidential: re.Pattern[str]
    """The paths whose answers hold credentials."""
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
        # Debuggers show clients whose making failed, too.
        base_url = getattr(self, "_base_url", None)
        return f"{type(self).__name__}({'not set up' if base_url is None else f'base_url={base_url!r}'})"

    async def open(self) -> Self:
        """The client itself, ready for use. A client opens once. No request is sent."""
        await self._sender.open()
        return self

    async def aclose(self) -> None:
        """Close connections and end what is under way: their calls raise `ClientClosedError`.

        Without effect on a client that was not opened yet.
        """
        if not self._sender.lifetime.opened:
            return
        try:
            await self._waits.close()
        finally:
            await self._sender.close()

    @property
    def base_url(self) -> str:
        """The address of the API, version included."""
        return self._base_url

    def observe(self, observer: Observer) -> Callable[[], None]:
        """A function that ends the observation which begins now.

        `observer` (see `kognitos_async.observers.Observer`) is told what the client does: requests and
        their attempts, starts in doubt, waits, uploads, jobs. `kognitos_async.telemetry` is one. Work under
        way is not told of. One that raises is logged once and disturbs nothing.
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
        """The answer of any endpoint, decoded as `response_type`, the raw JSON if that is left out.

        `path` starts with / and is below the API's version, percent-encoded; `params` become its query (None
        is left out, a list repeats its name) and `json` its body, unless None. GET, HEAD and OPTIONS are
        retried as everywhere; other methods are sent again only when the first try certainly was not carried
        out. Raises what `runs.get` raises, `OutcomeUnknownError` when the answer to one of those was lost.
        """
        if not isinstance(method, str) or (verb := method.upper()) not in _METHODS:
            raise ValueError(f"method must be one of {', '.join(sorted(_METHODS))}, got {method!r}")
        if not isinstance(path, str):
            raise TypeError(f"path must be a str, got {type(path).__name__}")
        if not _PATH.fullmatch(path) or path.startswith("//") or {".", ".."} & set(path.split("/")):
            raise ValueError(
                "path must be a percent-encoded path that starts with one /, got something else; "
                "the query goes into params"
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
