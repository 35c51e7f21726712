"""Models of the platform API: shared. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from typing import ClassVar

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, OneOf


class BookConnection(Model, frozen=True, kw_only=True):
    """The API's `v1BookConnection`."""

    connection_id: str | None = None
    """Unique id."""
    endpoint: str | None = None


class Location(Model, frozen=True, kw_only=True):
    """Byte span, not a character span."""

    start_byte: int | None = None
    """Zero-based; int64 carried as JSON string."""
    end_byte: int | None = None
    """Zero-based, exclusive; int64 carried as JSON string."""


class ValueAnyType(Model, frozen=True, kw_only=True):
    """Empty marker: any value."""


class ValueDictionaryType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueDictionaryType`."""

    is_a: str | None = None
    """Semantic class."""
    fields: tuple[ValueDictionaryTypeField, ...] = ()
    description: str | None = None


class ValueDictionaryTypeField(Model, frozen=True, kw_only=True):
    """The API's `v1ValueDictionaryTypeField`."""

    key: str | None = None
    """Field name."""
    value: ValueType | None = None
    description: str | None = None


class ValueEnumType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueEnumType`."""

    is_a: str | None = None
    """Semantic class."""
    members: tuple[ValueEnumTypeMember, ...] = ()
    description: str | None = None


class ValueEnumTypeMember(Model, frozen=True, kw_only=True):
    """The API's `v1ValueEnumTypeMember`."""

    name: str | None = None
    """Programmatic name."""
    description: str | None = None


class ValueGenericDictionaryType(Model, frozen=True, kw_only=True):
    """Free-form dictionary with one key type and one value type."""

    key_type: ValueType | None = None
    value_type: ValueType | None = None


class ValueListType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueListType`."""

    inner: ValueType | None = None


class ValueOpaqueType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueOpaqueType`."""

    is_a: str | None = None
    """Semantic class."""
    description: str | None = None


class ValueOptionalType(Model, frozen=True, kw_only=True):
    """Nullable."""

    inner: ValueType | None = None


class ValueScalarType(Word):
    """The API's `v1ValueScalarType`."""

    UNSPECIFIED = "VALUE_SCALAR_TYPE_UNSPECIFIED"
    TEXT = "VALUE_SCALAR_TYPE_TEXT"
    NUMBER = "VALUE_SCALAR_TYPE_NUMBER"
    BOOLEAN = "VALUE_SCALAR_TYPE_BOOLEAN"
    DATETIME = "VALUE_SCALAR_TYPE_DATETIME"
    DATE = "VALUE_SCALAR_TYPE_DATE"
    TIME = "VALUE_SCALAR_TYPE_TIME"
    FILE = "VALUE_SCALAR_TYPE_FILE"


class ValueSensitiveType(Model, frozen=True, kw_only=True):
    """Holds sensitive data."""

    inner: ValueType | None = None


class ValueTableType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueTableType`."""

    is_a: str | None = None
    """Semantic class."""
    columns: tuple[ValueTableTypeColumn, ...] = ()
    description: str | None = None


class ValueTableTypeColumn(Model, frozen=True, kw_only=True):
    """The API's `v1ValueTableTypeColumn`."""

    key: str | None = None
    """Column name."""
    value: ValueType | None = None
    description: str | None = None


class ValueType(Model, OneOf, frozen=True, kw_only=True):
    """Discriminated union by present member (no oneOf in spec); recursive."""

    kinds: ClassVar[tuple[str, ...]] = (
        "scalar_type",
        "optional_type",
        "list_type",
        "dictionary_type",
        "table_type",
        "opaque_type",
        "any_type",
        "union_type",
        "sensitive_type",
        "enum_type",
        "generic_dictionary_type",
    )
    scalar_type: ValueScalarType | None = None
    optional_type: ValueOptionalType | None = None
    list_type: ValueListType | None = None
    dictionary_type: ValueDictionaryType | None = None
    table_type: ValueTableType | None = None
    opaque_type: ValueOpaqueType | None = None
    any_type: ValueAnyType | None = None
    union_type: ValueUnionType | None = None
    sensitive_type: ValueSensitiveType | None = None
    enum_type: ValueEnumType | None = None
    generic_dictionary_type: ValueGenericDictionaryType | None = None


class ValueUnionType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueUnionType`."""

    inners: tuple[ValueType, ...] = ()
    """Allowed types."""
