"""Platform API handlers for exceptions and the events of agents."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from kognitos_async.testing.platform_v1 import aip160
from kognitos_async.testing.platform_v1.handling import (
    FAILED_PRECONDITION,
    ApiError,
    Ask,
    Handler,
    Pages,
    filter_of,
    invalid,
    not_found,
)
from kognitos_async.testing.platform_v1.model import USER
from kognitos_async.testing.platform_v1.questions import GROUPS
from kognitos_async.testing.platform_v1.rendering import (
    event_json,
    exception_json,
    group_json,
)
from kognitos_async.testing.platform_v1.world import WRITING_SECONDS, PlatformWorld
from kognitos_async.testing.routing import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from kognitos_async.testing.platform_v1.model import EmulatedEvent, EmulatedException, EmulatedPlatformRun

_STATES = ("PENDING", "RESOLVED", "ARCHIVED")
_LIVE = frozenset({"pending", "executing", "stopping", "awaiting_guidance"})
"""States in which agents may still add events."""
_FROM_AGENTS = (
    "agent_message",
    "tool_call_request",
    "tool_call_result",
    "thinking",
    "system_message",
    "completion_response",
)


def _state(text: str) -> str:
    word = text.removeprefix("EXCEPTION_STATE_")
    if word not in _STATES:
        message = f"{', '.join(_STATES)} are expected"
        raise ValueError(message)
    return word


def _last(name: str) -> str:
    return name.rpartition("/")[2]


_EXCEPTION_FIELDS = {
    "state": aip160.Field(lambda exception: exception.state, read=_state),
    "automation": aip160.Field(lambda exception: _last(exception.automation), read=_last),
    "run": aip160.Field(lambda exception: _last(exception.run), read=_last),
    "group": aip160.Field(lambda exception: exception.group, read=_last),
    "create_time": aip160.Field(
        lambda exception: exception.created_ns, aip160.ORDERED, aip160.nanoseconds, quoted=True
    ),
}
_EVENT_FIELDS = {
    "exception": aip160.Field(lambda event: _last(event.exception or ""), read=_last, quoted=True)
}


class ExceptionHandlers:
    """Handlers of exceptions, their groups and counts, and events."""

    def __init__(self, world: PlatformWorld, pages: Pages) -> None:
        self._world = world
        self._pages = pages

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by operationId."""
        return {
            "GetException": self._get_exception,
            "ListExceptions": self._list_exceptions,
            "ListExceptionGroups": self._list_groups,
            "CountExceptionsByGroup": self._count_by_group,
            "CountExceptionsByAutomation": self._count_by_automation,
            "CreateEvent": self._create_event,
            "GetEvent": self._get_event,
            "ListEvents": self._list_events,
            "StreamEvents": self._stream_events,
            "CancelGeneration": self._cancel_generation,
        }

    # Exceptions

    def _get_exception(self, ask: Ask) -> Reply:
        exception = self._world.exceptions.get(ask.path("exception_id"))
        if exception is None:
            raise not_found(f"Exception {ask.path('exception_id')}")
        return Reply(200, exception_json(self._world, exception))

    def _matching(self, ask: Ask) -> list[EmulatedException]:
        found = filter_of(ask, _EXCEPTION_FIELDS)
        return [exception for exception in self._world.exceptions.values() if found.matches(exception)]

    def _list_exceptions(self, ask: Ask) -> Reply:
        found = self._matching(ask)[::-1]
        skip: int = ask.values.get("skip") or 0
        if skip < 0:
            raise invalid([("skip", "must not be negative")])
        return self._pages.cut(
            ask,
            "exceptions",
            [(exception.number, exception) for exception in found],
            lambda exception: exception_json(self._world, exception),
            newest_first=True,
            skip=skip,
            more={"total_size": len(found)},
        )

    def _list_groups(self, ask: Ask) -> Reply:
        groups = [group_json(self._world, group) for group in GROUPS]
        return self._pages.cut(ask, "groups", list(enumerate(groups)), _itself)

    def _count_by_group(self, ask: Ask) -> Reply:
        counts = Counter(exception.group for exception in self._matching(ask))
        items = [{"group": group_json(self._world, group), "count": counts[group]} for group in counts]
        return self._counted(ask, "group_counts", items, counts.total())

    def _count_by_automation(self, ask: Ask) -> Reply:
        counts = Counter(exception.automation for exception in self._matching(ask))
        items = [{"automation": automation, "count": counts[automation]} for automation in counts]
        return self._counted(ask, "automation_counts", items, counts.total())

    def _counted(self, ask: Ask, field: str, items: list[dict[str, Any]], total: int) -> Reply:
        more = {"total_size": len(items), "total_exception_count": total}
        return self._pages.cut(ask, field, list(enumerate(items)), _itself, more=more)

    # Events

    def _run(self, ask: Ask) -> EmulatedPlatformRun:
        return self._world.runs[ask.path("run_id")]

    def _events(self, ask: Ask) -> Sequence[EmulatedEvent]:
        return self._run(ask).threads.get(ask.path("agent_id"), ())

    def _shown(self, event: EmulatedEvent) -> dict[str, Any]:
        return event_json(event, self._world.clock.now())

    def _create_event(self, ask: Ask) -> Reply:
        run, agent_id, body = self._run(ask), ask.path("agent_id"), ask.body
        problems = [(name, "only user_message may be set") for name in _FROM_AGENTS if name in body]
        message: dict[str, Any] = body.get("user_message") or {}
        if not problems and not (message.get("content") or message.get("content_list")):
            problems = [("user_message", "content or content_list is required")]
        asked = body.get("exception")
        if asked and (run.exception is None or _last(asked) != run.exception.id):
            problems.append(("exception", "not the exception of this run"))
        if problems:
            raise invalid(problems)
        state = run.state
        if state not in _LIVE:
            raise ApiError(400, f"The run is {state} and takes no messages", code=FAILED_PRECONDITION)
        said = self._world.questions.add_event(
            run, "user_message", {"user": USER, **message}, agent_id=agent_id
        )
        self._reply(run, agent_id)
        if state == "awaiting_guidance":
            self._world.answer(run, USER)
        return Reply(200, self._shown(said))

    def _reply(self, run: EmulatedPlatformRun, agent_id: str) -> None:
        """An agent's reaction to a message: thinking, a tool call, an answer that takes a while."""
        call = self._world.new_id()
        for kind, payload, seconds in (
            ("thinking", {"content": "The answer settles what was missing."}, 0.0),
            ("tool_call_request", {"tool_call_id": call, "display_name": "Remember", "input": "{}"}, 0.0),
            ("tool_call_result", {"tool_call_id": call, "result": "done"}, 0.0),
            ("agent_message", {"content": "Thank you. The run continues with your answer."}, WRITING_SECONDS),
        ):
            self._world.questions.add_event(run, kind, payload, agent_id=agent_id, seconds=seconds)

    def _get_event(self, ask: Ask) -> Reply:
        for event in self._events(ask):
            if event.id == ask.path("event_id"):
                return Reply(200, self._shown(event))
        raise not_found(f"Event {ask.path('event_id')}")

    def _list_events(self, ask: Ask) -> Reply:
        found = filter_of(ask, _EVENT_FIELDS)
        events = self._events(ask)
        listed = [(event.number, event) for event in reversed(events) if found.matches(event)]
        more = {"total_size": len(events)}
        return self._pages.cut(ask, "events", listed, self._shown, newest_first=True, more=more)

    def _cancel_generation(self, ask: Ask) -> Reply:
        now = self._world.clock.now()
        for event in self._events(ask):
            if not event.is_done(now):
                event.payload = event.payload_at(now)
                event.done_at = now
                self._world.keep(self._run(ask))
        return Reply(200, {})

    def _stream_events(self, ask: Ask) -> Reply:
        run, events = self._run(ask), list(self._events(ask))
        there = b"".join(self._line(event) for event in events)
        agent_id = ask.path("agent_id")
        return Reply(
            200, body=there, content_type="application/x-ndjson", stream=lambda: self._lines(run, agent_id)
        )

    async def _lines(self, run: EmulatedPlatformRun, agent_id: str) -> AsyncGenerator[bytes, None]:
        """Every event as it occurs, and again once it is complete.

        An empty line means nothing to send: the sender waits a little.
        """
        sent: dict[str, bool] = {}
        while True:
            live = run.state in _LIVE
            now = self._world.clock.now()
            for event in list(run.threads.get(agent_id, ())):
                done = event.is_done(now)
                if sent.get(event.id) != done:
                    sent[event.id] = done
                    yield self._line(event)
            if not live and all(sent.values()):
                return
            yield b""

    def _line(self, event: EmulatedEvent) -> bytes:
        return msgspec.json.encode({"event": self._shown(event)}) + b"\n"


def _itself(item: Any) -> Any:
    return item
