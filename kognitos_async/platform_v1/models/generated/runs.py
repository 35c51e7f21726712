"""Models of the platform API: runs. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from kognitos_async.platform_v1.models.base import Model, OneOf
from kognitos_async.platform_v1.models.generated.shared import BookConnection, Location, ValueType
from kognitos_async.platform_v1.models.runs import AutomationStage, PlatformRun


class AutomationRunAggregate(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationRunAggregate`."""

    total_runs: int | None = None
    """Int64 as string."""
    completed_runs: int | None = None
    """Int64 as string."""


class AutomationRunAggregateEntry(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationRunAggregateEntry`."""

    automation_id: str | None = None
    """Full name organizations/{o}/workspaces/{w}/automations/{a}, not a bare id."""
    stats: AutomationRunAggregate | None = None


class BookFunction(Model, frozen=True, kw_only=True):
    """The API's `v1BookFunction`."""

    connection_spy_identifier: str | None = None
    """Connection's name as used in the SPy code."""
    book_name: str | None = None
    function_name: str | None = None
    code_location: Location | None = None


class BookFunctionCall(Model, frozen=True, kw_only=True):
    """One call of an external book function."""

    book_function: BookFunction | None = None
    inputs: dict[str, dict[str, Any]] = {}
    output: dict[str, Any] | None = None


class Context(Model, frozen=True, kw_only=True):
    """The API's `v1Context`."""

    code_location: Location | None = None
    node_id: str | None = None


class DailyRunAggregate(Model, frozen=True, kw_only=True):
    """The API's `v1DailyRunAggregate`."""

    total_runs: int | None = None
    """Runs created that date."""


class DailyRunAggregateEntry(Model, frozen=True, kw_only=True):
    """The API's `v1DailyRunAggregateEntry`."""

    date: str | None = None
    """YYYY-MM-DD."""
    stats: DailyRunAggregate | None = None


class ExecutionCompleted(Model, frozen=True, kw_only=True):
    """Execution ended successfully."""

    outputs: dict[str, dict[str, Any]] = {}
    """Output name to value; empty when the code never called set_output()."""


class ExecutionError(Model, frozen=True, kw_only=True):
    """The API's `v1ExecutionError`."""

    id: str | None = None
    """Unique error id."""
    description: str | None = None
    """Human-readable."""
    context: Context | None = None
    extra: dict[str, str] = {}
    code: str | None = None
    """Code incl. raising patch; location is relative to this; earlier successful patches absent."""


class ExecutionFailed(Model, frozen=True, kw_only=True):
    """Event: execution ended with an error."""

    error: ExecutionError | None = None


class ExecutionJournal(Model, OneOf, frozen=True, kw_only=True):
    """Execution-level and node-level events."""

    kinds: ClassVar[tuple[str, ...]] = (
        "started",
        "completed",
        "stopped",
        "failed",
        "node_started",
        "node_executed",
        "node_skipped",
        "node_patched",
        "patched_node_started",
        "patched_node_executed",
    )
    execution_id: str | None = None
    run_id: str | None = None
    """Set only when part of a run."""
    event_time: datetime | None = None
    """When the entry was generated."""
    started: ExecutionStarted | None = None
    completed: ExecutionCompleted | None = None
    stopped: ExecutionStopped | None = None
    failed: ExecutionFailed | None = None
    node_started: NodeStarted | None = None
    node_executed: NodeExecuted | None = None
    node_skipped: NodeSkipped | None = None
    node_patched: NodePatched | None = None
    patched_node_started: PatchedNodeStarted | None = None
    patched_node_executed: PatchedNodeExecuted | None = None
    automation_id: str | None = None
    """Set only when part of an automation."""
    automation_phase_id: str | None = None
    """Set only when part of an automation phase."""
    code_hash: str | None = None
    """Optional MD5 of the SPy code being run."""
    stage: AutomationStage | None = None
    workspace_id: str | None = None
    organization_id: str | None = None
    extra_metadata: dict[str, dict[str, Any]] = {}
    """Optional; for downstream services."""


class ExecutionOutput(Model, frozen=True, kw_only=True):
    """The API's `v1ExecutionOutput`."""

    value: dict[str, Any] | None = None
    type: ValueType | None = None


class ExecutionStarted(Model, frozen=True, kw_only=True):
    """Empty marker: engine (Jarvis) began executing."""


class ExecutionStopped(Model, OneOf, frozen=True, kw_only=True):
    """Event: stopped before completion; the populated member is the reason (spec states no oneOf)."""

    kinds: ClassVar[tuple[str, ...]] = (
        "user_stopped",
        "waiting_on_book",
        "waiting_on_timer",
        "program_stopped",
    )
    user_stopped: UserStopped | None = None
    waiting_on_book: WaitingOnBook | None = None
    waiting_on_timer: WaitingOnTimer | None = None
    program_stopped: ProgramStopped | None = None


class GetExecutionOutputsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1GetExecutionOutputsResponse`."""

    outputs: dict[str, ExecutionOutput] = {}
    """Keyed by output name given to set_output(); empty if never called."""


class ListRunEventsResponse(Model, frozen=True, kw_only=True):
    """A page can be short: last page or response size limit."""

    run_events: tuple[RunEvent, ...] = ()
    """Oldest first."""
    next_page_token: str | None = None
    """Opaque; empty or absent on the last page; bound to parent and parameters."""


class NodeExecuted(Model, frozen=True, kw_only=True):
    """Event: an AST node finished."""

    code_location: Location | None = None
    inputs: dict[str, dict[str, Any]] = {}
    """Variables read from memory by this node or its children."""
    outputs: dict[str, dict[str, Any]] = {}
    """Variables written by node or children; last write wins."""
    error: tuple[ExecutionError, ...] = ()
    """All errors in node and its children; array despite singular name."""
    node_id: str | None = None
    book_function_call: BookFunctionCall | None = None
    node_kind: str | None = None


class NodePatched(Model, frozen=True, kw_only=True):
    """Event: a patch was applied to an AST node."""

    code_location: Location | None = None
    code_patch: str | None = None
    """SPy code applied."""
    inputs_patch: dict[str, dict[str, Any]] = {}
    """Execution inputs changed by the patch."""
    connections: dict[str, BookConnection] = {}
    """Patched connections, keyed by connection name in SPy code."""
    node_id: str | None = None
    node_kind: str | None = None


class NodeSkipped(Model, frozen=True, kw_only=True):
    """Event: an AST node was skipped."""

    code_location: Location | None = None
    node_id: str | None = None
    node_kind: str | None = None


class NodeStarted(Model, frozen=True, kw_only=True):
    """Event: an AST node begins."""

    code_location: Location | None = None
    node_id: str | None = None
    node_kind: str | None = None


class PatchedNodeExecuted(Model, frozen=True, kw_only=True):
    """Event: a node inside a patch finished."""

    patch_location: Location | None = None
    node_location: Location | None = None
    inputs: dict[str, dict[str, Any]] = {}
    """Variables read from memory by this node or its children."""
    outputs: dict[str, dict[str, Any]] = {}
    """Variables written by node or children; last write wins."""
    error: tuple[ExecutionError, ...] = ()
    """All errors in node and its children; array despite singular name."""
    node_id: str | None = None
    book_function_call: BookFunctionCall | None = None
    node_kind: str | None = None


class PatchedNodeStarted(Model, frozen=True, kw_only=True):
    """Event: a node inside a patch begins."""

    patch_location: Location | None = None
    node_location: Location | None = None
    node_id: str | None = None
    node_kind: str | None = None


class ProgramStopped(Model, frozen=True, kw_only=True):
    """The program itself stopped the execution."""

    reason: str | None = None


class QueryAutomationRunAggregatesResponse(Model, frozen=True, kw_only=True):
    """One entry per automation of the workspace."""

    automation_run_aggregates: tuple[AutomationRunAggregateEntry, ...] = ()


class QueryDailyRunAggregatesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1QueryDailyRunAggregatesResponse`."""

    daily_run_aggregates: tuple[DailyRunAggregateEntry, ...] = ()


class RunEvent(Model, OneOf, frozen=True, kw_only=True):
    """Each event carries one of the two: state update or journal entry."""

    kinds: ClassVar[tuple[str, ...]] = (
        "run_update",
        "execution_journal",
    )
    run_update: RunUpdate | None = None
    execution_journal: ExecutionJournal | None = None


class RunUpdate(Model, frozen=True, kw_only=True):
    """One update of a run's state."""

    run: PlatformRun | None = None


class UserStopped(Model, frozen=True, kw_only=True):
    """Empty marker: a user stopped it."""


class WaitingOnBook(Model, frozen=True, kw_only=True):
    """Empty marker: async book procedure pending; resumed when it completes."""


class WaitingOnTimer(Model, frozen=True, kw_only=True):
    """Resumed automatically once timer fires."""

    duration: str | None = None
    """Timer length; string, exact format not stated."""
