"""Schedules and triggers of automations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import automations as models
from kognitos_async.platform_v1.outgoing import instance
from kognitos_async.platform_v1.resource import Resource, given
from kognitos_async.platform_v1.schedules import checked_config

if TYPE_CHECKING:
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Named


class AutomationSchedules(Resource):
    """Methods of `client.automations` for schedules and triggers."""

    async def get_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule of an automation. Raises `NotFoundError` if it has none. (GetAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send("GET", f"{name.path}/schedule", models.AutomationSchedule)

    async def create_schedule(
        self,
        automation: str | Named,
        config: models.ScheduleConfig,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule just created. An automation has at most one. (CreateAutomationSchedule)

        `config` is checked before sending: `TypeError` or `ValueError` names the invalid member.
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{name.path}/schedule",
            models.AutomationSchedule,
            body={"config": checked_config(config)},
        )

    async def update_schedule(
        self,
        automation: str | Named,
        config: models.ScheduleConfig,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule after replacing it by `config`, which is checked as in `create_schedule`.

        (UpdateAutomationSchedule)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "PATCH",
            f"{name.path}/schedule",
            models.AutomationSchedule,
            body={"config": checked_config(config)},
        )

    async def delete_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Delete the schedule of an automation. Raises `NotFoundError`. (DeleteAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        await self._send("DELETE", f"{name.path}/schedule", None)

    async def enable_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule after enabling it: it starts runs again. (EnableAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:enableAutomationSchedule",
            models.EnableAutomationScheduleResponse,
            body={},
        )
        return given(answer.schedule, "schedule")

    async def disable_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule after disabling it: it is kept, but starts no runs. (DisableAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:disableAutomationSchedule",
            models.DisableAutomationScheduleResponse,
            body={},
        )
        return given(answer.schedule, "schedule")

    async def create_trigger(
        self,
        automation: str | Named,
        trigger: models.AutomationTrigger,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationTrigger:
        """The record just created of a trigger owned by another service. (CreateAutomationTrigger)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{name.path}/triggers",
            models.AutomationTrigger,
            body=instance("trigger", trigger, models.AutomationTrigger),
        )

    def list_triggers(
        self,
        automation: str | Named,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.AutomationTrigger]:
        """A pager over the active triggers of an automation. (ListAutomationTriggers)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/triggers",
            models.ListAutomationTriggersResponse,
            "automation_triggers",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )
