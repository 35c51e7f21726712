"""Exceptions of runs that need a person: read them, reply, follow the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.platform_v1.event_stream import EventStream
from kognitos_async.platform_v1.filters import filter_text, spelled_filter_text
from kognitos_async.platform_v1.models.generated import exceptions as models
from kognitos_async.platform_v1.names import AUTOMATION, EXCEPTION, RUN
from kognitos_async.platform_v1.resource import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Name, Named

AGENT = (*RUN, "agents")
EVENT = (*AGENT, "events")
GUIDE_ENTRY = (*AUTOMATION, "guideEntries")
ASTRAL = "astral"
"""The agent that people talk to about exceptions."""


class Exceptions(Resource):
    """`client.exceptions`. Where a run is expected, the exception that it raised stands for it."""

    def list(
        self,
        *,
        filter: Filter | str | None = None,
        skip: int | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.RunException]:
        """A pager over the exceptions of a workspace.

        The filter knows `state` (PENDING, RESOLVED, ARCHIVED), `automation`, `group`, `run` and
        `create_time`. `skip` leaves out that many at the beginning; `page_size` is 1 to 1000.

        (ListExceptions)
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/exceptions",
            models.ListExceptionsResponse,
            "exceptions",
            query={"filter": filter_text(filter), "skip": skip},
            page_size=page_size,
            page_token=page_token,
        )

    async def get(
        self,
        exception: str | Named,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.RunException:
        """One exception, such as `run.guidance.exception` names. (GetException)"""
        name = self._scope.resolve(
            "exception",
            exception,
            EXCEPTION,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.RunException)

    def list_groups(
        self,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.RunExceptionGroup]:
        """A pager over the groups that exceptions are sorted into. (ListExceptionGroups)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/exceptionGroups",
            models.ListExceptionGroupsResponse,
            "groups",
            page_size=page_size,
            page_token=page_token,
        )

    def count_by_group(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.ExceptionGroupCount]:
        """A pager over groups with the number of their exceptions; the filter is that of `list`.

        (CountExceptionsByGroup)
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/exceptions:countByGroup",
            models.CountExceptionsByGroupResponse,
            "group_counts",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    def count_by_automation(
        self,
        *,
        filter: Filter | str | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.ExceptionAutomationCount]:
        """A pager over automations with the number of their exceptions; the filter is that of `list`.

        (CountExceptionsByAutomation)
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        return self._list(
            f"{workspace.path}/exceptions:countByAutomation",
            models.CountExceptionsByAutomationResponse,
            "automation_counts",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def reply(
        self,
        run: str | Named,
        message: str,
        agent: str = ASTRAL,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Event:
        """The event that holds `message`, plain text for the agent that asks for guidance with a run.

        Sent once: after `OutcomeUnknownError` look at `events` before replying again. (CreateEvent)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{name.path}/events",
            models.Event,
            body={"user_message": {"content": checks.text("message", message)}},
        )

    def events(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        filter: Filter | str | None = None,
        automation: str | Named | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Event]:
        """A pager over the events of a run's agent, newest first. The filter knows `exception`.

        (ListEvents)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/events",
            models.ListEventsResponse,
            "events",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def get_event(
        self,
        event: str | Named,
        *,
        run: str | Named | None = None,
        agent: str = ASTRAL,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Event:
        """One event; a bare id needs `run`. (GetEvent)"""
        within = None
        if run is not None:
            within = self._agent(run, agent, automation, workspace_id, organization_id)
        name = self._scope.resolve(
            "event",
            event,
            EVENT,
            within=within,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.Event)

    def stream(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        idle_timeout: float | None = None,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[models.Event]]:
        """An async context manager over an async iterator of events as they happen, until the API ends it.

        A broken connection is made again. One that worked before it was cut does not count as an attempt of
        the client's `RetryPolicy`, which bounds those that fail at once. Then the list of `events` is asked
        for what happened meanwhile: no event is missing, and none comes twice unless it has changed, as those
        in `STATE_STREAMING` do. Streams have connections of their own: they keep no other request waiting.
        A silent stream is waited for; with `idle_timeout` (seconds) silence counts as a failed attempt.

        The iterator raises `DecodeError` with the number of a line that is not an event, the `APIStatusError`
        of a line that holds an error, `TransportError` when the connection cannot be made again.
        (StreamEvents)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        limit = checks.seconds_or_none("idle_timeout", idle_timeout)
        return EventStream(self._sender, f"{name.path}/events", limit)

    async def cancel_generation(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Make the agent stop what it is writing. (CancelGeneration)"""
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        await self._send("POST", f"{name.path}/events:cancelGeneration", None)

    async def get_guide_entry(
        self,
        guide_entry: str | Named,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.GuideEntry:
        """One guide entry, learnt from an exception; a bare id needs `automation`. (GetGuideEntry)"""
        within = None
        if automation is not None:
            within = self._scope.automation(automation, workspace_id, organization_id)
        name = self._scope.resolve(
            "guide_entry",
            guide_entry,
            GUIDE_ENTRY,
            within=within,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.GuideEntry)

    def list_guide_entries(
        self,
        automation: str | Named = "-",
        *,
        filter: Filter | str | None = None,
        show_deleted: bool = False,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.GuideEntry]:
        """A pager over guide entries, learnt from exceptions, of one automation or, with "-", of all.

        The filter knows `automation`, `create_time` and `update_time`, and with `contains` only, as in
        `F.title.contains("invoice")`, also `title`, `resolution_steps`, `resolution_code` and
        `resolution_notes`. A filter given as text is sent as it is: containment is the word contains there,
        not a colon. `page_size` is 1 to 1000. (ListGuideEntries)
        """
        name = self._scope.automation(automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/guideEntries",
            models.ListGuideEntriesResponse,
            "guide_entries",
            query={"filter": spelled_filter_text(filter), "show_deleted": show_deleted or None},
            page_size=page_size,
            page_token=page_token,
        )

    def _agent(
        self,
        run: str | Named,
        agent: str,
        automation: str | Named | None,
        workspace_id: str | None,
        organization_id: str | None,
    ) -> Name:
        if isinstance(run, models.RunException):
            run = run.run
        found = self._scope.run(run, automation, workspace_id, organization_id)
        return self._scope.resolve("agent", agent, AGENT, within=found)
