"""Handles of enqueued requests, to get their outcome from any process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from dbos._error import DBOSAwaitedWorkflowCancelledError  # public as `dbos.error`, which is no module

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from dbos import DBOSClient

    from kognitos_async.integrations.dbos.apis import Api


_LOOK = 0.5
"""Seconds between checks for an outcome."""


class ChangedWorkflowError(KognitosError):
    """A different request was already enqueued under this name; the new one is not run."""


class WorkflowCancelledError(KognitosError):
    """The workflow was cancelled; its run continues if it was started."""


class OnSettledError(KognitosError):
    """`on_settled` raised in every attempt; the run has settled but is not handed on."""

    def __init__(self, text: str, *, run_id: str) -> None:
        super().__init__(text)
        self.run_id = run_id
        """The id of the run; `resolve` with it calls `on_settled` again."""


class WorkflowHandle:
    """The workflow of one request."""

    def __init__(self, client: DBOSClient, api: Api, workflow_id: str, name: str) -> None:
        self.workflow_id = workflow_id
        """The id of the workflow in DBOS."""
        self.name = name
        """The name of the request."""
        self._client = client
        self._api = api

    def __repr__(self) -> str:
        return f"WorkflowHandle({self.workflow_id!r})"

    async def status(self) -> str:
        """The status in DBOS: ENQUEUED, PENDING, SUCCESS, ERROR or CANCELLED."""
        handle: Any = await self._client.retrieve_workflow_async(self.workflow_id)
        return str((await handle.get_status()).status)

    async def result(self) -> Any:
        """Wait for the settled run (`Run` or `PlatformRun`), whether it succeeded or not.

        A timeout around this ends only the wait. Raises `StartUncertainError` while it is uncertain whether
        the run exists (decide with `kognitos engine resolve`), `WorkflowCancelledError`, the error with which
        the API rejected an upload or the start, and `OnSettledError` if `on_settled` failed.
        """
        handle: Any = await self._client.retrieve_workflow_async(self.workflow_id)
        try:
            run = await handle.get_result(polling_interval_sec=_LOOK)
        except DBOSAwaitedWorkflowCancelledError:
            raise WorkflowCancelledError(f"the workflow of {self.name!r} was cancelled") from None
        return self._api.load_run(msgspec.json.encode(run))

    async def cancel(self) -> None:
        """Cancel the workflow. A started run continues; one that was not started will not be."""
        await self._client.cancel_workflow_async(self.workflow_id)
