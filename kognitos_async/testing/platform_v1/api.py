"""Emulated platform API: its 102 routes, authorization, and checks before each handler."""

from __future__ import annotations

import hmac
from functools import cache
from inspect import isawaitable
from typing import TYPE_CHECKING

from kognitos_async.testing import schema
from kognitos_async.testing.platform_v1.handling import (
    INVALID_ARGUMENT,
    ApiError,
    Ask,
    Handler,
    invalid,
    not_found,
    status_reply,
)
from kognitos_async.testing.routing import Call, Reply, Route

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from kognitos_async.testing.platform_v1.world import PlatformWorld
    from kognitos_async.testing.rate import TokenBucket

SPEC = "platform.openapi.json"

_ERROR_TYPES = {"StreamEvents": "application/x-ndjson", "DownloadFile": "application/octet-stream"}
"""Operations whose errors have the content type of their answers."""


class PlatformV1:
    """Routes and checks of `/api/v1`. Operations without a handler use `sample`."""

    prefix = "/api"

    def __init__(
        self,
        world: PlatformWorld,
        handlers: Mapping[str, Handler],
        sample: Handler,
        *,
        token: str,
        bucket: TokenBucket | None,
        retry_after: float | None,
    ) -> None:
        self.token = token
        self._world = world
        self._bucket = bucket
        self._retry_after = retry_after
        self._operations = schema.load(SPEC)
        self._handlers = handlers
        self._sample = sample

    @property
    def routes(self) -> tuple[Route, ...]:
        """All operations of the spec."""
        return _routes()

    async def answer(self, operation: str, call: Call) -> Reply:
        """The work of an operation, if its arguments are valid and what its path names exists."""
        found = self._operations[operation]
        handler = self._handlers.get(operation, self._sample)
        try:
            values, problems = found.query(call.query)
            problems = problems or found.body(call.body)
            if problems:
                raise invalid(problems)
            with self._world.lock:
                self._check_path(operation, call.path)
                reply = handler(Ask(operation, call, values))
            return await reply if isawaitable(reply) else reply
        except ApiError as error:
            refusal = status_reply(error.status, str(error), error.problems, error.code)
            refusal.content_type = _ERROR_TYPES.get(operation, refusal.content_type)
            return refusal

    def refuse(self, status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
        """A google.rpc.Status."""
        return status_reply(status, message, details)

    def admit(self, request: web.BaseRequest) -> Reply | None:
        """403 outside `/api/v1`, 401 without the right token, 429 above the rate limit."""
        if not request.rel_url.raw_path.startswith("/api/v1/"):
            return self.refuse(403, "Forbidden")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(errors="replace"), self.token.encode())
        if scheme.lower() != "bearer" or not right:
            return self.refuse(401, "Unauthenticated: missing or unknown bearer token")
        if self._bucket is not None and not self._bucket.take():
            reply = self.refuse(429, "Too many requests: rate limit exceeded")
            if self._retry_after is not None:
                reply.headers = {"Retry-After": f"{self._retry_after:g}"}
            return reply
        return None

    def _check_path(self, operation: str, path: Mapping[str, str]) -> None:
        """Raise `ApiError` for an unknown organization, workspace, automation or run."""
        if any(not value or len(value) > 1000 for value in path.values()):
            raise ApiError(400, "A part of the resource name is too long", code=INVALID_ARGUMENT)
        world = self._world
        if path.get("organization_id", world.organization_id) != world.organization_id:
            raise ApiError(403, "The token may not access this organization")
        if path.get("workspace_id", world.workspace_id) != world.workspace_id:
            raise not_found(f"Workspace {path['workspace_id']}")
        automation_id = path.get("automation_id")
        if automation_id is None or (automation_id == "-" and operation == "ListGuideEntries"):
            return
        if automation_id not in world.automations:
            raise not_found(f"Automation {automation_id}")
        run_id = path.get("run_id")
        if run_id is not None:
            run = world.runs.get(run_id)
            if run is None or run.automation_id != automation_id:
                raise not_found(f"Run {run_id} of automation {automation_id}")


@cache
def _routes() -> tuple[Route, ...]:
    return tuple(
        Route(operation, found.method, found.template, reads_json=found.body_schema is not None)
        for operation, found in schema.load(SPEC).items()
    )
