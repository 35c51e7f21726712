"""Open clients shared by independent tasks of one event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kognitos_async.base_client import BaseClient
from kognitos_async.event_loop import finished

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Hashable

    from kognitos_async.platform_v1.client import PlatformClient
    from kognitos_async.rest_v2.client import KognitosClient

C = TypeVar("C", bound=BaseClient)


class _Shared(Generic[C]):
    def __init__(self) -> None:
        self.users = 0
        self.opening = asyncio.Lock()
        self.client: C | None = None


_open: dict[tuple[asyncio.AbstractEventLoop, Hashable], _Shared[Any]] = {}


def shared_client(**settings: Any) -> AbstractAsyncContextManager[KognitosClient]:
    """An async context manager over an open `KognitosClient`, shared by all users of equal settings.

    `settings` are the arguments of `KognitosClient`; the others come from the environment, as usual. There
    is one client for each event loop and settings: it opens with its first user and closes after the last,
    and all users share its polls, rate limit and retry quota. Do not call `aclose()`, which would close it
    for all of them. Entering the block reads the environment and creates the client. It raises
    `ConfigurationError` as `KognitosClient` does, and `TypeError` for a setting that is not hashable.
    """
    from kognitos_async.rest_v2.client import KognitosClient  # noqa: PLC0415 - brings aiohttp

    return _shared(KognitosClient, settings)


def shared_platform_client(**settings: Any) -> AbstractAsyncContextManager[PlatformClient]:
    """An async context manager over an open `PlatformClient`, shared by all users of equal settings.

    `settings` are the arguments of `PlatformClient`; the rest is as for `shared_client`.
    """
    from kognitos_async.platform_v1.client import PlatformClient  # noqa: PLC0415 - brings the models

    return _shared(PlatformClient, settings)


@asynccontextmanager
async def _shared(kind: type[C], settings: dict[str, Any]) -> AsyncGenerator[C]:
    loop = asyncio.get_running_loop()
    for stale in [key for key in _open if key[0].is_closed()]:
        del _open[stale]  # its loop was closed without ending its tasks
    key = loop, _key(kind, settings)
    shared: _Shared[C] = _open.setdefault(key, _Shared())
    shared.users += 1
    try:
        async with shared.opening:
            if shared.client is None:
                client = kind(**settings)
                await client.open()
                shared.client = client
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users and _open.get(key) is shared:
            # Before closing, which takes time: later users get a new client.
            del _open[key]
            if shared.client is not None:
                await finished(asyncio.ensure_future(shared.client.aclose()))


def _key(kind: type[BaseClient], settings: dict[str, Any]) -> Hashable:
    """The key of a shared client: all settings, including those of the environment."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    from_environment = {name: value for name, value in os.environ.items() if name.startswith("KOGNITOS_")}
    key = kind, frozenset(given.items()), frozenset(from_environment.items())
    try:
        hash(key)
    except TypeError as problem:
        raise TypeError(f"settings must be hashable, got one that is not ({problem})") from None
    return key
