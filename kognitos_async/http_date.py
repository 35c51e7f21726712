"""Dates in the headers of answers."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def parse_http_date(value: str | None) -> datetime | None:
    """The time in UTC that a header holds, None if it is absent, malformed, or beyond the calendar.

    An offset of -0000, which has no time zone in Python, is UTC by RFC 9110.
    """
    if not value:
        return None
    try:
        found = parsedate_to_datetime(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
