"""Answers generated from the spec, for operations of the platform API that have no state here."""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from kognitos_async.testing import schema
from kognitos_async.testing.routing import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kognitos_async.testing.platform_v1.handling import Ask, Pages

SPEC = "platform.openapi.json"

_ITEMS = 3
"""Number of items of a list."""
_DEEPEST = 7
_MOMENTS = (
    "2025-01-31T12:00:00Z",
    "2025-01-31T12:00:00.250Z",
    "2025-01-31T12:00:00.250125Z",
    "2025-01-31T12:00:00.250125375Z",
)
_ONE_OF = re.compile(
    r"one ?of|\bunion\b|\beither\b|which member|one of the two|reason \(spec states", re.IGNORECASE
)
_NAME = re.compile(r"organizations/\{[^ ,;:()]*\}(?:/[a-zA-Z]+(?=[ ,;:()]|$))?")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PREFERRED = ("text", "text_value", "scalar_type", "system_message", "run_update", "user_stopped", "inline")
_PARAMETERS = {
    "o": "organization_id",
    "org": "organization_id",
    "w": "workspace_id",
    "ws": "workspace_id",
    "a": "automation_id",
    "r": "run_id",
}


class Sample:
    """Generates JSON values from schemas: deterministic, and without recursion of a type."""

    def __init__(self, components: Mapping[str, Any], path: Mapping[str, str], number: int = 0) -> None:
        self._schemas: Mapping[str, Any] = components["schemas"]
        self._path = path
        self._number = number

    def of(self, found: Mapping[str, Any], name: str = "value", inside: tuple[str, ...] = ()) -> Any:
        """A value of the schema; `name` is the member that will hold it."""
        if "$ref" in found:
            title = found["$ref"].rpartition("/")[2]
            return self.of(self._schemas[title], name, (*inside, title))
        if "allOf" in found:
            return self.of({**found["allOf"][0], "description": found.get("description", "")}, name, inside)
        if "enum" in found:
            words = found["enum"]
            return words[min(1, len(words) - 1)]
        kind = found.get("type")
        if kind == "object":
            return self._object(found, inside)
        if kind == "array":
            items = found.get("items", {})
            return [] if self._recurs(items, inside) else [self.of(items, name, inside)]
        if kind == "string":
            return self._text(found, name)
        return self._number % 2 == 0 if kind == "boolean" else self._number + 1

    def _object(self, found: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        members = cast("dict[str, Any]", found.get("properties", {}))
        required = set(found.get("required", ()))
        if not members and isinstance(extra := found.get("additionalProperties"), dict):
            values = cast("dict[str, Any]", extra)
            return {} if self._recurs(values, inside) else {"sample": self.of(values, "sample", inside)}
        if not required and _ONE_OF.search(found.get("description", "")):
            chosen = self._choice(members, inside)
            members = {} if chosen is None else {chosen: members[chosen]}
        return {
            name: self.of(member, name, inside)
            for name, member in members.items()
            if name in required or not (name == "next_page_token" or self._recurs(member, inside))
        }

    def _choice(self, members: Mapping[str, Any], inside: tuple[str, ...]) -> str | None:
        possible = [name for name, member in members.items() if not self._recurs(member, inside)]
        preferred = [name for name in _PREFERRED if name in possible]
        return next(iter(preferred + possible), None)

    def _recurs(self, found: Mapping[str, Any], inside: tuple[str, ...]) -> bool:
        while "items" in found:
            found = found["items"]
        if "allOf" in found:
            found = found["allOf"][0]
        return len(inside) > _DEEPEST or found.get("$ref", "").rpartition("/")[2] in inside

    def _text(self, found: Mapping[str, Any], name: str) -> str:
        description = found.get("description", "")
        match found.get("format"):
            case "date-time":
                return _MOMENTS[(self._number + len(name)) % len(_MOMENTS)]
            case "byte":
                return base64.b64encode(name.encode()).decode()
            case "int64":
                return str(self._number + 42)
            case _:
                pass
        if name == "duration":
            return "3.500s"
        if name == "time_zone":
            return "UTC"
        template = _NAME.search(description)
        if template is not None:
            return _PLACEHOLDER.sub(lambda match: self._id(match[1]), template[0])
        return self._path.get(name) or f"{name.replace('_', ' ')} {self._number + 1}"

    def _id(self, placeholder: str) -> str:
        parameter = _PARAMETERS.get(placeholder, f"{placeholder.removesuffix('_id')}_id")
        return self._path.get(parameter) or f"{parameter.removesuffix('_id')}-{self._number + 1}"


class SampleHandler:
    """Answers any operation from its schema; lists have three items and are paged."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def __call__(self, ask: Ask) -> Reply:
        """The answer."""
        found = schema.load(SPEC)[ask.operation]
        answer = found.answer_schema or {"type": "object"}
        whole, listed = _shape(ask.operation)
        if listed is None:
            made = Sample(found.components, ask.call.path).of(answer)
            return Reply(200, self._echoed(ask, whole, made))
        field, item = listed
        items = [Sample(found.components, ask.call.path, number).of(item, field) for number in range(_ITEMS)]
        if "next_page_token" in whole:
            return self._pages.cut(ask, field, list(enumerate(items)), lambda value: value)
        start = _whole(ask.values.get("offset"), 0)
        return Reply(200, {field: items[start : start + _whole(ask.values.get("limit"), _ITEMS)]})

    def _echoed(self, ask: Ask, members: Mapping[str, Any], made: Any) -> Any:
        """The answer with the sent members that have the same name and schema."""
        body = schema.load(SPEC)[ask.operation].body_schema
        if not isinstance(made, dict) or body is None:
            return made
        sent = _members(schema.load(SPEC)[ask.operation], body)
        same = {
            name: ask.body[name] for name in ask.body if name in members and sent.get(name) == members[name]
        }
        return {**made, **same}


@cache
def _shape(operation: str) -> tuple[Mapping[str, Any], tuple[str, Any] | None]:
    """The members of an answer, and its only list if it is a page."""
    found = schema.load(SPEC)[operation]
    members = _members(found, found.answer_schema or {})
    lists = [(name, member["items"]) for name, member in members.items() if member.get("type") == "array"]
    others = set(members) - {"next_page_token", "total_size"} - {name for name, _ in lists}
    return members, lists[0] if len(lists) == 1 and not others else None


def _members(found: schema.OperationSchema, of: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in of:
        of = found.components["schemas"][of["$ref"].rpartition("/")[2]]
    return cast("Mapping[str, Any]", of.get("properties", {}))


def _whole(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else default
