"""Models of the platform API: automations. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, Named
from kognitos_async.platform_v1.models.generated.shared import BookConnection, Location, ValueType
from kognitos_async.platform_v1.models.words import AutomationStage


class AddAutomationConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1AddAutomationConnectionsResponse`."""

    automation: Automation | None = None
    """None where the API leaves it out."""


class AffectedAutomation(Model, frozen=True, kw_only=True):
    """The API's `v1AffectedAutomation`."""

    automation_id: str = ""
    """Bare id segment, not resource name."""
    display_name: str = ""
    """Its name for people."""


class Automation(Named, frozen=True, kw_only=True):
    """Automation ids: 21-character nano ids from A-Za-z0-9_-; drafts editable, published immutable."""

    name: str = ""
    """Spec's example is the short form automations/{automation}."""
    display_name: str = ""
    """Must be unique in the user's namespace."""
    english_code: str = ""
    """English rendering of what it does."""
    code: str = ""
    """SPy source that is executed."""
    artifacts: dict[str, str] = {}
    """Artifact name to base64 content; available during execution."""
    create_time: datetime | None = None
    """Never changes."""
    version: str = ""
    """Major.minor, grows on each update or publish."""
    connections: dict[str, BookConnection] = {}
    """Keyed by connection name."""
    update_time: datetime | None = None
    """When it was last changed."""
    update_user_id: str = ""
    """Last editor."""
    delete_time: datetime | None = None
    """Set when deleted."""
    purge_time: datetime | None = None
    """When it will be purged."""
    input_specs: tuple[AutomationInputSpec, ...] = ()
    """Parameters the automation accepts."""
    description: str = ""
    """What it is, in words for people."""
    latest_published_version: str | None = None
    """Major.minor; null when never published."""
    author_id: str = ""
    """Creator's user id."""
    code_mapping: CodeMapping | None = None
    """None where the API leaves it out."""
    restore_time: datetime | None = None
    """Only if restored."""
    restore_version: str | None = None
    """Version restored from; only if restored."""
    restore_user_id: str | None = None
    """Only if restored."""
    publish_time: datetime | None = None
    """Last publish; only if published."""
    publish_user_id: str | None = None
    """Last publisher; only if published."""
    activation_state: AutomationActivationState | None = None
    """None where the API leaves it out."""
    default_inputs: dict[str, dict[str, Any]] = {}
    """Keyed by input spec name; prefills manual runs, fills gaps for triggers."""
    marked_outputs: tuple[str, ...] = ()
    """Output keys the user marked."""


class AutomationActivationState(Word):
    """UNSPECIFIED: never published; DEACTIVATED: no published runs, events only logged."""

    UNSPECIFIED = "AUTOMATION_ACTIVATION_STATE_UNSPECIFIED"
    ACTIVE = "AUTOMATION_ACTIVATION_STATE_ACTIVE"
    DEACTIVATED = "AUTOMATION_ACTIVATION_STATE_DEACTIVATED"


class AutomationConnectionUsage(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationConnectionUsage`."""

    automation_id: str = ""
    """Bare id segment, not resource name."""
    stages: tuple[AutomationStage, ...] = ()
    """AUTOMATION_STAGE_DRAFT, AUTOMATION_STAGE_PUBLISHED, or both."""


class AutomationInputSpec(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationInputSpec`."""

    name: str = ""
    """Input parameter name."""
    type: ValueType | None = None
    """None where the API leaves it out."""


class AutomationRevision(Named, frozen=True, kw_only=True):
    """Immutable; one made per automation update."""

    name: str = ""
    """organizations/{organization}/workspaces/{workspace}/automations/{automation}/revisions/{revision};
    revision id is version like 0.1, 1.0.
    """
    snapshot: Automation | None = None
    """None where the API leaves it out."""
    create_time: datetime | None = None
    """When it was created."""
    alternate_ids: tuple[str, ...] = ()
    """Aliases of the same snapshot, e.g. latest."""


class AutomationSchedule(Named, frozen=True, kw_only=True):
    """At most one per automation."""

    name: str = ""
    """organizations/{org}/workspaces/{ws}/automations/{automation}/schedule."""
    config: ScheduleConfig
    """Required."""
    enabled: bool = False
    """Disabled schedules start nothing."""
    summary: str = ""
    """Server-made display text."""
    next_run_times: tuple[datetime, ...] = ()
    """Upcoming executions, server-made."""
    remaining_occurrences: int | None = None
    """Only when config.end.end_type is SCHEDULE_END_TYPE_AFTER_OCCURRENCES."""


class AutomationTrigger(Model, frozen=True, kw_only=True):
    """Phase metadata only; another service creates and manages the trigger itself."""

    trigger_id: str
    """Id given by the external service that owns the trigger."""
    automation: str = ""
    """organizations/{o}/workspaces/{w}/automations/{a}."""
    input_mapping: dict[str, str] = {}
    """Input parameter name to value."""
    phase_type: PhaseType
    """Required."""
    phase_sub_type: PhaseSubType | None = None
    """None where the API leaves it out."""
    is_active: bool = False
    """False where the API leaves it out."""


class AutomationVisualization(Named, frozen=True, kw_only=True):
    """Singleton per automation, for its latest published version."""

    name: str = ""
    """organizations/{org}/workspaces/{ws}/automations/{automation}/visualization."""
    graph: FlowGraph | None = None
    """None where the API leaves it out."""
    automation_version: str = ""
    """Always a published version, form major.0."""
    state: VisualizationState | None = None
    """None where the API leaves it out."""
    error_message: str | None = None
    """Only when state is VISUALIZATION_STATE_FAILED."""


class CodeMapping(Model, frozen=True, kw_only=True):
    """SPy to English spans; many-to-many, entries may overlap."""

    entries: tuple[CodeMappingEntry, ...] = ()
    """Empty where the API leaves it out."""


class CodeMappingEntry(Model, frozen=True, kw_only=True):
    """The API's `v1CodeMappingEntry`."""

    spy_location: Location | None = None
    """None where the API leaves it out."""
    english_location: Location | None = None
    """None where the API leaves it out."""


class ConnectionAutomationCount(Model, frozen=True, kw_only=True):
    """The API's `v1ConnectionAutomationCount`."""

    connection_id: str = ""
    """Empty where the API leaves it out."""
    count: int = 0
    """Automations using it, draft and published by default."""


class ConnectionRemoval(Model, frozen=True, kw_only=True):
    """The API's `v1ConnectionRemoval`."""

    connection_id: str
    """Must exist in the automation."""
    connection_alias: str
    """Must match the connection being removed."""


class ConnectionReplacement(Model, frozen=True, kw_only=True):
    """The API's `v1ConnectionReplacement`."""

    old_connection_id: str
    """Must be present in the automation."""
    new_connection_id: str
    """Must exist in workspace with same book_name and book_version as old."""
    connection_alias: str
    """Must be unique within the automation."""


class CountConnectionUsageResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CountConnectionUsageResponse`."""

    connection_counts: tuple[ConnectionAutomationCount, ...] = ()
    """Same order as connection_ids in the request."""


class CredentialInfo(Model, frozen=True, kw_only=True):
    """The API's `v1CredentialInfo`."""

    book: str
    """Book name."""
    book_version: str
    """Required."""
    connection_alias: str = ""
    """Alias inside the automation."""
    connection_id: str = ""
    """Empty where the API leaves it out."""
    phase_type: PhaseType | None = None
    """None where the API leaves it out."""


class Date(Model, frozen=True, kw_only=True):
    """Whole or partial Gregorian date; zero parts are unspecified."""

    year: int = 0
    """1-9999, or 0 for no year."""
    month: int = 0
    """1-12, or 0 for a year alone."""
    day: int = 0
    """1-31, or 0 where the day does not matter."""


class DayOfMonthPattern(Model, frozen=True, kw_only=True):
    """For monthly schedules, also used inside v1MonthPattern."""

    day_number: int = 0
    """1-31; falls on the last day in shorter months."""
    ordinal_day: OrdinalDayOfWeek | None = None
    """None where the API leaves it out."""


class DayOfWeek(Word):
    """ISO 8601 numbering, Monday 1 to Sunday 7."""

    UNSPECIFIED = "DAY_OF_WEEK_UNSPECIFIED"
    MONDAY = "DAY_OF_WEEK_MONDAY"
    TUESDAY = "DAY_OF_WEEK_TUESDAY"
    WEDNESDAY = "DAY_OF_WEEK_WEDNESDAY"
    THURSDAY = "DAY_OF_WEEK_THURSDAY"
    FRIDAY = "DAY_OF_WEEK_FRIDAY"
    SATURDAY = "DAY_OF_WEEK_SATURDAY"
    SUNDAY = "DAY_OF_WEEK_SUNDAY"


class DayOfWeekPattern(Model, frozen=True, kw_only=True):
    """For weekly schedules."""

    days: tuple[DayOfWeek, ...]
    """At least one."""


class DefaultInputsHistoryEntry(Model, frozen=True, kw_only=True):
    """The API's `v1DefaultInputsHistoryEntry`."""

    default_inputs: dict[str, dict[str, Any]] = {}
    """Snapshot of defaults at that change."""
    change_time: datetime | None = None
    """None where the API leaves it out."""
    change_actor: str = ""
    """User ID of who changed it."""


class DeleteWorkspaceConnectionResponse(Model, frozen=True, kw_only=True):
    """The API's `v1DeleteWorkspaceConnectionResponse`."""

    affected_automations: tuple[AffectedAutomation, ...] = ()
    """Draft automations left with unresolved connection references; empty if none."""


class DisableAutomationScheduleResponse(Model, frozen=True, kw_only=True):
    """The schedule, now disabled."""

    schedule: AutomationSchedule | None = None
    """None where the API leaves it out."""


class EnableAutomationScheduleResponse(Model, frozen=True, kw_only=True):
    """The API's `v1EnableAutomationScheduleResponse`."""

    schedule: AutomationSchedule | None = None
    """None where the API leaves it out."""


class ExtractAutomationCodeConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ExtractAutomationCodeConnectionsResponse`."""

    connections: tuple[CredentialInfo, ...] = ()
    """Found in SPy code; placeholders have no connection_id, concrete ones do."""


class FlowEdge(Model, frozen=True, kw_only=True):
    """The API's `v1FlowEdge`."""

    source: str = ""
    """Node id."""
    target: str = ""
    """Node id."""
    condition: str | None = None
    """Optional branch label, e.g. Yes or No."""


class FlowGraph(Model, frozen=True, kw_only=True):
    """Directed graph."""

    nodes: tuple[FlowNode, ...] = ()
    """Empty where the API leaves it out."""
    edges: tuple[FlowEdge, ...] = ()
    """Empty where the API leaves it out."""


class FlowNode(Model, frozen=True, kw_only=True):
    """The API's `v1FlowNode`."""

    id: str = ""
    """Unique within graph."""
    label: str = ""
    """Empty where the API leaves it out."""
    type: FlowNodeType | None = None
    """None where the API leaves it out."""


class FlowNodeType(Word):
    """The API's `v1FlowNodeType`."""

    UNSPECIFIED = "FLOW_NODE_TYPE_UNSPECIFIED"
    START = "FLOW_NODE_TYPE_START"
    END = "FLOW_NODE_TYPE_END"
    PROCESS = "FLOW_NODE_TYPE_PROCESS"
    DECISION = "FLOW_NODE_TYPE_DECISION"
    INPUT = "FLOW_NODE_TYPE_INPUT"
    OUTPUT = "FLOW_NODE_TYPE_OUTPUT"


class FrequencyUnit(Word):
    """The API's `v1FrequencyUnit`."""

    UNSPECIFIED = "FREQUENCY_UNIT_UNSPECIFIED"
    MINUTE = "FREQUENCY_UNIT_MINUTE"
    HOUR = "FREQUENCY_UNIT_HOUR"
    DAY = "FREQUENCY_UNIT_DAY"
    WEEK = "FREQUENCY_UNIT_WEEK"
    MONTH = "FREQUENCY_UNIT_MONTH"
    YEAR = "FREQUENCY_UNIT_YEAR"


class ListAutomationRevisionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListAutomationRevisionsResponse`."""

    revisions: tuple[AutomationRevision, ...] = ()
    """Newest first."""
    next_page_token: str = ""
    """Omitted on last page."""


class ListAutomationTriggersResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListAutomationTriggersResponse`."""

    automation_triggers: tuple[AutomationTrigger, ...] = ()
    """Active triggers of the automation."""
    next_page_token: str = ""
    """Absent on the last page."""


class ListAutomationsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListAutomationsResponse`."""

    automations: tuple[Automation, ...] = ()
    """May be empty."""
    next_page_token: str = ""
    """Pass as page_token; absent on last page."""


class ListDefaultInputsHistoryResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListDefaultInputsHistoryResponse`."""

    default_inputs_history_entries: tuple[DefaultInputsHistoryEntry, ...] = ()
    """Newest first."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""


class Month(Word):
    """The API's `v1Month`."""

    UNSPECIFIED = "MONTH_UNSPECIFIED"
    JANUARY = "MONTH_JANUARY"
    FEBRUARY = "MONTH_FEBRUARY"
    MARCH = "MONTH_MARCH"
    APRIL = "MONTH_APRIL"
    MAY = "MONTH_MAY"
    JUNE = "MONTH_JUNE"
    JULY = "MONTH_JULY"
    AUGUST = "MONTH_AUGUST"
    SEPTEMBER = "MONTH_SEPTEMBER"
    OCTOBER = "MONTH_OCTOBER"
    NOVEMBER = "MONTH_NOVEMBER"
    DECEMBER = "MONTH_DECEMBER"


class MonthPattern(Model, frozen=True, kw_only=True):
    """For yearly schedules: month plus day within it."""

    month: Month
    """Required."""
    day_pattern: DayOfMonthPattern
    """Required."""


class Ordinal(Word):
    """FIFTH does not exist in every month."""

    UNSPECIFIED = "ORDINAL_UNSPECIFIED"
    FIRST = "ORDINAL_FIRST"
    SECOND = "ORDINAL_SECOND"
    THIRD = "ORDINAL_THIRD"
    FOURTH = "ORDINAL_FOURTH"
    FIFTH = "ORDINAL_FIFTH"
    LAST = "ORDINAL_LAST"


class OrdinalDayOfWeek(Model, frozen=True, kw_only=True):
    """Such as first Monday; for monthly and yearly patterns."""

    ordinal: Ordinal
    """Required."""
    day: DayOfWeek
    """Required."""


class PhaseSubType(Word):
    """What fires the trigger."""

    UNSPECIFIED = "PHASE_SUB_TYPE_UNSPECIFIED"
    EMAIL = "PHASE_SUB_TYPE_EMAIL"
    SCHEDULE = "PHASE_SUB_TYPE_SCHEDULE"
    WEBHOOK = "PHASE_SUB_TYPE_WEBHOOK"
    API = "PHASE_SUB_TYPE_API"


class PhaseType(Word):
    """PRE pre-processing, MAIN main processing, POST post-processing."""

    UNSPECIFIED = "PHASE_TYPE_UNSPECIFIED"
    PRE = "PHASE_TYPE_PRE"
    MAIN = "PHASE_TYPE_MAIN"
    POST = "PHASE_TYPE_POST"


class RemoveAutomationConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1RemoveAutomationConnectionsResponse`."""

    automation: Automation | None = None
    """None where the API leaves it out."""


class RepeatInterval(Model, frozen=True, kw_only=True):
    """The API's `v1RepeatInterval`."""

    unit: FrequencyUnit
    """Required."""
    interval: int = 0
    """Positive; default 1; N units between repeats."""


class ScheduleConfig(Model, frozen=True, kw_only=True):
    """The API's `v1ScheduleConfig`."""

    start: ScheduleStart
    """Required."""
    repeat_interval: RepeatInterval | None = None
    """None where the API leaves it out."""
    weekly_pattern: DayOfWeekPattern | None = None
    """None where the API leaves it out."""
    monthly_pattern: DayOfMonthPattern | None = None
    """None where the API leaves it out."""
    yearly_pattern: MonthPattern | None = None
    """None where the API leaves it out."""
    active_window: TimeWindow | None = None
    """None where the API leaves it out."""
    end: ScheduleEnd | None = None
    """None where the API leaves it out."""


class ScheduleEnd(Model, frozen=True, kw_only=True):
    """The API's `v1ScheduleEnd`."""

    end_type: ScheduleEndType
    """Required."""
    end_date: Date | None = None
    """None where the API leaves it out."""
    max_occurrences: int = 0
    """Used with SCHEDULE_END_TYPE_AFTER_OCCURRENCES; stops after this many executions."""


class ScheduleEndType(Word):
    """UNSPECIFIED acts as NEVER."""

    UNSPECIFIED = "SCHEDULE_END_TYPE_UNSPECIFIED"
    NEVER = "SCHEDULE_END_TYPE_NEVER"
    ON_DATE = "SCHEDULE_END_TYPE_ON_DATE"
    AFTER_OCCURRENCES = "SCHEDULE_END_TYPE_AFTER_OCCURRENCES"


class ScheduleStart(Model, frozen=True, kw_only=True):
    """The API's `v1ScheduleStart`."""

    start_date: Date | None = None
    """None where the API leaves it out."""
    time: TimeOfDay | None = None
    """None where the API leaves it out."""
    time_zone: str = ""
    """IANA timezone; default UTC."""


class SwitchAutomationConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1SwitchAutomationConnectionsResponse`."""

    automation: Automation | None = None
    """None where the API leaves it out."""


class TimeOfDay(Model, frozen=True, kw_only=True):
    """No date or zone."""

    hours: int = 0
    """0-23; an API may allow 24:00:00."""
    minutes: int = 0
    """0-59."""
    seconds: int = 0
    """0-59; 60 where leap seconds are allowed."""
    nanos: int = 0
    """0-999999999."""


class TimeWindow(Model, frozen=True, kw_only=True):
    """The API's `v1TimeWindow`."""

    start_time: datetime
    """Inclusive."""
    end_time: datetime
    """Inclusive."""
    time_zone: str = ""
    """IANA timezone; default UTC."""


class TraceConnectionUsageResponse(Model, frozen=True, kw_only=True):
    """The API's `v1TraceConnectionUsageResponse`."""

    automations: tuple[AutomationConnectionUsage, ...] = ()
    """Empty where the API leaves it out."""


class UpgradeAutomationConnectionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1UpgradeAutomationConnectionsResponse`."""

    automation: Automation | None = None
    """None where the API leaves it out."""


class VisualizationState(Word):
    """PENDING: generation still in progress."""

    UNSPECIFIED = "VISUALIZATION_STATE_UNSPECIFIED"
    PENDING = "VISUALIZATION_STATE_PENDING"
    COMPLETED = "VISUALIZATION_STATE_COMPLETED"
    FAILED = "VISUALIZATION_STATE_FAILED"
