"""The attributes of spans and metrics for requests, runs and errors. Pure.

HTTP attributes follow the stable OpenTelemetry semantic conventions, with the opt-in `url.template`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from kognitos_async.errors import APIStatusError, UploadError
from kognitos_async.messages import Request, StoreRequest

if TYPE_CHECKING:
    from kognitos_async.errors import KognitosError

Attributes = dict[str, "str | int | float | bool"]

METHOD, RESENDS = "http.request.method", "http.request.resend_count"
STATUS, ERROR = "http.response.status_code", "error.type"
ADDRESS, PORT, URL, TEMPLATE = "server.address", "server.port", "url.full", "url.template"

RUN_ID, RUN_STATUS = "kognitos.run.id", "kognitos.run.status"
PROCESS_ID, AUTOMATION_ID = "kognitos.process.id", "kognitos.automation.id"
UNCERTAIN = "kognitos.start.uncertain"

_WORDS = frozenset(
    {
        "me",
        "organizations",
        "workspaces",
        "preferences",
        "invitations",
        "invites",
        "roles",
        "users",
        "automations",
        "revisions",
        "visualization",
        "schedule",
        "triggers",
        "books",
        "procedures",
        "tags",
        "versions",
        "concepts",
        "connections",
        "discoverables",
        "discover",
        "authorize",
        "upgrade",
        "runs",
        "events",
        "executions",
        "outputs",
        "files",
        "metadata",
        "exceptions",
        "exceptionGroups",
        "guideEntries",
        "agents",
        "dashboards",
        "metrics",
        "user-info",
        "health",
        "processes",
    }
)
"""The fixed path segments of both APIs; all others are ids."""
_VERB = re.compile(r"[A-Za-z]{1,60}")


def route(path: str) -> str:
    """The path with ids replaced by {id}, of low cardinality."""
    return "/".join(_template(part) for part in path.split("/"))


def _template(part: str) -> str:
    word, colon, verb = part.partition(":")
    fixed = word if word in _WORDS or not word else "{id}"
    return f"{fixed}:{verb}" if colon and _VERB.fullmatch(verb) else fixed


class Server(msgspec.Struct, frozen=True):
    """The address of the API."""

    base_url: str
    host: str
    port: int

    @classmethod
    def of(cls, base_url: str) -> Server:
        """The address in a base URL."""
        parts = urlsplit(base_url)
        return cls(base_url, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0))


_DEFAULT_PORTS = {"https": 443, "http": 80}


def request_attributes(what: Request | StoreRequest, server: Server) -> Attributes:
    """The attributes of a request, for metrics and spans."""
    if isinstance(what, StoreRequest):
        server = Server.of(what.origin)
        return {METHOD: what.method, ADDRESS: server.host, PORT: server.port}
    return {
        METHOD: what.method,
        ADDRESS: server.host,
        PORT: server.port,
        TEMPLATE: route(what.path),
    }


def url_of(what: Request | StoreRequest, server: Server) -> str:
    """The URL without its query; of a presigned one only the origin."""
    return f"{what.origin}/REDACTED" if isinstance(what, StoreRequest) else server.base_url + what.path


def result_attributes(result: int | str | KognitosError) -> Attributes:
    """The attributes of the result of an attempt: a status, an error, "stored" or "cancelled"."""
    if result == "cancelled":
        return {ERROR: "CancelledError"}
    status = result if isinstance(result, int) else None
    if isinstance(result, APIStatusError | UploadError):
        status = result.status
    found: Attributes = {} if status is None else {STATUS: status}
    if status is not None and status >= 300:
        found[ERROR] = str(status)
    elif not isinstance(result, int | str):
        found[ERROR] = error_type(result)
    return found


def error_type(error: BaseException) -> str:
    """The `error.type` of an error: the status of an `APIStatusError`, else the name of the class."""
    return str(error.status) if isinstance(error, APIStatusError) else type(error).__qualname__


def asked_attributes(asked: Any) -> Attributes:
    """The attributes of a request to start a run, or of a run: its process or automation."""
    if (process := getattr(asked, "process_id", None)) is not None:
        return {PROCESS_ID: str(process)}
    if (automation := getattr(asked, "automation", None)) is not None:
        return {AUTOMATION_ID: _last(automation)}
    return {}


def run_attributes(run: Any) -> Attributes:
    """The attributes of a run: its id, its process or automation, its status if known."""
    if run is None:
        return {}
    found: Attributes = {RUN_ID: _last(run.id), **asked_attributes(run)}
    if (status := getattr(run, "status", None)) is not None:
        found[RUN_STATUS] = str(status)
    return found


def _last(name: Any) -> str:
    """The id at the end of a resource name."""
    return str(getattr(name, "name", name)).rpartition("/")[2]
