"""Models of the platform API: exceptions. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from kognitos_async.open_enum import Word
from kognitos_async.platform_v1.models.base import Model, Named, OneOf
from kognitos_async.platform_v1.models.generated.shared import Location
from kognitos_async.platform_v1.models.words import AutomationStage


class AgentMessage(Model, frozen=True, kw_only=True):
    """The API's `v1AgentMessage`."""

    content: str = ""
    """GFM markdown."""


class CancelGenerationResponse(Model, frozen=True, kw_only=True):
    """Empty response, no properties declared."""


class CompletionResponse(Model, frozen=True, kw_only=True):
    """Terminal result of the agent workflow."""

    content: str = ""
    """Set on success."""
    error: str = ""
    """Set on failure."""


class CountExceptionsByAutomationResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CountExceptionsByAutomationResponse`."""

    automation_counts: tuple[ExceptionAutomationCount, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""
    total_size: int = 0
    """Automations having exceptions, all pages, after filter."""
    total_exception_count: int = 0
    """Sum of exceptions over all pages, after filter."""


class CountExceptionsByGroupResponse(Model, frozen=True, kw_only=True):
    """The API's `v1CountExceptionsByGroupResponse`."""

    group_counts: tuple[ExceptionGroupCount, ...] = ()
    """Includes group metadata."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""
    total_size: int = 0
    """Groups having exceptions, all pages, after filter."""
    total_exception_count: int = 0
    """Sum of exceptions over all pages, after filter."""


class Event(Named, OneOf, frozen=True, kw_only=True):
    """Timeline entry; payload kinds are plain sibling properties, no oneOf declared."""

    kinds: ClassVar[tuple[str, ...]] = (
        "user_message",
        "agent_message",
        "tool_call_request",
        "tool_call_result",
        "thinking",
        "system_message",
        "completion_response",
    )
    name: str = ""
    """organizations/{organization_id}/workspaces/{workspace_id}/automations/{automation_id}/runs/{run_id}/
    agents/{agent_id}/events/{event_id}.
    """
    state: EventState | None = None
    """None where the API leaves it out."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""
    user_message: UserMessage | None = None
    """None where the API leaves it out."""
    agent_message: AgentMessage | None = None
    """None where the API leaves it out."""
    tool_call_request: ToolCallRequest | None = None
    """None where the API leaves it out."""
    tool_call_result: ToolCallResult | None = None
    """None where the API leaves it out."""
    thinking: Thinking | None = None
    """None where the API leaves it out."""
    system_message: SystemMessage | None = None
    """None where the API leaves it out."""
    completion_response: CompletionResponse | None = None
    """None where the API leaves it out."""
    exception: str | None = None
    """Optional; organizations/{organization_id}/workspaces/{workspace_id}/exceptions/{exception_id}."""

    if TYPE_CHECKING:

        @property
        def content(
            self,
        ) -> (
            UserMessage
            | AgentMessage
            | ToolCallRequest
            | ToolCallResult
            | Thinking
            | SystemMessage
            | CompletionResponse
            | None
        ):
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class EventState(Word):
    """STREAMING: payload fields may be partial; COMPLETE: payload final; UNSPECIFIED unused."""

    UNSPECIFIED = "STATE_UNSPECIFIED"
    STREAMING = "STATE_STREAMING"
    COMPLETE = "STATE_COMPLETE"


class ExceptionAutomationCount(Model, frozen=True, kw_only=True):
    """The API's `v1ExceptionAutomationCount`."""

    automation: str = ""
    """organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    count: int = 0
    """Exceptions of this automation."""


class ExceptionGroupCount(Model, frozen=True, kw_only=True):
    """The API's `v1ExceptionGroupCount`."""

    group: RunExceptionGroup | None = None
    """None where the API leaves it out."""
    count: int = 0
    """Exceptions in this group."""


class ExceptionState(Word):
    """Starts PENDING; RESOLVED terminal, run continues; PENDING->ARCHIVED abandons run; ARCHIVED->PENDING
    by unarchiving.
    """

    UNSPECIFIED = "EXCEPTION_STATE_UNSPECIFIED"
    PENDING = "EXCEPTION_STATE_PENDING"
    RESOLVED = "EXCEPTION_STATE_RESOLVED"
    ARCHIVED = "EXCEPTION_STATE_ARCHIVED"


class FileContent(Model, frozen=True, kw_only=True):
    """The API's `v1FileContent`."""

    mime_type: str
    """Required."""
    content: str
    """Base64 of raw bytes."""
    filename: str = ""
    """With extension."""


class FileInputContent(Model, frozen=True, kw_only=True):
    """Either inline or remote (by description, no oneOf in schema)."""

    remote: str | None = None
    """URL or file path."""
    inline: FileContent | None = None
    """None where the API leaves it out."""


class GuideEntry(Named, frozen=True, kw_only=True):
    """The API's `v1GuideEntry`."""

    name: str = ""
    """organizations/{organization_id}/workspaces/{workspace_id}/automations/{automation_id}/guideEntries/{
    guide_entry_id}.
    """
    content: str = ""
    """Markdown; deprecated by description, use resolution_steps and resolution_code."""
    source_exception: str = ""
    """Exception that led to the entry."""
    source_run: str = ""
    """Run where entry was first created."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""
    delete_time: datetime | None = None
    """Soft-delete time; unset if not deleted; deleted entries are STATE_ARCHIVED."""
    title: str | None = None
    """Optional."""
    automation: str = ""
    """organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    root_cause: str | None = None
    """Optional."""
    state: GuideEntryState | None = None
    """None where the API leaves it out."""
    version: str = ""
    """Major.minor, incremented on each update."""
    resolution_steps: str = ""
    """GFM markdown; at least one resolution_* field should be present."""
    resolution_code: str = ""
    """Example code, reference only, not to apply verbatim."""
    resolution_notes: str = ""
    """GFM markdown; caveats and edge cases."""


class GuideEntryState(Word):
    """The API's `v1GuideEntryState`."""

    UNSPECIFIED = "STATE_UNSPECIFIED"
    PENDING_APPROVAL = "STATE_PENDING_APPROVAL"
    APPROVED = "STATE_APPROVED"
    REJECTED = "STATE_REJECTED"
    ARCHIVED = "STATE_ARCHIVED"


class InputContent(Model, frozen=True, kw_only=True):
    """One item: text or file (either/or by description, no oneOf in schema)."""

    text: str | None = None
    """None where the API leaves it out."""
    file: FileInputContent | None = None
    """None where the API leaves it out."""


class InputContentList(Model, frozen=True, kw_only=True):
    """The API's `v1InputContentList`."""

    items: tuple[InputContent, ...]
    """Required."""


class ListEventsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListEventsResponse`."""

    events: tuple[Event, ...] = ()
    """Newest first by creation time."""
    next_page_token: str = ""
    """Pass as page_token for next page; empty when no more."""
    total_size: int = 0
    """Events in the whole thread, independent of paging."""


class ListExceptionGroupsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListExceptionGroupsResponse`."""

    groups: tuple[RunExceptionGroup, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Empty when no more results."""


class ListExceptionsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListExceptionsResponse`."""

    exceptions: tuple[RunException, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Empty when no more results."""
    total_size: int = 0
    """Matches of the filter across all pages."""


class ListGuideEntriesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1ListGuideEntriesResponse`."""

    guide_entries: tuple[GuideEntry, ...] = ()
    """Empty where the API leaves it out."""
    next_page_token: str = ""
    """Empty when no more results."""
    total_size: int = 0
    """Across all pages; respects show_deleted."""


class RunException(Named, frozen=True, kw_only=True):
    """Raised by the interpreter during a run; run may resume once resolved."""

    name: str = ""
    """organizations/{organization_id}/workspaces/{workspace_id}/exceptions/{exception_id}."""
    run: str = ""
    """organizations/{organization}/workspaces/{workspace}/automations/{automation}/runs/{run}; same
    workspace as exception.
    """
    location: Location | None = None
    """None where the API leaves it out."""
    message: str = ""
    """Generated by the interpreter."""
    create_time: datetime | None = None
    """When it was created."""
    update_time: datetime | None = None
    """When it was last changed."""
    state: ExceptionState | None = None
    """None where the API leaves it out."""
    automation: str = ""
    """Automation of the run: organizations/{organization}/workspaces/{workspace}/automations/{automation}."""
    description: str = ""
    """Human-friendly text; may be missing on recent exceptions."""
    group: str = ""
    """organizations/{organization_id}/workspaces/{workspace_id}/exceptionGroups/ + missing_values |
    user_system_error | internal_error; empty = ungrouped.
    """
    resolution_guide_entry: str = ""
    """Set when auto-resolved (state RESOLVED): organizations/{organization_id}/workspaces/{workspace_id}/a
    utomations/{automation_id}/guideEntries/{guide_entry_id}.
    """
    stage: AutomationStage | None = None
    """None where the API leaves it out."""
    execution_id: str = ""
    """Execution in the run, e.g. exec_123abc or UUID; distinguishes identical exceptions."""
    extra: dict[str, str] = {}
    """Extra information."""
    assignee: str = ""
    """users/{user}."""
    resolver: str = ""
    """users/{user} (manual) or agents/{agent} (automatic)."""


class RunExceptionGroup(Named, frozen=True, kw_only=True):
    """System-maintained; not creatable or changeable through the API."""

    name: str = ""
    """organizations/{organization_id}/workspaces/{workspace_id}/exceptionGroups/ + missing_values |
    user_system_error | internal_error; same as Exception.group.
    """
    title: str = ""
    """Its title."""
    description: str = ""
    """What it is, in words for people."""
    suggested_action: str = ""
    """How to resolve such exceptions."""
    default_assignee: str = ""
    """users/{user} auto-assigned to new exceptions; empty = none."""


class SystemMessage(Model, frozen=True, kw_only=True):
    """The API's `v1SystemMessage`."""

    content: str = ""
    """GFM markdown."""


class Thinking(Model, frozen=True, kw_only=True):
    """The API's `v1Thinking`."""

    content: str = ""
    """GFM markdown."""


class ToolCallRequest(Model, frozen=True, kw_only=True):
    """The API's `v1ToolCallRequest`."""

    tool_call_id: str = ""
    """Pairs with the id in v1ToolCallResult."""
    display_name: str = ""
    """Tool's display name."""
    input: str = ""
    """Opaque, tool-specific, do not parse; length may vary while STATE_STREAMING."""


class ToolCallResult(Model, frozen=True, kw_only=True):
    """The API's `v1ToolCallResult`."""

    tool_call_id: str = ""
    """Pairs with the id in v1ToolCallRequest."""
    result: str = ""
    """Opaque, do not parse; length may vary while STATE_STREAMING."""


class UserMessage(Model, frozen=True, kw_only=True):
    """The API's `v1UserMessage`."""

    user: str = ""
    """users/{user}."""
    content: str = ""
    """Plain text."""
    content_list: InputContentList | None = None
    """None where the API leaves it out."""
