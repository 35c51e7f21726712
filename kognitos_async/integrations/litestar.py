"""Litestar: `Litestar(handlers, plugins=[KognitosPlugin()])`.

Litestar can already return and document the library's models. The plugin adds errors inside a `RunOutcome`,
and open enumerations in the OpenAPI document.
"""

from __future__ import annotations

import re
from inspect import isclass
from typing import TYPE_CHECKING, Any

from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import InitPlugin, OpenAPISchemaPlugin

from kognitos_async.errors import KognitosError
from kognitos_async.open_enum import Word
from kognitos_async.web_models import WebModel, error_as_dict, json_schema, word_schema

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.config.app import AppConfig
    from litestar.typing import FieldDefinition

_CAPITAL = re.compile("(?=[A-Z])")


class KognitosPlugin(InitPlugin, OpenAPISchemaPlugin):
    """The library's models in answers and in the OpenAPI document, as `kognitos_async` documents them."""

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add an encoder for errors to the configuration."""
        app_config.type_encoders = {KognitosError: error_as_dict, **(app_config.type_encoders or {})}
        return app_config

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether the type is a model or an open enumeration of this library."""
        kind = field_definition.origin or field_definition.annotation
        return isclass(kind) and issubclass(kind, WebModel | Word)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:  # noqa: ARG002 - Litestar's signature
        """The inline schema of the type."""
        kind = field_definition.annotation
        if isclass(kind) and issubclass(kind, Word):
            return _schema(word_schema(kind))
        return _schema(json_schema(kind))


def _schema(plain: dict[str, Any]) -> Schema:
    members = {_CAPITAL.sub("_", key).lower(): _member(key, value) for key, value in plain.items()}
    return Schema(**members)


def _member(keyword: str, value: Any) -> Any:
    match keyword:
        case "type":
            return OpenAPIType(value)
        case "properties":
            return {name: _schema(member) for name, member in value.items()}
        case "items" | "additionalProperties" if isinstance(value, dict):
            return _schema(value)
        case "anyOf" | "oneOf" | "allOf" | "prefixItems":
            return [_schema(member) for member in value]
    return value
