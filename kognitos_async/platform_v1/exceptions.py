"""Exceptions of runs that need a person: read them, reply, follow the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async.platform_v1.exception_events import ExceptionEvents
from kognitos_async.platform_v1.filters import filter_text, spelled_filter_text
from kognitos_async.platform_v1.models.generated import exceptions as models
from kognitos_async.platform_v1.names import AUTOMATION, EXCEPTION

if TYPE_CHECKING:
    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Named

GUIDE_ENTRY = (*AUTOMATION, "guideEntries")


class Exceptions(ExceptionEvents):
    """`client.exceptions`. Where a run is expected, the exception it raised is accepted too.

    In every list `page_size` is 1 to 1000, and `page_token` resumes an earlier listing. See `PlatformClient`
    for the errors that every request may raise.
    """

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

        `filter` supports `state` (PENDING, RESOLVED, ARCHIVED), `automation`, `group`, `run` and
        `create_time`. `skip` omits that many items at the start. `page_size` is 1 to 1000. (ListExceptions)
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
        """An exception, for instance the one named by `run.guidance.exception`. (GetException)"""
        name = self._scope.resolve(
            "exception",
            exception,
            EXCEPTION,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.RunException, name=name)

    def list_groups(
        self,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.RunExceptionGroup]:
        """A pager over the groups of exceptions. (ListExceptionGroups)"""
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
        """A pager over groups with the number of their exceptions. `filter` as in `list`.

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
        """A pager over automations with the number of their exceptions. `filter` as in `list`.

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

    async def get_guide_entry(
        self,
        guide_entry: str | Named,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.GuideEntry:
        """A guide entry learnt from an exception. A bare id needs `automation`. (GetGuideEntry)"""
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
        return await self._send("GET", name.path, models.GuideEntry, name=name)

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
        """A pager over guide entries learnt from exceptions, of one automation or of all ("-").

        `filter` supports `automation`, `create_time` and `update_time`, and with `contains` only, as in
        `F.title.contains("invoice")`, also `title`, `resolution_steps`, `resolution_code` and
        `resolution_notes`. A filter given as text is sent unchanged: this list spells containment as the word
        contains, not as a colon. `page_size` is 1 to 1000. (ListGuideEntries)
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
