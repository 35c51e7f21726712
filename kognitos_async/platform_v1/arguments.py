"""Argument checks of the platform API, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kognitos_async import checks

if TYPE_CHECKING:
    from kognitos_async.open_enum import Word


LARGEST_PAGE = 1000


def texts(name: str, values: object) -> list[str]:
    """A list of str. Raises `TypeError` or `ValueError` for anything else."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of str, got {type(values).__name__}")
    return [checks.text(f"an item of {name}", value) for value in values]


def search_body(query: str, top_k: int | None, max_distance: float | None) -> dict[str, object]:
    """The body of a search: query text, maximum number of results, maximum distance."""
    body: dict[str, object] = {"query": checks.text("query", query)}
    if top_k is not None:
        body["top_k"] = checks.page_limit(top_k, largest=10_000, name="top_k")
    if max_distance is not None:
        if isinstance(max_distance, bool) or not isinstance(max_distance, int | float):
            raise TypeError(f"max_distance must be a number, got {type(max_distance).__name__}")
        if not math.isfinite(max_distance):
            raise ValueError(f"max_distance must be a finite number, got {max_distance}")
        body["max_distance"] = float(max_distance)
    return body


def known_word(name: str, word: str | None, kind: type[Word]) -> str | None:
    """A word of the API, given in full or without prefix. Raises `ValueError` for an unknown one."""
    if word is None:
        return None
    if not isinstance(word, str):
        raise TypeError(f"{name} must be a str, got {type(word).__name__}")
    for member in kind:
        if str(word) in (member.value, member.name) or str(word).upper() == member.name:
            return member.value
    known = ", ".join(member.name for member in kind if member.name != "UNSPECIFIED")
    raise ValueError(f"{name} must be one of {known}, got {str(word)!r}")


def page_size_or_none(page_size: int | None) -> int | None:
    """A page size from 1 to 1000, or None for the API's default."""
    return None if page_size is None else checks.page_limit(page_size, largest=LARGEST_PAGE, name="page_size")
