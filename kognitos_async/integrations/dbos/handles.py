"""What `enqueue` returns: the way to a run's outcome, from any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from dbos._error import DBOSAwaitedWorkflowCancelledError  # public as `dbos.error`, which is no module

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kognitos_async.integrations.dbos.apis import Api


_LOOK = 0.5
"""Seconds between two looks for an outcome."""


class ChangedWorkflowError(KognitosError):
    """Another request was enqueued under this name before; that one runs, the new one does not."""


class WorkflowCancelledError(KognitosError):
    """The workflow was cancelled: nobody waits for its run, which goes on if it was started."""


class WorkflowHandle:
    """The workflow of one request."""

    def __init__(self, client: DBOSClient, api: Api, workflow_id: str, name: str) -> None:
        self.workflow_id = workflow_id
        """The id that DBOS knows it by."""
        self.name = name
        """The name of the request."""
        self._client = client
        self._api = api

    def __repr__(self) -> str:
        return f"WorkflowHandle({self.workflow_id!r})"

    async def status(self) -> str:
        """DBOS's word: ENQUEUED, PENDING, SUCCESS, ERROR, CANCELLED."""
        handle: Any = await self._client.retrieve_workflow_async(self.workflow_id)
        return str((await handle.get_status()).status)

    async def result(self) -> Any:
        """The settled run (`Run`, or `PlatformRun`), whatever it settled as; `raise_for_status()` raises.

        Waits as long as it takes; a time limit around it ends the waiting only. Raises
        `StartUncertainError` while it cannot be told whether the run exists (`kognitos engine resolve`
        decides), `WorkflowCancelledError`, the error for which the API refused the start, and what
        `on_settled` raised in five attempts.
        """
        handle: Any = await self._client.retrieve_workflow_async(self.workflow_id)
        try:
            run = await handle.get_result(polling_interval_sec=_LOOK)
        except DBOSAwaitedWorkflowCancelledError:
            raise WorkflowCancelledError(f"the workflow of {self.name!r} was cancelled") from None
        return self._api.load_run(msgspec.json.encode(run))

    async def cancel(self) -> None:
        """Stop waiting. A run that was started goes on; one that was not is not started any more."""
        await self._client.cancel_workflow_async(self.workflow_id)
