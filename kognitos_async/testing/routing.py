"""Routes, calls and replies: the interface between the server and its APIs."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

if TYPE_CHECKING:
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


Handler = Callable[[Call], Reply | Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of an API."""

    operation: str
    method: str
    template: str
    """For instance `/v2/runs/{run_id}`."""
    handler: Handler
    reads_json: bool = False
    """Whether the server parses the body before calling the handler."""


class Api(Protocol):
    """An API that `KognitosServer` serves below a path prefix."""

    @property
    def prefix(self) -> str:
        """First path segment, such as `/v2`."""
        ...

    @property
    def routes(self) -> Iterable[Route]:
        """All operations."""
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
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: dict[tuple[str, int], list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        self.operations: set[str] = set()
        for api in self._apis:
            for route in api.routes:
                self.operations.add(route.operation)
                self._methods(route.template)[route.method] = route
        # `{id}` also matches `x:pause`: try the more specific pattern first.
        for patterns in self._patterns.values():
            patterns.sort(key=lambda item: -_fixed_length(item[0]))

    def api(self, raw_path: str) -> Api | None:
        """The API whose prefix the path has."""
        for api in self._apis:
            if raw_path.startswith(api.prefix) and raw_path[len(api.prefix) :][:1] in {"", "/"}:
                return api
        return None

    def find(self, raw_path: str) -> tuple[Mapping[str, Route], Mapping[str, str]]:
        """The routes of this path by method (empty: unknown path), and the decoded path parameters."""
        exact = self._exact.get(raw_path)
        if exact is not None:
            return exact, {}
        for pattern, methods in self._patterns.get(_bucket(raw_path), ()):
            match = pattern.fullmatch(raw_path)
            if match is not None:
                return methods, {name: unquote(value) for name, value in match.groupdict().items()}
        return {}, {}

    def _methods(self, template: str) -> dict[str, Route]:
        if "{" not in template:
            return self._exact.setdefault(template, {})
        patterns = self._patterns.setdefault(_bucket(template), [])
        new = _pattern(template)
        for pattern, known in patterns:
            if pattern is new:
                return known
        methods: dict[str, Route] = {}
        patterns.append((new, methods))
        return methods


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """The paths of a template; one object for each template."""
    parts = re.split(r"\{(\w+)\}", template)
    text = (f"(?P<{part}>[^/]+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return re.compile("".join(text))


@cache
def _fixed_length(pattern: re.Pattern[str]) -> int:
    return len(re.sub(r"\(.*?\)", "", pattern.pattern))


def _bucket(path: str) -> tuple[str, int]:
    """Index key of a path: its prefix and number of segments."""
    return path.split("/", 2)[1], path.count("/")
