"""Automations: read, invoke, and what belongs to them: schedules, triggers, connections, revisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.platform_v1.automation_connections import AutomationConnections
from kognitos_async.platform_v1.automation_schedules import AutomationSchedules
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.encoding import stage_word
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import automations as models
from kognitos_async.platform_v1.models.runs import AutomationStage, InvokeAutomationResponse, InvokeRequest
from kognitos_async.platform_v1.names import AUTOMATION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.models.runs import StartedRun
    from kognitos_async.platform_v1.names import Named, Scope
    from kognitos_async.platform_v1.starts import Starts
    from kognitos_async.sender import Sender
    from kognitos_async.uncertain_start import BeforeSend

REVISION = (*AUTOMATION, "revisions")
INVOKED = model_decoder(InvokeAutomationResponse)


class Automations(AutomationSchedules, AutomationConnections):
    """`client.automations`; methods for schedules, triggers and connections are inherited."""

    def __init__(self, sender: Sender, scope: Scope, starts: Starts) -> None:
        super().__init__(sender, scope)
        self._starts = starts

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
        `FileSource` values among them, in lists and dicts too, are uploaded first.

        `before_send` is awaited right before each attempt, once a slot, the rate and the connection limit
        allow it: the place to record that the invocation is being sent. What it raises is raised, and then
        the attempt certainly was not made; neither was one whose bytes would go out over four seconds after
        it, as when the process was suspended. It holds a slot of the client: it must not wait for another
        request of that client. Without `wait_for_room` a `CapacityError` is raised at once.

        The invocation is sent again only when the attempt before certainly started nothing. Raises
        `StartUncertainError` when it may have, which `runs.find_started` helps to resolve, `CapacityError`
        when there is still no room after the retries, `RateLimitError`, `NotSentError`, the 4xx errors, and
        `TypeError` or `ValueError` before sending.
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        request = InvokeRequest(
            automation=str(name), inputs=inputs, stage=stage, organization_id=name.organization_id
        )
        checks.hook("before_send", before_send)
        request, invocation = await self._starts.encoded(request)
        return await self._starts.send(
            request, invocation, before_send=before_send, wait_for_room=wait_for_room
        )

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

        Files given as `FileSource` are uploaded anew by each call: with `earlier`, give references to them.

        Nothing marks an invocation, so absence can never be proven: raises
        `StartUncertainError` then, and what `invoke` raises. (InvokeAutomation, ListRuns, GetRun)
        """
        checks.hook("before_send", before_send)
        return await self._starts.once(
            request,
            earlier=None if earlier is None else checks.check_since(earlier, name="earlier"),
            before_send=before_send,
            absence_delay=checks.seconds("absence_delay", absence_delay),
        )

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
        return await self._send("GET", name.path, models.Automation, name=name)

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
        """One version of an automation by its number, or "latest". (GetAutomationRevision)"""
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
        """The flow chart of the latest published version; its state tells whether it is complete.

        (GetAutomationVisualization)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send("GET", f"{name.path}/visualization", models.AutomationVisualization)
