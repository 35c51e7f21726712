"""Conversion of the API's dates, times and durations, exact to the microsecond."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from kognitos_async.platform_v1.exact_numbers import whole

_DURATION = re.compile(r"(-?)(\d{1,14})(?:\.(\d{1,9}))?s", re.ASCII)
_LONGEST_OFFSET = timedelta(hours=18)
_MICROSECOND = timedelta(microseconds=1)
_FINER = re.compile(r"(\.\d{6})(\d+)", re.ASCII)
"""Digits beyond the microsecond."""
_DAY = frozenset({"year", "month", "day"})
_CLOCK = frozenset({"hours", "minutes", "seconds", "nanos"})


def rfc3339(moment: datetime) -> str:
    """An aware datetime as an RFC 3339 timestamp in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken as UTC, and so is one too near the calendar's ends."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return moment.replace(tzinfo=UTC)


def truncated(text: str) -> str:
    """A timestamp truncated to microseconds; rounding could yield the next second."""
    return _FINER.sub(r"\1", text, count=1)


def read_timestamp(text: object, *, truncate: bool = False) -> datetime | None:
    """The datetime of a timestamp; None for other text, and for nanoseconds unless `truncate` drops them."""
    if not isinstance(text, str):
        return None
    finer = _FINER.search(text)
    if finer is not None and not truncate and finer[2].strip("0"):
        return None
    try:
        return msgspec.convert(truncated(text), datetime)
    except msgspec.ValidationError:
        return None


def write_date(day: date) -> dict[str, int]:
    """Year, month and day."""
    return {"year": day.year, "month": day.month, "day": day.day}


def write_clock(moment: time | datetime) -> dict[str, int]:
    """Hours, minutes, seconds and nanoseconds."""
    return {
        "hours": moment.hour,
        "minutes": moment.minute,
        "seconds": moment.second,
        "nanos": moment.microsecond * 1000,
    }


def write_timeofday(moment: time) -> dict[str, int]:
    """A time of day. Raises `ValueError` for one with a time zone."""
    if moment.tzinfo is not None:
        raise ValueError("value must be a time without a zone, got one with: give a datetime")
    return write_clock(moment)


def write_datetime(moment: datetime) -> dict[str, Any]:
    """A date and time with its zone or offset. Raises `ValueError` if the API has no exact form for it."""
    written: dict[str, Any] = {**write_date(moment), **write_clock(moment)}
    zone = moment.tzinfo
    if isinstance(zone, ZoneInfo):
        if moment.fold and moment.utcoffset() != moment.replace(fold=0).utcoffset():
            raise ValueError(
                "a datetime in a time zone must be the first of two equal local times: use a fixed offset"
            )
        written["time_zone"] = {"id": zone_key(zone)}
    elif (offset := moment.utcoffset()) is not None:
        if offset % timedelta(seconds=1) or abs(offset) > _LONGEST_OFFSET:
            raise ValueError(f"an offset from UTC must be whole seconds within 18 hours, got {offset}")
        written["utc_offset"] = write_duration(offset)
    return written


def zone_key(zone: ZoneInfo) -> str:
    """The IANA name of a time zone. Raises `ValueError` for one read from a file."""
    if not zone.key:
        raise ValueError("a time zone must have a key, such as Europe/Berlin")
    return str(zone.key)


def write_duration(span: timedelta) -> str:
    """A duration as seconds with up to 6 decimal places and the suffix s."""
    microseconds = span // _MICROSECOND
    seconds, part = divmod(abs(microseconds), 1_000_000)
    fraction = f".{part:06}" if part else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{fraction}s"


# The functions below raise ValueError, TypeError, KeyError or OverflowError for what Python cannot hold.


def read_date(content: Any) -> date:
    """A full date. Raises `ValueError` for a partial one."""
    members = _members(content, _DAY)
    return date(whole(members, "year"), whole(members, "month"), whole(members, "day"))


def read_timeofday(content: Any) -> time:
    """A naive time of day."""
    members = _members(content, _CLOCK)
    nanos = whole(members, "nanos")
    if nanos % 1000:
        raise ValueError("a time must have whole microseconds")
    return time(whole(members, "hours"), whole(members, "minutes"), whole(members, "seconds"), nanos // 1000)


def read_datetime(content: Any) -> datetime:
    """A datetime: aware if there is an offset or a zone, else naive."""
    members = _members(content, _DAY | _CLOCK | {"utc_offset", "time_zone"})
    offset, zone = members.get("utc_offset"), members.get("time_zone")
    if offset is not None and zone is not None:
        raise ValueError("a datetime must have an offset or a zone, not both")
    place: tzinfo | None = None
    if offset is not None:
        place = timezone(span) if (span := read_duration(offset)) else UTC
    elif zone is not None:
        place = read_zone(zone)
    day = {name: members.get(name) for name in _DAY}
    clock = {name: members.get(name) for name in _CLOCK}
    return datetime.combine(read_date(day), read_timeofday(clock), place)


def read_zone(content: Any) -> ZoneInfo:
    """The time zone of an IANA name. Raises `ValueError` for a pinned version of the database."""
    members = _members(content, frozenset({"id", "version"}))
    if members.get("version"):
        raise ValueError("a time zone must be of no version")
    try:
        return ZoneInfo(members["id"])
    except OSError:  # the name of a folder
        raise ValueError("a time zone must be one of the IANA database") from None


def read_duration(content: Any) -> timedelta:
    """A duration."""
    found = _DURATION.fullmatch(content)
    if found is None:
        raise ValueError("a duration must be seconds and an s")
    nanos = int((found[3] or "").ljust(9, "0"))
    if nanos % 1000:
        raise ValueError("a duration must have whole microseconds")
    span = timedelta(seconds=int(found[2]), microseconds=nanos // 1000)
    return -span if found[1] else span


def _members(content: Any, known: frozenset[str]) -> Mapping[str, Any]:
    """`content`, if it has no unknown members: they would be lost."""
    if not isinstance(content, Mapping) or content.keys() - known:
        raise ValueError("members must be known, for the others would be lost")
    return content
