"""Checks requests against the vendor's OpenAPI file; every validator is built once."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multidict import MultiMapping

try:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
except ImportError as error:
    message = "kognitos_async.testing needs jsonschema: pip install 'kognitos-async[testing]'"
    raise ImportError(message) from error

Problems = list[tuple[str, str]]
"""What is wrong: (where, why)."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")


class OperationSchema:
    """Checks the query and the body of one operation."""

    def __init__(self, operation: Mapping[str, Any], components: Mapping[str, Any]) -> None:
        parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
        self._query = {
            parameter["name"]: _Parameter(parameter, components)
            for parameter in parameters
            if parameter["in"] == "query"
        }
        self._required = [name for name, parameter in self._query.items() if parameter.required]
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        self._body = None if schema is None else _validator(schema, components)

    def query(self, query: MultiMapping[str]) -> tuple[dict[str, Any], Problems]:
        """The parameters by name with numbers as numbers and null left out, and what is wrong with them."""
        values: dict[str, Any] = {}
        problems: Problems = []
        for name, raw in query.items():
            parameter = self._query.get(name)
            if parameter is None:
                problems.append((name, "unknown query parameter"))
            elif name in values:
                problems.append((name, "given more than once"))
            else:
                value, problem = parameter.read(raw)
                values[name] = value
                if problem is not None:
                    problems.append((name, problem))
        problems.extend((name, "required") for name in self._required if values.get(name) is None)
        return values, problems

    def body(self, body: Any) -> Problems:
        """What is wrong with a JSON body."""
        if self._body is None:
            return []
        errors = cast("Iterable[Any]", self._body.iter_errors(body))
        nearest = [_nearest(error) for error in errors]
        return [(".".join(map(str, error.absolute_path)) or "body", _why(error)) for error in nearest]


class _Parameter:
    def __init__(self, parameter: Mapping[str, Any], components: Mapping[str, Any]) -> None:
        self.required = bool(parameter.get("required"))
        schema = parameter["schema"]
        kinds = {kind.get("type", "string") for kind in schema.get("anyOf", [schema])}
        self._nullable = "null" in kinds
        self._integer = "integer" in kinds
        self._plain = schema == {"type": "string"}
        self._validator = _validator(schema, components)
        # The same few values come again and again: a page of runs costs no validation but the first time.
        self._cached = lru_cache(maxsize=1024)(self._check)

    def read(self, raw: str) -> tuple[Any, str | None]:
        return (raw, None) if self._plain else self._cached(raw)

    def _check(self, raw: str) -> tuple[Any, str | None]:
        value: Any = raw
        if self._nullable and raw in {"", "null"}:
            value = None
        elif self._integer and _INTEGER.fullmatch(raw):
            value = int(raw)
        for error in cast("Iterable[Any]", self._validator.iter_errors(value)):
            return value, _why(_nearest(error))
        return value, None


def load(name: str) -> dict[str, OperationSchema]:
    """The operations of a spec file in this package, by operationId."""
    text = resources.files("kognitos_async.testing").joinpath(name).read_bytes()
    spec = cast("dict[str, Any]", _exact(msgspec.json.decode(text)))
    components = spec["components"]
    operations = (operation for item in spec["paths"].values() for operation in item.values())
    return {operation["operationId"]: OperationSchema(operation, components) for operation in operations}


def _nearest(error: Any) -> Any:
    """Of several ways to be right, what keeps the nearest one from being met."""
    return best_match([error]) or error


def _why(error: Any) -> str:
    return str(error.message)[:500]


def _validator(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    return Draft202012Validator({**schema, "components": components})


def _exact(value: Any, name: str = "") -> Any:
    """The spec, made as exact as the service.

    `$` in a pattern means the very end in ECMAScript, but also "before the last newline" in Python; and a
    limit, of which the spec gives the maximum only, is at least 1.
    """
    if isinstance(value, list):
        return [_exact(inner, name) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _exact(inner, key) for key, inner in cast("dict[str, Any]", value).items()}
    pattern = found.get("pattern")
    if isinstance(pattern, str) and pattern.endswith("$"):
        found["pattern"] = pattern[:-1] + r"\Z"
    if found.get("type") == "integer" and "maximum" in found:
        found.setdefault("minimum", 1)
    return found
