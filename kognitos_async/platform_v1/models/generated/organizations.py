"""Models of the platform API: organizations. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, Named


class CountWorkspaceUsersResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CountWorkspaceUsersResponse`."""

    workspace_user_counts: dict[str, int] = {}
    """Workspace ID -> number of users."""


class CurrentUserOrganizationWorkspacesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CurrentUserOrganizationWorkspacesResponse`."""

    user_workspaces: tuple[Workspace, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Empty when no more results."""


class CurrentUserOrganizationsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CurrentUserOrganizationsResponse`."""

    user_organizations: tuple[Organization, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""


class DateFormat(Word):
    """Suffix names separator; MMM = 15 Jan 2024 / Jan 15, 2024, MMMM = full month name."""

    UNSPECIFIED = "DATE_FORMAT_UNSPECIFIED"
    DD_MM_YYYY_SLASH = "DATE_FORMAT_DD_MM_YYYY_SLASH"
    MM_DD_YYYY_SLASH = "DATE_FORMAT_MM_DD_YYYY_SLASH"
    YYYY_MM_DD_DASH = "DATE_FORMAT_YYYY_MM_DD_DASH"
    DD_MM_YYYY_DASH = "DATE_FORMAT_DD_MM_YYYY_DASH"
    MM_DD_YYYY_DASH = "DATE_FORMAT_MM_DD_YYYY_DASH"
    YYYY_MM_DD_SLASH = "DATE_FORMAT_YYYY_MM_DD_SLASH"
    DD_MM_YYYY_DOT = "DATE_FORMAT_DD_MM_YYYY_DOT"
    MM_DD_YYYY_DOT = "DATE_FORMAT_MM_DD_YYYY_DOT"
    YYYY_MM_DD_DOT = "DATE_FORMAT_YYYY_MM_DD_DOT"
    DD_MMM_YYYY = "DATE_FORMAT_DD_MMM_YYYY"
    MMM_DD_YYYY = "DATE_FORMAT_MMM_DD_YYYY"
    DD_MMMM_YYYY = "DATE_FORMAT_DD_MMMM_YYYY"
    MMMM_DD_YYYY = "DATE_FORMAT_MMMM_DD_YYYY"


class DecimalSymbol(Word):
    """The API's `v1DecimalSymbol`."""

    UNSPECIFIED = "DECIMAL_SYMBOL_UNSPECIFIED"
    PERIOD = "DECIMAL_SYMBOL_PERIOD"
    COMMA = "DECIMAL_SYMBOL_COMMA"


class GeneralPreferences(Model, frozen=True, kw_only=True):
    """Shared by workspace and organization preferences."""

    time_zone: str = ""
    """IANA timezone."""
    time_format: TimeFormat | None = None
    """None where the API leaves it out."""
    date_format: DateFormat | None = None
    """None where the API leaves it out."""
    decimal_symbol: DecimalSymbol | None = None
    """None where the API leaves it out."""
    decimal_places: int = 0
    """Digits after the decimal point."""
    measurement_system: MeasurementSystem | None = None
    """None where the API leaves it out."""


class Invitation(Named, frozen=True, kw_only=True):
    """The API's `v1Invitation`."""

    name: str = ""
    """organizations/{organization}/invitations/{invitation}."""
    organization_display_name: str = ""
    """Empty where the API leaves it out."""
    workspace_id: str | None = None
    """Unset for organization-level invite."""
    workspace_display_name: str | None = None
    """Unset for organization-level invite."""
    roles: tuple[str, ...] = ()
    """Role resource names."""
    is_accepted: bool = False
    """False where the API leaves it out."""
    redirect_organization_id: str = ""
    """Set if invitation points to another organization."""
    redirect_workspace_id: str = ""
    """Set if invitation points to another workspace."""


class ListOrganizationRolesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListOrganizationRolesResponse`."""

    roles: tuple[Role, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """The token of the next page, empty on the last."""


class ListOrganizationUserInvitesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListOrganizationUserInvitesResponse`."""

    invitations: tuple[UserInvitation, ...] = ()
    """Pending ones."""
    next_page_token: str = ""
    """The token of the next page, empty on the last."""


class ListOrganizationUsersResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListOrganizationUsersResponse`."""

    users: tuple[UserWithRoles, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""


class ListWorkspaceRolesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListWorkspaceRolesResponse`."""

    roles: tuple[Role, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Pass as page_token for the next page."""


class ListWorkspaceUserInvitesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListWorkspaceUserInvitesResponse`."""

    invitations: tuple[UserInvitation, ...] = ()
    """Pending invitations."""
    next_page_token: str = ""
    """Pass as page_token for next page."""


class ListWorkspaceUsersResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListWorkspaceUsersResponse`."""

    users: tuple[UserWithRoles, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Empty when no more results."""


class ListWorkspacesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListWorkspacesResponse`."""

    workspaces: tuple[Workspace, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""


class MeasurementSystem(Word):
    """The API's `v1MeasurementSystem`."""

    UNSPECIFIED = "MEASUREMENT_SYSTEM_UNSPECIFIED"
    METRIC = "MEASUREMENT_SYSTEM_METRIC"
    IMPERIAL = "MEASUREMENT_SYSTEM_IMPERIAL"


class Organization(Named, frozen=True, kw_only=True):
    """The API's `v1Organization`."""

    name: str = ""
    """organizations/{organization_id}; server-assigned, immutable."""
    title: str = ""
    """Display name."""
    logo_data_uri: str = ""
    """RFC 2397 data URI: data:[<mediatype>][;encoding],<data>."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""
    owner_display_name: str = ""
    """Empty where the API leaves it out."""
    owner_email: str = ""
    """Empty where the API leaves it out."""


class OrganizationPreferences(Named, frozen=True, kw_only=True):
    """The API's `v1OrganizationPreferences`."""

    name: str = ""
    """organizations/{organization}/preferences."""
    support_team_access: bool = False
    """Lets support team into workspaces for debugging."""
    general: GeneralPreferences | None = None
    """None where the API leaves it out."""


class Role(Named, frozen=True, kw_only=True):
    """Made from a role template or as a custom role."""

    name: str = ""
    """organizations/{o}/roles/{r} or organizations/{o}/workspaces/{w}/roles/{r}."""
    title: str = ""
    """Its title."""
    description: str = ""
    """What it is, in words for people."""
    permissions: tuple[str, ...] = ()
    """Each 'action:Resource', e.g. create:Automation."""


class RoleBasicInfo(Model, frozen=True, kw_only=True):
    """The API's `v1RoleBasicInfo`."""

    name: str = ""
    """E.g. workspace-admin, org-admin, or a custom role name."""
    role_scope: RoleScope | None = None
    """None where the API leaves it out."""


class RoleScope(Word):
    """The API's `v1RoleScope`."""

    UNSPECIFIED = "ROLE_SCOPE_UNSPECIFIED"
    ORGANIZATION = "ROLE_SCOPE_ORGANIZATION"
    WORKSPACE = "ROLE_SCOPE_WORKSPACE"


class TimeFormat(Word):
    """The API's `v1TimeFormat`."""

    UNSPECIFIED = "TIME_FORMAT_UNSPECIFIED"
    _12_HOUR = "TIME_FORMAT_12_HOUR"
    _24_HOUR = "TIME_FORMAT_24_HOUR"


class UserBasicInfo(Named, frozen=True, kw_only=True):
    """The API's `v1UserBasicInfo`."""

    name: str = ""
    """organizations/{organization}/users/{user_basic_info}."""
    display_name: str = ""
    """Its name for people."""
    email: str = ""
    """A mail address."""


class UserInvitation(Model, frozen=True, kw_only=True):
    """The API's `v1UserInvitation`."""

    email: str = ""
    """A mail address."""
    invitation_id: str = ""
    """Empty where the API leaves it out."""


class UserWithRoles(Model, frozen=True, kw_only=True):
    """The API's `v1UserWithRoles`."""

    user: UserBasicInfo | None = None
    """None where the API leaves it out."""
    roles: tuple[RoleBasicInfo, ...] = ()
    """Each role carries its scope (organization or workspace)."""


class Workspace(Named, frozen=True, kw_only=True):
    """The API's `v1Workspace`."""

    name: str = ""
    """organizations/{o}/workspaces/{w}; set by the server, immutable; not marked readOnly."""
    title: str = ""
    """Display name."""
    workspace_icon: str = ""
    """Icon identifier."""
    workspace_icon_color: str = ""
    """Empty where the API leaves it out."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""
    creator_display_name: str = ""
    """Empty where the API leaves it out."""
    creator_email: str = ""
    """Empty where the API leaves it out."""


class WorkspacePreferences(Named, frozen=True, kw_only=True):
    """The API's `v1WorkspacePreferences`."""

    name: str = ""
    """organizations/{organization}/workspaces/{workspace}/preferences."""
    support_team_access: bool = False
    """Support team may access workspace for debugging."""
    general: GeneralPreferences | None = None
    """None where the API leaves it out."""
