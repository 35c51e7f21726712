"""Models of the platform API: analytics. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime

import msgspec

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model


class AggregationFunction(Word):
    """UNSPECIFIED acts as COUNT."""

    UNSPECIFIED = "AGGREGATION_FUNCTION_UNSPECIFIED"
    COUNT = "AGGREGATION_FUNCTION_COUNT"
    SUM = "AGGREGATION_FUNCTION_SUM"
    AVG = "AGGREGATION_FUNCTION_AVG"
    MIN = "AGGREGATION_FUNCTION_MIN"
    MAX = "AGGREGATION_FUNCTION_MAX"


class AutomationEstimate(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationEstimate`."""

    automation_id: str
    """Full name: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    cost_usd: str
    """USD saved per run, as a string."""
    time_saved_secs: int = msgspec.field(default_factory=int)
    """Seconds saved per run."""


class AutomationEstimateList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationEstimateList`."""

    estimates: tuple[AutomationEstimate, ...] = ()


class AutomationRunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationRunInsight`."""

    automation_id: str | None = None
    """Full name: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    display_name: str | None = None
    runs_count: int | None = None


class AutomationRunInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationRunInsightList`."""

    values: tuple[AutomationRunInsight, ...] = ()


class AutomationValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationValueInsight`."""

    automation_id: str | None = None
    """Full name: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    display_name: str | None = None
    time_saved_secs: int | None = None
    """Seconds."""
    money_saved_usd: str | None = None
    """USD amount as string."""


class AutomationValueInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationValueInsightList`."""

    values: tuple[AutomationValueInsight, ...] = ()


class AwaitingGuidanceInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAwaitingGuidanceInsight`."""

    total_runs_awaiting_guidance: int | None = None
    runs_per_period: tuple[RunsAwaitingGuidanceByPeriod, ...] = ()


class CompletionInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCompletionInsight`."""

    total_percent_completions: float | None = None
    """Overall completion percentage."""
    completions_per_period: tuple[CumulativeCompletionInsight, ...] = ()
    trend: Trend | None = None
    stp: float | None = None
    """Straight-through processing rate."""


class ConfigureAutomationEstimatesResponse(Model, frozen=True, kw_only=True):
    """The API's `dashboardsConfigureAutomationEstimatesResponse`."""

    automation_estimates: tuple[AutomationEstimate, ...] = ()


class CumulativeCompletionInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeCompletionInsight`."""

    window_label: str | None = None
    """Display label, e.g. Week 1 or January 2025."""
    auto_completed_count: int | None = None
    """Runs completed without manual intervention."""
    manually_resolved_count: int | None = None


class CumulativeRunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeRunInsight`."""

    window_label: str | None = None
    """Display label, e.g. Week 1 or January 2025."""
    runs_count: int | None = None


class CumulativeRunInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeRunInsightList`."""

    values: tuple[CumulativeRunInsight, ...] = ()


class CumulativeValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeValueInsight`."""

    window_label: str | None = None
    """Display label, e.g. Week 1 or January 2025."""
    time_saved_secs: int | None = None
    """Seconds."""
    money_saved_usd: str | None = None
    """USD amount as string."""


class CumulativeValueInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeValueInsightList`."""

    values: tuple[CumulativeValueInsight, ...] = ()


class MetricDataPoint(Model, frozen=True, kw_only=True):
    """The API's `v1MetricDataPoint`."""

    start_time: datetime
    """Start of the interval."""
    value: float = 0.0
    """Aggregated value of the interval."""
    window_label: str = ""
    """Human-readable label; depends on granularity and user locale."""


class MetricInterval(Word):
    """UNSPECIFIED lets server choose; server may adjust the requested interval."""

    UNSPECIFIED = "METRIC_INTERVAL_UNSPECIFIED"
    HOUR = "METRIC_INTERVAL_HOUR"
    DAY = "METRIC_INTERVAL_DAY"
    WEEK = "METRIC_INTERVAL_WEEK"
    MONTH = "METRIC_INTERVAL_MONTH"


class MetricResult(Model, frozen=True, kw_only=True):
    """The API's `v1MetricResult`."""

    metric: str = ""
    """Echo of the requested name."""
    interval: MetricInterval
    aggregation: AggregationFunction
    series: tuple[MetricSeries, ...] = ()
    """One per group_by combination; single with empty tags if ungrouped; order_by ordered; may be empty."""


class MetricSeries(Model, frozen=True, kw_only=True):
    """The API's `v1MetricSeries`."""

    tags: dict[str, str] = {}
    """Group_by values, e.g. status, workspace_id; empty map if ungrouped."""
    points: tuple[MetricDataPoint, ...] = ()
    """Chronological."""


class QueryAutomationEstimatesResponse(Model, frozen=True, kw_only=True):
    """The API's `dashboardsQueryAutomationEstimatesResponse`."""

    workspace_estimates: dict[str, AutomationEstimateList] = {}
    """Key: organizations/{org}/workspaces/{workspace}."""


class QueryInsightsResponse(Model, frozen=True, kw_only=True):
    """The API's `dashboardsQueryInsightsResponse`."""

    value_insight: ValueInsight | None = None
    run_insight: RunInsight | None = None
    completion_insight: CompletionInsight | None = None
    awaiting_guidance_insight: AwaitingGuidanceInsight | None = None


class QueryMetricsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1QueryMetricsResponse`."""

    results: tuple[MetricResult, ...] = ()
    """Same order as requested metrics."""
    next_page_token: str | None = None
    """Empty on last page; paging covers series of all metrics together."""


class RunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsRunInsight`."""

    total_runs_count: int | None = None
    insights_per_automation_per_workspace: dict[str, AutomationRunInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    insights_per_period_per_workspace: dict[str, CumulativeRunInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    trend: Trend | None = None


class RunsAwaitingGuidanceByPeriod(Model, frozen=True, kw_only=True):
    """The API's `dashboardsRunsAwaitingGuidanceByPeriod`."""

    window_label: str | None = None
    """Display label, e.g. January 2026."""
    runs_awaiting_guidance: int | None = None
    """Runs created in this period still awaiting guidance."""


class Trend(Model, frozen=True, kw_only=True):
    """The API's `dashboardsTrend`."""

    percent_change: float | None = None
    """Versus previous window; negative means decrease."""
    comparison_window: str | None = None
    """Label, e.g. Last Week."""


class ValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsValueInsight`."""

    total_money_saved_usd: str | None = None
    """USD amount as string, no format given."""
    total_time_saved_secs: int | None = None
    """Seconds."""
    insights_per_automation_per_workspace: dict[str, AutomationValueInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    insights_per_period_per_workspace: dict[str, CumulativeValueInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
