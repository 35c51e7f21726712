"""The conversation about an exception: replies and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.platform_v1.event_stream import EventStream
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import exceptions as models
from kognitos_async.platform_v1.names import RUN
from kognitos_async.platform_v1.resource import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from kognitos_async.paging import Pager
    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Name, Named

AGENT = (*RUN, "agents")
EVENT = (*AGENT, "events")
ASTRAL = "astral"
"""The agent that handles exceptions with people."""


class ExceptionEvents(Resource):
    """The conversation about exceptions. Methods accept a run or the exception it raised."""

    async def reply(
        self,
        run: str | Named,
        message: str,
        agent: str = ASTRAL,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Event:
        """Send `message`, plain text, to the agent that asks for guidance; return the event that holds it.

        Sent once: after `OutcomeUnknownError`, check `events` before replying again. (CreateEvent)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        return await self._send(
            "POST",
            f"{name.path}/events",
            models.Event,
            body={"user_message": {"content": checks.text("message", message)}},
        )

    def events(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        filter: Filter | str | None = None,
        automation: str | Named | None = None,
        page_size: int = 100,
        page_token: str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> Pager[models.Event]:
        """A pager over the events of a run's agent, newest first. `filter` supports `exception`.

        (ListEvents)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        return self._list(
            f"{name.path}/events",
            models.ListEventsResponse,
            "events",
            query={"filter": filter_text(filter)},
            page_size=page_size,
            page_token=page_token,
        )

    async def get_event(
        self,
        event: str | Named,
        *,
        run: str | Named | None = None,
        agent: str = ASTRAL,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.Event:
        """An event. A bare id needs `run`. (GetEvent)"""
        within = None
        if run is not None:
            within = self._agent(run, agent, automation, workspace_id, organization_id)
        name = self._scope.resolve(
            "event",
            event,
            EVENT,
            within=within,
            workspace_id=workspace_id,
            organization_id=organization_id,
        )
        return await self._send("GET", name.path, models.Event, name=name)

    def stream(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        idle_timeout: float | None = None,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[models.Event]]:
        """An async context manager over an async iterator of events as they happen, until the API ends it.

        Broken connections are made again and the events missed meanwhile read from the list: none is missing,
        and none is repeated unless it changed, as those in `STATE_STREAMING` do. A connection that worked
        before it broke does not count as a failed attempt; the client's `RetryPolicy` bounds those that fail
        at once. Streams use connections of their own and block no other request. `idle_timeout`, in seconds,
        counts silence as a failed attempt; None waits.

        The iterator raises `DecodeError` with the number of a line that is not an event, the `APIStatusError`
        for a line that holds an error, and `TransportError` if the connection cannot be restored.
        (StreamEvents)
        """
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        limit = checks.seconds_or_none("idle_timeout", idle_timeout)
        return EventStream(self._sender, f"{name.path}/events", limit)

    async def cancel_generation(
        self,
        run: str | Named,
        agent: str = ASTRAL,
        *,
        automation: str | Named | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Stop the agent's current response. (CancelGeneration)"""
        name = self._agent(run, agent, automation, workspace_id, organization_id)
        await self._send("POST", f"{name.path}/events:cancelGeneration", None)

    def _agent(
        self,
        run: str | Named,
        agent: str,
        automation: str | Named | None,
        workspace_id: str | None,
        organization_id: str | None,
    ) -> Name:
        if isinstance(run, models.RunException):
            run = run.run
        found = self._scope.run(run, automation, workspace_id, organization_id)
        return self._scope.resolve("agent", agent, AGENT, within=found)
