"""Triggers: wait for a run started by a worker; they only read."""

# pyright: reportMissingImports=false
# Airflow is large and not among the development dependencies.

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from kognitos_async.errors import KognitosError
from kognitos_async.integrations.airflow.hooks import KognitosHook, KognitosPlatformHook
from kognitos_async.integrations.airflow.outcomes import Outcome, outcome_of, outcome_of_error
from kognitos_async.platform_v1.models.runs import StartedRun
from kognitos_async.rest_v2.models import RunHandle
from kognitos_async.shared_clients import shared_client, shared_platform_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class KognitosRunTrigger(BaseTrigger):
    """Fires once when a run of REST API v2 has settled or the wait has failed.

    All triggers of a connection in a triggerer share one client and its polls: waiting for a hundred runs of
    a process reads one list, not a hundred runs. Ending the trigger (by a restart of the triggerer, a timeout
    or clearing the task) ends only the wait.

    Args:
        conn_id: The connection, read in the triggerer, so that no key is stored with the trigger.
        handle: `RunHandle` as JSON.
    """

    _hook: ClassVar[type[KognitosHook]] = KognitosHook

    def __init__(self, conn_id: str, handle: dict[str, Any]) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.handle = handle

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and the arguments, as stored by Airflow."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", {"conn_id": self.conn_id, "handle": self.handle}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, whose payload is an `Outcome`."""
        try:
            connection = await BaseHook.aget_connection(self.conn_id)
            outcome = await self._wait(self._hook.settings(connection))
        except KognitosError as error:
            outcome = outcome_of_error(error)
        yield TriggerEvent(msgspec.to_builtins(outcome))

    async def _wait(self, settings: dict[str, Any]) -> Outcome:
        async with shared_client(**settings) as client:
            return outcome_of(await client.wait_for_run(msgspec.convert(self.handle, RunHandle)))


class KognitosInvokeTrigger(KognitosRunTrigger):
    """Like `KognitosRunTrigger`, for a run of the platform API; `handle` is a `StartedRun` as JSON."""

    _hook = KognitosPlatformHook

    async def _wait(self, settings: dict[str, Any]) -> Outcome:
        async with shared_platform_client(**settings) as client:
            return outcome_of(await client.wait_for_run(msgspec.convert(self.handle, StartedRun)))
