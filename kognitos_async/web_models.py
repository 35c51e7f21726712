"""Support for pydantic and FastAPI: validation, serialization and JSON schemas of models.

Frameworks with msgspec support, such as Litestar, do not need it.
"""

from __future__ import annotations

import os
from datetime import datetime
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any, get_origin
from zoneinfo import ZoneInfo

import msgspec

from kognitos_async.errors import KognitosError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kognitos_async.open_enum import Word

Timestamp = Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""A time with format `date-time` in the JSON schema."""

_ERROR_SCHEMA: dict[str, Any] = {
    "title": "KognitosError",
    "type": "object",
    "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
    "required": ["type", "message"],
}


class WebModel:
    """A struct that FastAPI and pydantic accept wherever they accept their own models.

    Its JSON is that of `msgspec.json.encode`, with errors as type and message.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        """The core schema for pydantic, which is imported only here."""
        from pydantic import PlainSerializer, PlainValidator, WithJsonSchema  # noqa: PLC0415 - optional

        kind = get_origin(source) or source

        def read(value: object) -> object:
            if isinstance(value, kind):
                return value
            try:
                return msgspec.convert(value, source, dec_hook=_read_other)
            except msgspec.ValidationError as wrong:
                raise ValueError(str(wrong)) from None

        return handler(
            Annotated[
                Any,
                PlainValidator(read),
                PlainSerializer(builtins_of, when_used="json"),
                WithJsonSchema(json_schema(source)),
            ]
        )


def error_as_dict(error: BaseException) -> dict[str, str]:
    """An error in JSON: the name of its class, and its message."""
    return {"type": type(error).__name__, "message": str(error)}


def builtins_of(value: object) -> Any:
    """`value` as JSON-ready builtins. Raises `TypeError` for values that have no JSON form."""
    return msgspec.to_builtins(value, enc_hook=_encoded, str_keys=True)


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of `builtins_of` for a type, without references.

    Enumerations of the API are strings with examples, since there may be values unknown to this version.
    """
    schema = msgspec.json.schema(kind, schema_hook=_schema_of_others)
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs", {}), ())
    return inlined


def word_schema(kind: type[Word]) -> dict[str, Any]:
    """The JSON schema of an open enumeration: any string, with the known values as examples."""
    return {"title": kind.__name__, "type": "string", "examples": [str(word) for word in kind]}


def _encoded(value: object) -> Any:
    if isinstance(value, BaseException):
        return error_as_dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, ZoneInfo):
        return str(value)
    if callable(rows := getattr(value, "to_pylist", None)):  # a table of pyarrow among the inputs
        return rows()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _read_other(kind: type, value: object) -> Any:
    """`value` as a type unknown to msgspec. Raises `ValueError` for one that JSON does not hold."""
    if kind is object:  # any value, such as the inputs of an invocation
        return value
    refusal = f"a {kind.__name__} cannot be read from JSON, got {type(value).__name__}"
    raise ValueError(getattr(kind, "json_refusal", refusal))


def _schema_of_others(kind: type) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, KognitosError):
        return dict(_ERROR_SCHEMA)
    if (refusal := getattr(kind, "json_refusal", None)) is not None:
        return {"type": "null", "description": f"Null: {refusal}."}
    return {"description": "Any value."}


def _inlined(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    """`node` with references replaced by their definitions; a recursive one becomes the empty schema."""
    if isinstance(node, list | tuple):
        return [_inlined(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if (reference := node.get("$ref")) is not None:
        name = reference.rpartition("/")[2]
        if name in inside:
            return {}
        found = _inlined(definitions[name], definitions, (*inside, name))
        if words := found.pop("enum", None):
            found |= {"type": "string", "examples": words}
        return found | {key: value for key, value in node.items() if key != "$ref"}
    plain = {key: _inlined(value, definitions, inside) for key, value in node.items()}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = cleandoc(text)
    if plain.get("default") is not None and "anyOf" in plain:
        return _without_null(plain)
    return plain


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field with a default other than null, without null.

    Only responses of the API may hold null there; the model replaces it by the default.
    """
    kinds = [kind for kind in schema["anyOf"] if kind != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return kinds[0] | rest if len(kinds) == 1 else {"anyOf": kinds} | rest
