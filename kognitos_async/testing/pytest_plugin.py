"""pytest fixtures: `kognitos_server`, `kognitos_client` and `platform_client`.

pytest imports this module in every run of whoever has the package installed. It imports pytest and nothing
else; server and clients are imported when a test asks for one of the fixtures.
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
    """A running `KognitosServer` in a thread of its own, stopped after the test.

    Synchronous tests, coroutines in any event loop and subprocesses can use it. A fixture of the same name
    and a wider scope in a conftest.py replaces it: `with KognitosServer() as server: yield server`.
    """
    from kognitos_async.testing.server import KognitosServer  # noqa: PLC0415 - see the module

    with KognitosServer() as server:
        yield server


@pytest.fixture
def kognitos_client(request: pytest.FixtureRequest) -> KognitosClient:
    """A client of `kognitos_server` that polls and retries fast.

    In a coroutine test it is open, in the event loop of that test, and closed afterwards. In a synchronous
    test it is not opened yet: `async with kognitos_client` is the test's own affair.
    """
    client: KognitosClient = _client(request, "kognitos_client")
    return client


@pytest.fixture
def platform_client(request: pytest.FixtureRequest) -> PlatformClient:
    """A client of the platform API of `kognitos_server`; all else is as for `kognitos_client`."""
    client: PlatformClient = _client(request, "platform_client")
    return client


def _client(request: pytest.FixtureRequest, kind: str) -> Any:
    """The client of this kind, opened by whatever runs the test."""
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
