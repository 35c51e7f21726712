"""Workspaces of an organization: users, roles, invitations and preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.platform_v1.arguments import texts
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import organizations as models
from kognitos_async.platform_v1.names import WORKSPACE
from kognitos_async.platform_v1.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Named


class Workspaces(Resource):
    """`client.workspaces`. In every list `page_token` resumes an earlier listing.

    See `PlatformClient` for the errors that every request may raise.
    """

    def list(
        self,
        *,
        filter: Filter | str | None = None,
        order_by: str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Workspace]:
        """A pager over the workspaces of an organization, newest first unless `order_by` is given.

        `filter` supports `title`. `order_by` takes title, create_time or update_time. `page_size` is 1 to
        1000. (ListWorkspaces)
        """
        return self._list(
            f"{self._scope.organization(organization_id).path}/workspaces",
            models.ListWorkspacesResponse,
            "workspaces",
            query={"filter": filter_text(filter), "order_by": order_by},
            page_size=page_size,
            page_token=page_token,
        )

    def list_mine(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Workspace]:
        """A pager over the workspaces that the token's user may enter.

        `filter` supports `title`. `page_size` is 1 to 1000. (CurrentUserOrganizationWorkspaces)
        """
        return self._list(
            f"/me{self._scope.organization(organization_id).path}/workspaces",
            models.CurrentUserOrganizationWorkspacesResponse,
            "user_workspaces",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def get(
        self, workspace_id: str | Named | None = None, *, organization_id: str | None = None
    ) -> models.Workspace:
        """The workspace; by default the client's. (GetWorkspace)"""
        name = self._scope.resolve("workspace_id", workspace_id, WORKSPACE, organization_id=organization_id)
        return await self._send("GET", name.path, models.Workspace, name=name)

    async def preferences(
        self, workspace_id: str | None = None, *, organization_id: str | None = None
    ) -> models.WorkspacePreferences:
        """The number, date and time formats of the workspace. (GetWorkspacePreferences)"""
        path = self._scope.workspace(workspace_id, organization_id).path
        return await self._send("GET", f"{path}/preferences", models.WorkspacePreferences)

    def list_invites(
        self,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.UserInvitation]:
        """A pager over the pending invitations. `page_size` is 1 to 1000. (ListWorkspaceUserInvites)"""
        return self._list(
            f"{self._scope.workspace(workspace_id, organization_id).path}/invites",
            models.ListWorkspaceUserInvitesResponse,
            "invitations",
            page_size=page_size,
            page_token=page_token,
        )

    def list_roles(
        self,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Role]:
        """A pager over the roles. `page_size` is 1 to 1000. (ListWorkspaceRoles)"""
        return self._list(
            f"{self._scope.workspace(workspace_id, organization_id).path}/roles",
            models.ListWorkspaceRolesResponse,
            "roles",
            page_size=page_size,
            page_token=page_token,
        )

    def list_users(
        self,
        *,
        filter: Filter | str | None = None,
        order_by: str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.UserWithRoles]:
        """A pager over the users with their roles, newest first unless `order_by` is given.

        `filter` supports `role`, `role_scope` and `search`. `order_by` takes display_name, email,
        created_time or updated_time, optionally followed by `desc`. `page_size` is 1 to 1000.
        (ListWorkspaceUsers)
        """
        return self._list(
            f"{self._scope.workspace(workspace_id, organization_id).path}/users",
            models.ListWorkspaceUsersResponse,
            "users",
            query={"filter": filter_text(filter), "order_by": order_by},
            page_size=page_size,
            page_token=page_token,
        )

    async def count_users(
        self, workspace_ids: Iterable[str], *, organization_id: str | None = None
    ) -> dict[str, int]:
        """The number of users of each workspace, by its id. (CountWorkspaceUsers)"""
        names = [
            self._scope.workspace(workspace, organization_id)
            for workspace in texts("workspace_ids", workspace_ids)
        ]
        answer = await self._send(
            "POST",
            f"{self._scope.organization(organization_id).path}/workspaces:countUsers",
            models.CountWorkspaceUsersResponse,
            body={"workspace_ids": [name.id for name in names]},
            repeatable=True,
        )
        return answer.workspace_user_counts
