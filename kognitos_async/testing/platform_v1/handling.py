"""Requests, refusals and pages of the platform API's handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from kognitos_async.testing.platform_v1 import aip160
from kognitos_async.testing.routing import Call, PageMarks, Reply
from kognitos_async.testing.tokens import InvalidTokenError, Key, Query, Tokens

if TYPE_CHECKING:
    from kognitos_async.testing.schema import Problems

T = TypeVar("T")

LARGEST_PAGE = 1000

INVALID_ARGUMENT = 3
PERMISSION_DENIED = 7
FAILED_PRECONDITION = 9

_CODES = {
    400: INVALID_ARGUMENT,
    401: 16,
    403: PERMISSION_DENIED,
    404: 5,
    405: 12,
    409: 6,
    411: INVALID_ARGUMENT,
    413: 11,
    415: INVALID_ARGUMENT,
    429: 8,
    500: 13,
    501: 12,
    503: 14,
    504: 4,
}
_UNKNOWN = 2


class ApiError(Exception):
    """A refused request: HTTP status, google.rpc code, message, field violations."""

    def __init__(
        self, status: int, message: str, problems: Iterable[tuple[str, str]] = (), *, code: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.problems: list[tuple[str, str]] = list(problems)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that passed all checks against the spec."""

    operation: str
    call: Call
    values: Mapping[str, Any]
    """Query parameters."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        body: dict[str, Any] = self.call.body
        return body

    def path(self, name: str) -> str:
        """A path parameter."""
        return self.call.path[name]

    @property
    def resource(self) -> str:
        """The resource name in the path, without `/api/v1/` and verb."""
        return unquote(self.call.request.rel_url.raw_path.removeprefix("/api/v1/").partition(":")[0])


Handler = Callable[[Ask], Reply | Awaitable[Reply]]


def status_reply(
    status: int, message: str, problems: Iterable[tuple[str, str]] = (), code: int | None = None
) -> Reply:
    """A google.rpc.Status."""
    violations = [{"field": name, "description": why} for name, why in problems]
    details = (
        [{"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": violations}]
        if violations
        else []
    )
    words = message + "".join(f"; {name}: {why}" for name, why in list(problems)[:3])
    found = _CODES.get(status, 13 if status >= 500 else _UNKNOWN) if code is None else code
    return Reply(status, {"code": found, "message": words, "details": details})


def invalid(problems: Problems) -> ApiError:
    """The refusal of a request that violates the spec."""
    return ApiError(400, "Invalid argument", problems)


def not_found(what: str) -> ApiError:
    """The refusal of an unknown name."""
    return ApiError(404, f"{what} was not found")


def filter_of(ask: Ask, fields: aip160.Fields) -> aip160.Filter:
    """The `filter` of a list. Raises `ApiError` for one that this list does not support."""
    try:
        return aip160.parse(ask.values.get("filter") or "", fields)
    except aip160.FilterError as error:
        raise invalid([("filter", str(error))]) from error


class Pages:
    """Cuts lists into pages, with tokens that are valid for the same parameters only."""

    def __init__(self, secret: bytes) -> None:
        self._tokens = Tokens(secret)

    def size(self, ask: Ask, default: int) -> int:
        """The page size, at most 1000. Raises `ApiError` for a negative one."""
        asked: int = ask.values.get("page_size") or default
        if asked < 0:
            raise invalid([("page_size", "must not be negative")])
        return min(asked, LARGEST_PAGE)

    def place(self, ask: Ask, default: int = 50) -> Key | None:
        """The key after which the page begins. Raises `ApiError` for a token of another request."""
        token = ask.values.get("page_token")
        if not token:
            return None
        try:
            return self._tokens.read(self._listing(ask, default), token)
        except InvalidTokenError as error:
            raise invalid([("page_token", "not a token of this list with these very parameters")]) from error

    def reply(
        self,
        ask: Ask,
        field: str,
        items: list[Any],
        next_key: Key | None,
        *,
        default: int = 50,
        more: Mapping[str, Any] | None = None,
    ) -> Reply:
        """A page. At the end of a list the token is absent, or empty in lists with totals."""
        listing = self._listing(ask, default)
        start = self.place(ask, default)
        payload: dict[str, Any] = {field: items, **(more or {})}
        if next_key is not None:
            payload["next_page_token"] = self._tokens.issue(listing, next_key)
        elif more:
            payload["next_page_token"] = ""
        marks = PageMarks(
            items_field=field,
            token_field="next_page_token",  # noqa: S106 - the name of a field
            asked_with=ask.values.get("page_token") or None,
            listing=listing,
            same_place=lambda: self._tokens.issue(listing, start, reworded=True),
        )
        return Reply(200, payload, page=marks)

    def cut(
        self,
        ask: Ask,
        field: str,
        found: Sequence[tuple[int, T]],
        shown: Callable[[T], Any],
        *,
        default: int = 50,
        newest_first: bool = False,
        skip: int = 0,
        more: Mapping[str, Any] | None = None,
    ) -> Reply:
        """A page of a complete list, whose items have rising or falling numbers."""
        size = self.size(ask, default)
        after = self.place(ask, default)
        start = skip
        if after is not None:
            last = after[1]
            passed = (number < last if newest_first else number > last for number, _ in found)
            start = next((at for at, is_behind in enumerate(passed) if is_behind), len(found))
        page = found[start : start + size]
        next_key = (0.0, page[-1][0]) if page and start + size < len(found) else None
        return self.reply(ask, field, [shown(item) for _, item in page], next_key, default=default, more=more)

    def _listing(self, ask: Ask, default: int) -> Query:
        given = {**ask.values, "page_size": self.size(ask, default)}
        given.pop("page_token", None)
        return (
            ask.operation,
            ask.resource,
            *(f"{name}={given[name]}" for name in sorted(given) if given[name] not in ("", None)),
        )
