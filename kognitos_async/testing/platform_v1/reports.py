"""Platform API handlers for counts and outputs: runs by automation and day, outputs by execution, users."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kognitos_async.testing.platform_v1 import aip160
from kognitos_async.testing.platform_v1.handling import Ask, Handler, filter_of, invalid, not_found
from kognitos_async.testing.routing import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kognitos_async.testing.platform_v1.world import PlatformWorld

_FIELDS = {
    "automation_id": aip160.Field(lambda run: run.automation_id, ("=",), lambda text: text.rpartition("/")[2])
}
_TYPES = {"number": "VALUE_SCALAR_TYPE_NUMBER", "text": "VALUE_SCALAR_TYPE_TEXT"}


class ReportHandlers:
    """Handlers of aggregates over the existing runs."""

    def __init__(self, world: PlatformWorld) -> None:
        self._world = world

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by operationId."""
        return {
            "QueryAutomationRunAggregates": self._by_automation,
            "QueryDailyRunAggregates": self._by_day,
            "GetExecutionOutputs": self._outputs,
            "CountWorkspaceUsers": self._count_users,
        }

    def _by_automation(self, _ask: Ask) -> Reply:
        runs = self._world.runs.values()
        total = Counter(run.automation_id for run in runs)
        completed = Counter(run.automation_id for run in runs if run.state == "completed")
        entries = [
            {
                "automation_id": automation.name,
                "stats": {
                    "total_runs": str(total[automation.id]),
                    "completed_runs": str(completed[automation.id]),
                },
            }
            for automation in self._world.automations.values()
        ]
        return Reply(200, {"automation_run_aggregates": entries})

    def _by_day(self, ask: Ask) -> Reply:
        try:
            zone = ZoneInfo(ask.values["time_zone"])
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise invalid([("time_zone", "must be an IANA name such as UTC")]) from error
        first, last = _day(ask, "start_date", date.min), _day(ask, "end_date", date.max)
        found = filter_of(ask, _FIELDS)
        days = Counter(
            run.created_at.astimezone(zone).date() for run in self._world.runs.values() if found.matches(run)
        )
        entries = [
            {"date": day.isoformat(), "stats": {"total_runs": days[day]}}
            for day in sorted(days)
            if first <= day <= last
        ]
        return Reply(200, {"daily_run_aggregates": entries})

    def _outputs(self, ask: Ask) -> Reply:
        run_id = ask.path("execution_id").removeprefix("exec_")
        run = self._world.runs.get(run_id)
        if run is None:
            raise not_found(f"Execution {ask.path('execution_id')}")
        outputs: dict[str, Any] = {
            name: {"value": value, "type": _type(value)} for name, value in (run.outputs or {}).items()
        }
        return Reply(200, {"outputs": outputs})

    def _count_users(self, ask: Ask) -> Reply:
        return Reply(200, {"workspace_user_counts": dict.fromkeys(ask.body["workspace_ids"], 1)})


def _type(value: Mapping[str, Any]) -> dict[str, Any]:
    scalar = _TYPES.get(next(iter(value), ""))
    return {"any_type": {}} if scalar is None else {"scalar_type": scalar}


def _day(ask: Ask, name: str, default: date) -> date:
    parts = [ask.values.get(f"{name}.{part}") for part in ("year", "month", "day")]
    if all(part is None for part in parts):
        return default
    try:
        return date(*(part or 0 for part in parts))
    except (ValueError, OverflowError) as error:
        raise invalid([(name, "must be a date: year, month and day")]) from error
