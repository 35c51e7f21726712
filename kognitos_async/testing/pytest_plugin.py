"""pytest fixtures: `kognitos_server`, `kognitos_client` and `platform_client`.

pytest imports this module in every run where the package is installed. It imports nothing but pytest; server
and clients are imported when a test requests a fixture.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kognitos_async import KognitosClient, PlatformClient
    from kognitos_async.testing.server import KognitosServer

_LOOP_FIXTURES = "kognitos_loop_fixtures"


@pytest.fixture
def kognitos_server() -> Iterator[KognitosServer]:
    """A running `KognitosServer` in its own thread, stopped after the test.

    Usable from synchronous tests, coroutines in any event loop, and subprocesses. To widen its scope,
    override it in conftest.py: `with KognitosServer() as server: yield server`.
    """
    from kognitos_async.testing.server import KognitosServer  # noqa: PLC0415 - see the module

    with KognitosServer() as server:
        yield server


@pytest.fixture
def kognitos_client(request: pytest.FixtureRequest) -> KognitosClient:
    """A client of `kognitos_server` that polls and retries fast.

    In a coroutine test it is open in the test's event loop, and closed afterwards. In a synchronous test it
    is not open: use `async with kognitos_client`.
    """
    client: KognitosClient = _client(request, "kognitos_client")
    return client


@pytest.fixture
def platform_client(request: pytest.FixtureRequest) -> PlatformClient:
    """A client of the platform API of `kognitos_server`; otherwise as `kognitos_client`."""
    client: PlatformClient = _client(request, "platform_client")
    return client


def _client(request: pytest.FixtureRequest, kind: str) -> Any:
    """The client of this kind, opened by the plugin that runs the test."""
    plugins = request.config.pluginmanager
    if not plugins.has_plugin(_LOOP_FIXTURES):
        from kognitos_async.testing import loop_fixtures  # noqa: PLC0415 - see the module

        plugins.register(loop_fixtures, _LOOP_FIXTURES)
    return request.getfixturevalue(f"_{kind}_{_runner(request)}")


def _runner(request: pytest.FixtureRequest) -> str:
    """The loop scope of a test run by pytest-asyncio, `anyio` for one run by anyio, else `unopened`."""
    function = request.function
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    if not inspect.iscoroutinefunction(function):
        return "unopened"
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None:
        scope = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
        return str(scope or request.config.getini("asyncio_default_test_loop_scope"))
    return "anyio" if "anyio_backend" in request.fixturenames else "unopened"
