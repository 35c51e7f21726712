"""Routes, calls and replies: the interface between the server and its APIs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence

    from aiohttp import web
    from multidict import MultiMapping

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class PageMarks:
    """The fields of a page, for faults that change paging."""

    items_field: str
    token_field: str
    asked_with: str | None
    """The token of the request for this page."""
    listing: tuple[str | None, ...]
    """The parameters that must not change between pages."""
    same_place: Callable[[], str]
    """A new token for the start of this page."""


@dataclass(slots=True)
class Reply:
    """An answer before encoding: `payload` is a JSON value, `body` raw bytes; at most one of them is set."""

    status: int
    payload: Any = None
    body: bytes | None = None
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    page: PageMarks | None = None
    stream: Callable[[], AsyncGenerator[bytes, None]] | None = None
    """Pieces to send instead of `body` as they become available; an empty one is a pause.

    `body` then holds the pieces available now, for faults that need a complete body.
    """


@dataclass(frozen=True, slots=True)
class Call:
    """A request that matched a route."""

    request: web.BaseRequest
    path: Mapping[str, str]
    """Path parameters, percent-decoded."""
    query: MultiMapping[str]
    body: Any = None
    """The JSON body; None if there is none or if the route reads it itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """An operation of an API. The servers of a process share it."""

    operation: str
    method: str
    template: str
    """For instance `/v2/runs/{run_id}`."""
    reads_json: bool = False
    """Whether the server parses the body before the API answers."""


class Api(Protocol):
    """An API that `KognitosServer` serves below a path prefix."""

    @property
    def prefix(self) -> str:
        """First path segment, such as `/v2`."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """All operations, the same objects for every server."""
        ...

    def answer(self, operation: str, call: Call) -> Reply | Awaitable[Reply]:
        """The work of an operation."""
        ...

    def refuse(self, status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
        """An error in the form of this API."""
        ...

    def admit(self, request: web.BaseRequest) -> Reply | None:
        """None to admit the request, else its refusal: missing or wrong key, too many requests."""
        ...


class Router:
    """Finds the operation of a method and a raw path."""

    def __init__(self, apis: Iterable[Api]) -> None:
        self._apis = tuple(apis)
        self._table = _table(tuple(chain.from_iterable(api.routes for api in self._apis)))

    @property
    def operations(self) -> frozenset[str]:
        """The names of all operations."""
        return self._table.operations

    def api(self, raw_path: str) -> Api | None:
        """The API whose prefix the path has."""
        for api in self._apis:
            if raw_path.startswith(api.prefix) and raw_path[len(api.prefix) :][:1] in {"", "/"}:
                return api
        return None

    def find(self, raw_path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """The routes of this path by method (empty: unknown path), and the decoded path parameters."""
        exact = self._table.exact.get(raw_path)
        if exact is not None:
            return exact, {}
        for pattern, methods in self._table.patterns.get(_bucket(raw_path), ()):
            match = pattern.fullmatch(raw_path)
            if match is not None:
                return methods, {name: unquote(value) for name, value in match.groupdict().items()}
        return {}, {}


_Methods = dict[str, Route]


@dataclass(frozen=True, slots=True)
class _Table:
    operations: frozenset[str]
    exact: Mapping[str, _Methods]
    """Paths without parameters."""
    patterns: Mapping[tuple[str, int], Sequence[tuple[re.Pattern[str], _Methods]]]
    """Paths with parameters by `_bucket`, the more specific ones first."""


@cache
def _table(routes: tuple[Route, ...]) -> _Table:
    templates: dict[str, _Methods] = {}
    for route in routes:
        templates.setdefault(route.template, {})[route.method] = route
    exact = {template: methods for template, methods in templates.items() if "{" not in template}
    patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], _Methods]]] = {}
    # `{id}` also matches `x:pause`: try the more specific pattern first.
    for template in sorted(
        (each for each in templates if each not in exact), key=_fixed_length, reverse=True
    ):
        patterns.setdefault(_bucket(template), []).append((_pattern(template), templates[template]))
    return _Table(frozenset(route.operation for route in routes), exact, patterns)


def _pattern(template: str) -> re.Pattern[str]:
    """The paths of a template."""
    parts = re.split(r"\{(\w+)\}", template)
    text = (f"(?P<{part}>[^/]+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return re.compile("".join(text))


def _fixed_length(template: str) -> int:
    return len(re.sub(r"\{\w+\}", "", template))


def _bucket(path: str) -> tuple[str, int]:
    """Index key of a path: its prefix and number of segments."""
    return path.split("/", 2)[1], path.count("/")
