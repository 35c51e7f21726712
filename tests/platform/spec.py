"""The vendor's own OpenAPI file: which operation a request is, whether it is valid, and a sample answer."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import msgspec

DOCUMENT = msgspec.json.decode(
    resources.files("kognitos_async.testing").joinpath("platform.openapi.json").read_bytes()
)
SCHEMAS = DOCUMENT["components"]["schemas"]
PREFIX = "/api/v1"
OPERATIONS = {
    operation["operationId"]: (verb.upper(), path.removeprefix(PREFIX), operation)
    for path, methods in DOCUMENT["paths"].items()
    for verb, operation in methods.items()
}


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(path)))


_PATTERNS = {name: _pattern(path) for name, (_, path, _) in OPERATIONS.items()}


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"components": DOCUMENT["components"], **schema})


def operation_of(method: str, target: str) -> str:
    """The one operation that a request is, literal segments before parameters."""
    path = urlsplit(target).path
    found = [
        name
        for name, (verb, _, _) in OPERATIONS.items()
        if verb == method and _PATTERNS[name].fullmatch(path)
    ]
    assert found, f"{method} {path} is no operation"
    return max(found, key=lambda name: len(re.sub(r"\{\w+\}", "", OPERATIONS[name][1])))


def check(method: str, target: str, body: bytes | None) -> str:
    """The operation that the request is, after holding its query and body against the schemas."""
    name = operation_of(method, target)
    operation = OPERATIONS[name][2]
    query = parse_qs(
        urlsplit(target).query, keep_blank_values=True, strict_parsing=bool(urlsplit(target).query)
    )
    known = {p["name"]: p for p in operation.get("parameters", []) if p["in"] == "query"}
    assert query.keys() <= known.keys(), f"{name}: unknown parameters {query.keys() - known.keys()}"
    for parameter in known.values():
        values = query.get(parameter["name"])
        assert values or not parameter.get("required"), f"{name}: {parameter['name']} is missing"
        for value in values or ():
            schema = parameter["schema"]
            single = schema["items"] if schema.get("type") == "array" else schema
            assert schema.get("type") == "array" or len(values) == 1
            typed = {"integer": int, "boolean": msgspec.json.decode}.get(single.get("type"), str)(value)
            validator(single).validate(typed)
    if "requestBody" in operation:
        [(kind, content)] = operation["requestBody"]["content"].items()
        if kind == "application/json":
            assert body is not None, f"{name}: no body"
            validator(content["schema"]).validate(msgspec.json.decode(body))
    else:
        assert body is None, f"{name}: a body where there is none"
    return name


def sample(schema: dict[str, Any], seen: tuple[str, ...] = ()) -> Any:
    """JSON that the schema describes: every member once, recursion cut short."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in seen else sample(SCHEMAS[name], (*seen, name))
    if "enum" in schema:
        return schema["enum"][-1]
    kind, form = schema.get("type"), schema.get("format")
    if kind == "array":
        return [sample(schema["items"], seen)]
    if kind == "object" or "properties" in schema:
        made = {name: sample(member, seen) for name, member in schema.get("properties", {}).items()}
        if isinstance(more := schema.get("additionalProperties"), dict) and more:
            made["key"] = sample(more, seen)
        return made
    plain = {"integer": 3, "number": 0.5, "boolean": True}
    if form == "date-time":
        return "2026-01-02T03:04:05.123456789Z"
    return "7" if form in ("int64", "uint64") and kind == "string" else plain.get(kind, "a2V5")


def answer_schema(name: str) -> dict[str, Any]:
    """The schema of an operation's answer."""
    for status in ("200", "201"):
        content = OPERATIONS[name][2]["responses"].get(status, {}).get("content", {})
        if "application/json" in content:
            return content["application/json"]["schema"]
    return {"type": "object"}
