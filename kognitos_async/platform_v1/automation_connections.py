"""Connections used by automations."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import automations as models
from kognitos_async.platform_v1.names import CONNECTION, WORKSPACE
from kognitos_async.platform_v1.outgoing import instances
from kognitos_async.platform_v1.resource import Resource, given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.models.base import Model
    from kognitos_async.platform_v1.names import Name, Named

M = TypeVar("M", bound="Model")


class AutomationConnections(Resource):
    """Methods of `client.automations` for connections. Models may hold ids or full names."""

    async def extract_connections(
        self,
        automation: str | Named,
        *,
        filter: Filter | str,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.CredentialInfo, ...]:
        """The connections named in the code of the draft or published version. `filter` supports `stage`.

        (ExtractAutomationCodeConnections)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "GET",
            f"{name.path}:extractCodeConnections",
            models.ExtractAutomationCodeConnectionsResponse,
            query={"filter": filter_text(filter)},
        )
        return answer.connections

    async def add_connections(
        self,
        automation: str | Named,
        connections: Iterable[models.CredentialInfo],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The draft after adding these connections, all or none. (AddAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        found = instances("connections", connections, models.CredentialInfo)
        answer = await self._send(
            "POST",
            f"{name.path}:addConnections",
            models.AddAutomationConnectionsResponse,
            body={"connections": self._with_ids(found, name, "connection_id")},
        )
        return given(answer.automation, "automation")

    async def switch_connections(
        self,
        automation: str | Named,
        switches: Iterable[models.ConnectionReplacement],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The draft after replacing connections, all or none. (SwitchAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        found = instances("switches", switches, models.ConnectionReplacement)
        answer = await self._send(
            "POST",
            f"{name.path}:switchConnections",
            models.SwitchAutomationConnectionsResponse,
            body={"switches": self._with_ids(found, name, "old_connection_id", "new_connection_id")},
        )
        return given(answer.automation, "automation")

    async def upgrade_connections(
        self,
        automation: str | Named,
        upgrades: Iterable[models.ConnectionReplacement],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The draft after upgrading connections, all or none. (UpgradeAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        found = instances("upgrades", upgrades, models.ConnectionReplacement)
        answer = await self._send(
            "POST",
            f"{name.path}:upgradeConnections",
            models.UpgradeAutomationConnectionsResponse,
            body={"upgrades": self._with_ids(found, name, "old_connection_id", "new_connection_id")},
        )
        return given(answer.automation, "automation")

    async def remove_connections(
        self,
        automation: str | Named,
        removals: Iterable[models.ConnectionRemoval],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The draft after removing these connections, all or none. (RemoveAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        found = instances("removals", removals, models.ConnectionRemoval)
        answer = await self._send(
            "POST",
            f"{name.path}:removeConnections",
            models.RemoveAutomationConnectionsResponse,
            body={"removals": self._with_ids(found, name, "connection_id")},
        )
        return given(answer.automation, "automation")

    async def count_connection_usage(
        self,
        connection_ids: Iterable[str | Named],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.ConnectionAutomationCount, ...]:
        """The number of automations that use each connection (ids or names). (CountConnectionUsage)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        ids = self._scope.ids("connection_ids", connection_ids, CONNECTION, within=workspace)
        answer = await self._send(
            "POST",
            f"{workspace.path}/automations:countConnectionUsage",
            models.CountConnectionUsageResponse,
            body={"connection_ids": ids},
            repeatable=True,
        )
        return answer.connection_counts

    async def trace_connection_usage(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.AutomationConnectionUsage, ...]:
        """The automations that use a connection, with their stages. (TraceConnectionUsage)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.parent(WORKSPACE).path}/automations:traceConnectionUsage",
            models.TraceConnectionUsageResponse,
            body={"connection_id": name.id},
            repeatable=True,
        )
        return answer.automations

    async def delete_connection(
        self,
        connection: str,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.AffectedAutomation, ...]:
        """Delete a connection and return the drafts that used it.

        Raises `BadRequestError` while a published version uses it. (DeleteWorkspaceConnection)
        """
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send(
            "DELETE",
            f"{name.parent(WORKSPACE).path}/automations:deleteConnection",
            models.DeleteWorkspaceConnectionResponse,
            query={"connection_id": name.id},
        )
        return answer.affected_automations

    def _with_ids(self, found: list[M], automation: Name, *members: str) -> list[M]:
        """The models with ids in these members in place of full names."""
        workspace = automation.parent(WORKSPACE)
        made = []
        for model in found:
            names = {member: getattr(model, member) for member in members if getattr(model, member)}
            ids = {
                member: self._scope.resolve(member, name, CONNECTION, within=workspace).id
                for member, name in names.items()
            }
            made.append(msgspec.structs.replace(model, **ids))
        return made
