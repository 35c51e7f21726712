"""What the tests of the emulated platform API share: requests whose answers are held against the spec."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from kognitos_async.testing.schema import _FORMATS
from tests.emulator.conftest import Answer

if TYPE_CHECKING:
    import aiohttp

    from kognitos_async.testing import KognitosServer

SPEC: dict[str, Any] = json.loads(
    resources.files("kognitos_async.testing").joinpath("platform.openapi.json").read_text()
)
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), template, operation)
    for template, item in SPEC["paths"].items()
    for method, operation in item.items()
}
PUBLISHED = "AUTOMATION_STAGE_PUBLISHED"
DRAFT = "AUTOMATION_STAGE_DRAFT"


def closed(schema: Any) -> Any:
    """The schema, in which no object has members that are not named."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(inner) for name, inner in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in found:
        found["additionalProperties"] = False
    return found


COMPONENTS = closed(SPEC["components"])


def check(operation: str, status: int, payload: Any) -> None:
    """Raise ValidationError unless the payload is what the spec promises for this status."""
    responses = OPERATIONS[operation][2]["responses"]
    content = responses["200" if status < 300 else "default"]["content"]
    schema = closed(content.get("application/json", {"schema": {"type": "string"}})["schema"])
    if status >= 300:
        schema = {"$ref": "#/components/schemas/rpcStatus"}
    Draft202012Validator({**schema, "components": COMPONENTS}, format_checker=_FORMATS).validate(payload)


class PlatformApi:
    """Sends requests with the right token; every JSON answer has to be as the spec says."""

    def __init__(self, server: KognitosServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.platform = server.platform
        self.session = session
        self.automation = server.platform.automation.name
        self.workspace = (
            f"organizations/{self.platform.organization_id}/workspaces/{self.platform.workspace_id}"
        )

    async def send(self, method: str, path: str, *, checked: bool = True, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.platform.token}", **options.pop("headers", {})}
        async with self.session.request(
            method, f"{self.platform.base_url}/{path}", headers=headers, allow_redirects=False, **options
        ) as response:
            answer = Answer(response.status, response.headers, await response.read())
        operation = self.server.log[-1].operation
        if checked and operation in OPERATIONS and answer.headers.get("Content-Type") == "application/json":
            check(operation, answer.status, answer.json)
        return answer

    async def get(self, path: str, **params: Any) -> Answer:
        return await self.send("GET", path, params={name: str(value) for name, value in params.items()})

    async def post(self, path: str, body: Any = None) -> Answer:
        return await self.send("POST", path, json={} if body is None else body)

    async def invoke(self, inputs: Any = None, stage: str = PUBLISHED) -> Answer:
        body = {"stage": stage} if inputs is None else {"stage": stage, "inputs": inputs}
        return await self.post(f"{self.automation}:invoke", body)

    async def start(self, inputs: Any = None) -> str:
        """The full name of a run just invoked."""
        answer = await self.invoke(inputs)
        assert answer.status == 200, answer.body
        return answer.json["run_id"]

    async def state(self, run: str) -> tuple[str, Any]:
        """The word of a run's state, and what is below it."""
        state = (await self.get(run)).json["state"]
        ((word, members),) = ((word, found) for word, found in state.items() if word != "update_time")
        return word, members

    async def pages(self, path: str, field: str, **params: Any) -> list[list[Any]]:
        """The items of a list, page by page."""
        pages: list[list[Any]] = []
        token = ""
        while True:
            extra = {"page_token": token} if token else {}
            answer = await self.get(path, **params, **extra)
            assert answer.status == 200, answer.body
            pages.append(answer.json[field])
            token = answer.json.get("next_page_token", "")
            if not token:
                return pages

    async def walk(self, path: str, field: str, **params: Any) -> list[Any]:
        """The items of a list."""
        return [item for page in await self.pages(path, field, **params) for item in page]
