"""Checks of a schedule, by the notes of its schema."""

from __future__ import annotations

import zoneinfo
from datetime import date, time

from kognitos_async.platform_v1.models.generated.automations import (
    Date,
    DayOfMonthPattern,
    DayOfWeek,
    FrequencyUnit,
    Month,
    RepeatInterval,
    ScheduleConfig,
    ScheduleEnd,
    ScheduleEndType,
    ScheduleStart,
    TimeWindow,
)
from kognitos_async.platform_v1.outgoing import instance

_PATTERNS = {
    "weekly_pattern": FrequencyUnit.WEEK,
    "monthly_pattern": FrequencyUnit.MONTH,
    "yearly_pattern": FrequencyUnit.YEAR,
}
_LARGEST_INT = 2**31 - 1


def checked_config(config: object) -> ScheduleConfig:
    """The configuration of a schedule. Raises `TypeError` or `ValueError` naming the invalid member."""
    found = instance("config", config, ScheduleConfig)
    first = _check_start(found.start)
    _check_interval(found.repeat_interval)
    _check_patterns(found)
    if found.active_window is not None:
        _check_window(found.active_window)
    if found.end is not None:
        _check_end(found.end, first)
    return found


def _check_start(start: ScheduleStart) -> date | None:
    _check_zone("config.start.time_zone", start.time_zone)
    if start.time is not None:
        clock = start.time
        try:
            time(clock.hours, clock.minutes, clock.seconds, clock.nanos // 1000)
        except (ValueError, OverflowError):
            shown = f"{clock.hours}:{clock.minutes}:{clock.seconds} and {clock.nanos} ns"
            raise ValueError(f"config.start.time must be a time of day, got {shown}") from None
    return None if start.start_date is None else _day("config.start.start_date", start.start_date)


def _check_interval(repeat: RepeatInterval | None) -> None:
    if repeat is None:
        return
    if repeat.unit == FrequencyUnit.UNSPECIFIED:
        raise ValueError("config.repeat_interval.unit must be a unit of time, got UNSPECIFIED")
    if not 0 <= repeat.interval <= _LARGEST_INT:
        raise ValueError(
            f"config.repeat_interval.interval must be 1 or more, or 0 for the default, got {repeat.interval}"
        )


def _check_patterns(config: ScheduleConfig) -> None:
    given = [name for name in _PATTERNS if getattr(config, name) is not None]
    if len(given) > 1:
        raise ValueError(f"config must have at most one pattern, got {' and '.join(given)}")
    if given and config.repeat_interval is not None and config.repeat_interval.unit != _PATTERNS[given[0]]:
        raise ValueError(
            f"config.{given[0]} must come with repeat_interval.unit {_PATTERNS[given[0]]}, "
            f"got {config.repeat_interval.unit}"
        )
    if config.weekly_pattern is not None:
        days = config.weekly_pattern.days
        if not days or DayOfWeek.UNSPECIFIED in days:
            got = "UNSPECIFIED" if days else "none"
            raise ValueError(f"config.weekly_pattern.days must be at least one day of the week, got {got}")
    if config.monthly_pattern is not None:
        _check_day_of_month("config.monthly_pattern", config.monthly_pattern)
    if config.yearly_pattern is not None:
        if config.yearly_pattern.month == Month.UNSPECIFIED:
            raise ValueError("config.yearly_pattern.month must be a month, got UNSPECIFIED")
        _check_day_of_month("config.yearly_pattern.day_pattern", config.yearly_pattern.day_pattern)


def _check_day_of_month(name: str, pattern: DayOfMonthPattern) -> None:
    if (pattern.ordinal_day is None) == (pattern.day_number == 0):
        raise ValueError(f"{name} must have either day_number or ordinal_day, got both or neither")
    if not 0 <= pattern.day_number <= 31:
        raise ValueError(f"{name}.day_number must be 1 to 31, got {pattern.day_number}")


def _check_window(window: TimeWindow) -> None:
    _check_zone("config.active_window.time_zone", window.time_zone)
    if window.start_time > window.end_time:
        raise ValueError(
            f"config.active_window.end_time must be {window.start_time} or later, got {window.end_time}"
        )


def _check_end(end: ScheduleEnd, first: date | None) -> None:
    if end.end_type == ScheduleEndType.AFTER_OCCURRENCES and not 1 <= end.max_occurrences <= _LARGEST_INT:
        raise ValueError(f"config.end.max_occurrences must be 1 or more, got {end.max_occurrences}")
    if end.end_type == ScheduleEndType.ON_DATE:
        if end.end_date is None:
            raise ValueError("config.end.end_date must be given for ON_DATE, got None")
        last = _day("config.end.end_date", end.end_date)
        if first is not None and last < first:
            raise ValueError(f"config.end.end_date must be {first} or later, got {last}")


def _day(name: str, day: Date) -> date:
    try:
        return date(day.year, day.month, day.day)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} must be a date, got {day.year}-{day.month}-{day.day}") from None


def _check_zone(name: str, key: str) -> None:
    """Check an IANA time zone (empty: UTC), unless the machine has no time zone database."""
    if not key:
        return
    try:
        zoneinfo.ZoneInfo(key)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if zoneinfo.available_timezones():
            raise ValueError(
                f"{name} must be an IANA time zone, such as Europe/Berlin, got {key!r}"
            ) from None
