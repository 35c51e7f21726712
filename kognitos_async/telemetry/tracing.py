"""Spans for the work of a client and for each HTTP attempt."""

from __future__ import annotations

import time
from contextlib import suppress
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, StatusCode

from kognitos_async.messages import Request, StoreRequest, run_id_of
from kognitos_async.observed_work import Job, JobRequest, LookUp, Poll, Start, StartOnce, Upload, Wait
from kognitos_async.observers import Observer
from kognitos_async.telemetry import attributes as names
from kognitos_async.telemetry.attributes import (
    Attributes,
    asked_attributes,
    error_type,
    request_attributes,
    result_attributes,
    run_attributes,
    url_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from kognitos_async.errors import KognitosError
    from kognitos_async.observed_work import Work
    from kognitos_async.telemetry.attributes import Server

_MAX_LINKS = 128
_MIN_QUEUE_TIME = 0.001
_OPEN = context.create_key("kognitos-async-work")


class _Request:
    """A request in flight; `ready` is the time from which it waits in the queue."""

    __slots__ = ("ready", "token")

    def __init__(self) -> None:
        self.ready = time.perf_counter()
        self.token: Any = None


_REQUEST: ContextVar[_Request | None] = ContextVar("kognitos_async_request", default=None)


class _Open:
    """The span of work in progress, and its counts."""

    __slots__ = ("doubts", "errors", "parent", "requests", "retries", "span", "token")

    def __init__(self, span: Span, parent: _Open | None) -> None:
        self.span = span
        self.parent = parent
        self.token: Any = None
        self.retries = 0
        self.doubts = 0
        self.requests = 0
        self.errors = 0


class Spans(Observer):
    """Records the spans of a client.

    The span of a work is the parent of the spans within it, through OpenTelemetry's context. A poll, which
    serves many waits in an empty context, is a root span with a link to each wait. The span of an attempt is
    recorded when it ends. Nothing is recorded while no provider is set (`wanted`).
    """

    def __init__(self, tracer: Tracer, server: Server, wanted: Callable[[], bool]) -> None:
        self._tracer = tracer
        self._server = server
        self._wanted = wanted
        self._open: dict[Work, _Open] = {}

    # Requests

    def request_began(self, request: Request) -> object:
        """Begin to measure the queue time; the result is passed to `request_ended`."""
        if not self._wanted():
            return None
        began = _Request()
        began.token = _REQUEST.set(began)
        return began

    def request_ended(self, began: object, error: BaseException | None) -> None:
        """Reset the current request."""
        if isinstance(began, _Request):
            with suppress(ValueError):  # ended in another context, where it was never set
                _REQUEST.reset(began.token)

    def attempt_ended(
        self, what: object, number: int, seconds: float, result: int | str | KognitosError
    ) -> None:
        """Record a span for the attempt."""
        if not self._wanted() or not isinstance(what, Request | StoreRequest):
            return
        now = time.perf_counter()
        described: Attributes = request_attributes(what, self._server)
        described[names.URL] = url_of(what, self._server)
        template = described.get(names.TEMPLATE)
        span = self._tracer.start_span(
            f"{what.method} {template}" if template else what.method,
            kind=SpanKind.CLIENT,
            attributes=described,
            start_time=time.time_ns() - int(seconds * 1e9),
        )
        request = _REQUEST.get()
        if span.is_recording():
            became = result_attributes(result)
            span.set_attributes(became)
            if number > 1:
                span.set_attribute(names.RESENDS, number - 1)
            if (run_id := run_id_of(what)) is not None:
                span.set_attribute(names.RUN_ID, run_id)
            if request is not None and (queued := now - seconds - request.ready) > _MIN_QUEUE_TIME:
                span.set_attribute("kognitos.queue.duration", queued)
            if names.ERROR in became:
                span.set_status(StatusCode.ERROR)
        span.end()
        if request is not None:
            request.ready = now

    def retry_planned(self, failure: KognitosError, number: int, delay: float) -> None:
        """Add an event to the current work, and count the retry."""
        if (request := _REQUEST.get()) is not None:
            request.ready += delay
        opened = _current()
        if opened is not None:
            opened.span.add_event(
                "kognitos.retry", {"kognitos.retry.delay": delay, names.ERROR: error_type(failure)}
            )
        while opened is not None:
            opened.retries += 1
            opened = opened.parent

    def paused(self, request: Request, seconds: float) -> None:
        """Add an event to the current work."""
        if (opened := _current()) is not None:
            opened.span.add_event("kognitos.pause", {"kognitos.pause.duration": seconds})

    # Work

    def work_began(self, work: Work) -> None:
        """Begin a span, the parent of all spans until the work ends."""
        if not self._wanted():
            return
        own: Context = context.Context() if isinstance(work, Poll) else context.get_current()
        span = self._tracer.start_span(
            _name(work),
            context=own,
            attributes=_attributes_of(work),
            links=self._links(work) if isinstance(work, Poll) else None,
        )
        opened = _Open(span, None if isinstance(work, Poll) else _current())
        opened.token = context.attach(context.set_value(_OPEN, opened, trace.set_span_in_context(span, own)))
        self._open[work] = opened

    def _links(self, poll: Poll) -> list[Link]:
        served = (self._open[wait] for wait in poll.waits if wait in self._open)
        return [Link(opened.span.get_span_context()) for opened in islice(served, _MAX_LINKS)]

    def work_ended(self, work: Work, error: BaseException | None) -> None:
        """Record the outcome, and end the span."""
        opened = self._open.pop(work, None)
        if opened is None:
            return
        if context.get_value(_OPEN) is opened:
            context.detach(opened.token)
        span = opened.span
        if isinstance(work, JobRequest):
            error = error or work.error
            if opened.parent is not None:
                opened.parent.requests += 1
                opened.parent.errors += error is not None
        span.set_attributes({**_attributes_of(work), **_outcome_of(work, opened)})
        if opened.retries:
            span.set_attribute("kognitos.retries", opened.retries)
        if error is not None and not isinstance(error, Exception):
            span.set_attribute("kognitos.cancelled", True)
        elif error is not None:
            span.set_attribute(names.ERROR, error_type(error))
            span.set_status(StatusCode.ERROR)
        span.end()

    def start_in_doubt(self, asked: object, error: KognitosError) -> None:
        """Add an event to the current work, and count the doubt."""
        opened = _current()
        if opened is not None:
            cause = error.__cause__ or error
            opened.span.add_event("kognitos.start.in_doubt", {names.ERROR: error_type(cause)})
        while opened is not None:
            opened.doubts += 1
            opened = opened.parent

    def run_changed(self, wait: Wait, run: Any) -> None:
        """Add an event to the span of the wait."""
        if (opened := self._open.get(wait)) is not None:
            opened.span.add_event("kognitos.run.status", {names.RUN_STATUS: str(run.status)})


def _current() -> _Open | None:
    found = context.get_value(_OPEN)
    return found if isinstance(found, _Open) else None


def _name(work: Work) -> str:
    if isinstance(work, Poll):
        return f"kognitos poll {work.method}"
    return _WORK_NAMES.get(type(work), f"kognitos {type(work).__name__}")


_WORK_NAMES: dict[type[Work], str] = {
    Job: "kognitos run_many",
    JobRequest: "kognitos run",
    Start: "kognitos start",
    StartOnce: "kognitos start_once",
    LookUp: "kognitos look_up",
    Wait: "kognitos wait",
    Upload: "kognitos upload",
}


def _attributes_of(work: Work) -> Attributes:
    """The attributes known when the work begins."""
    if isinstance(work, Start | LookUp):
        return asked_attributes(work.asked)
    if isinstance(work, Wait):
        return {names.RUN_ID: work.run_id.rpartition("/")[2]}
    if isinstance(work, Poll):
        return {"kognitos.poll.method": work.method}
    if isinstance(work, Job):
        return {"kognitos.job.journaled": work.journaled}
    return {}


def _outcome_of(work: Work, opened: _Open) -> Attributes:
    """The attributes known when the work ends."""
    found: Attributes = {}
    if isinstance(work, Start):
        found = {**run_attributes(work.run), names.UNCERTAIN: opened.doubts > 0}
    if isinstance(work, StartOnce):
        found["kognitos.start.doubts"] = opened.doubts
    if isinstance(work, JobRequest):
        found["kognitos.start.attempts"] = work.attempts
        found["kognitos.run.resumed"] = work.resumed
    elif isinstance(work, Wait):
        found = {**run_attributes(work.run), "kognitos.wait.polls": work.polls}
    elif isinstance(work, Poll):
        found = {"kognitos.poll.met": work.met}
    elif isinstance(work, LookUp) and work.answer is not None:
        found = {"kognitos.look_up.answer": type(work.answer).__name__.lower()}
    elif isinstance(work, Upload) and work.size is not None:
        found = {"kognitos.upload.size": work.size}
    elif isinstance(work, Job):
        found = {"kognitos.job.requests": opened.requests, "kognitos.job.errors": opened.errors}
    return found
