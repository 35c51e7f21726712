"""Analytics: metrics over time, insights, and estimated savings."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from kognitos_async import checks
from kognitos_async.platform_v1.arguments import known_word, texts
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import analytics as models
from kognitos_async.platform_v1.names import AUTOMATION
from kognitos_async.platform_v1.outgoing import instances
from kognitos_async.platform_v1.resource import Resource
from kognitos_async.platform_v1.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter


class Analytics(Resource):
    """`client.analytics`. See `PlatformClient` for the errors that every request may raise."""

    def query_metrics(
        self,
        metrics: Sequence[str],
        *,
        start: datetime,
        end: datetime,
        group_by: Sequence[str] = (),
        interval: models.MetricInterval | str | None = None,
        aggregation: models.AggregationFunction | str | None = None,
        filter: Filter | str | None = None,
        order_by: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.MetricResult]:
        """A pager over the results of each metric, such as runs, pages, files or automations. (QueryMetrics)

        `start` is inclusive, `end` exclusive; both are aware. `group_by` yields one series per combination of
        tags, such as status and workspace_id; `filter` supports the same tags. `interval` is HOUR, DAY, WEEK
        or MONTH, by default the API's choice. `aggregation` is COUNT, SUM, AVG, MIN or MAX. Without
        `page_size` all series come in one page.
        """
        return self._list(
            f"{self._scope.organization(organization_id).path}/metrics:query",
            models.QueryMetricsResponse,
            "results",
            query={
                "metrics": _metrics(metrics),
                "filter": filter_text(filter),
                "group_by": texts("group_by", group_by),
                "start_time": _time("start", start),
                "end_time": _time("end", end),
                "interval": known_word("interval", interval, models.MetricInterval),
                "aggregation": known_word("aggregation", aggregation, models.AggregationFunction),
                "order_by": None if order_by is None else checks.text("order_by", order_by),
            },
            page_size=page_size,
            page_token=page_token,
        )

    async def query_insights(
        self,
        *,
        start: datetime,
        end: datetime,
        time_zone: str | None = None,
        workspace_ids: Iterable[str] = (),
        automation_ids: Iterable[str] = (),
        organization_id: str | None = None,
    ) -> models.QueryInsightsResponse:
        """The savings, completions and guidance of runs from `start` to `end`, both inclusive and aware.

        Limited to the given workspaces and automations (ids or full names), by default all. (QueryInsights)
        """
        organization = self._scope.organization(organization_id)
        workspaces = [
            str(self._scope.workspace(workspace, organization_id))
            for workspace in texts("workspace_ids", workspace_ids)
        ]
        automations = [
            str(
                self._scope.resolve("automation_ids", automation, AUTOMATION, organization_id=organization_id)
            )
            for automation in texts("automation_ids", automation_ids)
        ]
        zone = None if time_zone is None else checks.text("time_zone", time_zone)
        return await self._send(
            "GET",
            f"{organization.path}/dashboards:queryInsights",
            models.QueryInsightsResponse,
            query={
                "filter.workspace_ids": workspaces,
                "filter.automation_ids": automations,
                "filter.time_window.start_time": _time("start", start),
                "filter.time_window.end_time": _time("end", end),
                "filter.time_window.time_zone": zone,
            },
        )

    async def query_estimates(
        self, *, organization_id: str | None = None
    ) -> dict[str, tuple[models.AutomationEstimate, ...]]:
        """The estimated savings per run of each automation, by full name of the workspace.

        (QueryAutomationEstimates)
        """
        answer = await self._send(
            "GET",
            f"{self._scope.organization(organization_id).path}/dashboards:queryAutomationEstimates",
            models.QueryAutomationEstimatesResponse,
        )
        return {workspace: found.estimates for workspace, found in answer.workspace_estimates.items()}

    async def configure_estimates(
        self,
        estimates: Iterable[models.AutomationEstimate],
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.AutomationEstimate, ...]:
        """The estimates of the workspace after setting these. (ConfigureAutomationEstimates)

        Each `automation_id` is an id or a full name. Raises `ValueError` for one of another workspace.
        """
        workspace = self._scope.workspace(workspace_id, organization_id)
        named = [
            msgspec.structs.replace(
                estimate,
                automation_id=str(
                    self._scope.resolve(
                        f"estimates[{index}].automation_id",
                        estimate.automation_id,
                        AUTOMATION,
                        within=workspace,
                    )
                ),
            )
            for index, estimate in enumerate(instances("estimates", estimates, models.AutomationEstimate))
        ]
        answer = await self._send(
            "POST",
            f"{workspace.path}/dashboards:configureAutomationEstimates",
            models.ConfigureAutomationEstimatesResponse,
            body={"automation_estimates": named},
        )
        return answer.automation_estimates


def _time(name: str, moment: datetime) -> str:
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} must be a datetime, got {type(moment).__name__}")
    if moment.tzinfo is None:
        raise ValueError(f"{name} must be a datetime with a time zone, got one without")
    return rfc3339(moment)


def _metrics(metrics: Sequence[str]) -> list[str]:
    if not (names := texts("metrics", metrics)):
        raise ValueError("metrics must be at least one name, got none")
    return names
