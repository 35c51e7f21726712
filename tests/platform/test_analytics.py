"""Analytics: each method's request, as the vendor's document wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from kognitos_async import F
from kognitos_async.platform_v1.analytics import Analytics
from kognitos_async.platform_v1.models.generated.analytics import AutomationEstimate, MetricInterval
from tests.platform.recorder import AUTOMATION, SCOPE, WORKSPACE, Recorder, sent

START = datetime(2026, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=2)))
END = datetime(2026, 4, 1, tzinfo=UTC)
ESTIMATE = AutomationEstimate(automation_id=AUTOMATION, cost_usd="1.50", time_saved_secs=0)

CALLS = {
    "QueryMetrics": (lambda r: r.query_metrics(["runs"], start=START, end=END), "/metrics:query"),
    "QueryInsights": (lambda r: r.query_insights(start=START, end=END), "/dashboards:queryInsights"),
    "QueryAutomationEstimates": (lambda r: r.query_estimates(), "/dashboards:queryAutomationEstimates"),
    "ConfigureAutomationEstimates": (
        lambda r: r.configure_estimates([ESTIMATE]),
        "/workspaces/w1/dashboards:configureAutomationEstimates",
    ),
}


@pytest.mark.parametrize("operation", CALLS)
async def test_each_method_sends_its_operation(operation):
    """Its path, a query and a body that the document allows; the sample answer is decoded."""
    call, path = CALLS[operation]
    recorder = await sent(operation, call, Analytics)
    assert recorder.last.path == f"/organizations/o1{path}"
    assert recorder.last.repeatable == (recorder.last.method == "GET")


async def test_metrics_take_everything_the_document_knows():
    """Lists are repeated, times are UTC, words may be short; no page size unless one is given."""
    recorder = Recorder()
    analytics = Analytics(recorder, SCOPE)
    await analytics.query_metrics(
        ["runs", "pages"],
        start=START,
        end=END,
        group_by=["status", "workspace_id"],
        interval="day",
        aggregation="SUM",
        filter=F.status == "COMPLETED",
        order_by="value desc",
    )
    assert recorder.query == [
        ("metrics", "runs"),
        ("metrics", "pages"),
        ("filter", str(F.status == "COMPLETED")),
        ("group_by", "status"),
        ("group_by", "workspace_id"),
        ("start_time", "2026-03-01T07:30:00Z"),
        ("end_time", "2026-04-01T00:00:00Z"),
        ("interval", "METRIC_INTERVAL_DAY"),
        ("aggregation", "AGGREGATION_FUNCTION_SUM"),
        ("order_by", "value desc"),
    ]
    await analytics.query_metrics(["runs"], start=START, end=END, interval=MetricInterval.HOUR, page_size=5)
    assert ("interval", "METRIC_INTERVAL_HOUR") in recorder.query
    assert ("page_size", "5") in recorder.query


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"start": datetime(2026, 1, 1)}, "start"),
        ({"end": "2026-01-01T00:00:00Z"}, "end"),
        ({"metrics": "runs"}, "metrics"),
        ({"metrics": []}, "metrics"),
        ({"group_by": "status"}, "group_by"),
        ({"interval": "MINUTE"}, "interval"),
        ({"aggregation": "MEDIAN"}, "aggregation"),
        ({"order_by": 3}, "order_by"),
    ],
)
async def test_arguments_of_metrics_are_checked_before_sending(arguments, says):
    """A naive time, one str instead of several, a word the API does not know."""
    recorder = Recorder()
    given = {"metrics": ["runs"], "start": START, "end": END, **arguments}
    with pytest.raises((TypeError, ValueError), match=says):
        await Analytics(recorder, SCOPE).query_metrics(given.pop("metrics"), **given)
    assert not recorder.requests


async def test_insights_name_workspaces_and_automations_in_full():
    """Bare ids become the full names that the API wants."""
    recorder = Recorder()
    await Analytics(recorder, SCOPE).query_insights(
        start=START, end=END, time_zone="Europe/Berlin", workspace_ids=["w1", "w2"], automation_ids=["a1"]
    )
    assert recorder.query == [
        ("filter.workspace_ids", WORKSPACE),
        ("filter.workspace_ids", "organizations/o1/workspaces/w2"),
        ("filter.automation_ids", AUTOMATION),
        ("filter.time_window.start_time", "2026-03-01T07:30:00Z"),
        ("filter.time_window.end_time", "2026-04-01T00:00:00Z"),
        ("filter.time_window.time_zone", "Europe/Berlin"),
    ]


async def test_estimates_are_set_whole():
    """A required number that is zero is sent all the same; the answer is the estimates."""
    recorder = Recorder()
    recorder.answers = [
        {"automation_estimates": [{"automation_id": "a", "cost_usd": "1", "time_saved_secs": 2}]}
    ]
    [estimate] = await Analytics(recorder, SCOPE).configure_estimates([ESTIMATE])
    assert estimate.time_saved_secs == 2
    assert recorder.body == {
        "automation_estimates": [{"automation_id": AUTOMATION, "cost_usd": "1.50", "time_saved_secs": 0}]
    }


@pytest.mark.parametrize("estimates", [[{"automation_id": "a"}], [None], 3, ESTIMATE])
async def test_estimates_of_another_type_are_refused(estimates):
    """Before anything is sent."""
    recorder = Recorder()
    with pytest.raises(TypeError):
        await Analytics(recorder, SCOPE).configure_estimates(estimates)
    assert not recorder.requests


async def test_estimates_come_by_workspace():
    """The list in between is unwrapped."""
    recorder = Recorder()
    recorder.answers = [
        {
            "workspace_estimates": {
                WORKSPACE: {"estimates": [msg(ESTIMATE)]},
                "organizations/o1/workspaces/w2": {},
            }
        }
    ]
    found = await Analytics(recorder, SCOPE).query_estimates()
    assert found == {WORKSPACE: (ESTIMATE,), "organizations/o1/workspaces/w2": ()}


async def test_a_series_without_tags_is_read():
    """The API may leave out what is empty or zero, even where the document requires it."""
    recorder = Recorder()
    recorder.answers = [
        {
            "results": [
                {
                    "metric": "runs",
                    "interval": "METRIC_INTERVAL_DAY",
                    "aggregation": "AGGREGATION_FUNCTION_COUNT",
                    "series": [
                        {"points": [{"start_time": "2026-03-01T00:00:00Z", "window_label": "1 March"}]}
                    ],
                },
                {
                    "metric": "pages",
                    "interval": "METRIC_INTERVAL_DAY",
                    "aggregation": "AGGREGATION_FUNCTION_COUNT",
                },
            ]
        }
    ]
    runs, pages = await Analytics(recorder, SCOPE).query_metrics(["runs"], start=START, end=END).collect()
    assert runs.series[0].tags == {}
    assert runs.series[0].points[0].value == 0
    assert pages.series == ()


def msg(estimate):
    return {name: getattr(estimate, name) for name in estimate.__struct_fields__}


async def test_estimates_name_their_automation_in_full():
    """As the API wants it, whether an id or a full name was given; one of another workspace is refused."""
    recorder = Recorder()
    resource = Analytics(recorder, SCOPE)
    estimates = [
        AutomationEstimate(automation_id=given, cost_usd="1.50", time_saved_secs=0)
        for given in ("a1", AUTOMATION)
    ]
    await resource.configure_estimates(estimates)
    assert (
        recorder.body["automation_estimates"]
        == [{"automation_id": AUTOMATION, "cost_usd": "1.50", "time_saved_secs": 0}] * 2
    )
    other = AUTOMATION.replace("/w1/", "/w2/")
    with pytest.raises(ValueError, match=r"estimates\[0\].automation_id .*contradict"):
        await resource.configure_estimates([msgspec.structs.replace(estimates[0], automation_id=other)])
    assert len(recorder.requests) == 1
