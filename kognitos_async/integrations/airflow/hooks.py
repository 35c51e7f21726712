"""Airflow connections as settings of the clients."""

# pyright: reportMissingImports=false
# Airflow is large and not among the development dependencies.

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook

from kognitos_async.errors import ConfigurationError, KognitosError
from kognitos_async.shared_clients import shared_client, shared_platform_client

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from airflow.sdk import Connection

    from kognitos_async.platform_v1.client import PlatformClient
    from kognitos_async.rest_v2.client import KognitosClient

_COMMON = ("region", "base_url", "requests_per_second", "request_timeout", "max_connections")


class KognitosHook(BaseHook):
    """Connections of type `kognitos`: REST API v2.

    The password is the API key. Extra, all optional: `agent_id`, `region`, `base_url`,
    `requests_per_second`, `request_timeout`, `max_connections` as in `KognitosClient`; `run_url`, a template
    of the web address of a run, with `{id}`, `{agent_id}` and `{process_id}`. Omitted settings come from the
    environment.
    """

    conn_name_attr = "kognitos_conn_id"
    default_conn_name = "kognitos_default"
    conn_type = "kognitos"
    hook_name = "Kognitos"
    _key = "api_key"
    _settings: ClassVar[tuple[str, ...]] = ("agent_id", *_COMMON)

    def __init__(self, kognitos_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.kognitos_conn_id = kognitos_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Customization of the connection form."""
        return {
            "hidden_fields": ["host", "schema", "login", "port"],
            "relabeling": {"password": "API key" if cls._key == "api_key" else "Token"},
            "placeholders": {"extra": '{"agent_id": "…"}' if cls._key == "api_key" else '{"region": "us-1"}'},
        }

    @classmethod
    def settings(cls, connection: Connection) -> dict[str, Any]:
        """The client arguments of `connection`. They contain the key: never log them.

        Raises `ConfigurationError` for unknown members of extra.
        """
        extra = dict(connection.extra_dejson)
        extra.pop("run_url", None)
        if unknown := sorted(set(extra) - set(cls._settings)):
            known = ", ".join((*cls._settings, "run_url"))
            raise ConfigurationError(
                f"extra of connection {connection.conn_id!r} must be of {known}, got {', '.join(unknown)}"
            )
        if connection.password:
            extra[cls._key] = connection.password
        return extra

    def client(self) -> AbstractAsyncContextManager[KognitosClient]:
        """An async context manager over the open client shared by all users of this connection.

        Reads the connection: call this outside an event loop, and enter the result inside one.
        """
        return shared_client(**self.settings(self.get_connection(self.kognitos_conn_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the key is accepted, and the health status."""

        async def health() -> str:
            async with self.client() as client:
                return (await client.health()).status

        try:
            return True, asyncio.run(health())
        except KognitosError as error:
            return False, str(error)


class KognitosPlatformHook(KognitosHook):
    """Connections of type `kognitos_platform`: the platform API.

    The password is the token. Extra as in `KognitosHook`, with `organization_id` and `workspace_id` instead
    of `agent_id`, and `{id}` and `{name}`, the full resource name, in `run_url`.
    """

    default_conn_name = "kognitos_platform_default"
    conn_type = "kognitos_platform"
    hook_name = "Kognitos platform"
    _key = "token"
    _settings: ClassVar[tuple[str, ...]] = ("organization_id", "workspace_id", *_COMMON)

    def __init__(self, kognitos_conn_id: str = default_conn_name) -> None:
        super().__init__(kognitos_conn_id)

    def platform_client(self) -> AbstractAsyncContextManager[PlatformClient]:
        """Like `client`, for the platform API."""
        return shared_platform_client(**self.settings(self.get_connection(self.kognitos_conn_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Whether the token is accepted, and an organization that it belongs to."""

        async def organization() -> str:
            async with self.platform_client() as client:
                async for seen in client.organizations.list(page_size=1):
                    return f"of organization {seen.name}"
            return "of no organization"

        try:
            return True, asyncio.run(organization())
        except KognitosError as error:
            return False, str(error)
