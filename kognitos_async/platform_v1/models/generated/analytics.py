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
    """Empty where the API leaves it out."""


class AutomationRunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationRunInsight`."""

    automation_id: str = ""
    """Full name: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    display_name: str = ""
    """Its name for people."""
    runs_count: int = 0
    """0 where the API leaves it out."""


class AutomationRunInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationRunInsightList`."""

    values: tuple[AutomationRunInsight, ...] = ()
    """Empty where the API leaves it out."""


class AutomationValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationValueInsight`."""

    automation_id: str = ""
    """Full name: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    display_name: str = ""
    """Its name for people."""
    time_saved_secs: int = 0
    """Seconds."""
    money_saved_usd: str = ""
    """USD amount as string."""


class AutomationValueInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAutomationValueInsightList`."""

    values: tuple[AutomationValueInsight, ...] = ()
    """Empty where the API leaves it out."""


class AwaitingGuidanceInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsAwaitingGuidanceInsight`."""

    total_runs_awaiting_guidance: int = 0
    """0 where the API leaves it out."""
    runs_per_period: tuple[RunsAwaitingGuidanceByPeriod, ...] = ()
    """Empty where the API leaves it out."""


class CompletionInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCompletionInsight`."""

    total_percent_completions: float = 0.0
    """Overall completion percentage."""
    completions_per_period: tuple[CumulativeCompletionInsight, ...] = ()
    """Empty where the API leaves it out."""
    trend: Trend | None = None
    """None where the API leaves it out."""
    stp: float = 0.0
    """Straight-through processing rate."""


class ConfigureAutomationEstimatesResponse(Model, frozen=True, kw_only=True):
    """The API's `dashboardsConfigureAutomationEstimatesResponse`."""

    automation_estimates: tuple[AutomationEstimate, ...] = ()
    """Empty where the API leaves it out."""


class CumulativeCompletionInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeCompletionInsight`."""

    window_label: str = ""
    """Display label, e.g. Week 1 or January 2025."""
    auto_completed_count: int = 0
    """Runs completed without manual intervention."""
    manually_resolved_count: int = 0
    """0 where the API leaves it out."""


class CumulativeRunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeRunInsight`."""

    window_label: str = ""
    """Display label, e.g. Week 1 or January 2025."""
    runs_count: int = 0
    """0 where the API leaves it out."""


class CumulativeRunInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeRunInsightList`."""

    values: tuple[CumulativeRunInsight, ...] = ()
    """Empty where the API leaves it out."""


class CumulativeValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeValueInsight`."""

    window_label: str = ""
    """Display label, e.g. Week 1 or January 2025."""
    time_saved_secs: int = 0
    """Seconds."""
    money_saved_usd: str = ""
    """USD amount as string."""


class CumulativeValueInsightList(Model, frozen=True, kw_only=True):
    """The API's `dashboardsCumulativeValueInsightList`."""

    values: tuple[CumulativeValueInsight, ...] = ()
    """Empty where the API leaves it out."""


class MetricDataPoint(Model, frozen=True, kw_only=True):
    """The API's `v1MetricDataPoint`."""

    start_time: datetime | None = None
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
    interval: MetricInterval | None = None
    """None where the API leaves it out."""
    aggregation: AggregationFunction | None = None
    """None where the API leaves it out."""
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
    """None where the API leaves it out."""
    run_insight: RunInsight | None = None
    """None where the API leaves it out."""
    completion_insight: CompletionInsight | None = None
    """None where the API leaves it out."""
    awaiting_guidance_insight: AwaitingGuidanceInsight | None = None
    """None where the API leaves it out."""


class QueryMetricsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1QueryMetricsResponse`."""

    results: tuple[MetricResult, ...] = ()
    """Same order as requested metrics."""
    next_page_token: str = ""
    """Empty on last page; paging covers series of all metrics together."""


class RunInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsRunInsight`."""

    total_runs_count: int = 0
    """0 where the API leaves it out."""
    insights_per_automation_per_workspace: dict[str, AutomationRunInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    insights_per_period_per_workspace: dict[str, CumulativeRunInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    trend: Trend | None = None
    """None where the API leaves it out."""


class RunsAwaitingGuidanceByPeriod(Model, frozen=True, kw_only=True):
    """The API's `dashboardsRunsAwaitingGuidanceByPeriod`."""

    window_label: str = ""
    """Display label, e.g. January 2026."""
    runs_awaiting_guidance: int = 0
    """Runs created in this period still awaiting guidance."""


class Trend(Model, frozen=True, kw_only=True):
    """The API's `dashboardsTrend`."""

    percent_change: float = 0.0
    """Versus previous window; negative means decrease."""
    comparison_window: str = ""
    """Label, e.g. Last Week."""


class ValueInsight(Model, frozen=True, kw_only=True):
    """The API's `dashboardsValueInsight`."""

    total_money_saved_usd: str = ""
    """USD amount as string, no format given."""
    total_time_saved_secs: int = 0
    """Seconds."""
    insights_per_automation_per_workspace: dict[str, AutomationValueInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
    insights_per_period_per_workspace: dict[str, CumulativeValueInsightList] = {}
    """Map key: organizations/{org}/workspaces/{workspace}."""
