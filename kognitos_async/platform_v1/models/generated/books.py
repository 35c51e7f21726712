"""Models of the platform API: books. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, OneOf


class AddWorkspaceBookConnectionTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """The API's `v2AddWorkspaceBookConnectionTriggerInstanceResponse`."""

    trigger_instance: TriggerInstance | None = None
    """None where the API leaves it out."""


class Authentication(Model, frozen=True, kw_only=True):
    """The API's `v2Authentication`."""

    authentication_id: str = ""
    """Authentication method used when testing the connection."""
    authentication_credentials: tuple[CredentialValue, ...] = ()
    """Empty where the API leaves it out."""


class BinaryExpression(Model, frozen=True, kw_only=True):
    """The API's `v2BinaryExpression`."""

    operator: BinaryOperator | None = None
    """None where the API leaves it out."""
    left: Expression | None = None
    """None where the API leaves it out."""
    right: Expression | None = None
    """None where the API leaves it out."""


class BinaryOperator(Word):
    """Values are CamelCase; no UNSPECIFIED member."""

    AND = "BinaryOperatorAnd"
    OR = "BinaryOperatorOr"
    EQUALS = "BinaryOperatorEquals"
    NOT_EQUALS = "BinaryOperatorNotEquals"
    IN = "BinaryOperatorIn"
    HAS = "BinaryOperatorHas"
    LESS_THAN = "BinaryOperatorLessThan"
    GREATER_THAN = "BinaryOperatorGreaterThan"
    LESS_THAN_OR_EQUAL = "BinaryOperatorLessThanOrEqual"
    GREATER_THAN_OR_EQUAL = "BinaryOperatorGreaterThanOrEqual"


class BookAuthenticationDescriptor(Model, OneOf, frozen=True, kw_only=True):
    """Custom or oauth; the schema itself declares no oneOf."""

    kinds: ClassVar[tuple[str, ...]] = (
        "custom",
        "oauth",
    )
    custom: BookCustomAuthenticationDescriptor | None = None
    """None where the API leaves it out."""
    oauth: BookOAuthAuthenticationDescriptor | None = None
    """None where the API leaves it out."""

    if TYPE_CHECKING:

        @property
        def content(self) -> BookCustomAuthenticationDescriptor | BookOAuthAuthenticationDescriptor | None:
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class BookConnectionCondition(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionCondition`."""

    type: BookConnectionConditionType | None = None
    """None where the API leaves it out."""
    status: BookConnectionConditionStatus | None = None
    """None where the API leaves it out."""
    last_transition_time: str = ""
    """RFC 3339, but no date-time format declared."""
    reason: str = ""
    """Empty where the API leaves it out."""
    reason_code: BookConnectionConditionReasonCode | None = None
    """None where the API leaves it out."""


class BookConnectionConditionReasonCode(Word):
    """Groups in order: book, authentication, configuration, connection, discovery; no UNSPECIFIED member."""

    BOOK_LOOKUP_FAILED = "BOOK_CONNECTION_CONDITION_REASON_CODE_BOOK_LOOKUP_FAILED"
    BOOK_NOT_FOUND = "BOOK_CONNECTION_CONDITION_REASON_CODE_BOOK_NOT_FOUND"
    BOOK_MISSING_IMAGE = "BOOK_CONNECTION_CONDITION_REASON_CODE_BOOK_MISSING_IMAGE"
    BOOK_RUNTIME_VERSION_OUTDATED = "BOOK_CONNECTION_CONDITION_REASON_CODE_BOOK_RUNTIME_VERSION_OUTDATED"
    AUTHENTICATION_ID_NOT_FOUND = "BOOK_CONNECTION_CONDITION_REASON_CODE_AUTHENTICATION_ID_NOT_FOUND"
    MISSING_CREDENTIAL = "BOOK_CONNECTION_CONDITION_REASON_CODE_MISSING_CREDENTIAL"
    WRONG_CREDENTIAL_TYPE = "BOOK_CONNECTION_CONDITION_REASON_CODE_WRONG_CREDENTIAL_TYPE"
    SECRET_NOT_FOUND = "BOOK_CONNECTION_CONDITION_REASON_CODE_SECRET_NOT_FOUND"
    SECRET_MISSING_KEY = "BOOK_CONNECTION_CONDITION_REASON_CODE_SECRET_MISSING_KEY"
    AUTHENTICATION_REQUIRED_MISSING = "BOOK_CONNECTION_CONDITION_REASON_CODE_AUTHENTICATION_REQUIRED_MISSING"
    AUTHENTICATION_TEST_FAILED = "BOOK_CONNECTION_CONDITION_REASON_CODE_AUTHENTICATION_TEST_FAILED"
    TOKEN_REFRESH_FAILED = "BOOK_CONNECTION_CONDITION_REASON_CODE_TOKEN_REFRESH_FAILED"
    CONFIGURATION_UNKNOWN_KEY = "BOOK_CONNECTION_CONDITION_REASON_CODE_CONFIGURATION_UNKNOWN_KEY"
    CONFIGURATION_WRONG_TYPE = "BOOK_CONNECTION_CONDITION_REASON_CODE_CONFIGURATION_WRONG_TYPE"
    REPLICA_COUNT_IS_ZERO = "BOOK_CONNECTION_CONDITION_REASON_CODE_REPLICA_COUNT_IS_ZERO"
    NEW_DEPLOYMENT_ROLLED_OUT = "BOOK_CONNECTION_CONDITION_REASON_CODE_NEW_DEPLOYMENT_ROLLED_OUT"
    DISCOVER_IN_PROGRESS = "BOOK_CONNECTION_CONDITION_REASON_CODE_DISCOVER_IN_PROGRESS"
    DISCOVER_FAILED = "BOOK_CONNECTION_CONDITION_REASON_CODE_DISCOVER_FAILED"


class BookConnectionConditionStatus(Word):
    """FALSE: error; UNKNOWN: not applicable; PENDING: underlying process unfinished."""

    TRUE = "BOOK_CONNECTION_CONDITION_STATUS_TRUE"
    FALSE = "BOOK_CONNECTION_CONDITION_STATUS_FALSE"
    UNKNOWN = "BOOK_CONNECTION_CONDITION_STATUS_UNKNOWN"
    PENDING = "BOOK_CONNECTION_CONDITION_STATUS_PENDING"


class BookConnectionConditionType(Word):
    """First three are static (data only); the others are dynamic, re-evaluated at runtime."""

    BOOK_VALID = "BOOK_CONNECTION_CONDITION_TYPE_BOOK_VALID"
    AUTHENTICATION_VALID = "BOOK_CONNECTION_CONDITION_TYPE_AUTHENTICATION_VALID"
    CONFIGURATION_VALID = "BOOK_CONNECTION_CONDITION_TYPE_CONFIGURATION_VALID"
    DEPLOYMENT_READY = "BOOK_CONNECTION_CONDITION_TYPE_DEPLOYMENT_READY"
    CREDENTIALS_VALID = "BOOK_CONNECTION_CONDITION_TYPE_CREDENTIALS_VALID"
    DISCOVER_READY = "BOOK_CONNECTION_CONDITION_TYPE_DISCOVER_READY"
    TRIGGER_INSTANCES_READY = "BOOK_CONNECTION_CONDITION_TYPE_TRIGGER_INSTANCES_READY"
    COMPATIBLE_RUNTIME_VERSION = "BOOK_CONNECTION_CONDITION_TYPE_COMPATIBLE_RUNTIME_VERSION"


class BookConnectionDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionDescriptor`."""

    book_name: str = ""
    """Empty where the API leaves it out."""
    book_version: str = ""
    """Empty where the API leaves it out."""
    connection_id: str = ""
    """Empty where the API leaves it out."""
    connection_name: str = ""
    """Empty where the API leaves it out."""
    authentication: Authentication | None = None
    """None where the API leaves it out."""
    config: tuple[ConceptValue, ...] = ()
    """Superseded by config_map."""
    labels: tuple[Label, ...] = ()
    """Empty where the API leaves it out."""
    status: BookConnectionStatus | None = None
    """None where the API leaves it out."""
    endpoint: str = ""
    """Empty where the API leaves it out."""
    discovered: tuple[str, ...] = ()
    """What discovery has found."""
    config_map: dict[str, BookValue] = {}
    """Configured values; replaces config."""


class BookConnectionOAuthURLResponse(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionOAuthURLResponse`."""

    url: str = ""
    """Start of OAuth flow; includes authorize endpoint, state, scope, redirect uri."""

    def __repr__(self) -> str:
        return "BookConnectionOAuthURLResponse(...)"


class BookConnectionResponse(Model, frozen=True, kw_only=True):
    """Result of adding or updating a book connection."""

    book_connection_descriptor: BookConnectionDescriptor | None = None
    """None where the API leaves it out."""
    authorize_url: BookConnectionOAuthURLResponse | None = None
    """None where the API leaves it out."""


class BookConnectionState(Word):
    """No UNSPECIFIED member."""

    PENDING = "BOOK_CONNECTION_STATE_PENDING"
    READY = "BOOK_CONNECTION_STATE_READY"
    FAILED = "BOOK_CONNECTION_STATE_FAILED"
    CONDITIONS_NOT_MET = "BOOK_CONNECTION_STATE_CONDITIONS_NOT_MET"
    UNKNOWN = "BOOK_CONNECTION_STATE_UNKNOWN"


class BookConnectionStateCategory(Word):
    """Severity of the state; no UNSPECIFIED member."""

    WARNING = "BOOK_CONNECTION_STATE_CATEGORY_WARNING"
    READY = "BOOK_CONNECTION_STATE_CATEGORY_READY"
    FAILED = "BOOK_CONNECTION_STATE_CATEGORY_FAILED"


class BookConnectionStatus(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionStatus`."""

    state: BookConnectionState | None = None
    """None where the API leaves it out."""
    state_category: BookConnectionStateCategory | None = None
    """None where the API leaves it out."""
    reason: str = ""
    """Human-readable detail on the state."""
    last_updated: str = ""
    """RFC 3339, but no date-time format declared."""
    conditions: tuple[BookConnectionCondition, ...] = ()
    """Empty where the API leaves it out."""


class BookCustomAuthenticationDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookCustomAuthenticationDescriptor`."""

    id: str = ""
    """Tells apart several authentication mechanisms of one book."""
    credentials: tuple[CredentialDescriptor, ...] = ()
    """Credentials needed to authenticate."""
    description: str = ""
    """What it is, in words for people."""
    name: str = ""
    """Empty where the API leaves it out."""
    noun_phrase: NounPhrase | None = None
    """None where the API leaves it out."""
    preferred: bool = False
    """Preferred authentication method."""


class BookDate(Model, frozen=True, kw_only=True):
    """The API's `v2Date`."""

    year: int = 0
    """0 where the API leaves it out."""
    month: int = 0
    """0 where the API leaves it out."""
    day: int = 0
    """0 where the API leaves it out."""


class BookDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookDescriptor`."""

    id: str = ""
    """Marked deprecated in its description (not by flag); identify by name and version."""
    name: str = ""
    """Empty where the API leaves it out."""
    short_description: str = ""
    """Empty where the API leaves it out."""
    long_description: str = ""
    """Empty where the API leaves it out."""
    author: str = ""
    """Empty where the API leaves it out."""
    icon: str = ""
    """Base64 image bytes, web-compatible format (JPG, PNG, SVG, WebP)."""
    version: str = ""
    """Its version."""
    authentications: tuple[BookAuthenticationDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    configurations: tuple[ConceptDescriptor, ...] = ()
    """Superseded by config_map."""
    display_name: str = ""
    """Its name for people."""
    endpoint: str = ""
    """URI of the book, e.g. lambda://microsoft/1.0.4."""
    connection_required: bool = False
    """True when every procedure always needs a connection."""
    discover_capable: bool = False
    """Can discover procedures."""
    tags: tuple[str, ...] = ()
    """Empty where the API leaves it out."""
    procedures: tuple[BookProcedureDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    noun_phrase: NounPhrase | None = None
    """None where the API leaves it out."""
    userinfo_capable: bool = False
    """Can return the oauth user's info."""
    triggers: tuple[BookTriggerDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    bdk_runtime_version: str = ""
    """Empty where the API leaves it out."""
    environment_information: EnvironmentInformation | None = None
    """None where the API leaves it out."""
    config_map: dict[str, ConceptDescriptor] = {}
    """Book configuration parameters."""
    hidden: bool = False
    """False where the API leaves it out."""
    polls: tuple[BookPollDescriptor, ...] = ()
    """Empty where the API leaves it out."""


class BookListValue(Model, frozen=True, kw_only=True):
    """The API's `bdkV2ListValue`."""

    values: tuple[BookValue, ...] = ()
    """Empty where the API leaves it out."""


class BookOAuthAuthenticationDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookOAuthAuthenticationDescriptor`."""

    id: str = ""
    """Tells apart several authentication mechanisms of one book."""
    provider: OAuthProvider | None = None
    """None where the API leaves it out."""
    flows: tuple[OAuthFlow, ...] = ()
    """Supported flows."""
    authorize_endpoint: str = ""
    """Empty where the API leaves it out."""
    token_endpoint: str = ""
    """Empty where the API leaves it out."""
    scope: tuple[str, ...] = ()
    """Scopes."""
    name: str = ""
    """Empty where the API leaves it out."""
    arguments: tuple[OAuthArgumentDescriptor, ...] = ()
    """Extra non-OAuth arguments needed, e.g. tenant_id."""
    credentials: tuple[CredentialDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    preferred: bool = False
    """Preferred authentication method."""


class BookPollDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookPollDescriptor`."""

    id: str = ""
    """Its id."""
    name: str = ""
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""
    configuration: dict[str, ConceptDescriptor] = {}
    """Poll configuration parameters."""
    stop_function_name: str = ""
    """Required stop function's name."""
    output_concept: ConceptDescriptor | None = None
    """None where the API leaves it out."""


class BookProcedureDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookProcedureDescriptor`."""

    id: str = ""
    """Procedure id for later calls."""
    signature: BookProcedureSignature | None = None
    """None where the API leaves it out."""
    inputs: tuple[ConceptDescriptor, ...] = ()
    """Required and optional inputs."""
    outputs: tuple[ConceptDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    short_description: str = ""
    """Empty where the API leaves it out."""
    long_description: str = ""
    """Empty where the API leaves it out."""
    filter_capable: bool = False
    """Response can be filtered."""
    page_capable: bool = False
    """Response can be paged."""
    connection_required: ConnectionRequired | None = None
    """None where the API leaves it out."""
    is_discovered: bool = False
    """False where the API leaves it out."""
    questions: tuple[QuestionDescriptor, ...] = ()
    """Questions the procedure may ask."""
    examples: tuple[ExampleDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    is_async: bool = False
    """Returns a promise."""
    is_mutation: bool = False
    """Performs a mutating action."""
    search_hints: tuple[str, ...] = ()
    """Hints for procedure resolution."""


class BookProcedureSignature(Model, frozen=True, kw_only=True):
    """The API's `v2BookProcedureSignature`."""

    english: str = ""
    """Empty where the API leaves it out."""
    verbs: tuple[str, ...] = ()
    """Empty where the API leaves it out."""
    object: NounPhrases | None = None
    """None where the API leaves it out."""
    preposition: str = ""
    """Empty where the API leaves it out."""
    target: NounPhrases | None = None
    """None where the API leaves it out."""
    outputs: tuple[NounPhrases, ...] = ()
    """Empty where the API leaves it out."""
    proper_nouns: tuple[str, ...] = ()
    """Proper nouns appearing in the signature."""


class BookTime(Model, frozen=True, kw_only=True):
    """The API's `v2Time`."""

    hours: int = 0
    """0 where the API leaves it out."""
    minutes: int = 0
    """0 where the API leaves it out."""
    seconds: int = 0
    """0 where the API leaves it out."""
    nanos: int = 0
    """Fraction of a second in nanoseconds."""


class BookTriggerDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookTriggerDescriptor`."""

    id: str = ""
    """Its id."""
    name: str = ""
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""
    setup_description: str = ""
    """Empty where the API leaves it out."""
    configuration: dict[str, ConceptDescriptor] = {}
    """Trigger configuration parameters."""
    filter_capable: bool = False
    """Can filter events."""
    is_manual: bool = False
    """Invoked manually."""
    event_type: dict[str, ConceptDescriptor] = {}
    """Schema of the trigger's events."""
    is_shared_endpoint: bool = False
    """All instances of this trigger share one endpoint."""


class BookValue(Model, frozen=True, kw_only=True):
    """Union: one member carries the value (no oneOf in spec); differs from commonV1Value."""

    null_value: str | None = None
    """Declared as plain string."""
    conceptual_value: NounPhrase | None = None
    """None where the API leaves it out."""
    text_value: str | None = None
    """Deprecated in favour of offloadable_text_value."""
    number_value: float | None = None
    """None where the API leaves it out."""
    boolean_value: bool | None = None
    """None where the API leaves it out."""
    datetime_value: datetime | None = None
    """None where the API leaves it out."""
    date_value: BookDate | None = None
    """None where the API leaves it out."""
    time_value: BookTime | None = None
    """None where the API leaves it out."""
    file_value: FileValue | None = None
    """None where the API leaves it out."""
    dictionary_value: DictionaryValue | None = None
    """None where the API leaves it out."""
    list_value: BookListValue | None = None
    """None where the API leaves it out."""
    opaque_value: OpaqueValue | None = None
    """None where the API leaves it out."""
    table_value: TableValue | None = None
    """None where the API leaves it out."""
    sensitive_value: SensitiveValue | None = None
    """None where the API leaves it out."""
    offloadable_text_value: OffloadableTextValue | None = None
    """None where the API leaves it out."""
    offloadable_dictionary_value: OffloadableDictionaryValue | None = None
    """None where the API leaves it out."""
    offloadable_list_value: OffloadableListValue | None = None
    """None where the API leaves it out."""


class Column(Model, frozen=True, kw_only=True):
    """The API's `v2Column`."""

    values: tuple[BookValue, ...] = ()
    """Empty where the API leaves it out."""
    name: str = ""
    """Empty where the API leaves it out."""


class ConceptAnyType(Model, frozen=True, kw_only=True):
    """No properties declared."""


class ConceptDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDescriptor`."""

    noun_phrases: NounPhrases | None = None
    """None where the API leaves it out."""
    type: ConceptType | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""
    default_value: BookValue | None = None
    """None where the API leaves it out."""


class ConceptDictionaryType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDictionaryType`."""

    is_a: tuple[NounPhrase, ...] = ()
    """Empty where the API leaves it out."""
    fields: tuple[ConceptDictionaryTypeField, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptDictionaryTypeField(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDictionaryTypeField`."""

    key: str = ""
    """Empty where the API leaves it out."""
    value: ConceptType | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptEnumType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptEnumType`."""

    is_a: tuple[NounPhrase, ...] = ()
    """Empty where the API leaves it out."""
    members: tuple[ConceptEnumTypeMember, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptEnumTypeMember(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptEnumTypeMember`."""

    name: str = ""
    """Empty where the API leaves it out."""
    noun_phrase: NounPhrase | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptListType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptListType`."""

    inner: ConceptType | None = None
    """None where the API leaves it out."""


class ConceptOpaqueType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptOpaqueType`."""

    is_a: tuple[NounPhrase, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptOptionalType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptOptionalType`."""

    inner: ConceptType | None = None
    """None where the API leaves it out."""


class ConceptScalarType(Word):
    """The API's `v2ConceptScalarType`."""

    CONCEPTUAL = "ConceptScalarTypeConceptual"
    TEXT = "ConceptScalarTypeText"
    NUMBER = "ConceptScalarTypeNumber"
    BOOLEAN = "ConceptScalarTypeBoolean"
    DATETIME = "ConceptScalarTypeDatetime"
    DATE = "ConceptScalarTypeDate"
    TIME = "ConceptScalarTypeTime"
    FILE = "ConceptScalarTypeFile"
    UUID = "ConceptScalarTypeUUID"


class ConceptSelfType(Model, frozen=True, kw_only=True):
    """No properties declared."""


class ConceptSensitiveType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptSensitiveType`."""

    inner: ConceptType | None = None
    """None where the API leaves it out."""


class ConceptTableType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptTableType`."""

    columns: tuple[ConceptTableTypeColumn, ...] = ()
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptTableTypeColumn(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptTableTypeColumn`."""

    key: str = ""
    """Empty where the API leaves it out."""
    value: ConceptType | None = None
    """None where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class ConceptType(Model, OneOf, frozen=True, kw_only=True):
    """One property per kind; schema declares no oneOf; recursive."""

    kinds: ClassVar[tuple[str, ...]] = (
        "scalar_type",
        "optional_type",
        "list_type",
        "dictionary_type",
        "table_type",
        "opaque_type",
        "any_type",
        "union_type",
        "self_type",
        "sensitive_type",
        "enum_type",
    )
    scalar_type: ConceptScalarType | None = None
    """None where the API leaves it out."""
    optional_type: ConceptOptionalType | None = None
    """None where the API leaves it out."""
    list_type: ConceptListType | None = None
    """None where the API leaves it out."""
    dictionary_type: ConceptDictionaryType | None = None
    """None where the API leaves it out."""
    table_type: ConceptTableType | None = None
    """None where the API leaves it out."""
    opaque_type: ConceptOpaqueType | None = None
    """None where the API leaves it out."""
    any_type: ConceptAnyType | None = None
    """None where the API leaves it out."""
    union_type: ConceptUnionType | None = None
    """None where the API leaves it out."""
    self_type: ConceptSelfType | None = None
    """None where the API leaves it out."""
    sensitive_type: ConceptSensitiveType | None = None
    """None where the API leaves it out."""
    enum_type: ConceptEnumType | None = None
    """None where the API leaves it out."""

    if TYPE_CHECKING:

        @property
        def content(
            self,
        ) -> (
            ConceptScalarType
            | ConceptOptionalType
            | ConceptListType
            | ConceptDictionaryType
            | ConceptTableType
            | ConceptOpaqueType
            | ConceptAnyType
            | ConceptUnionType
            | ConceptSelfType
            | ConceptSensitiveType
            | ConceptEnumType
            | None
        ):
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class ConceptUnionType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptUnionType`."""

    inners: tuple[ConceptType, ...] = ()
    """Empty where the API leaves it out."""


class ConceptValue(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptValue`."""

    noun_phrases: NounPhrases | None = None
    """None where the API leaves it out."""
    value: BookValue | None = None
    """None where the API leaves it out."""


class ConnectionRequired(Word):
    """Bare-word values, no prefix."""

    OPTIONAL = "Optional"
    ALWAYS = "Always"
    NEVER = "Never"


class CredentialDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2CredentialDescriptor`."""

    id: str = ""
    """Its id."""
    type: CredentialType | None = None
    """None where the API leaves it out."""
    label: str = ""
    """Shown to the user while configuring."""
    visible: bool = False
    """Whether the book sees the value."""
    description: str = ""
    """What it is, in words for people."""


class CredentialType(Word):
    """The API's `v2CredentialType`."""

    TEXT = "CredentialTypeText"
    SENSITIVE_TEXT = "CredentialTypeSensitiveText"


class CredentialValue(Model, frozen=True, kw_only=True):
    """The API's `v2CredentialValue`."""

    id: str = ""
    """Credential id."""
    value: BookValue | None = None
    """None where the API leaves it out."""

    def __repr__(self) -> str:
        return "CredentialValue(...)"


class DictionaryValue(Model, frozen=True, kw_only=True):
    """List of key/value fields, not a JSON map."""

    fields: tuple[DictionaryValueField, ...] = ()
    """Empty where the API leaves it out."""
    is_a: tuple[NounPhrase, ...] = ()
    """Is-a relationships."""


class DictionaryValueField(Model, frozen=True, kw_only=True):
    """The API's `v2DictionaryValueField`."""

    key: str = ""
    """Empty where the API leaves it out."""
    value: BookValue | None = None
    """None where the API leaves it out."""


class DiscoverWorkspaceBookConnectionProceduresResponse(Model, frozen=True, kw_only=True):
    """Empty object."""


class Discoverable(Model, frozen=True, kw_only=True):
    """The API's `v2Discoverable`."""

    name: str = ""
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class EnvironmentInformation(Model, frozen=True, kw_only=True):
    """The API's `bdkV2EnvironmentInformation`."""

    version: str = ""
    """Its version."""
    runtime_name: str = ""
    """Empty where the API leaves it out."""
    runtime_version: str = ""
    """Empty where the API leaves it out."""
    bci_protocol_version: str = ""
    """Empty where the API leaves it out."""
    api_version: str = ""
    """BDK API version."""
    path: tuple[str, ...] = ()
    """Paths searched for books."""


class ExampleDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2ExampleDescriptor`."""

    description: str = ""
    """What it is, in words for people."""
    snippet: str = ""
    """Empty where the API leaves it out."""


class Expression(Model, frozen=True, kw_only=True):
    """Recursive."""

    binary_expression: BinaryExpression | None = None
    """None where the API leaves it out."""
    unary_expression: UnaryExpression | None = None
    """None where the API leaves it out."""
    value_expression: BookValue | None = None
    """None where the API leaves it out."""
    noun_phrases_expression: NounPhrases | None = None
    """None where the API leaves it out."""


class File(Model, frozen=True, kw_only=True):
    """The API's `v2File`."""

    file_name: str = ""
    """Empty where the API leaves it out."""
    content: str = ""
    """Base64 (format byte)."""


class FileValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """None where the API leaves it out."""
    inline: File | None = None
    """None where the API leaves it out."""


class Label(Model, frozen=True, kw_only=True):
    """The API's `bdkV2Label`."""

    key: str = ""
    """Empty where the API leaves it out."""
    value: str = ""
    """Empty where the API leaves it out."""


class NounPhrase(Model, frozen=True, kw_only=True):
    """The API's `v2NounPhrase`."""

    modifiers: tuple[str, ...] = ()
    """Adjectives, optional."""
    head: str = ""
    """The noun."""


class NounPhrases(Model, frozen=True, kw_only=True):
    """The API's `v2NounPhrases`."""

    noun_phrases: tuple[NounPhrase, ...] = ()
    """Empty where the API leaves it out."""


class OAuthArgumentDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2OAuthArgumentDescriptor`."""

    id: str = ""
    """Its id."""
    name: str = ""
    """Empty where the API leaves it out."""
    description: str = ""
    """What it is, in words for people."""


class OAuthFlow(Word):
    """The API's `v2OAuthFlow`."""

    AUTHORIZATION_CODE = "OAuthFlowAuthorizationCode"
    CLIENT_CREDENTIALS = "OAuthFlowClientCredentials"


class OAuthProvider(Word):
    """The API's `v2OAuthProvider`."""

    MICROSOFT = "OAuthProviderMicrosoft"
    GOOGLE = "OAuthProviderGoogle"
    GENERIC = "OAuthProviderGeneric"


class OffloadableDictionaryValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """None where the API leaves it out."""
    inline: DictionaryValue | None = None
    """None where the API leaves it out."""


class OffloadableListValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """None where the API leaves it out."""
    inline: BookListValue | None = None
    """None where the API leaves it out."""


class OffloadableTextValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """None where the API leaves it out."""
    inline: str | None = None
    """None where the API leaves it out."""


class OpaqueValue(Model, frozen=True, kw_only=True):
    """The API's `v2OpaqueValue`."""

    content: str = ""
    """Base64 (format byte)."""
    is_a: tuple[NounPhrase, ...] = ()
    """Is-a relationships."""


class QuestionDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2QuestionDescriptor`."""

    noun_phrases: NounPhrases | None = None
    """None where the API leaves it out."""
    type: ConceptType | None = None
    """None where the API leaves it out."""


class RemoveWorkspaceBookConnectionTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """Empty object."""


class RetrieveBookConceptsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConceptsResponse`."""

    concepts: tuple[ConceptDescriptor, ...] = ()
    """Empty where the API leaves it out."""


class RetrieveBookConnectionResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConnectionResponse`."""

    book_connection: BookConnectionDescriptor | None = None
    """None where the API leaves it out."""


class RetrieveBookConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConnectionsResponse`."""

    book_connections: tuple[BookConnectionDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """The token of the next page, empty on the last."""


class RetrieveBookProceduresResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookProceduresResponse`."""

    procedures: tuple[BookProcedureDescriptor, ...] = ()
    """Empty where the API leaves it out."""


class RetrieveBookResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookResponse`."""

    book: BookDescriptor | None = None
    """None where the API leaves it out."""


class RetrieveBookVersionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookVersionsResponse`."""

    versions: tuple[str, ...] = ()
    """Every available version of the book."""


class RetrieveBooksConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBooksConnectionsResponse`."""

    book_connections: tuple[BookConnectionDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Token for the next page."""


class RetrieveBooksResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBooksResponse`."""

    books: tuple[BookDescriptor, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """The token of the next page, empty on the last."""


class RetrieveDiscoverablesResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveDiscoverablesResponse`."""

    discoverables: tuple[Discoverable, ...] = ()
    """Empty where the API leaves it out."""


class RetrieveTagsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveTagsResponse`."""

    tags: tuple[str, ...] = ()
    """Empty where the API leaves it out."""


class RetrieveUserInfoResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveUserInfoResponse`."""

    user_info: UserInfo | None = None
    """None where the API leaves it out."""


class RetrieveWorkspaceTriggerInstancesResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveWorkspaceTriggerInstancesResponse`."""

    trigger_instances: tuple[TriggerInstance, ...] = ()
    """Empty where the API leaves it out."""


class SearchBookConceptMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookConceptMatch`."""

    book_name: str = ""
    """Empty where the API leaves it out."""
    book_version: str = ""
    """Empty where the API leaves it out."""
    concept: ConceptDescriptor | None = None
    """None where the API leaves it out."""
    score: float = 0.0
    """Higher is better."""


class SearchBookConceptsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookConceptsResponse`."""

    results: tuple[SearchBookConceptMatch, ...] = ()
    """Ranked."""


class SearchBookMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookMatch`."""

    book: BookDescriptor | None = None
    """None where the API leaves it out."""
    score: float = 0.0
    """Relevance; higher is better."""


class SearchBookProcedureMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookProcedureMatch`."""

    book_name: str = ""
    """Empty where the API leaves it out."""
    book_version: str = ""
    """Empty where the API leaves it out."""
    procedure: BookProcedureDescriptor | None = None
    """None where the API leaves it out."""
    score: float = 0.0
    """Relevance; higher is better."""


class SearchBookProceduresResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookProceduresResponse`."""

    results: tuple[SearchBookProcedureMatch, ...] = ()
    """Ranked."""


class SearchBooksResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBooksResponse`."""

    results: tuple[SearchBookMatch, ...] = ()
    """Ranked."""


class SearchWorkspaceBookProcedureMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchWorkspaceBookProcedureMatch`."""

    book_name: str = ""
    """Empty where the API leaves it out."""
    book_version: str = ""
    """Empty where the API leaves it out."""
    procedure: BookProcedureDescriptor | None = None
    """None where the API leaves it out."""
    score: float = 0.0
    """Relevance; higher is better."""
    organization_id: str = ""
    """Empty where the API leaves it out."""
    workspace_id: str = ""
    """Empty where the API leaves it out."""
    connection_id: str = ""
    """Empty where the API leaves it out."""


class SearchWorkspaceBookProceduresResponse(Model, frozen=True, kw_only=True):
    """Static and discovered procedures."""

    results: tuple[SearchWorkspaceBookProcedureMatch, ...] = ()
    """Ranked."""


class SensitiveValue(Model, frozen=True, kw_only=True):
    """Wraps a value that must not be exposed."""

    value: BookValue | None = None
    """None where the API leaves it out."""

    def __repr__(self) -> str:
        return "SensitiveValue(...)"


class SetAutomationsForTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SetAutomationsForTriggerInstanceResponse`."""

    trigger_instance: TriggerInstance | None = None
    """None where the API leaves it out."""


class Table(Model, frozen=True, kw_only=True):
    """Column-oriented; all columns must have equal length."""

    columns: tuple[Column, ...] = ()
    """Empty where the API leaves it out."""


class TableValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """URL of a Feather-format file."""
    inline: Table | None = None
    """None where the API leaves it out."""


class TriggerInstance(Model, frozen=True, kw_only=True):
    """The API's `v2TriggerInstance`."""

    id: str = ""
    """Its id."""
    name: str = ""
    """Empty where the API leaves it out."""
    reference: str = ""
    """Empty where the API leaves it out."""
    book_name: str = ""
    """Empty where the API leaves it out."""
    connection_id: str = ""
    """Book connection id."""
    trigger_id: str = ""
    """Described as the trigger's name."""
    configuration: dict[str, BookValue] = {}
    """Trigger configuration parameters."""
    endpoint: str = ""
    """Empty where the API leaves it out."""
    automation_ids: tuple[str, ...] = ()
    """Empty where the API leaves it out."""
    workspace_id: str = ""
    """Empty where the API leaves it out."""
    organization_id: str = ""
    """Empty where the API leaves it out."""
    filter_expression: Expression | None = None
    """None where the API leaves it out."""
    status: TriggerInstanceStatus | None = None
    """None where the API leaves it out."""


class TriggerInstanceState(Word):
    """Zero value is PENDING, no UNSPECIFIED."""

    PENDING = "TRIGGER_INSTANCE_STATE_PENDING"
    READY = "TRIGGER_INSTANCE_STATE_READY"
    FAILED = "TRIGGER_INSTANCE_STATE_FAILED"
    UNKNOWN = "TRIGGER_INSTANCE_STATE_UNKNOWN"


class TriggerInstanceStateCategory(Word):
    """Zero value is WARNING, no UNSPECIFIED."""

    WARNING = "TRIGGER_INSTANCE_STATE_CATEGORY_WARNING"
    READY = "TRIGGER_INSTANCE_STATE_CATEGORY_READY"
    FAILED = "TRIGGER_INSTANCE_STATE_CATEGORY_FAILED"


class TriggerInstanceStatus(Model, frozen=True, kw_only=True):
    """The API's `v2TriggerInstanceStatus`."""

    state: TriggerInstanceState | None = None
    """None where the API leaves it out."""
    state_category: TriggerInstanceStateCategory | None = None
    """None where the API leaves it out."""
    reason: str = ""
    """Human-readable detail of current state."""
    last_updated: str = ""
    """RFC 3339 timestamp as plain string (no date-time format declared)."""


class UnaryExpression(Model, frozen=True, kw_only=True):
    """The API's `v2UnaryExpression`."""

    operator: UnaryOperator | None = None
    """None where the API leaves it out."""
    inner: Expression | None = None
    """None where the API leaves it out."""


class UnaryOperator(Word):
    """Values are CamelCase; no UNSPECIFIED member."""

    NOT = "UnaryOperatorNot"
    EXISTS = "UnaryOperatorExists"


class UserInfo(Model, frozen=True, kw_only=True):
    """The API's `v2UserInfo`."""

    email: str = ""
    """A mail address."""
    username: str = ""
    """Empty where the API leaves it out."""
    other_attributes: dict[str, str] = {}
    """Any further user attributes."""
