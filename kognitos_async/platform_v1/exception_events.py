"""The conversation about an exception: replies, and the events that follow."""

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
"""The agent that people talk to about exceptions."""


class ExceptionEvents(Resource):
    """What is said and done about exceptions. Each method takes the run, or the exception that it raised."""

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
        """The event that holds `message`, plain text for the agent that asks for guidance with a run.

        Sent once: after `OutcomeUnknownError` look at `events` before replying again. (CreateEvent)
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
        """A pager over the events of a run's agent, newest first. The filter knows `exception`.

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
        """One event; a bare id needs `run`. (GetEvent)"""
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

        A broken connection is made again. One that worked before it was cut does not count as an attempt of
        the client's `RetryPolicy`, which bounds those that fail at once. Then the list of `events` is asked
        for what happened meanwhile: no event is missing, and none comes twice unless it has changed, as those
        in `STATE_STREAMING` do. Streams have connections of their own: they keep no other request waiting.
        A silent stream is waited for; with `idle_timeout` (seconds) silence counts as a failed attempt.

        The iterator raises `DecodeError` with the number of a line that is not an event, the `APIStatusError`
        of a line that holds an error, `TransportError` when the connection cannot be made again.
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
        """Make the agent stop what it is writing. (CancelGeneration)"""
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
