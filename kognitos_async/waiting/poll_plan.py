"""The choice of the cheaper poll method: a sweep over list pages, or single reads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


_EXPLORED_FREELY = 50


_PAGES_A_RUN = 0.6
"""Exploration budget: one page, plus 0.6 pages for each unlocated run beyond 50."""


class Plan(msgspec.Struct, frozen=True):
    """A sweep: at least `depth` pages, ended by `explore` pages in a row that hold no run sought."""

    depth: int
    explore: int


def plan_sweep(located: Iterable[int], unlocated: float) -> Plan | None:
    """The sweep that is cheaper than single reads, None if there is none.

    `located` are the page numbers (from 0) where pending runs were last found. `unlocated` is the weighted
    number of the others: a run weighs 1, and less after each sweep that did not find it.
    """
    depth = best = answered = 0
    for page, met in sorted(Counter(located).items()):
        answered += met
        if answered - (page + 1) > best:
            best, depth = answered - (page + 1), page + 1
    looking = unlocated >= 2 or (unlocated >= 1 and depth > 0)
    if not depth and not looking:
        return None
    explore = 1 + int(_PAGES_A_RUN * max(0.0, unlocated - _EXPLORED_FREELY)) if looking else 0
    return Plan(depth, explore)
