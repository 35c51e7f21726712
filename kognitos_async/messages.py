"""Requests and responses as values: encoding, decoding, errors by status, redaction. No I/O."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from kognitos_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    CapacityError,
    ConflictError,
    DecodeError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
from kognitos_async.http_date import parse_http_date
from kognitos_async.retry import parse_retry_after

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

QueryValue = str | int | float | bool | list[str] | tuple[str, ...] | None
"""A value of a query parameter."""

_BODY_KEPT = 64 * 1024
_MESSAGE_KEPT = 500
_REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-requestid", "apigw-requestid", "x-amzn-trace-id")
_CAPACITY = re.compile(
    r"resource not available|capacity|concurren|(maximum|limit)\b.*\bruns\b|\bruns\b.*\b(maximum|limit)|"
    r"too many (active |running )?runs",
    re.IGNORECASE | re.DOTALL,
)
_CAPACITY_STATUSES = (403, 404, 409, 422, 423)
_ID = re.compile(r"[A-Za-z0-9_-]+")
_RUN_IN_PATH = re.compile(r"/runs/([^/:]+)")
_FIELD = re.compile(r" - at `(?:key in )?([^`]*)`")


class Request(msgspec.Struct, frozen=True):
    """One request to the API. Its str is the method and the path."""

    method: str
    target: str
    """The percent-encoded path below the base URL, with the query."""
    body: bytes | None = None
    repeatable: bool = True
    """Whether it may be sent again when the answer was lost."""
    starts_run: bool = False
    """Whether it is admitted before other requests, and a refusal may be a `CapacityError`."""
    confidential: bool = False
    """Whether errors omit the body of the answer."""
    waits_for_capacity: bool = True
    """Whether a `CapacityError` is retried like a 429, not raised at once."""
    identity: tuple[str, str] | None = None
    """The member that identifies the resource in the answer, and its expected value."""

    @property
    def path(self) -> str:
        """The path without the query, whose tokens and filters are kept out of messages."""
        return self.target.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def __repr__(self) -> str:
        return f"Request({self})"  # a body may hold credentials, a query tokens

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("path", self.path)]


class StoreRequest(msgspec.Struct, frozen=True):
    """A request to the file store. Its URL is presigned, so only the origin is kept."""

    method: str
    origin: str

    def __str__(self) -> str:
        return "upload to the file store"


class Upload(msgspec.Struct, frozen=True):
    """A streamed body; each attempt calls `pieces` for a new iterator."""

    content_type: str
    size: int
    pieces: Callable[[], AsyncGenerator[bytes | memoryview]]


class Response(msgspec.Struct, frozen=True):
    """A complete response; `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"  # a body may hold a presigned form

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("status", self.status), ("size", len(self.body))]


def run_id_of(what: object) -> str | None:
    """The id of the run in the path of a request; None if there is none."""
    found = _RUN_IN_PATH.search(what.path) if isinstance(what, Request) else None
    return None if found is None else unquote(found[1])


def segment(identifier: str) -> str:
    """`identifier` percent-encoded as one segment of a path, or as a name or value of a query."""
    # A fast path for nearly all ids and parameters; quote() takes ten times as long.
    plain = identifier.isascii() and (identifier.isalnum() or identifier.isidentifier())
    return identifier if plain else quote(identifier, safe="")


def with_query(path: str, parameters: Mapping[str, QueryValue]) -> str:
    """`path` with the parameters as its query. None is omitted, a list repeats the parameter."""
    pairs = [
        f"{segment(name)}={segment(_query_word(value))}"
        for name, values in parameters.items()
        if values is not None
        for value in (values if isinstance(values, list | tuple) else (values,))
    ]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _query_word(value: str | float) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # str() of a member of an Enum of str is its name
    return str(value).lower() if isinstance(value, bool) else str(value)


class Redactor:
    """Removes secrets from data received, before it is shown or logged."""

    __slots__ = ("_secrets",)

    def __init__(self, *secrets: str) -> None:
        written = [form for secret in secrets if secret for form in (secret.encode(), _in_json(secret))]
        self._secrets = tuple(dict.fromkeys(written))

    def clean(self, body: bytes) -> bytes:
        """The first 64 KiB of `body`, with every secret replaced."""
        # Replaced before truncation, so that no part of a secret remains at the end.
        return self._without_escaped(self._without(body)[:_BODY_KEPT])

    def remove(self, body: bytes) -> bytes:
        """All of `body` with every secret replaced."""
        return self._without_escaped(self._without(body))

    def _without(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret, b"[redacted]")
        return body

    def _without_escaped(self, body: bytes) -> bytes:
        """The body without secrets that JSON escapes hide: it is encoded anew, without escapes."""
        if b"\\" not in body:
            return body
        try:
            plain = msgspec.json.encode(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return body
        cleaned = self._without(plain)
        return body if cleaned == plain else cleaned

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"


def _in_json(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def decoder_for(response_type: type[T], *, strict: bool = True) -> msgspec.json.Decoder[T]:
    """The cached JSON decoder of a type. Without `strict` it accepts numbers written as strings."""
    made: msgspec.json.Decoder[T] = _cached_decoder(response_type, strict=strict)
    return made


_cached_decoder: Any = functools.lru_cache(maxsize=512)(msgspec.json.Decoder)


def decode(decoder: msgspec.json.Decoder[T], request: Request, response: Response, redactor: Redactor) -> T:
    """The model in a 2xx response.

    An empty body is decoded as null by msgspec's decoders and passed as it is to others. Raises `DecodeError`
    if the body cannot be decoded or has another identity than the request.
    """
    try:
        model = decoder.decode(_body_of(response, decoder))
        if request.identity is None or not _is_other_resource(model, *request.identity):
            return model
        # After an unsolicited response, each request on the connection gets that of its predecessor.
        raise DecodeError(
            f"{request}: {response.status} with the answer to another request, by its id",
            path=f"$.{request.identity[0]}",
            body=b"" if request.confidential else redactor.clean(response.body),
            malformed=True,
            other_resource=True,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        # A truncated body may have a wrong type before the point of truncation.
        malformed = not isinstance(problem, msgspec.ValidationError) or not _is_json(response.body)
        reason = str(problem)
    # Outside the handler: the original error, which would be chained, shows bytes of the body.
    found = _FIELD.search(reason)
    path = found[1] if found else "$"
    if malformed:
        reason = f"{_kind_of_body(response)} instead of JSON ({reason})"
    raise DecodeError(
        f"{request}: {response.status} with an answer that is not as documented "
        f"at {path}: {_printable(redactor.clean(reason.encode()))}",
        path=path,
        body=b"" if request.confidential else redactor.clean(response.body),
        malformed=malformed,
    )


def _is_other_resource(model: object, member: str, value: str) -> bool:
    """Whether `member` is the id of another resource than `value`. Text that cannot be an id is ignored."""
    found = getattr(model, member, value)
    if found == value or not isinstance(found, str):
        return False
    if value.startswith("organizations/"):
        return found.startswith("organizations/") and found.rpartition("/")[2] != value.rpartition("/")[2]
    return _ID.fullmatch(found) is not None


def _body_of(response: Response, decoder: object) -> bytes:
    return response.body or (b"null" if isinstance(decoder, msgspec.json.Decoder) else b"")


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _kind_of_body(response: Response) -> str:
    if not response.body:
        return "an empty body"
    return "an HTML page, perhaps from a proxy," if _is_html(response) else "something"


def _is_html(response: Response) -> bool:
    if not response.body:
        return False
    return "html" in response.headers.get("Content-Type", "") or response.body.lstrip()[:1] == b"<"


def status_error(
    request: Request, response: Response, redactor: Redactor, *, now: datetime, attempts: int
) -> APIStatusError:
    """The error for a status other than 2xx, with secrets removed."""
    status = response.status
    body = b"" if request.confidential else redactor.clean(response.body)
    message, details = _message_and_details(body)
    kind, advice = _classify(request, status, message)
    what = message.rstrip(".") or _instead_of_a_message(request, response)
    request_id = next((response.headers[h] for h in _REQUEST_ID_HEADERS if h in response.headers), None)
    if request_id is not None:
        request_id = _printable(redactor.clean(request_id.encode("utf-8", "surrogateescape")))[:200]
    suffix = f" [request {request_id}]" if request_id else ""
    return kind(
        f"{request}: {status}, {what}. {advice}{suffix}",
        status=status,
        message=message,
        details=details,
        body=body,
        request_id=request_id,
        method=request.method,
        path=request.path,
        attempts=attempts,
        retry_after=parse_retry_after(response.headers.get("Retry-After"), _date_of(response) or now),
    )


def _instead_of_a_message(request: Request, response: Response) -> str:
    if request.confidential and response.body:
        return "an explanation that is not shown because it may hold secrets"
    return "an HTML page, perhaps from a proxy" if _is_html(response) else "no explanation"


def _date_of(response: Response) -> datetime | None:
    """The Date of a response with Retry-After, so that both are read by the same clock."""
    return parse_http_date(response.headers.get("Date")) if "Retry-After" in response.headers else None


_BY_STATUS: dict[int, tuple[type[APIStatusError], str]] = {
    400: (BadRequestError, "Check the arguments."),
    401: (AuthenticationError, "Check the key and that it belongs to this region."),
    403: (PermissionDeniedError, "Check what the key may do and that it belongs to this region."),
    404: (NotFoundError, "Check the id, agent or workspace, and that the key may see it."),
    409: (ConflictError, "Read the resource again before changing it."),
    429: (RateLimitError, "Send less, or set requests_per_second."),
}


def _classify(request: Request, status: int, message: str) -> tuple[type[APIStatusError], str]:
    if request.starts_run and _means_capacity(status, message):
        return CapacityError, "Nothing was started. Start again when some runs have settled."
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ServerError, "Try again later."
    if 300 <= status < 400:
        return APIStatusError, "Redirects are never followed: check base_url."
    return APIStatusError, "Check the request."


def means_by_body(request: Request, status: int) -> bool:
    """Whether the body of a refusal decides what it means, the status alone does not."""
    return request.starts_run and status in _CAPACITY_STATUSES


def _means_capacity(status: int, message: str) -> bool:
    """Whether the refusal of a start means that the organization is at capacity.

    The vendor's pages give 403, and the words "Resource Not Available" without a status.
    """
    if status == 403:
        return _CAPACITY.search(message) is not None
    return status in _CAPACITY_STATUSES and "resource not available" in message.lower()


def _message_and_details(body: bytes) -> tuple[str, list[Any]]:
    """The message and details in an error body: of the API, google.rpc.Status or a gateway."""
    try:
        model = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", []
    if not isinstance(model, dict):
        return "", []
    message = model.get("message") or model.get("Message") or ""
    details = model.get("details")
    return (
        _printable(message.encode("utf-8", "replace")) if isinstance(message, str) else "",
        details if isinstance(details, list) else [],
    )


def _printable(raw: bytes) -> str:
    """One line of at most 500 characters, without control characters."""
    text = raw.decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * _MESSAGE_KEPT]).split())[
        :_MESSAGE_KEPT
    ]
