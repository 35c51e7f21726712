"""Checks of requests against the vendor's OpenAPI files. Every validator is built once."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from datetime import datetime
from functools import cache, cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multidict import MultiMapping

try:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import best_match
except ImportError as error:
    message = "kognitos_async.testing needs jsonschema: pip install 'kognitos-async[testing]'"
    raise ImportError(message) from error

Problems = list[tuple[str, str]]
"""Problems of a request as pairs of place and reason."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


_UNIONS = ("oneof: exactly one", "either remote or inline")
"""Starts of the descriptions of objects with exactly one member."""


class OperationSchema:
    """An operation of a spec: its method and path, and checks of its query and body."""

    def __init__(
        self, method: str, template: str, operation: Mapping[str, Any], components: Mapping[str, Any]
    ) -> None:
        self.method = method
        self.template = template
        """Path with `{parameters}`."""
        self.components = components
        parameters: list[Mapping[str, Any]] = operation.get("parameters", [])
        self._query = {
            parameter["name"]: _Parameter(parameter, components)
            for parameter in parameters
            if parameter["in"] == "query"
        }
        self._required = [name for name, parameter in self._query.items() if parameter.required]
        content = operation.get("requestBody", {}).get("content", {})
        self.body_schema: Mapping[str, Any] | None = content.get("application/json", {}).get("schema")
        """Schema of the JSON body; None if the operation takes none."""
        answer: Mapping[str, Any] = operation["responses"].get("200", {}).get("content", {})
        self.answer_schema: Mapping[str, Any] | None = answer.get("application/json", {}).get("schema")
        """Schema of the answer 200; None if it is not JSON."""

    def query(self, query: MultiMapping[str]) -> tuple[dict[str, Any], Problems]:
        """The parameters by name (numbers converted, null omitted), and the problems with them."""
        values: dict[str, Any] = {}
        problems: Problems = []
        for name, raw in query.items():
            parameter = self._query.get(name)
            if parameter is None:
                problems.append((name, "unknown query parameter"))
            elif parameter.repeated:
                values.setdefault(name, []).append(raw)
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
        """The problems with a JSON body."""
        if self._body is None:
            return []
        errors = cast("Iterable[Any]", self._body.iter_errors(body))
        nearest = [_nearest(error) for error in errors]
        return [(".".join(map(str, error.absolute_path)) or "body", _why(error)) for error in nearest]

    @cached_property
    def _body(self) -> Any:
        return None if self.body_schema is None else _validator(self.body_schema, self.components)


class _Parameter:
    def __init__(self, parameter: Mapping[str, Any], components: Mapping[str, Any]) -> None:
        self.required = bool(parameter.get("required"))
        schema = parameter["schema"]
        kinds = {kind.get("type", "string") for kind in schema.get("anyOf", [schema])}
        self._nullable = "null" in kinds
        self._integer = "integer" in kinds
        self._boolean = "boolean" in kinds
        self.repeated = "array" in kinds
        self._plain = schema == {"type": "string"}
        self._validator = _validator(schema, components)
        # Cached: the same few values recur.
        self._cached = lru_cache(maxsize=1024)(self._check)

    def read(self, raw: str) -> tuple[Any, str | None]:
        return (raw, None) if self._plain else self._cached(raw)

    def _check(self, raw: str) -> tuple[Any, str | None]:
        value: Any = raw
        if self._nullable and raw in {"", "null"}:
            value = None
        elif self._integer and _INTEGER.fullmatch(raw):
            value = int(raw)
        elif self._boolean and raw in {"true", "false"}:
            value = raw == "true"
        for error in cast("Iterable[Any]", self._validator.iter_errors(value)):
            return value, _why(_nearest(error))
        return value, None


@cache
def load(name: str) -> Mapping[str, OperationSchema]:
    """The operations of a spec file of this package by operationId. Cached: do not modify."""
    text = resources.files("kognitos_async.testing").joinpath(name).read_bytes()
    spec = cast("dict[str, Any]", _exact(msgspec.json.decode(text)))
    components = spec["components"]
    return {
        operation["operationId"]: OperationSchema(method.upper(), template, operation, components)
        for template, item in spec["paths"].items()
        for method, operation in item.items()
    }


def _nearest(error: Any) -> Any:
    """The most relevant error behind a union's error."""
    return best_match([error]) or error


def _why(error: Any) -> str:
    return str(error.message)[:500]


def _validator(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    return Draft202012Validator({**schema, "components": components}, format_checker=_FORMATS)


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("int32")
def _is_int32(value: object) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@_FORMATS.checks("int64")
def _is_int64(value: object) -> bool:
    if isinstance(value, str):
        value = int(value) if re.fullmatch("-?[0-9]{1,19}", value) else 2**63
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@_FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        return _MOMENT.fullmatch(value) is not None and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


@_FORMATS.checks("byte")
def _is_base64(value: object) -> bool:
    if not isinstance(value, str):
        return True
    try:
        b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _exact(value: Any, name: str = "") -> Any:
    """The spec, made strict.

    `$` at the end of a pattern does not match before a final newline, as in ECMAScript. A limit with a
    maximum only is at least 1. Objects have no members but those named. Unions, which the spec describes in
    prose, have exactly one member.
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
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
        if str(found.get("description", "")).startswith(_UNIONS):
            found |= {"minProperties": 1, "maxProperties": 1}
    return found
