"""Models of the platform API: shared. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, OneOf


class AutomationPhaseType(Word):
    """The API's `v1AutomationPhaseType`."""

    UNSPECIFIED = "AUTOMATION_PHASE_TYPE_UNSPECIFIED"
    PRE = "AUTOMATION_PHASE_TYPE_PRE"
    MAIN = "AUTOMATION_PHASE_TYPE_MAIN"
    POST = "AUTOMATION_PHASE_TYPE_POST"


class BookConnection(Model, frozen=True, kw_only=True):
    """The API's `v1BookConnection`."""

    connection_id: str = ""
    """Unique id."""
    endpoint: str = ""
    """Empty where the API leaves it out."""


class ExecutableStep(Model, frozen=True, kw_only=True):
    """The API's `v1ExecutableStep`."""

    code: str = ""
    """SPy source."""
    book_connections: dict[str, BookConnection] = {}
    """Keyed by connection name."""
    phase_type: AutomationPhaseType | None = None
    """None where the API leaves it out."""


class ExecutableSteps(Model, frozen=True, kw_only=True):
    """Steps are piped: each output feeds the next; last output is the run's."""

    inputs: dict[str, dict[str, Any]] = {}
    """Name to value; visible to the code."""
    executables: tuple[ExecutableStep, ...] = ()
    """Empty where the API leaves it out."""


class Location(Model, frozen=True, kw_only=True):
    """Byte span, not a character span."""

    start_byte: int = 0
    """Zero-based; int64 carried as JSON string."""
    end_byte: int = 0
    """Zero-based, exclusive; int64 carried as JSON string."""


class ValueAnyType(Model, frozen=True, kw_only=True):
    """Empty marker: any value."""


class ValueDictionaryType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueDictionaryType`."""

    is_a: str = ""
    """Semantic class."""
    fields: tuple[ValueDictionaryTypeField, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ValueDictionaryTypeField(Model, frozen=True, kw_only=True):
    """The API's `v1ValueDictionaryTypeField`."""

    key: str = ""
    """Field name."""
    value: ValueType | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ValueEnumType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueEnumType`."""

    is_a: str = ""
    """Semantic class."""
    members: tuple[ValueEnumTypeMember, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ValueEnumTypeMember(Model, frozen=True, kw_only=True):
    """The API's `v1ValueEnumTypeMember`."""

    name: str = ""
    """Programmatic name."""
    description: str = ""
    """What it is, in words for people."""


class ValueGenericDictionaryType(Model, frozen=True, kw_only=True):
    """Free-form dictionary with one key type and one value type."""

    key_type: ValueType | None = None
    """None where the API leaves it out."""
    value_type: ValueType | None = None
    """None where the API leaves it out."""


class ValueListType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueListType`."""

    inner: ValueType | None = None
    """None where the API leaves it out."""


class ValueOpaqueType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueOpaqueType`."""

    is_a: str = ""
    """Semantic class."""
    description: str = ""
    """What it is, in words for people."""


class ValueOptionalType(Model, frozen=True, kw_only=True):
    """Nullable."""

    inner: ValueType | None = None
    """None where the API leaves it out."""


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
    """None where the API leaves it out."""


class ValueTableType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueTableType`."""

    is_a: str = ""
    """Semantic class."""
    columns: tuple[ValueTableTypeColumn, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ValueTableTypeColumn(Model, frozen=True, kw_only=True):
    """The API's `v1ValueTableTypeColumn`."""

    key: str = ""
    """Column name."""
    value: ValueType | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


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
    """None where the API leaves it out."""
    optional_type: ValueOptionalType | None = None
    """None where the API leaves it out."""
    list_type: ValueListType | None = None
    """None where the API leaves it out."""
    dictionary_type: ValueDictionaryType | None = None
    """None where the API leaves it out."""
    table_type: ValueTableType | None = None
    """None where the API leaves it out."""
    opaque_type: ValueOpaqueType | None = None
    """None where the API leaves it out."""
    any_type: ValueAnyType | None = None
    """None where the API leaves it out."""
    union_type: ValueUnionType | None = None
    """None where the API leaves it out."""
    sensitive_type: ValueSensitiveType | None = None
    """None where the API leaves it out."""
    enum_type: ValueEnumType | None = None
    """None where the API leaves it out."""
    generic_dictionary_type: ValueGenericDictionaryType | None = None
    """None where the API leaves it out."""

    if TYPE_CHECKING:

        @property
        def content(
            self,
        ) -> (
            ValueScalarType
            | ValueOptionalType
            | ValueListType
            | ValueDictionaryType
            | ValueTableType
            | ValueOpaqueType
            | ValueAnyType
            | ValueUnionType
            | ValueSensitiveType
            | ValueEnumType
            | ValueGenericDictionaryType
            | None
        ):
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class ValueUnionType(Model, frozen=True, kw_only=True):
    """The API's `v1ValueUnionType`."""

    inners: tuple[ValueType, ...] = ()
    """Allowed types."""
