"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import typer


def moment(text: str | None, option: str = "--since") -> datetime | None:
    """Parse the ISO 8601 time of an option, by default in UTC. Raises `typer.BadParameter`."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            return found.replace(tzinfo=UTC)
        found.astimezone(UTC)  # which the ends of the calendar are not in every time zone
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"must be an ISO 8601 time, got {text!r}", param_hint=option) from None
    return found
