"""The asyncio client for the Kognitos APIs."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

from kognitos_async.errors import (
    APIStatusError,
    AuthenticationError,
    AwaitingGuidanceError,
    BadRequestError,
    CapacityError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DecodeError,
    JournalError,
    KognitosError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PaginationError,
    PermissionDeniedError,
    RateLimitError,
    RunError,
    RunExceptionError,
    RunFailedError,
    RunStoppedError,
    ServerError,
    StartUncertainError,
    TransportError,
    UnknownStatusError,
    UploadError,
    WaitTimeoutError,
)
from kognitos_async.paging import Page, Pager
from kognitos_async.rest_v2.client import KognitosClient
from kognitos_async.rest_v2.files import Files
from kognitos_async.rest_v2.models import (
    SETTLED,
    FileUpload,
    Health,
    Process,
    Run,
    RunInput,
    RunOutput,
    RunRequest,
    RunStatus,
    Stage,
    UploadedFile,
)
from kognitos_async.rest_v2.processes import Processes
from kognitos_async.rest_v2.runs import Runs
from kognitos_async.retry import RetryPolicy
from kognitos_async.settings import VERSION as __version__
from kognitos_async.waiting.policy import PollPolicy

if _TYPE_CHECKING:
    from kognitos_async.bulk.types import RunOutcome
    from kognitos_async.platform_v1.client import PlatformClient
    from kognitos_async.platform_v1.files import Download, PresignedUrl, file_ref
    from kognitos_async.platform_v1.filters import F, Filter
    from kognitos_async.platform_v1.models.runs import (
        SETTLED_STATES,
        AutomationStage,
        InvokeRequest,
        PlatformRun,
        RunState,
        StartedRun,
    )
    from kognitos_async.platform_v1.tables import Table
    from kognitos_async.platform_v1.values import FileRef, UnknownValue, from_value, to_value

__all__ = [
    "SETTLED",
    "SETTLED_STATES",
    "APIStatusError",
    "AuthenticationError",
    "AutomationStage",
    "AwaitingGuidanceError",
    "BadRequestError",
    "CapacityError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DecodeError",
    "Download",
    "F",
    "FileRef",
    "FileUpload",
    "Files",
    "Filter",
    "Health",
    "InvokeRequest",
    "JournalError",
    "KognitosClient",
    "KognitosError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "Page",
    "Pager",
    "PaginationError",
    "PermissionDeniedError",
    "PlatformClient",
    "PlatformRun",
    "PollPolicy",
    "PresignedUrl",
    "Process",
    "Processes",
    "RateLimitError",
    "RetryPolicy",
    "Run",
    "RunError",
    "RunExceptionError",
    "RunFailedError",
    "RunInput",
    "RunOutcome",
    "RunOutput",
    "RunRequest",
    "RunState",
    "RunStatus",
    "RunStoppedError",
    "Runs",
    "ServerError",
    "Stage",
    "StartUncertainError",
    "StartedRun",
    "Table",
    "TransportError",
    "UnknownStatusError",
    "UnknownValue",
    "UploadError",
    "UploadedFile",
    "WaitTimeoutError",
    "__version__",
    "file_ref",
    "from_value",
    "to_value",
]

_LATER = {
    "kognitos_async.bulk.job": ("RunOutcome",),
    "kognitos_async.platform_v1.client": ("PlatformClient",),
    "kognitos_async.platform_v1.files": ("Download", "PresignedUrl", "file_ref"),
    "kognitos_async.platform_v1.filters": ("F", "Filter"),
    "kognitos_async.platform_v1.models.runs": (
        "SETTLED_STATES",
        "AutomationStage",
        "InvokeRequest",
        "PlatformRun",
        "RunState",
        "StartedRun",
    ),
    "kognitos_async.platform_v1.tables": ("Table",),
    "kognitos_async.platform_v1.values": ("FileRef", "UnknownValue", "from_value", "to_value"),
}
_HOMES = {name: module for module, names in _LATER.items() for name in names}
"""Where names live that most programs do without: SQLite and the platform's models load when first used."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(_import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
