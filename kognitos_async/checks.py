"""Validation of arguments before anything is sent. Each function raises `TypeError` or `ValueError`."""

from __future__ import annotations

import inspect
import math
from datetime import datetime

_CONTROL = frozenset(map(chr, (*range(32), 127)))
"""Control characters; no id holds one, but a line read from a file may end in one."""


def text(name: str, value: object, *, longest: int | None = None) -> str:
    """A str of 1 to `longest` characters that UTF-8 can encode."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}")
    if not value or (longest is not None and len(value) > longest):
        allowed = f"1 to {longest} characters" if longest else "at least 1 character"
        raise ValueError(f"{name} must be a str of {allowed}, got {len(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text that UTF-8 can encode, got lone surrogates") from None
    # msgspec encodes plain str only, not its subclasses.
    return value if type(value) is str else str.__str__(value)


def identifier(name: str, value: object) -> str:
    """An id: a str that is not blank, has no control characters and can stand as one segment of a path."""
    word = text(name, value)
    # Servers resolve dot segments to another path even when encoded.
    if word in (".", "..") or word.isspace() or not _CONTROL.isdisjoint(word):
        raise ValueError(f"{name} must be an id, got {word!r}")
    return word


def is_identifier(value: str) -> bool:
    """Whether `identifier` accepts the text."""
    try:
        identifier("value", value)
    except ValueError:
        return False
    return True


def page_limit(value: object, *, largest: int, name: str = "limit") -> int:
    """A whole number from 1 to `largest`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if not 1 <= value <= largest:
        raise ValueError(f"{name} must be 1 to {largest}, got {value}")
    return value


def seconds_or_none(name: str, value: object) -> float | None:
    """Seconds, 0 or more; None and infinity are None: no limit."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or None, got {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be 0 or more seconds, got {value}")
    return None if math.isinf(value) else float(value)


def seconds(name: str, value: object) -> float:
    """A finite number of seconds, 0 or more."""
    found = seconds_or_none(name, value)
    if found is None:
        raise ValueError(f"{name} must be a finite number of seconds, got {value}")
    return found


def hook(name: str, value: object) -> None:
    """An async callable, or None."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a callable that returns an awaitable, got {type(value).__name__}")


def callback(name: str, value: object) -> None:
    """A callable whose result is not awaited, or None."""
    if value is None:
        return
    if not callable(value):
        raise TypeError(f"{name} must be a callable, got {type(value).__name__}")
    if inspect.iscoroutinefunction(value):
        raise TypeError(
            f"{name} must be a plain function, got a coroutine function, which would not be awaited"
        )


def check_since(since: object, *, name: str = "since") -> datetime:
    """An aware datetime."""
    if not isinstance(since, datetime):
        raise TypeError(f"{name} must be a datetime, got {type(since).__name__}")
    if since.tzinfo is None:
        raise ValueError(f"{name} must be a datetime with a time zone, got one without")
    return since


def at_least_one(name: str, value: object) -> None:
    """Check for an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
