"""The client of a command, through a proxy if one is set."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import typer

from kognitos_async.cli.running import usage_errors
from kognitos_async.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import aiohttp

    from kognitos_async.cli.api import Api
    from kognitos_async.cli.target import Target

_CONNECTIONS = 100
_PROXY_RULE = "must be a URL such as http://proxy.example:8080"


@asynccontextmanager
async def connect(target: Target, *, requests_per_second: float | None = None) -> AsyncGenerator[Api]:
    """The API of `target`, open while the block lasts.

    Raises `ConfigurationError` for invalid settings, `typer.BadParameter` for invalid options.
    """
    async with AsyncExitStack() as stack:
        session = _proxied_session(target)
        if session is not None:
            await stack.enter_async_context(session)
        with usage_errors():
            api = _api(target, session, requests_per_second)
        await stack.enter_async_context(api.client)
        yield api


def _api(target: Target, session: aiohttp.ClientSession | None, requests_per_second: float | None) -> Api:
    # An explicit region overrides KOGNITOS_BASE_URL, which may belong to another key.
    base_url = target.get("base_url")
    region = target.get("region") if base_url is None else None
    if target.is_platform:
        from kognitos_async.cli.api_platform import PlatformApi  # noqa: PLC0415 - 0.1 s of models
        from kognitos_async.platform_v1.client import PlatformClient  # noqa: PLC0415

        platform = PlatformClient(
            target.key,
            organization_id=target.get("organization_id"),
            workspace_id=target.get("workspace_id"),
            region=region if base_url else region or "us-1",
            base_url=base_url,
            max_connections=_CONNECTIONS,
            requests_per_second=requests_per_second,
            session=session,
        )
        return PlatformApi(platform, target)
    from kognitos_async.cli.api_v2 import RestV2Api  # noqa: PLC0415
    from kognitos_async.rest_v2.client import KognitosClient  # noqa: PLC0415

    client = KognitosClient(
        target.key,
        agent_id=target.get("agent_id"),
        region=region if base_url else region or "us",
        base_url=base_url,
        max_connections=_CONNECTIONS,
        requests_per_second=requests_per_second,
        session=session,
    )
    return RestV2Api(client, target)


def _has_host(url: str) -> bool:
    """Whether `url` is a URL with a host, and a valid port if any."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for an invalid port
    except ValueError:
        return False
    return bool(parts.hostname)


def _proxied_session(target: Target) -> aiohttp.ClientSession | None:
    """A session that uses the proxy of the settings or the environment; None without one."""
    proxy = target.get("proxy")
    if proxy is None:
        host = urlsplit(target.get("base_url") or "").hostname
        named = getproxies_environment()
        if not named or (host is not None and is_loopback(host)):
            return None
        if "https" in named and not _has_host(named["https"]):
            raise typer.BadParameter(_PROXY_RULE, param_hint="HTTPS_PROXY")
    elif not _has_host(proxy) or urlsplit(proxy).scheme not in ("http", "https"):
        raise typer.BadParameter(_PROXY_RULE, param_hint="--proxy")
    import aiohttp  # noqa: PLC0415 - only where there is a proxy

    # `trust_env` also reads ~/.netrc, whose credentials are not wanted.
    os.environ["NETRC"] = os.devnull
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy,
        trust_env=proxy is None,
    )
