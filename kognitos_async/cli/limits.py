"""`max_in_flight` of a running bulk job: a number in a file beside its journal."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 1.0
"""Interval between readings of the file."""


def limit_file(journal: Path) -> Path:
    """The file that holds the limit of a job; the same for all links to the journal."""
    real = Path(os.path.realpath(journal))
    return real.with_name(f"{real.name}.max-in-flight")


def write_limit(journal: Path, limit: int) -> None:
    """Set the limit of the job that runs with this journal, atomically."""
    path = limit_file(journal)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    draft.write_text(f"{limit}\n")
    draft.replace(path)


def read_limit(journal: Path) -> int | None:
    """The limit that was set; None without one, or if it is not a whole number of at least 1."""
    try:
        text = limit_file(journal).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) else None


async def follow_limit(journal: Path, apply: Callable[[int], object]) -> None:
    """Call `apply` with each new limit until cancelled; a file left by an earlier job is deleted."""
    last = None
    limit_file(journal).unlink(missing_ok=True)
    try:
        while True:
            await asyncio.sleep(_SECONDS)
            limit = read_limit(journal)
            if limit is not None and limit != last:
                last = limit
                apply(limit)
    finally:
        limit_file(journal).unlink(missing_ok=True)
