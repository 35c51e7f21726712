"""Processes that coverage is not to look at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def environ(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment and `more`, for a process whose modules count or that may not live to end well.

    Half a file of coverage, from one that was killed while writing it, would fail the whole report.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return {**ours, **(more or {})}
