"""Processes of REST API v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.messages import Request, decoder_for, segment, with_query
from kognitos_async.rest_v2.models import Process
from kognitos_async.rest_v2.pages import pager

if TYPE_CHECKING:
    from kognitos_async.paging import Pager
    from kognitos_async.rest_v2.scope import Scope
    from kognitos_async.sender import Sender

_PROCESS = decoder_for(Process)


class Processes:
    """`client.processes`. See `KognitosClient` for the errors that every request may raise."""

    def __init__(self, sender: Sender, scope: Scope) -> None:
        self._sender = sender
        self._scope = scope

    def list(
        self, *, agent_id: str | None = None, limit: int = 100, continuation_token: str | None = None
    ) -> Pager[Process]:
        """A pager over the processes of an agent; Draft and Published versions are separate items.

        `limit` is the page size, 1 to 100. `continuation_token` resumes an earlier listing. Nothing is sent
        until the pager is used. Raises `ConfigurationError` without an agent. (list_processes)
        """
        query = {"agent_id": self._scope.agent(agent_id)}
        return pager(self._sender, Process, "/processes", query, limit, continuation_token)

    async def get(self, process_id: str, *, agent_id: str | None = None) -> Process:
        """The process. Raises `NotFoundError` if the agent has none of that id. (get_process)"""
        path = f"/processes/{segment(checks.identifier('process_id', process_id))}"
        query = {"agent_id": self._scope.agent(agent_id)}
        return await self._sender.send(
            Request("GET", with_query(path, query), identity=("id", str(process_id))), _PROCESS
        )
