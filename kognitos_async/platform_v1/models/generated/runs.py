"""Models of the platform API: runs. Written by .ci/generate_platform.py; do not edit."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from kognitos_async.platform_v1.models.base import Model, OneOf
from kognitos_async.platform_v1.models.generated.shared import BookConnection, Location, ValueType
from kognitos_async.platform_v1.models.runs import PlatformRun
from kognitos_async.platform_v1.models.words import AutomationStage


class AutomationRunAggregate(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationRunAggregate`."""

    total_runs: int = 0
    """Int64 as string."""
    completed_runs: int = 0
    """Int64 as string."""


class AutomationRunAggregateEntry(Model, frozen=True, kw_only=True):
    """The API's `v1AutomationRunAggregateEntry`."""

    automation_id: str = ""
    """Full name organizations/{o}/workspaces/{w}/automations/{a}, not a bare id."""
    stats: AutomationRunAggregate | None = None
    """None where the API leaves it out."""


class BookFunction(Model, frozen=True, kw_only=True):
    """The API's `v1BookFunction`."""

    connection_spy_identifier: str = ""
    """Connection's name as used in the SPy code."""
    book_name: str = ""
    """Empty where the API leaves it out."""
    function_name: str = ""
    """Empty where the API leaves it out."""
    code_location: Location | None = None
    """None where the API leaves it out."""


class BookFunctionCall(Model, frozen=True, kw_only=True):
    """One call of an external book function."""

    book_function: BookFunction | None = None
    """None where the API leaves it out."""
    inputs: dict[str, dict[str, Any]] = {}
    """Empty where the API leaves it out."""
    output: dict[str, Any] | None = None
    """None where the API leaves it out."""


class Context(Model, frozen=True, kw_only=True):
    """The API's `v1Context`."""

    code_location: Location | None = None
    """None where the API leaves it out."""
    node_id: str = ""
    """Empty where the API leaves it out."""


class DailyRunAggregate(Model, frozen=True, kw_only=True):
    """The API's `v1DailyRunAggregate`."""

    total_runs: int = 0
    """Runs created that date."""


class DailyRunAggregateEntry(Model, frozen=True, kw_only=True):
    """The API's `v1DailyRunAggregateEntry`."""

    date: str = ""
    """YYYY-MM-DD."""
    stats: DailyRunAggregate | None = None
    """None where the API leaves it out."""


class ExecutionCompleted(Model, frozen=True, kw_only=True):
    """Execution ended successfully."""

    outputs: dict[str, dict[str, Any]] = {}
    """Output name to value; empty when the code never called set_output()."""


class ExecutionError(Model, frozen=True, kw_only=True):
    """The API's `v1ExecutionError`."""

    id: str = ""
    """Unique error id."""
    description: str = ""
    """Human-readable."""
    context: Context | None = None
    """None where the API leaves it out."""
    extra: dict[str, str] = {}
    """Empty where the API leaves it out."""
    code: str | None = None
    """Code incl. raising patch; location is relative to this; earlier successful patches absent."""


class ExecutionFailed(Model, frozen=True, kw_only=True):
    """Event: execution ended with an error."""

    error: ExecutionError | None = None
    """None where the API leaves it out."""


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
    execution_id: str = ""
    """Empty where the API leaves it out."""
    run_id: str | None = None
    """Set only when part of a run."""
    event_time: datetime | None = None
    """When the entry was generated."""
    started: ExecutionStarted | None = None
    """None where the API leaves it out."""
    completed: ExecutionCompleted | None = None
    """None where the API leaves it out."""
    stopped: ExecutionStopped | None = None
    """None where the API leaves it out."""
    failed: ExecutionFailed | None = None
    """None where the API leaves it out."""
    node_started: NodeStarted | None = None
    """None where the API leaves it out."""
    node_executed: NodeExecuted | None = None
    """None where the API leaves it out."""
    node_skipped: NodeSkipped | None = None
    """None where the API leaves it out."""
    node_patched: NodePatched | None = None
    """None where the API leaves it out."""
    patched_node_started: PatchedNodeStarted | None = None
    """None where the API leaves it out."""
    patched_node_executed: PatchedNodeExecuted | None = None
    """None where the API leaves it out."""
    automation_id: str | None = None
    """Set only when part of an automation."""
    automation_phase_id: str | None = None
    """Set only when part of an automation phase."""
    code_hash: str | None = None
    """Optional MD5 of the SPy code being run."""
    stage: AutomationStage | None = None
    """None where the API leaves it out."""
    workspace_id: str = ""
    """Empty where the API leaves it out."""
    organization_id: str = ""
    """Empty where the API leaves it out."""
    extra_metadata: dict[str, dict[str, Any]] = {}
    """Optional; for downstream services."""

    if TYPE_CHECKING:

        @property
        def content(
            self,
        ) -> (
            ExecutionStarted
            | ExecutionCompleted
            | ExecutionStopped
            | ExecutionFailed
            | NodeStarted
            | NodeExecuted
            | NodeSkipped
            | NodePatched
            | PatchedNodeStarted
            | PatchedNodeExecuted
            | None
        ):
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class ExecutionOutput(Model, frozen=True, kw_only=True):
    """The API's `v1ExecutionOutput`."""

    value: dict[str, Any] | None = None
    """None where the API leaves it out."""
    type: ValueType | None = None
    """None where the API leaves it out."""


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
    """None where the API leaves it out."""
    waiting_on_book: WaitingOnBook | None = None
    """None where the API leaves it out."""
    waiting_on_timer: WaitingOnTimer | None = None
    """None where the API leaves it out."""
    program_stopped: ProgramStopped | None = None
    """None where the API leaves it out."""

    if TYPE_CHECKING:

        @property
        def content(self) -> UserStopped | WaitingOnBook | WaitingOnTimer | ProgramStopped | None:
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class GetExecutionOutputsResponse(Model, frozen=True, kw_only=True):
    """The API's `v1GetExecutionOutputsResponse`."""

    outputs: dict[str, ExecutionOutput] = {}
    """Keyed by output name given to set_output(); empty if never called."""


class ListRunEventsResponse(Model, frozen=True, kw_only=True):
    """A page can be short: last page or response size limit."""

    run_events: tuple[RunEvent, ...] = ()
    """Oldest first."""
    next_page_token: str = ""
    """Opaque; empty or absent on the last page; bound to parent and parameters."""


class NodeExecuted(Model, frozen=True, kw_only=True):
    """Event: an AST node finished."""

    code_location: Location | None = None
    """None where the API leaves it out."""
    inputs: dict[str, dict[str, Any]] = {}
    """Variables read from memory by this node or its children."""
    outputs: dict[str, dict[str, Any]] = {}
    """Variables written by node or children; last write wins."""
    error: tuple[ExecutionError, ...] = ()
    """All errors in node and its children; array despite singular name."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    book_function_call: BookFunctionCall | None = None
    """None where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class NodePatched(Model, frozen=True, kw_only=True):
    """Event: a patch was applied to an AST node."""

    code_location: Location | None = None
    """None where the API leaves it out."""
    code_patch: str = ""
    """SPy code applied."""
    inputs_patch: dict[str, dict[str, Any]] = {}
    """Execution inputs changed by the patch."""
    connections: dict[str, BookConnection] = {}
    """Patched connections, keyed by connection name in SPy code."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class NodeSkipped(Model, frozen=True, kw_only=True):
    """Event: an AST node was skipped."""

    code_location: Location | None = None
    """None where the API leaves it out."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class NodeStarted(Model, frozen=True, kw_only=True):
    """Event: an AST node begins."""

    code_location: Location | None = None
    """None where the API leaves it out."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class PatchedNodeExecuted(Model, frozen=True, kw_only=True):
    """Event: a node inside a patch finished."""

    patch_location: Location | None = None
    """None where the API leaves it out."""
    node_location: Location | None = None
    """None where the API leaves it out."""
    inputs: dict[str, dict[str, Any]] = {}
    """Variables read from memory by this node or its children."""
    outputs: dict[str, dict[str, Any]] = {}
    """Variables written by node or children; last write wins."""
    error: tuple[ExecutionError, ...] = ()
    """All errors in node and its children; array despite singular name."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    book_function_call: BookFunctionCall | None = None
    """None where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class PatchedNodeStarted(Model, frozen=True, kw_only=True):
    """Event: a node inside a patch begins."""

    patch_location: Location | None = None
    """None where the API leaves it out."""
    node_location: Location | None = None
    """None where the API leaves it out."""
    node_id: str = ""
    """Empty where the API leaves it out."""
    node_kind: str = ""
    """Empty where the API leaves it out."""


class ProgramStopped(Model, frozen=True, kw_only=True):
    """The program itself stopped the execution."""

    reason: str = ""
    """Empty where the API leaves it out."""


class QueryAutomationRunAggregatesResponse(Model, frozen=True, kw_only=True):
    """One entry per automation of the workspace."""

    automation_run_aggregates: tuple[AutomationRunAggregateEntry, ...] = ()
    """Empty where the API leaves it out."""


class QueryDailyRunAggregatesResponse(Model, frozen=True, kw_only=True):
    """The API's `v1QueryDailyRunAggregatesResponse`."""

    daily_run_aggregates: tuple[DailyRunAggregateEntry, ...] = ()
    """Empty where the API leaves it out."""


class RunEvent(Model, OneOf, frozen=True, kw_only=True):
    """Each event carries one of the two: state update or journal entry."""

    kinds: ClassVar[tuple[str, ...]] = (
        "run_update",
        "execution_journal",
    )
    run_update: RunUpdate | None = None
    """None where the API leaves it out."""
    execution_journal: ExecutionJournal | None = None
    """None where the API leaves it out."""

    if TYPE_CHECKING:

        @property
        def content(self) -> RunUpdate | ExecutionJournal | None:
            """The member that is present; None for one that is not known here."""
            raise NotImplementedError


class RunUpdate(Model, frozen=True, kw_only=True):
    """One update of a run's state."""

    run: PlatformRun | None = None
    """None where the API leaves it out."""


class UserStopped(Model, frozen=True, kw_only=True):
    """Empty marker: a user stopped it."""


class WaitingOnBook(Model, frozen=True, kw_only=True):
    """Empty marker: async book procedure pending; resumed when it completes."""


class WaitingOnTimer(Model, frozen=True, kw_only=True):
    """Resumed automatically once timer fires."""

    duration: str = ""
    """Timer length; string, exact format not stated."""
