"""Models of the platform API: books. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, OneOf


class AddWorkspaceBookConnectionTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """The API's `v2AddWorkspaceBookConnectionTriggerInstanceResponse`."""

    trigger_instance: TriggerInstance | None = None


class Authentication(Model, frozen=True, kw_only=True):
    """The API's `v2Authentication`."""

    authentication_id: str | None = None
    """Authentication method used when testing the connection."""
    authentication_credentials: tuple[CredentialValue, ...] = ()


class BinaryExpression(Model, frozen=True, kw_only=True):
    """The API's `v2BinaryExpression`."""

    operator: BinaryOperator | None = None
    left: Expression | None = None
    right: Expression | None = None


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
    oauth: BookOAuthAuthenticationDescriptor | None = None


class BookConnectionCondition(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionCondition`."""

    type: BookConnectionConditionType | None = None
    status: BookConnectionConditionStatus | None = None
    last_transition_time: str | None = None
    """RFC 3339, but no date-time format declared."""
    reason: str | None = None
    reason_code: BookConnectionConditionReasonCode | None = None


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

    book_name: str | None = None
    book_version: str | None = None
    connection_id: str | None = None
    connection_name: str | None = None
    authentication: Authentication | None = None
    config: tuple[ConceptValue, ...] = ()
    """Superseded by config_map."""
    labels: tuple[Label, ...] = ()
    status: BookConnectionStatus | None = None
    endpoint: str | None = None
    discovered: tuple[str, ...] = ()
    """What discovery has found."""
    config_map: dict[str, BookValue] = {}
    """Configured values; replaces config."""


class BookConnectionOAuthURLResponse(Model, frozen=True, kw_only=True):
    """The API's `v2BookConnectionOAuthURLResponse`."""

    url: str | None = None
    """Start of OAuth flow; includes authorize endpoint, state, scope, redirect uri."""

    def __repr__(self) -> str:
        return "BookConnectionOAuthURLResponse(...)"


class BookConnectionResponse(Model, frozen=True, kw_only=True):
    """Result of adding or updating a book connection."""

    book_connection_descriptor: BookConnectionDescriptor | None = None
    authorize_url: BookConnectionOAuthURLResponse | None = None


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
    state_category: BookConnectionStateCategory | None = None
    reason: str | None = None
    """Human-readable detail on the state."""
    last_updated: str | None = None
    """RFC 3339, but no date-time format declared."""
    conditions: tuple[BookConnectionCondition, ...] = ()


class BookCustomAuthenticationDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookCustomAuthenticationDescriptor`."""

    id: str | None = None
    """Tells apart several authentication mechanisms of one book."""
    credentials: tuple[CredentialDescriptor, ...] = ()
    """Credentials needed to authenticate."""
    description: str | None = None
    name: str | None = None
    noun_phrase: NounPhrase | None = None
    preferred: bool | None = None
    """Preferred authentication method."""


class BookDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookDescriptor`."""

    id: str | None = None
    """Marked deprecated in its description (not by flag); identify by name and version."""
    name: str | None = None
    short_description: str | None = None
    long_description: str | None = None
    author: str | None = None
    icon: str | None = None
    """Base64 image bytes, web-compatible format (JPG, PNG, SVG, WebP)."""
    version: str | None = None
    authentications: tuple[BookAuthenticationDescriptor, ...] = ()
    configurations: tuple[ConceptDescriptor, ...] = ()
    """Superseded by config_map."""
    display_name: str | None = None
    endpoint: str | None = None
    """URI of the book, e.g. lambda://microsoft/1.0.4."""
    connection_required: bool | None = None
    """True when every procedure always needs a connection."""
    discover_capable: bool | None = None
    """Can discover procedures."""
    tags: tuple[str, ...] = ()
    procedures: tuple[BookProcedureDescriptor, ...] = ()
    noun_phrase: NounPhrase | None = None
    userinfo_capable: bool | None = None
    """Can return the oauth user's info."""
    triggers: tuple[BookTriggerDescriptor, ...] = ()
    bdk_runtime_version: str | None = None
    environment_information: EnvironmentInformation | None = None
    config_map: dict[str, ConceptDescriptor] = {}
    """Book configuration parameters."""
    hidden: bool | None = None
    polls: tuple[BookPollDescriptor, ...] = ()


class BookListValue(Model, frozen=True, kw_only=True):
    """The API's `bdkV2ListValue`."""

    values: tuple[BookValue, ...] = ()


class BookOAuthAuthenticationDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookOAuthAuthenticationDescriptor`."""

    id: str | None = None
    """Tells apart several authentication mechanisms of one book."""
    provider: OAuthProvider | None = None
    flows: tuple[OAuthFlow, ...] = ()
    """Supported flows."""
    authorize_endpoint: str | None = None
    token_endpoint: str | None = None
    scope: tuple[str, ...] = ()
    """Scopes."""
    name: str | None = None
    arguments: tuple[OAuthArgumentDescriptor, ...] = ()
    """Extra non-OAuth arguments needed, e.g. tenant_id."""
    credentials: tuple[CredentialDescriptor, ...] = ()
    preferred: bool | None = None
    """Preferred authentication method."""


class BookPollDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookPollDescriptor`."""

    id: str | None = None
    name: str | None = None
    description: str | None = None
    configuration: dict[str, ConceptDescriptor] = {}
    """Poll configuration parameters."""
    stop_function_name: str | None = None
    """Required stop function's name."""
    output_concept: ConceptDescriptor | None = None


class BookProcedureDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookProcedureDescriptor`."""

    id: str | None = None
    """Procedure id for later calls."""
    signature: BookProcedureSignature | None = None
    inputs: tuple[ConceptDescriptor, ...] = ()
    """Required and optional inputs."""
    outputs: tuple[ConceptDescriptor, ...] = ()
    short_description: str | None = None
    long_description: str | None = None
    filter_capable: bool | None = None
    """Response can be filtered."""
    page_capable: bool | None = None
    """Response can be paged."""
    connection_required: ConnectionRequired | None = None
    is_discovered: bool | None = None
    questions: tuple[QuestionDescriptor, ...] = ()
    """Questions the procedure may ask."""
    examples: tuple[ExampleDescriptor, ...] = ()
    is_async: bool | None = None
    """Returns a promise."""
    is_mutation: bool | None = None
    """Performs a mutating action."""
    search_hints: tuple[str, ...] = ()
    """Hints for procedure resolution."""


class BookProcedureSignature(Model, frozen=True, kw_only=True):
    """The API's `v2BookProcedureSignature`."""

    english: str | None = None
    verbs: tuple[str, ...] = ()
    object: NounPhrases | None = None
    preposition: str | None = None
    target: NounPhrases | None = None
    outputs: tuple[NounPhrases, ...] = ()
    proper_nouns: tuple[str, ...] = ()
    """Proper nouns appearing in the signature."""


class BookTriggerDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2BookTriggerDescriptor`."""

    id: str | None = None
    name: str | None = None
    description: str | None = None
    setup_description: str | None = None
    configuration: dict[str, ConceptDescriptor] = {}
    """Trigger configuration parameters."""
    filter_capable: bool | None = None
    """Can filter events."""
    is_manual: bool | None = None
    """Invoked manually."""
    event_type: dict[str, ConceptDescriptor] = {}
    """Schema of the trigger's events."""
    is_shared_endpoint: bool | None = None
    """All instances of this trigger share one endpoint."""


class BookValue(Model, frozen=True, kw_only=True):
    """Union: one member carries the value (no oneOf in spec); differs from commonV1Value."""

    null_value: str | None = None
    """Declared as plain string."""
    conceptual_value: NounPhrase | None = None
    text_value: str | None = None
    """Deprecated in favour of offloadable_text_value."""
    number_value: float | None = None
    boolean_value: bool | None = None
    datetime_value: datetime | None = None
    date_value: Date | None = None
    time_value: Time | None = None
    file_value: FileValue | None = None
    dictionary_value: DictionaryValue | None = None
    list_value: BookListValue | None = None
    opaque_value: OpaqueValue | None = None
    table_value: TableValue | None = None
    sensitive_value: SensitiveValue | None = None
    offloadable_text_value: OffloadableTextValue | None = None
    offloadable_dictionary_value: OffloadableDictionaryValue | None = None
    offloadable_list_value: OffloadableListValue | None = None


class Column(Model, frozen=True, kw_only=True):
    """The API's `v2Column`."""

    values: tuple[BookValue, ...] = ()
    name: str | None = None


class ConceptAnyType(Model, frozen=True, kw_only=True):
    """No properties declared."""


class ConceptDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDescriptor`."""

    noun_phrases: NounPhrases | None = None
    type: ConceptType | None = None
    description: str | None = None
    default_value: BookValue | None = None


class ConceptDictionaryType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDictionaryType`."""

    is_a: tuple[NounPhrase, ...] = ()
    fields: tuple[ConceptDictionaryTypeField, ...] = ()
    description: str | None = None


class ConceptDictionaryTypeField(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptDictionaryTypeField`."""

    key: str | None = None
    value: ConceptType | None = None
    description: str | None = None


class ConceptEnumType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptEnumType`."""

    is_a: tuple[NounPhrase, ...] = ()
    members: tuple[ConceptEnumTypeMember, ...] = ()
    description: str | None = None


class ConceptEnumTypeMember(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptEnumTypeMember`."""

    name: str | None = None
    noun_phrase: NounPhrase | None = None
    description: str | None = None


class ConceptListType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptListType`."""

    inner: ConceptType | None = None


class ConceptOpaqueType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptOpaqueType`."""

    is_a: tuple[NounPhrase, ...] = ()
    description: str | None = None


class ConceptOptionalType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptOptionalType`."""

    inner: ConceptType | None = None


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


class ConceptTableType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptTableType`."""

    columns: tuple[ConceptTableTypeColumn, ...] = ()
    description: str | None = None


class ConceptTableTypeColumn(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptTableTypeColumn`."""

    key: str | None = None
    value: ConceptType | None = None
    description: str | None = None


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
    optional_type: ConceptOptionalType | None = None
    list_type: ConceptListType | None = None
    dictionary_type: ConceptDictionaryType | None = None
    table_type: ConceptTableType | None = None
    opaque_type: ConceptOpaqueType | None = None
    any_type: ConceptAnyType | None = None
    union_type: ConceptUnionType | None = None
    self_type: ConceptSelfType | None = None
    sensitive_type: ConceptSensitiveType | None = None
    enum_type: ConceptEnumType | None = None


class ConceptUnionType(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptUnionType`."""

    inners: tuple[ConceptType, ...] = ()


class ConceptValue(Model, frozen=True, kw_only=True):
    """The API's `v2ConceptValue`."""

    noun_phrases: NounPhrases | None = None
    value: BookValue | None = None


class ConnectionRequired(Word):
    """Bare-word values, no prefix."""

    OPTIONAL = "Optional"
    ALWAYS = "Always"
    NEVER = "Never"


class CredentialDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2CredentialDescriptor`."""

    id: str | None = None
    type: CredentialType | None = None
    label: str | None = None
    """Shown to the user while configuring."""
    visible: bool | None = None
    """Whether the book sees the value."""
    description: str | None = None


class CredentialType(Word):
    """The API's `v2CredentialType`."""

    TEXT = "CredentialTypeText"
    SENSITIVE_TEXT = "CredentialTypeSensitiveText"


class CredentialValue(Model, frozen=True, kw_only=True):
    """The API's `v2CredentialValue`."""

    id: str | None = None
    """Credential id."""
    value: BookValue | None = None

    def __repr__(self) -> str:
        return "CredentialValue(...)"


class Date(Model, frozen=True, kw_only=True):
    """The API's `v2Date`."""

    year: int | None = None
    month: int | None = None
    day: int | None = None


class DictionaryValue(Model, frozen=True, kw_only=True):
    """List of key/value fields, not a JSON map."""

    fields: tuple[DictionaryValueField, ...] = ()
    is_a: tuple[NounPhrase, ...] = ()
    """Is-a relationships."""


class DictionaryValueField(Model, frozen=True, kw_only=True):
    """The API's `v2DictionaryValueField`."""

    key: str | None = None
    value: BookValue | None = None


class DiscoverWorkspaceBookConnectionProceduresResponse(Model, frozen=True, kw_only=True):
    """Empty object."""


class Discoverable(Model, frozen=True, kw_only=True):
    """The API's `v2Discoverable`."""

    name: str | None = None
    description: str | None = None


class EnvironmentInformation(Model, frozen=True, kw_only=True):
    """The API's `bdkV2EnvironmentInformation`."""

    version: str | None = None
    runtime_name: str | None = None
    runtime_version: str | None = None
    bci_protocol_version: str | None = None
    api_version: str | None = None
    """BDK API version."""
    path: tuple[str, ...] = ()
    """Paths searched for books."""


class ExampleDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2ExampleDescriptor`."""

    description: str | None = None
    snippet: str | None = None


class Expression(Model, frozen=True, kw_only=True):
    """Recursive."""

    binary_expression: BinaryExpression | None = None
    unary_expression: UnaryExpression | None = None
    value_expression: BookValue | None = None
    noun_phrases_expression: NounPhrases | None = None


class File(Model, frozen=True, kw_only=True):
    """The API's `v2File`."""

    file_name: str | None = None
    content: str | None = None
    """Base64 (format byte)."""


class FileValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    inline: File | None = None


class Label(Model, frozen=True, kw_only=True):
    """The API's `bdkV2Label`."""

    key: str | None = None
    value: str | None = None


class NounPhrase(Model, frozen=True, kw_only=True):
    """The API's `v2NounPhrase`."""

    modifiers: tuple[str, ...] = ()
    """Adjectives, optional."""
    head: str | None = None
    """The noun."""


class NounPhrases(Model, frozen=True, kw_only=True):
    """The API's `v2NounPhrases`."""

    noun_phrases: tuple[NounPhrase, ...] = ()


class OAuthArgumentDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2OAuthArgumentDescriptor`."""

    id: str | None = None
    name: str | None = None
    description: str | None = None


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
    inline: DictionaryValue | None = None


class OffloadableListValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    inline: BookListValue | None = None


class OffloadableTextValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    inline: str | None = None


class OpaqueValue(Model, frozen=True, kw_only=True):
    """The API's `v2OpaqueValue`."""

    content: str | None = None
    """Base64 (format byte)."""
    is_a: tuple[NounPhrase, ...] = ()
    """Is-a relationships."""


class QuestionDescriptor(Model, frozen=True, kw_only=True):
    """The API's `v2QuestionDescriptor`."""

    noun_phrases: NounPhrases | None = None
    type: ConceptType | None = None


class RemoveWorkspaceBookConnectionTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """Empty object."""


class RetrieveBookConceptsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConceptsResponse`."""

    concepts: tuple[ConceptDescriptor, ...] = ()


class RetrieveBookConnectionResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConnectionResponse`."""

    book_connection: BookConnectionDescriptor | None = None


class RetrieveBookConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookConnectionsResponse`."""

    book_connections: tuple[BookConnectionDescriptor, ...] = ()
    next_page_token: str | None = None


class RetrieveBookProceduresResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookProceduresResponse`."""

    procedures: tuple[BookProcedureDescriptor, ...] = ()


class RetrieveBookResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookResponse`."""

    book: BookDescriptor | None = None


class RetrieveBookVersionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBookVersionsResponse`."""

    versions: tuple[str, ...] = ()
    """Every available version of the book."""


class RetrieveBooksConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBooksConnectionsResponse`."""

    book_connections: tuple[BookConnectionDescriptor, ...] = ()
    next_page_token: str | None = None
    """Token for the next page."""


class RetrieveBooksResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveBooksResponse`."""

    books: tuple[BookDescriptor, ...] = ()
    next_page_token: str | None = None


class RetrieveDiscoverablesResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveDiscoverablesResponse`."""

    discoverables: tuple[Discoverable, ...] = ()


class RetrieveTagsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveTagsResponse`."""

    tags: tuple[str, ...] = ()


class RetrieveUserInfoResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveUserInfoResponse`."""

    user_info: UserInfo | None = None


class RetrieveWorkspaceTriggerInstancesResponse(Model, frozen=True, kw_only=True):
    """The API's `v2RetrieveWorkspaceTriggerInstancesResponse`."""

    trigger_instances: tuple[TriggerInstance, ...] = ()


class SearchBookConceptMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookConceptMatch`."""

    book_name: str | None = None
    book_version: str | None = None
    concept: ConceptDescriptor | None = None
    score: float | None = None
    """Higher is better."""


class SearchBookConceptsResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookConceptsResponse`."""

    results: tuple[SearchBookConceptMatch, ...] = ()
    """Ranked."""


class SearchBookMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookMatch`."""

    book: BookDescriptor | None = None
    score: float | None = None
    """Relevance; higher is better."""


class SearchBookProcedureMatch(Model, frozen=True, kw_only=True):
    """The API's `v2SearchBookProcedureMatch`."""

    book_name: str | None = None
    book_version: str | None = None
    procedure: BookProcedureDescriptor | None = None
    score: float | None = None
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

    book_name: str | None = None
    book_version: str | None = None
    procedure: BookProcedureDescriptor | None = None
    score: float | None = None
    """Relevance; higher is better."""
    organization_id: str | None = None
    workspace_id: str | None = None
    connection_id: str | None = None


class SearchWorkspaceBookProceduresResponse(Model, frozen=True, kw_only=True):
    """Static and discovered procedures."""

    results: tuple[SearchWorkspaceBookProcedureMatch, ...] = ()
    """Ranked."""


class SensitiveValue(Model, frozen=True, kw_only=True):
    """Wraps a value that must not be exposed."""

    value: BookValue | None = None

    def __repr__(self) -> str:
        return "SensitiveValue(...)"


class SetAutomationsForTriggerInstanceResponse(Model, frozen=True, kw_only=True):
    """The API's `v2SetAutomationsForTriggerInstanceResponse`."""

    trigger_instance: TriggerInstance | None = None


class Table(Model, frozen=True, kw_only=True):
    """Column-oriented; all columns must have equal length."""

    columns: tuple[Column, ...] = ()


class TableValue(Model, frozen=True, kw_only=True):
    """Either remote or inline."""

    remote: str | None = None
    """URL of a Feather-format file."""
    inline: Table | None = None


class Time(Model, frozen=True, kw_only=True):
    """The API's `v2Time`."""

    hours: int | None = None
    minutes: int | None = None
    seconds: int | None = None
    nanos: int | None = None
    """Fraction of a second in nanoseconds."""


class TriggerInstance(Model, frozen=True, kw_only=True):
    """The API's `v2TriggerInstance`."""

    id: str | None = None
    name: str | None = None
    reference: str | None = None
    book_name: str | None = None
    connection_id: str | None = None
    """Book connection id."""
    trigger_id: str | None = None
    """Described as the trigger's name."""
    configuration: dict[str, BookValue] = {}
    """Trigger configuration parameters."""
    endpoint: str | None = None
    automation_ids: tuple[str, ...] = ()
    workspace_id: str | None = None
    organization_id: str | None = None
    filter_expression: Expression | None = None
    status: TriggerInstanceStatus | None = None


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
    state_category: TriggerInstanceStateCategory | None = None
    reason: str | None = None
    """Human-readable detail of current state."""
    last_updated: str | None = None
    """RFC 3339 timestamp as plain string (no date-time format declared)."""


class UnaryExpression(Model, frozen=True, kw_only=True):
    """The API's `v2UnaryExpression`."""

    operator: UnaryOperator | None = None
    inner: Expression | None = None


class UnaryOperator(Word):
    """Values are CamelCase; no UNSPECIFIED member."""

    NOT = "UnaryOperatorNot"
    EXISTS = "UnaryOperatorExists"


class UserInfo(Model, frozen=True, kw_only=True):
    """The API's `v2UserInfo`."""

    email: str | None = None
    username: str | None = None
    other_attributes: dict[str, str] = {}
    """Any further user attributes."""
