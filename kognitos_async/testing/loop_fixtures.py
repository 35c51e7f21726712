"""Fixtures behind `kognitos_client` and `platform_client`, one for each event loop scope.

pytest-asyncio opens an async fixture in the loop of the scope named by its decorator, and each test may
choose its scope, so each scope needs its own fixture. `pytest_plugin` registers this module on the first
request for a client, and selects the fixture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

from kognitos_async.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kognitos_async.testing.server import KognitosServer

try:
    from pytest_asyncio import fixture as _asyncio_fixture
except ImportError:
    _asyncio_fixture = None  # type: ignore[assignment]  # only anyio or synchronous tests

_LoopScope = Literal["function", "class", "module", "package", "session"]
_RETRY = RetryPolicy(base_delay=0.01, max_delay=0.1)


def _unopened(server: KognitosServer, kind: str) -> Any:
    make: Callable[..., Any] = server.client if kind == "kognitos_client" else server.platform_client
    return make(retry=_RETRY)


def _in_loop(kind: str, scope: _LoopScope) -> Any:
    async def opened(kognitos_server: KognitosServer) -> AsyncIterator[Any]:
        async with _unopened(kognitos_server, kind) as client:
            yield client

    assert _asyncio_fixture is not None  # noqa: S101 - checked by callers
    return _asyncio_fixture(loop_scope=scope, name=f"_{kind}_{scope}")(opened)


def _in_anyio(kind: str) -> Any:
    async def opened(kognitos_server: KognitosServer, anyio_backend_name: str) -> AsyncIterator[Any]:
        if anyio_backend_name != "asyncio":
            pytest.fail(f"{kind} runs on asyncio: parametrize anyio_backend with 'asyncio' alone")
        async with _unopened(kognitos_server, kind) as client:
            yield client

    return pytest.fixture(name=f"_{kind}_anyio")(opened)


def _in_none(kind: str) -> Any:
    def unopened(kognitos_server: KognitosServer) -> Any:
        return _unopened(kognitos_server, kind)

    return pytest.fixture(name=f"_{kind}_unopened")(unopened)


for _kind in ("kognitos_client", "platform_client"):
    globals()[f"{_kind}_anyio"] = _in_anyio(_kind)
    globals()[f"{_kind}_unopened"] = _in_none(_kind)
    for _scope in get_args(_LoopScope) if _asyncio_fixture is not None else ():
        globals()[f"{_kind}_{_scope}"] = _in_loop(_kind, _scope)
