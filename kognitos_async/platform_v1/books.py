"""Books: the procedures that automations can use, and the connections they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.base_client import attribute
from kognitos_async.messages import segment
from kognitos_async.platform_v1.arguments import search_body
from kognitos_async.platform_v1.connection_triggers import book_path
from kognitos_async.platform_v1.connections import Connections
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import books as models
from kognitos_async.platform_v1.resource import Resource, given

if TYPE_CHECKING:
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Scope
    from kognitos_async.sender import Sender


class Books(Resource):
    """`client.books`: the catalogue, the books of a workspace, and connections.

    In every list `page_size` is 1 to 1000 (None: the API's default), and `page_token` resumes an earlier
    listing. Searches are semantic and return the closest matches first, at most `top_k` and within
    `max_distance`. See `PlatformClient` for the errors that every request may raise.
    """

    connections: Connections = attribute(Connections)
    """Connections of a workspace, and their triggers."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        super().__init__(sender, scope)
        self.connections = Connections(sender, scope)

    def list(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pager[models.BookDescriptor]:
        """A pager over all versions of all books. (ListBooks)"""
        return self._list(
            "/books",
            models.RetrieveBooksResponse,
            "books",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    def list_latest(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Pager[models.BookDescriptor]:
        """A pager over the latest version of each book. (ListLatestBooks)"""
        return self._list(
            "/books:latest",
            models.RetrieveBooksResponse,
            "books",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    def list_workspace(
        self,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.BookDescriptor]:
        """A pager over the books available in a workspace. (ListWorkspaceBooks)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/books",
            models.RetrieveBooksResponse,
            "books",
            page_size=page_size,
            page_token=page_token,
        )

    async def get(
        self,
        name: str,
        version: str,
    ) -> models.BookDescriptor:
        """A version of a book. (GetBook)"""
        answer = await self._send("GET", book_path(name, version), models.RetrieveBookResponse)
        return given(answer.book, "book")

    async def versions(
        self,
        name: str,
    ) -> tuple[str, ...]:
        """The versions of a book. (ListBookVersions)"""
        path = f"/books/{segment(checks.identifier('name', name))}/versions"
        return (await self._send("GET", path, models.RetrieveBookVersionsResponse)).versions

    async def procedures(
        self,
        name: str,
        version: str,
    ) -> tuple[models.BookProcedureDescriptor, ...]:
        """The procedures of a book. (ListBookProcedures)"""
        path = f"{book_path(name, version)}/procedures"
        return (await self._send("GET", path, models.RetrieveBookProceduresResponse)).procedures

    async def concepts(
        self,
        name: str,
        version: str,
    ) -> tuple[models.ConceptDescriptor, ...]:
        """The concepts of a book. (ListBookConcepts)"""
        path = f"{book_path(name, version)}/concepts"
        return (await self._send("GET", path, models.RetrieveBookConceptsResponse)).concepts

    async def tags(
        self,
    ) -> tuple[str, ...]:
        """The tags of all books. (ListTags)"""
        return (await self._send("GET", "/tags", models.RetrieveTagsResponse)).tags

    async def workspace_procedures(
        self,
        name: str,
        version: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.BookProcedureDescriptor, ...]:
        """The procedures of a book in a workspace. (ListWorkspaceBookProcedures)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        path = f"{workspace.path}{book_path(name, version)}/procedures"
        return (await self._send("GET", path, models.RetrieveBookProceduresResponse)).procedures

    async def workspace_concepts(
        self,
        name: str,
        version: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.ConceptDescriptor, ...]:
        """The concepts of a book in a workspace. (ListWorkspaceBookConcepts)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        path = f"{workspace.path}{book_path(name, version)}/concepts"
        return (await self._send("GET", path, models.RetrieveBookConceptsResponse)).concepts

    async def search(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
    ) -> tuple[models.SearchBookMatch, ...]:
        """The books closest in meaning to `query`, best first. (SearchBooks)"""
        answer = await self._send(
            "POST",
            "/books:search",
            models.SearchBooksResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def search_procedures(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
    ) -> tuple[models.SearchBookProcedureMatch, ...]:
        """The procedures closest in meaning to `query`, best first. (SearchBookProcedures)"""
        answer = await self._send(
            "POST",
            "/procedures:search",
            models.SearchBookProceduresResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def search_concepts(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
    ) -> tuple[models.SearchBookConceptMatch, ...]:
        """The concepts closest in meaning to `query`, best first. (SearchBookConcepts)"""
        answer = await self._send(
            "POST",
            "/concepts:search",
            models.SearchBookConceptsResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def search_workspace(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.SearchBookMatch, ...]:
        """The books of a workspace closest in meaning to `query`, best first. (SearchWorkspaceBooks)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{workspace.path}/books:search",
            models.SearchBooksResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def search_workspace_procedures(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.SearchWorkspaceBookProcedureMatch, ...]:
        """The procedures of a workspace closest to `query`, best first. (SearchWorkspaceBookProcedures)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{workspace.path}/procedures:search",
            models.SearchWorkspaceBookProceduresResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results

    async def search_workspace_concepts(
        self,
        query: str,
        *,
        top_k: int | None = None,
        max_distance: float | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.SearchBookConceptMatch, ...]:
        """The concepts of a workspace closest to `query`, best first. (SearchWorkspaceBookConcepts)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{workspace.path}/concepts:search",
            models.SearchBookConceptsResponse,
            body=search_body(query, top_k, max_distance),
            repeatable=True,
        )
        return answer.results
