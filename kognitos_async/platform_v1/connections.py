"""Connections between a workspace and the services its books use, and their triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.platform_v1.arguments import known_word, search_body, texts
from kognitos_async.platform_v1.connection_triggers import (
    ConnectionTriggers,
    below_book,
    book_path,
    book_values,
)
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import books as models
from kognitos_async.platform_v1.outgoing import instance, instances
from kognitos_async.platform_v1.resource import given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter


class Connections(ConnectionTriggers):
    """`client.books.connections`. Settings are secret: errors never show an answer that holds them.

    In every list `page_size` is 1 to 1000 (None: the API's default), and `page_token` resumes an earlier
    listing. See `PlatformClient` for the errors that every request may raise.
    """

    def list(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.BookConnectionDescriptor]:
        """A pager over all connections of a workspace. (ListAllWorkspaceBookConnections)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/connections",
            models.RetrieveBooksConnectionsResponse,
            "book_connections",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
            confidential=True,
        )

    def list_of_book(
        self,
        book: str,
        version: str,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.BookConnectionDescriptor]:
        """A pager over the connections of a version of a book. (ListWorkspaceBookConnections)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}{book_path(book, version)}/connections",
            models.RetrieveBookConnectionsResponse,
            "book_connections",
            page_size=page_size,
            page_token=page_token,
            confidential=True,
        )

    async def get(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.BookConnectionDescriptor:
        """A connection with its state. (GetWorkspaceBookConnection)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send("GET", name.path, models.RetrieveBookConnectionResponse, confidential=True)
        return given(answer.book_connection, "book_connection")

    async def add(
        self,
        book: str,
        version: str,
        *,
        connection_name: str,
        authentication: models.Authentication | None = None,
        config_map: Mapping[str, models.BookValue] | None = None,
        labels: Iterable[models.Label] = (),
        oauth_flow: models.OAuthFlow | str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.BookConnectionResponse:
        """The new connection, with an authorization URL if it needs one. (AddWorkspaceBookConnection)

        `config_map` holds the settings by name. `oauth_flow` is a word of `OAuthFlow`, with or without its
        prefix. Raises `TypeError` or `ValueError` naming the invalid member of a model. After
        `OutcomeUnknownError`, check `list` before adding it again.
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{workspace.path}{book_path(book, version)}/connections",
            models.BookConnectionResponse,
            body=_setup(connection_name, authentication, config_map, labels, oauth_flow),
            confidential=True,
        )

    async def update(
        self,
        connection: str,
        book: str,
        version: str,
        *,
        connection_name: str,
        authentication: models.Authentication | None = None,
        config_map: Mapping[str, models.BookValue] | None = None,
        labels: Iterable[models.Label] = (),
        oauth_flow: models.OAuthFlow | str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.BookConnectionResponse:
        """The connection after replacing its settings. (UpdateWorkspaceBookConnection)

        Arguments as in `add`.
        """
        name = self._scope.connection(connection, workspace_id, organization_id)
        return await self._send(
            "PUT",
            below_book(name, book, version),
            models.BookConnectionResponse,
            body=_setup(connection_name, authentication, config_map, labels, oauth_flow),
            confidential=True,
        )

    async def upgrade(
        self,
        connection: str,
        book: str,
        version: str,
        *,
        new_version: str,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.BookConnectionResponse:
        """The connection after upgrading it to `new_version` of its book. (UpgradeWorkspaceBookConnection)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        return await self._send(
            "PUT",
            f"{below_book(name, book, version)}/upgrade",
            models.BookConnectionResponse,
            body={"new_book_version": checks.text("new_version", new_version)},
            confidential=True,
        )

    async def authorize(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.BookConnectionResponse:
        """The connection with a new authorization URL. (AuthorizeWorkspaceBookConnection)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        return await self._send(
            "PUT", f"{name.path}/authorize", models.BookConnectionResponse, confidential=True
        )

    async def discoverables(
        self,
        connection: str,
        *,
        search: str | None = None,
        offset: int | None = None,
        limit: int | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.Discoverable, ...]:
        """The entities, such as tables, that can become procedures: up to `limit`, from `offset` on.

        (ListWorkspaceBookConnectionDiscoverables)
        """
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send(
            "GET",
            f"{name.path}/discoverables",
            models.RetrieveDiscoverablesResponse,
            query={
                "search": None if search is None else checks.text("search", search),
                "offset": _whole("offset", offset),
                "limit": _whole("limit", limit),
            },
        )
        return answer.discoverables

    async def discover(
        self,
        connection: str,
        what: Iterable[str],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Make these discoverables procedures, replacing all others; none removes all. (SetDiscovered)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        await self._send(
            "POST",
            f"{name.path}/discover",
            None,
            body={"what": texts("what", what)},
        )

    async def procedures(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.BookProcedureDescriptor, ...]:
        """The procedures of a connection. (ListWorkspaceBookConnectionProcedures)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send("GET", f"{name.path}/procedures", models.RetrieveBookProceduresResponse)
        return answer.procedures

    async def search_procedures(
        self,
        connection: str,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.SearchWorkspaceBookProcedureMatch, ...]:
        """The procedures of a connection closest in meaning to `query`, best first.

        `top_k` limits their number, `max_distance` their distance. (SearchWorkspaceBookConnectionProcedures)
        """
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}/procedures:search",
            models.SearchWorkspaceBookProceduresResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def user_info(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.UserInfo:
        """The user that a connection signs in as. (GetWorkspaceBookConnectionUserInfo)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send("GET", f"{name.path}/user-info", models.RetrieveUserInfoResponse)
        return given(answer.user_info, "user_info")


def _setup(
    connection_name: str,
    authentication: models.Authentication | None,
    config_map: Mapping[str, models.BookValue] | None,
    labels: Iterable[models.Label],
    oauth_flow: str | None,
) -> dict[str, object]:
    body: dict[str, object] = {"connection_name": checks.text("connection_name", connection_name)}
    if authentication is not None:
        body["authentication"] = instance("authentication", authentication, models.Authentication)
    if config_map:
        body["config_map"] = book_values("config_map", config_map)
    if found := instances("labels", labels, models.Label):
        body["labels"] = found
    if oauth_flow is not None:
        body["oauth_flow"] = known_word("oauth_flow", oauth_flow, models.OAuthFlow)
    return body


def _whole(name: str, value: int | None) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{name} must be 0 or more, within 64 bits, got {value}")
    return value
