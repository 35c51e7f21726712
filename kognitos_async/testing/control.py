"""Control of a running server over HTTP, for tests in other processes.

JSON below `/_control`, with `Authorization: Bearer TOKEN`. Served only if the server has a control token;
neither logged nor counted. `ServerControl` is a client of it.
"""

from __future__ import annotations

import hmac
import inspect
from typing import TYPE_CHECKING, Any, cast

import msgspec
from aiohttp import web

from kognitos_async.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.fault_queue import FaultHandle
    from kognitos_async.testing.server import KognitosServer

PREFIX = "/_control/"

_FAULTS: dict[str, Callable[..., Any]] = {
    name: make
    for name, make in inspect.getmembers(faults, inspect.isfunction)
    if make.__module__ == faults.__name__ and not name.startswith("_") and name != "rewritten"
}
"""Faults available by name: all but the one that takes a function."""
_BYTES = frozenset({"body", "data"})


class ControlApi:
    """Answers the control requests of one server."""

    def __init__(self, server: KognitosServer, requests: Callable[[], dict[str, Any]], token: str) -> None:
        self._server = server
        self._requests = requests
        self._token = token
        self._handles: dict[str, FaultHandle] = {}

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """The answer: 200, 400 for invalid arguments, 401 for a wrong token, 404 for anything unknown."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(errors="replace"), self._token.encode()):
            return _answer(401, {"error": "missing or wrong control token"})
        command = request.path.removeprefix(PREFIX)
        handlers: Mapping[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "summary"): self._summary,
            ("GET", "runs"): self._runs,
            ("GET", "fault"): self._fault,
            ("POST", "count"): lambda body: self._server.count(**body),
            ("POST", "missing"): self._missing,
            ("POST", "fault"): self._misbehave,
            ("POST", "cancel"): self._cancel,
            ("POST", "behave"): lambda _body: self._server.behave(),
            ("POST", "advance"): lambda body: self._server.advance(**body),
            ("POST", "status"): lambda body: self._server.set_status(**body).status,
            ("POST", "state"): lambda body: self._server.platform.set_state(**body).state,
        }
        handler = handlers.get((request.method, command))
        if handler is None:
            return _answer(404, {"error": f"no command {request.method} {command}"})
        try:
            raw = await request.read()
            body = cast("dict[str, Any]", msgspec.json.decode(raw, type=dict)) if raw else dict(request.query)
            return _answer(200, handler(body))
        except KeyError as error:
            return _answer(404, {"error": f"there is no {error}"})
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            return _answer(400, {"error": str(error)})

    def _summary(self, _body: dict[str, Any]) -> dict[str, Any]:
        server = self._server
        return {
            **self._requests(),
            "runs": len(server.runs),
            "duplicates": server.duplicates(),
            "files": len(server.files),
            "platform_runs": len(server.platform.runs),
            "platform_duplicates": server.platform.duplicates(),
            "platform_files": len(server.platform.files),
        }

    def _runs(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        found = self._server.runs_named(body["name"]) if "name" in body else self._server.runs.values()
        return [{"id": run.id, "name": run.name, "status": run.status} for run in found]

    def _missing(self, body: dict[str, Any]) -> list[str]:
        return [name for name in body["names"] if not self._server.runs_named(name)]

    def _misbehave(self, body: dict[str, Any]) -> dict[str, Any]:
        name, arguments = body.pop("fault"), body.pop("arguments", {})
        if name not in _FAULTS:
            message = f"fault must be one of {', '.join(_FAULTS)}, got {name!r}"
            raise ValueError(message)
        given = {
            key: value.encode() if key in _BYTES and isinstance(value, str) else value
            for key, value in arguments.items()
        }
        handle = self._server.misbehave(fault=_FAULTS[name](**given), **body)
        key = str(len(self._handles))
        self._handles[key] = handle
        return _shown(key, handle)

    def _fault(self, body: dict[str, Any]) -> dict[str, Any]:
        return _shown(body["id"], self._handles[body["id"]])

    def _cancel(self, body: dict[str, Any]) -> dict[str, Any]:
        self._handles[body["id"]].cancel()
        return self._fault(body)


def _shown(key: str, handle: FaultHandle) -> dict[str, Any]:
    return {"id": key, "hits": handle.hits, "live": handle.live}


def _answer(status: int, result: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(result), content_type="application/json")
