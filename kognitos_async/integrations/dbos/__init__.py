"""DBOS: a durable workflow for each run, on SQLite for one process or on PostgreSQL for many.

    from kognitos_async import RunRequest
    from kognitos_async.integrations.dbos import KognitosWorkflows

    kognitos = KognitosWorkflows({"api_key": "…"}, database_url="postgresql://db/kognitos")
    kognitos.launch()                                      # in each worker
    handle = await kognitos.enqueue(RunRequest(process_id="…", name="invoice 7"))   # anywhere
    run = await handle.result()

Needs `pip install 'kognitos-async[dbos]'`. `kognitos_async/integrations/README.md` describes the design, the
behaviour at each crash, and the limitations.
"""

try:
    import dbos as _  # noqa: F401 - says what to install before anything else fails
except ModuleNotFoundError as _missing:
    if _missing.name != "dbos":
        raise
    raise ModuleNotFoundError(
        "kognitos_async.integrations.dbos needs DBOS: pip install 'kognitos-async[dbos]'", name="dbos"
    ) from None

from kognitos_async.integrations.dbos.executor_lock import GIVEN_UP
from kognitos_async.integrations.dbos.handles import (
    ChangedWorkflowError,
    OnSettledError,
    WorkflowCancelledError,
    WorkflowHandle,
)
from kognitos_async.integrations.dbos.status import EngineStatus
from kognitos_async.integrations.dbos.workflows import KognitosPlatformWorkflows, KognitosWorkflows

__all__ = [
    "GIVEN_UP",
    "ChangedWorkflowError",
    "EngineStatus",
    "KognitosPlatformWorkflows",
    "KognitosWorkflows",
    "OnSettledError",
    "WorkflowCancelledError",
    "WorkflowHandle",
]
