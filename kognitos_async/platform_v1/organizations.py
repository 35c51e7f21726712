"""Organizations of the token's user: users, roles, invitations and preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import organizations as models
from kognitos_async.platform_v1.names import ORGANIZATION
from kognitos_async.platform_v1.resource import Resource

if TYPE_CHECKING:
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Named

USER = (*ORGANIZATION, "users")
INVITATION = (*ORGANIZATION, "invitations")


class Organizations(Resource):
    """`client.organizations`. In every list `page_token` resumes an earlier listing.

    See `PlatformClient` for the errors that every request may raise.
    """

    def list(
        self, *, filter: Filter | str | None = None, page_size: int = 100, page_token: str | None = None
    ) -> Pager[models.Organization]:
        """A pager over the organizations of the token's user.

        `filter` supports `title`. `page_size` is 1 to 1000. (CurrentUserOrganizations)
        """
        return self._list(
            "/me/organizations",
            models.CurrentUserOrganizationsResponse,
            "user_organizations",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def get(self, organization_id: str | Named | None = None) -> models.Organization:
        """The organization; by default the client's. (GetOrganization)"""
        name = self._scope.resolve("organization_id", organization_id, ORGANIZATION)
        return await self._send("GET", name.path, models.Organization)

    async def preferences(self, organization_id: str | None = None) -> models.OrganizationPreferences:
        """The number, date and time formats of the organization. (GetOrganizationPreferences)"""
        path = self._scope.organization(organization_id).path
        return await self._send("GET", f"{path}/preferences", models.OrganizationPreferences)

    async def invitation(
        self, invitation: str | Named, *, organization_id: str | None = None
    ) -> models.Invitation:
        """An invitation. (GetInvitation)"""
        name = self._scope.resolve("invitation", invitation, INVITATION, organization_id=organization_id)
        return await self._send("GET", name.path, models.Invitation)

    async def user(self, user: str | Named, *, organization_id: str | None = None) -> models.UserBasicInfo:
        """The name and mail address of a user. (GetUserBasicInfo)"""
        name = self._scope.resolve("user", user, USER, organization_id=organization_id)
        return await self._send("GET", name.path, models.UserBasicInfo)

    def list_invites(
        self, *, page_size: int = 100, page_token: str | None = None, organization_id: str | None = None
    ) -> Pager[models.UserInvitation]:
        """A pager over the pending invitations. `page_size` is 1 to 1000. (ListOrganizationUserInvites)"""
        return self._list(
            f"{self._scope.organization(organization_id).path}/invites",
            models.ListOrganizationUserInvitesResponse,
            "invitations",
            page_size=page_size,
            page_token=page_token,
        )

    def list_roles(
        self, *, page_size: int = 100, page_token: str | None = None, organization_id: str | None = None
    ) -> Pager[models.Role]:
        """A pager over the roles. `page_size` is 1 to 1000. (ListOrganizationRoles)"""
        return self._list(
            f"{self._scope.organization(organization_id).path}/roles",
            models.ListOrganizationRolesResponse,
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
        organization_id: str | None = None,
    ) -> Pager[models.UserWithRoles]:
        """A pager over the users with their roles, newest first unless `order_by` is given.

        `filter` supports `role`, `role_scope` and `search`. `order_by` takes display_name, email,
        created_time or updated_time, optionally followed by `desc`. `page_size` is 1 to 1000.
        (ListOrganizationUsers)
        """
        return self._list(
            f"{self._scope.organization(organization_id).path}/users",
            models.ListOrganizationUsersResponse,
            "users",
            query={"filter": filter_text(filter), "order_by": order_by},
            page_size=page_size,
            page_token=page_token,
        )
