"""Emulated REST API v2: one handler per operation."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Literal

from kognitos_async.testing import schema
from kognitos_async.testing.routing import Call, PageMarks, Reply, Route
from kognitos_async.testing.tokens import InvalidTokenError, Key, Query, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from aiohttp import web

    from kognitos_async.testing.rate import TokenBucket
    from kognitos_async.testing.rest_v2.file_store import FileStore
    from kognitos_async.testing.rest_v2.world import EmulatedProcess, EmulatedRun, World

TimeFormat = Literal["naive", "offset", "nanoseconds", "seconds"]

_DEFAULT_LIMIT = 10


class RestV2:
    """Routes, checks and handlers of `/v2`. The handler of an operation has its name, after an underscore."""

    prefix = "/v2"
    routes: tuple[Route, ...] = (
        Route("get_health", "GET", "/v2/health"),
        Route("list_processes", "GET", "/v2/processes"),
        Route("get_process", "GET", "/v2/processes/{process_id}"),
        Route("list_runs", "GET", "/v2/runs"),
        Route("create_run", "POST", "/v2/runs", reads_json=True),
        Route("get_run", "GET", "/v2/runs/{run_id}"),
        Route("create_file", "POST", "/v2/files", reads_json=True),
    )

    def __init__(
        self,
        world: World,
        store: FileStore,
        *,
        api_key: str,
        bucket: TokenBucket | None,
        retry_after: float | None,
        time_format: TimeFormat,
        list_outputs: bool,
        strict_files: bool,
        stored_name: Callable[[str], str],
        capacity_message: str,
        secret: bytes,
    ) -> None:
        self.api_key = api_key
        self._world = world
        self._store = store
        self._bucket = bucket
        self._retry_after = retry_after
        self._time_format: TimeFormat = time_format
        self._list_outputs = list_outputs
        self._strict_files = strict_files
        self._stored_name = stored_name
        self._capacity_message = capacity_message
        self._tokens = Tokens(secret)
        self._schemas = schema.load("rest_v2.openapi.json")

    def answer(self, operation: str, call: Call) -> Reply:
        """The work of an operation."""
        handler: Callable[[Call], Reply] = getattr(self, f"_{operation}")
        with self._world.lock:
            return handler(call)

    def refuse(self, status: int, message: str, details: Iterable[tuple[str, str]] = ()) -> Reply:
        """An ErrorModel."""
        listed = [{"name": name, "value": value} for name, value in details] or None
        return Reply(status, {"status_code": status, "message": message, "details": listed})

    def admit(self, request: web.BaseRequest) -> Reply | None:
        """401 without the right key, 429 above the rate limit."""
        given = request.headers.get("x-api-key", "")
        if not hmac.compare_digest(given.encode(errors="replace"), self.api_key.encode()):
            return self.refuse(401, "Unauthorized: missing or unknown x-api-key")
        if self._bucket is not None and not self._bucket.take():
            reply = self.refuse(429, "Too many requests: rate limit exceeded")
            if self._retry_after is not None:
                reply.headers = {"Retry-After": f"{self._retry_after:g}"}
            return reply
        return None

    # Handlers

    def _get_health(self, call: Call) -> Reply:
        _, problems = self._schemas["get_health"].query(call.query)
        return self._invalid(problems) if problems else Reply(200, {"status": "OK"})

    def _list_processes(self, call: Call) -> Reply:
        values, problems = self._schemas["list_processes"].query(call.query)
        if problems:
            return self._invalid(problems)
        agent_id: str = values["agent_id"]
        if not self._world.has_agent(agent_id):
            return self.refuse(404, f"Agent {agent_id} not found")
        listing: Query = ("list_processes", agent_id)
        try:
            after = self._place(listing, values)
        except InvalidTokenError:
            return self._invalid_token()
        found, key = self._world.process_page(agent_id, after, _limit(values))
        return self._page([_process(process) for process in found], listing, values, after, key)

    def _get_process(self, call: Call) -> Reply:
        values, problems = self._schemas["get_process"].query(call.query)
        if problems:
            return self._invalid(problems)
        process = self._world.process(values["agent_id"], call.path["process_id"])
        if process is None:
            return self.refuse(404, f"Process {call.path['process_id']} not found")
        return Reply(200, _process(process))

    def _list_runs(self, call: Call) -> Reply:
        values, problems = self._schemas["list_runs"].query(call.query)
        if problems:
            return self._invalid(problems)
        agent_id, process_id, stage = values["agent_id"], values["process_id"], values.get("stage")
        refusal = self._unknown_process(agent_id, process_id)
        if refusal is not None:
            return refusal
        listing: Query = ("list_runs", agent_id, process_id, stage)
        try:
            after = self._place(listing, values)
        except InvalidTokenError:
            return self._invalid_token()
        found, key = self._world.run_page(agent_id, process_id, stage, after, _limit(values))
        items = [self._run(run, with_outputs=self._list_outputs) for run in found]
        return self._page(items, listing, values, after, key)

    def _get_run(self, call: Call) -> Reply:
        if call.query:
            _, problems = self._schemas["get_run"].query(call.query)
            if problems:
                return self._invalid(problems)
        run = self._world.runs.get(call.path["run_id"])
        if run is None:
            return self.refuse(404, f"Run {call.path['run_id']} not found")
        return Reply(200, self._run(run))

    def _create_run(self, call: Call) -> Reply:
        problems = self._body_problems("create_run", call)
        if problems:
            return self._invalid(problems)
        body: dict[str, Any] = call.body
        agent_id, process_id, stage = body["agent_id"], body["process_id"], body["stage"]
        refusal = self._unknown_process(agent_id, process_id)
        if refusal is not None:
            return refusal
        process = self._world.process(agent_id, process_id, stage)
        if process is None:
            return self.refuse(404, f"Process {process_id} has no {stage} stage")
        file_ids: list[str] = body.get("file_ids") or []
        if self._strict_files:
            for file_id in file_ids:
                if file_id not in self._store.files:
                    return self.refuse(404, f"File {file_id} not found or not uploaded")
        if self._world.is_full():
            return self.refuse(403, self._capacity_message.format(capacity=self._world.capacity))
        run = self._world.add_run(
            process, name=self._stored_name(body["name"]), inputs=body.get("inputs") or (), file_ids=file_ids
        )
        return Reply(201, {**self._run(run), "status": "Created", "outputs": None})

    def _create_file(self, call: Call) -> Reply:
        problems = self._body_problems("create_file", call)
        if problems:
            return self._invalid(problems)
        agent_id = call.body.get("agent_id")
        if agent_id is not None and not self._world.has_agent(agent_id):
            return self.refuse(404, f"Agent {agent_id} not found")
        form = self._store.new_form(
            call.body["file_name"], origin=f"{call.request.scheme}://{call.request.host}"
        )
        return Reply(
            201,
            {
                "id": form.file_id,
                "file_name": form.file_name,
                "upload_url": form.url,
                "upload_fields": form.fields,
                "upload_http_headers": {},
                "upload_http_method": "POST",
            },
        )

    # Parts of answers

    def _body_problems(self, operation: str, call: Call) -> schema.Problems:
        _, problems = self._schemas[operation].query(call.query)
        return problems or self._schemas[operation].body(call.body)

    def _invalid(self, problems: schema.Problems) -> Reply:
        return self.refuse(400, "Invalid input values", problems)

    def _invalid_token(self) -> Reply:
        return self._invalid([("continuation_token", "not a token of this listing")])

    def _unknown_process(self, agent_id: str, process_id: str) -> Reply | None:
        if not self._world.has_agent(agent_id):
            return self.refuse(404, f"Agent {agent_id} not found")
        if self._world.process(agent_id, process_id) is None:
            return self.refuse(404, f"Process {process_id} not found")
        return None

    def _place(self, listing: Query, values: Mapping[str, Any]) -> Key | None:
        token = values.get("continuation_token")
        return None if token is None else self._tokens.read(listing, token)

    def _page(
        self,
        items: list[dict[str, Any]],
        listing: Query,
        values: Mapping[str, Any],
        after: Key | None,
        key: Key | None,
    ) -> Reply:
        token = None if key is None else self._tokens.issue(listing, key)
        marks = PageMarks(
            items_field="items",
            token_field="continuation_token",  # noqa: S106 - the name of a field
            asked_with=values.get("continuation_token"),
            listing=listing,
            same_place=lambda: self._tokens.issue(listing, after, reworded=True),
        )
        return Reply(200, {"items": items, "continuation_token": token}, page=marks)

    def _run(self, run: EmulatedRun, *, with_outputs: bool = True) -> dict[str, Any]:
        return {
            "id": run.id,
            "name": run.name,
            "agent_id": run.agent_id,
            "process_id": run.process_id,
            "stage": run.stage,
            "status": run.status,
            "created_at": self._time(run.created_at),
            "file_ids": run.file_ids or None,
            "outputs": run.outputs if with_outputs else None,
        }

    def _time(self, moment: datetime) -> str:
        if self._time_format == "offset":
            return moment.isoformat()
        naive = moment.replace(tzinfo=None)
        if self._time_format == "seconds":
            return naive.isoformat(timespec="seconds")
        if self._time_format == "nanoseconds":
            return naive.isoformat(timespec="microseconds") + "789Z"
        return naive.isoformat()


def _process(process: EmulatedProcess) -> dict[str, str]:
    return {"agent_id": process.agent_id, "stage": process.stage, "id": process.id, "name": process.name}


def _limit(values: Mapping[str, Any]) -> int:
    limit: int | None = values.get("limit")
    return _DEFAULT_LIMIT if limit is None else limit
