"""Automations: read and invoke them, with their schedules, triggers, connections and revisions."""

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
    """`client.automations`. In every list `page_size` is 1 to 1000, and `page_token` resumes an earlier one.

    See `PlatformClient` for the errors that every request may raise.
    """

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
        """The run just started; pass it to `client.wait_for_run`. (InvokeAutomation)

        `inputs` are Python values by name, converted by `to_value`: text, exact numbers, dates, tables,
        files. `FileSource` values, also inside lists and dicts, are uploaded first.

        `before_send` is awaited right before each attempt, after the waits for a slot, the rate and a
        connection: record the invocation there. If it raises, the attempt is certainly not sent; neither is
        one whose bytes would leave more than four seconds after it, for instance because the process was
        suspended. It holds a slot of the client, so it must not wait for another request of that client.
        `wait_for_room=False` raises `CapacityError` at once.

        The invocation is retried only if the previous attempt certainly started nothing. Raises
        `StartUncertainError` if it may have started a run (`runs.find_started` lists candidates);
        `CapacityError` if the organization is still at capacity after the retries; `RateLimitError`;
        `NotSentError`; other 4xx errors; what `files.upload` raises; whatever `before_send` raises;
        `TypeError` and `ValueError` before sending.
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
        """The one run of `request`: invoked now, or found if an earlier attempt already made it.

        `earlier` is the local time at which an attempt of unknown outcome was sent: its run is looked up,
        `absence_delay` seconds after the call, and nothing is sent. If this call's own attempt loses its
        answer, its run is looked up likewise. A run is adopted only if its inputs, time and user all allow
        it, and no other run qualifies. `FileSource` inputs are uploaded anew by each call: with `earlier`,
        pass references.

        Raises `StartUncertainError` if no single run qualifies, since the absence of an invocation cannot be
        proven, and what `invoke` raises. (InvokeAutomation, ListRuns, GetRun)
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
        """A pager over the automations of a workspace, most recently changed first.

        `filter` supports `state`: `F.state == "PUBLISHED"` or "DRAFT". `show_deleted` includes deleted ones.
        `page_size` is 1 to 1000. (ListAutomations)
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
        """The automation with its code, inputs, version and connections. (GetAutomation)"""
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
        """The latest draft or published version of an automation. (QueryAutomation)"""
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
        """A revision of an automation, by number or "latest". (GetAutomationRevision)"""
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
        """A pager over the revisions of an automation, newest first.

        `filter` supports `stage`: "DRAFT" or "PUBLISHED". `page_size` is 1 to 1000. (ListAutomationRevisions)
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
        """The flow chart of the latest published version; its state says whether it is complete.

        (GetAutomationVisualization)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return await self._send("GET", f"{name.path}/visualization", models.AutomationVisualization)
