"""Run counts and typed outputs of executions."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.platform_v1.decoding import model_decoder
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import runs as generated
from kognitos_async.platform_v1.models.runs import PlatformRun
from kognitos_async.platform_v1.resource import Resource

if TYPE_CHECKING:
    from kognitos_async.platform_v1.filters import Filter

_RUN = model_decoder(PlatformRun)


class RunReports(Resource):
    """Methods of `client.runs` for reports."""

    async def execution_outputs(
        self, execution_id: str, *, workspace_id: str | None = None, organization_id: str | None = None
    ) -> dict[str, generated.ExecutionOutput]:
        """The outputs of an execution with their types, by name. (GetExecutionOutputs)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        name = self._scope.resolve(
            "execution_id", execution_id, (*workspace.collection, "executions"), within=workspace
        )
        answer = await self._send("GET", f"{name.path}/outputs", generated.GetExecutionOutputsResponse)
        return answer.outputs

    async def aggregates(
        self, *, workspace_id: str | None = None, organization_id: str | None = None
    ) -> tuple[generated.AutomationRunAggregateEntry, ...]:
        """The number of runs of each automation in the workspace. (QueryAutomationRunAggregates)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "GET", f"{workspace.path}:automationRunAggregates", generated.QueryAutomationRunAggregatesResponse
        )
        return answer.automation_run_aggregates

    async def daily_aggregates(
        self,
        *,
        start: date | None = None,
        end: date | None = None,
        time_zone: str = "UTC",
        filter: Filter | str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[generated.DailyRunAggregateEntry, ...]:
        """The number of runs created on each day from `start` to `end` in an IANA time zone.

        `filter` supports `automation_id` only, with = and OR. (QueryDailyRunAggregates)
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "GET",
            f"{workspace.path}:dailyRunAggregates",
            generated.QueryDailyRunAggregatesResponse,
            query={
                **_dotted("start_date", start),
                **_dotted("end_date", end),
                "time_zone": checks.text("time_zone", time_zone),
                "filter": filter_text(filter),
            },
        )
        return answer.daily_run_aggregates


def _dotted(name: str, day: date | None) -> dict[str, int]:
    if day is None:
        return {}
    if not isinstance(day, date) or isinstance(day, datetime):
        raise TypeError(f"{name.removesuffix('_date')} must be a date, got {type(day).__name__}")
    return {f"{name}.year": day.year, f"{name}.month": day.month, f"{name}.day": day.day}
