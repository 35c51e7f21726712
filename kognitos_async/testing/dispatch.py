"""Request dispatch for both APIs: log, checks, faults, handlers."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from kognitos_async.testing import fault_kinds as kinds
from kognitos_async.testing.control import PREFIX
from kognitos_async.testing.delivery import Delivery, body_of, break_connection, plain
from kognitos_async.testing.fault_queue import FaultHandle, FaultQueue
from kognitos_async.testing.request_log import REDACTED, SECRET_HEADERS, RequestLog, SeenRequest
from kognitos_async.testing.routing import Api, Call, Reply, Route, Router

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.clock import Clock
    from kognitos_async.testing.control import ControlApi
    from kognitos_async.testing.state import State

_logger = logging.getLogger("kognitos_async.testing")
_UNKNOWN = "unknown"
_TOKENS_KEPT = 1000


class Dispatcher:
    """Answers the requests of one server. The first API answers for paths outside every prefix."""

    def __init__(
        self,
        apis: tuple[Api, ...],
        clock: Clock,
        *,
        latency: float,
        log_limit: int,
        seed: int,
        date: Callable[[datetime], datetime] | None,
        worker_header: str,
        state: State,
    ) -> None:
        self.router: Router = Router(apis)
        self.log: RequestLog = RequestLog(log_limit)
        self.faults: FaultQueue = FaultQueue(seed)
        self.lock: threading.Lock = threading.Lock()
        """Held while faults are chosen and requests counted: tests call from other threads."""
        self.delivery: Delivery | None = None
        """Set while the server runs."""
        self.control: ControlApi | None = None
        self.latency = latency
        self._default_api = apis[0]
        self._clock = clock
        self._date = date
        self._worker_header = worker_header
        self.state = state
        self._tokens_seen: dict[tuple[str | None, ...], deque[str]] = {}
        self._requests = 0

    def summary(self) -> dict[str, Any]:
        """Request counts: `requests`, `by_operation`, `by_status`, `by_worker`."""
        with self.lock:
            return self.log.summary()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and log and count it."""
        raw_path = request.rel_url.raw_path
        if self.control is not None and raw_path.startswith(PREFIX):
            return await self.control.respond(request)
        methods, path = self.router.find(raw_path)
        route = methods.get(request.method)
        seen = SeenRequest(
            operation=route.operation if route else _UNKNOWN,
            method=request.method,
            path=raw_path,
            query=dict(request.query),
            headers={
                name: REDACTED if name.lower() in SECRET_HEADERS else value
                for name, value in request.headers.items()
            },
            time=self._clock.now(),
            worker=request.headers.get(self._worker_header, request.headers.get("User-Agent", "")),
        )
        with self.lock:
            self.log.arrive(seen)
        status: int | None = None
        try:
            response = await self._respond(request, route, methods, path, seen)
            if _is_answered(request):
                status = response.status
        except ConnectionError:
            # The peer disconnected.
            response = web.Response(status=499)
        finally:
            with self.lock:
                self.log.finish(seen, status)
        return response

    async def _respond(
        self,
        request: web.BaseRequest,
        route: Route | None,
        methods: Mapping[str, Route],
        path: Mapping[str, str],
        seen: SeenRequest,
    ) -> web.StreamResponse:
        api = self.router.api(seen.path) or self._default_api
        delivery = self.delivery
        if delivery is None or route is None:
            return plain(self._stamp(_no_route(api, request, methods)))
        call, reply = await self._read(api, route, request, path, seen)
        if reply is not None:
            return plain(self._stamp(reply))
        with self.lock:
            handle = self.faults.next(seen) if self.faults else None
        fault = None if handle is None else handle.fault
        seen.fault = None if fault is None else fault.name
        if self.latency and not await delivery.pause(self.latency, request):
            # The API does its work even if the peer has disconnected.
            _logger.debug("the peer left before %s was answered", route.operation)
        if isinstance(fault, kinds.Delay) and fault.work_last:
            await delivery.sleep(fault.seconds)
        if fault is None or fault.after_work:
            made = api.answer(route.operation, call)
            reply = await made if isawaitable(made) else made
            self.state.flush()
        reply = reply or Reply(200)
        reply = self._stamp(reply) if handle is None else await self._altered(api, reply, handle, seen)
        return await self._deliver(delivery, request, reply, fault)

    async def _read(
        self, api: Api, route: Route, request: web.BaseRequest, path: Mapping[str, str], seen: SeenRequest
    ) -> tuple[Call, Reply | None]:
        """The call, and its refusal if it must not reach its handler."""
        body: Any = None
        problem: Reply | None = None
        if route.reads_json:
            try:
                raw = await request.read()
                body = msgspec.json.decode(raw)
            except web.HTTPRequestEntityTooLarge:
                problem = api.refuse(413, "The body is too large")
            except web.RequestPayloadError as error:
                problem = api.refuse(400, "The body is broken", [("body", str(error))])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                problem = api.refuse(400, "The body is not JSON", [("body", str(error))])
            if request.content_type != "application/json":
                problem = api.refuse(
                    400, "Invalid input values", [("Content-Type", "must be application/json")]
                )
            seen.body = body
        return Call(request, path, request.query, body), api.admit(request) or problem

    async def _altered(self, api: Api, reply: Reply, handle: FaultHandle, seen: SeenRequest) -> Reply:
        """The answer as the fault changes it."""
        match handle.fault:
            case kinds.Refusal() as fault:
                refusal = api.refuse(fault.status, fault.message)
                refusal.headers = dict(fault.headers)
                return self._stamp(refusal)
            case kinds.Answer() as fault:
                body = fault.body if isinstance(fault.body, bytes) else await asyncio.to_thread(fault.body)
                return self._dated(Reply(fault.status, body=body, headers=dict(fault.headers)))
            case kinds.Rewrite() as fault:
                rewritten = self._rewrite(fault, reply)
                if rewritten is None:
                    self._pass(handle, seen)
                return self._stamp(rewritten or reply)
            case kinds.MoreHeaders() as fault:
                stamped = self._stamp(reply)
                stamped.headers = {**stamped.headers, **dict(fault.headers)}
                return stamped
            case kinds.Stream() if reply.stream is None:
                self._pass(handle, seen)
                return self._stamp(reply)
            case _:
                return self._stamp(reply)

    async def _deliver(
        self, delivery: Delivery, request: web.BaseRequest, reply: Reply, fault: kinds.Fault | None
    ) -> web.StreamResponse:
        """Send the answer as the fault allows."""
        match fault:
            case kinds.Cut():
                return await delivery.cut(request, reply)
            case kinds.Drip():
                return await delivery.drip(request, reply, fault.seconds, fault.chunks)
            case kinds.Endless():
                return await delivery.endless(request, reply)
            case kinds.Afterwards():
                return await delivery.send_and_then(request, reply, fault.seconds, fault.data)
            case kinds.Reset() | kinds.Hang():
                if isinstance(fault, kinds.Hang):
                    await delivery.pause(fault.seconds, request)
                break_connection(request)
                return web.Response(status=499)
            case _:
                if isinstance(fault, kinds.Delay) and not fault.work_last:
                    await delivery.sleep(fault.seconds)
                if reply.stream is None:
                    return plain(reply)
                limits = fault if isinstance(fault, kinds.Stream) else None
                return await delivery.stream(request, reply, limits)

    def _pass(self, handle: FaultHandle, seen: SeenRequest) -> None:
        """Take back a hit: the fault does not apply to this answer."""
        with self.lock:
            handle.hits -= 1
        seen.fault = None

    def _rewrite(self, fault: kinds.Rewrite, reply: Reply) -> Reply | None:
        earlier: tuple[str, ...] = ()
        if reply.page is not None:
            tokens = self._tokens_seen.setdefault(reply.page.listing, deque(maxlen=_TOKENS_KEPT))
            earlier = tuple(tokens)
            if reply.page.asked_with is not None:
                tokens.append(reply.page.asked_with)
        if not 200 <= reply.status < 300 or reply.payload is None:
            return None
        payload = fault.change(msgspec.json.decode(body_of(reply)), kinds.Asked(reply.page, earlier))
        return None if payload is None else replace(reply, payload=payload)

    def _stamp(self, reply: Reply) -> Reply:
        self._requests += 1
        reply.headers = {**reply.headers, "x-request-id": f"emulated-{self._requests}"}
        return self._dated(reply)

    def _dated(self, reply: Reply) -> Reply:
        if self._date is not None:
            date = format_datetime(self._date(datetime.now(UTC)).astimezone(UTC), usegmt=True)
            reply.headers = {"Date": date, **reply.headers}
        return reply


def _no_route(api: Api, request: web.BaseRequest, methods: Mapping[str, Route]) -> Reply:
    refusal = api.admit(request)
    if refusal is not None:
        return refusal
    if not methods:
        return api.refuse(404, f"There is nothing at {request.path}")
    reply = api.refuse(405, f"{request.method} is not allowed here")
    reply.headers = {"Allow": ", ".join(sorted(methods))}
    return reply


def _is_answered(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()
