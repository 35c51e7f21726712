"""The asyncio client for the Kognitos APIs.

Names are imported on first use, so that `import kognitos_async` loads neither aiohttp nor a model.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

if _TYPE_CHECKING:
    from kognitos_async.bulk.journal import Journal, JournalEntry
    from kognitos_async.bulk.ledger import StartLedger
    from kognitos_async.bulk.types import RunOutcome
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
    from kognitos_async.mirror.rows import MirrorError, SyncResult
    from kognitos_async.paging import Page, Pager
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
    from kognitos_async.rest_v2.client import KognitosClient
    from kognitos_async.rest_v2.files import Files
    from kognitos_async.rest_v2.models import (
        SETTLED,
        FileUpload,
        Health,
        Process,
        Run,
        RunHandle,
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
    from kognitos_async.shared_clients import shared_client, shared_platform_client
    from kognitos_async.uploads.sources import FileSource
    from kognitos_async.waiting.policy import PollPolicy

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
    "FileSource",
    "FileUpload",
    "Files",
    "Filter",
    "Health",
    "InvokeRequest",
    "Journal",
    "JournalEntry",
    "JournalError",
    "KognitosClient",
    "KognitosError",
    "MirrorError",
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
    "RunHandle",
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
    "StartLedger",
    "StartUncertainError",
    "StartedRun",
    "SyncResult",
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
    "shared_client",
    "shared_platform_client",
    "to_value",
]

_HOMES = {
    "Journal": "bulk.journal",
    "JournalEntry": "bulk.journal",
    "StartLedger": "bulk.ledger",
    "RunOutcome": "bulk.types",
    "APIStatusError": "errors",
    "AuthenticationError": "errors",
    "AwaitingGuidanceError": "errors",
    "BadRequestError": "errors",
    "CapacityError": "errors",
    "ClientClosedError": "errors",
    "ConfigurationError": "errors",
    "ConflictError": "errors",
    "DecodeError": "errors",
    "JournalError": "errors",
    "KognitosError": "errors",
    "MirrorError": "mirror.rows",
    "SyncResult": "mirror.rows",
    "NotFoundError": "errors",
    "NotSentError": "errors",
    "OutcomeUnknownError": "errors",
    "PaginationError": "errors",
    "PermissionDeniedError": "errors",
    "RateLimitError": "errors",
    "RunError": "errors",
    "RunExceptionError": "errors",
    "RunFailedError": "errors",
    "RunStoppedError": "errors",
    "ServerError": "errors",
    "StartUncertainError": "errors",
    "TransportError": "errors",
    "UnknownStatusError": "errors",
    "UploadError": "errors",
    "WaitTimeoutError": "errors",
    "Page": "paging",
    "Pager": "paging",
    "PlatformClient": "platform_v1.client",
    "Download": "platform_v1.files",
    "PresignedUrl": "platform_v1.files",
    "file_ref": "platform_v1.files",
    "F": "platform_v1.filters",
    "Filter": "platform_v1.filters",
    "AutomationStage": "platform_v1.models.runs",
    "InvokeRequest": "platform_v1.models.runs",
    "PlatformRun": "platform_v1.models.runs",
    "RunState": "platform_v1.models.runs",
    "SETTLED_STATES": "platform_v1.models.runs",
    "StartedRun": "platform_v1.models.runs",
    "Table": "platform_v1.tables",
    "FileRef": "platform_v1.values",
    "UnknownValue": "platform_v1.values",
    "from_value": "platform_v1.values",
    "to_value": "platform_v1.values",
    "KognitosClient": "rest_v2.client",
    "Files": "rest_v2.files",
    "FileUpload": "rest_v2.models",
    "Health": "rest_v2.models",
    "Process": "rest_v2.models",
    "Run": "rest_v2.models",
    "RunHandle": "rest_v2.models",
    "RunInput": "rest_v2.models",
    "RunOutput": "rest_v2.models",
    "RunRequest": "rest_v2.models",
    "RunStatus": "rest_v2.models",
    "SETTLED": "rest_v2.models",
    "Stage": "rest_v2.models",
    "UploadedFile": "rest_v2.models",
    "Processes": "rest_v2.processes",
    "Runs": "rest_v2.runs",
    "RetryPolicy": "retry",
    "shared_client": "shared_clients",
    "shared_platform_client": "shared_clients",
    "FileSource": "uploads.sources",
    "PollPolicy": "waiting.policy",
}
"""The module of each public name."""
_SUBMODULES = frozenset({"errors", "platform_v1", "rest_v2", "testing"})


def __getattr__(name: str) -> object:
    value: object
    if name == "__version__":
        value = _import_module("kognitos_async.settings").VERSION
    elif name in _HOMES:
        value = getattr(_import_module(f"kognitos_async.{_HOMES[name]}"), name)
    elif name in _SUBMODULES:
        return _import_module(f"kognitos_async.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
