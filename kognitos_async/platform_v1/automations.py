"""Automations: read, invoke, and what belongs to them: schedules, triggers, connections, revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.errors import StartUncertainError
from kognitos_async.messages import Request, decoder_for
from kognitos_async.platform_v1.arguments import instance, instances, texts
from kognitos_async.platform_v1.encoding import encode_invocation, stage_word
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.base import Model
from kognitos_async.platform_v1.models.generated import automations as models
from kognitos_async.platform_v1.models.runs import AutomationStage, InvokeAutomationResponse, InvokeRequest
from kognitos_async.platform_v1.names import AUTOMATION, WORKSPACE
from kognitos_async.platform_v1.resource import Resource, given
from kognitos_async.uncertain_start import Found, Undecided, started, undecided

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.look_up import LookUps
    from kognitos_async.platform_v1.models.runs import StartedRun
    from kognitos_async.platform_v1.names import Named, Scope
    from kognitos_async.platform_v1.run_reader import RunReader
    from kognitos_async.sender import Sender
    from kognitos_async.uncertain_start import BeforeSend

REVISION = (*AUTOMATION, "revisions")
_INVOKED = decoder_for(InvokeAutomationResponse, strict=False)


class Automations(Resource):
    """`client.automations`."""

    def __init__(self, sender: Sender, scope: Scope, reader: RunReader, look_ups: LookUps) -> None:
        super().__init__(sender, scope)
        self._reader = reader
        self._look_ups = look_ups

    async def invoke(
        self,
        automation: str | Named,
        inputs: Mapping[str, object] | None = None,
        *,
        stage: AutomationStage | str = AutomationStage.PUBLISHED,
        workspace_id: str | None = None,
        organization_id: str | None = None,
        before_send: BeforeSend | None = None,
        wait_for_room: bool = True,
    ) -> StartedRun:
        """The run just started, to be given to `client.wait_for_run`. (InvokeAutomation)

        `inputs` are named Python values, converted by `to_value`: text, exact numbers, dates, tables, files.

        `before_send` is awaited right before each attempt, once a slot, the rate and the connection limit
        allow it: the place to record that the invocation is being sent. What it raises is raised, and then
        the attempt certainly was not made. Without `wait_for_room` a `CapacityError` is raised at once.

        The invocation is sent again only when the attempt before certainly started nothing. Raises
        `StartUncertainError` when it may have, which `runs.find_started` helps to resolve, `CapacityError`
        when there is still no room after the retries, `RateLimitError`, `NotSentError`, the 4xx errors, and
        `TypeError` or `ValueError` before sending.
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        request = InvokeRequest(
            automation=str(name), inputs=inputs, stage=stage, organization_id=name.organization_id
        )
        return await self.invoke_request(request, before_send=before_send, wait_for_room=wait_for_room)

    async def invoke_request(
        self,
        request: InvokeRequest,
        *,
        before_send: BeforeSend | None = None,
        wait_for_room: bool = True,
    ) -> StartedRun:
        """`invoke`, with its arguments as one value."""
        invocation = encode_invocation(request, self._scope)
        checks.hook("before_send", before_send)
        sent = Request(
            "POST",
            f"{invocation.automation.path}:invoke",
            invocation.body,
            repeatable=False,
            starts_run=True,
            waits_for_capacity=wait_for_room,
        )

        async def send(about_to_send: BeforeSend) -> StartedRun:
            answer = await self._sender.send(sent, _INVOKED, before_send=about_to_send)
            return self._reader.started(answer.run_id, invocation.automation)

        with self._look_ups.under_way(invocation):
            answer = await started(
                self._sender.clock,
                send,
                what=str(invocation.automation),
                asked=request,
                before_send=before_send,
            )
            self._look_ups.note(answer)
        return answer.value

    async def start_once(
        self,
        request: InvokeRequest,
        *,
        earlier: datetime | None = None,
        before_send: BeforeSend | None = None,
        absence_delay: float = 5.0,
    ) -> StartedRun:
        """The one run of `request`: invoked now, or found where an earlier attempt may have made it already.

        `earlier` is the time, by this machine's clock, at which an attempt was sent whose outcome is not
        known: the run is looked up, `absence_delay` seconds after the call, and nothing is sent. So it is
        when the answer to the attempt of this call is lost. A run is taken for the one only when its
        inputs, its time and who started it all allow it, and those of no other run do.

        Nothing marks an invocation, so it can never be told that there is no run: raises
        `StartUncertainError` then, and what `invoke` raises. (InvokeAutomation, ListRuns, GetRun)
        """
        invocation = encode_invocation(request, self._scope)
        delay = checks.seconds("absence_delay", absence_delay)
        lost: StartUncertainError | None = None
        with self._look_ups.under_way(invocation):
            if earlier is not None:
                window = self._sender.clock.window_at(checks.check_since(earlier, name="earlier"))
            else:
                try:
                    return await self.invoke_request(request, before_send=before_send)
                except StartUncertainError as error:
                    if error.window is None:
                        raise
                    lost, window = error, error.window
            await self._sender.sleep(delay)
            answer = await self._look_ups.look_up(request, window, own_under_way=1)
            if isinstance(answer, Found):
                return self._look_ups.adopt(answer.run)
        reason = answer if isinstance(answer, Undecided) else Undecided("it is not listed")
        raise undecided(reason, str(invocation.automation), request, window) from (reason.cause or lost)

    def list(
        self,
        *,
        filter: Filter | str | None = None,
        show_deleted: bool = False,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Automation]:
        """A pager over the automations of a workspace, the one changed last first.

        The filter knows `state`: `F.state == "PUBLISHED"` or "DRAFT". `page_size` is 1 to 1000.
        (ListAutomations)
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/automations",
            models.ListAutomationsResponse,
            "automations",
            query={"filter": filter_text(filter), "show_deleted": show_deleted or None},
            page_size=page_size,
            page_token=page_token,
        )

    async def get(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The automation: its code, inputs, version, connections. (GetAutomation)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send("GET", name.path, models.Automation)

    async def query(
        self,
        automation: str | Named,
        *,
        stage: AutomationStage | str,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Automation:
        """The latest draft or the latest published version of an automation. (QueryAutomation)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "GET", f"{name.path}:query", models.Automation, query={"stage": stage_word(stage)}
        )

    async def get_revision(
        self,
        revision: str | Named,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationRevision:
        """One version of an automation, such as 1.0 or latest, as it was. (GetAutomationRevision)"""
        within = (
            None if automation is None else self._scope.automation(automation, workspace_id, organization_id)
        )
        name = self._scope.resolve(
            "revision",
            revision,
            REVISION,
            within=within,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.AutomationRevision)

    def list_revisions(
        self,
        automation: str | Named,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.AutomationRevision]:
        """A pager over the versions of an automation, newest first.

        The filter knows `stage`: "DRAFT" or "PUBLISHED". `page_size` is 1 to 1000. (ListAutomationRevisions)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/revisions",
            models.ListAutomationRevisionsResponse,
            "revisions",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    def list_default_inputs_history(
        self,
        automation: str | Named,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.DefaultInputsHistoryEntry]:
        """A pager over the changes of the default inputs, newest first. (ListDefaultInputsHistory)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}:listDefaultInputsHistory",
            models.ListDefaultInputsHistoryResponse,
            "default_inputs_history_entries",
            page_size=page_size,
            page_token=page_token,
        )

    async def visualization(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationVisualization:
        """The flow chart of the latest published version, which may still be in the making.

        (GetAutomationVisualization)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send("GET", f"{name.path}/visualization", models.AutomationVisualization)

    async def get_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule of an automation; `NotFoundError` if it has none. (GetAutomationSchedule)"""
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
        """The schedule that the automation has from now on; one at most. (CreateAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{name.path}/schedule",
            models.AutomationSchedule,
            body={"config": instance("config", config, models.ScheduleConfig)},
        )

    async def update_schedule(
        self,
        automation: str | Named,
        config: models.ScheduleConfig,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule once it is as `config` says. (UpdateAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send(
            "PATCH",
            f"{name.path}/schedule",
            models.AutomationSchedule,
            body={"config": instance("config", config, models.ScheduleConfig)},
        )

    async def delete_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Nothing; the automation has no schedule any more. (DeleteAutomationSchedule)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        await self._send("DELETE", f"{name.path}/schedule", Model)

    async def enable_schedule(
        self,
        automation: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.AutomationSchedule:
        """The schedule, which starts runs again. (EnableAutomationSchedule)"""
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
        """The schedule, which is kept but starts nothing. (DisableAutomationSchedule)"""
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
        """What is recorded of a trigger that another service owns. (CreateAutomationTrigger)"""
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

    async def extract_connections(
        self,
        automation: str | Named,
        *,
        filter: Filter | str,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.CredentialInfo, ...]:
        """The connections that the code of the draft or published version names; the filter knows `stage`.

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
        """The draft once it has these connections too: all of them or none. (AddAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:addConnections",
            models.AddAutomationConnectionsResponse,
            body={"connections": instances("connections", connections, models.CredentialInfo)},
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
        """The draft once it uses other connections: all of them or none. (SwitchAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:switchConnections",
            models.SwitchAutomationConnectionsResponse,
            body={"switches": instances("switches", switches, models.ConnectionReplacement)},
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
        """The draft once it uses newer connections: all of them or none. (UpgradeAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:upgradeConnections",
            models.UpgradeAutomationConnectionsResponse,
            body={"upgrades": instances("upgrades", upgrades, models.ConnectionReplacement)},
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
        """The draft once it lacks these connections: all of them or none. (RemoveAutomationConnections)"""
        name = self._scope.automation(automation, workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{name.path}:removeConnections",
            models.RemoveAutomationConnectionsResponse,
            body={"removals": instances("removals", removals, models.ConnectionRemoval)},
        )
        return given(answer.automation, "automation")

    async def count_connection_usage(
        self,
        connection_ids: Iterable[str],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.ConnectionAutomationCount, ...]:
        """How many automations use each of these connections. (CountConnectionUsage)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "POST",
            f"{workspace.path}/automations:countConnectionUsage",
            models.CountConnectionUsageResponse,
            body={"connection_ids": texts("connection_ids", connection_ids)},
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
        """The automations that use a connection, and in which stages. (TraceConnectionUsage)"""
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
        """The drafts that lack the connection from now on; 400 while a published automation has it.

        (DeleteWorkspaceConnection)
        """
        name = self._scope.connection(connection, workspace_id, organization_id)
        answer = await self._send(
            "DELETE",
            f"{name.parent(WORKSPACE).path}/automations:deleteConnection",
            models.DeleteWorkspaceConnectionResponse,
            query={"connection_id": name.id},
        )
        return answer.affected_automations
