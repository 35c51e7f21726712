"""Resources of the platform API as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kognitos_async.testing.platform_v1.model import PUBLISHED, USER
from kognitos_async.testing.platform_v1.questions import GROUPS
from kognitos_async.testing.platform_v1.values import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kognitos_async.testing.platform_v1.model import (
        EmulatedAutomation,
        EmulatedEvent,
        EmulatedException,
        EmulatedPlatformRun,
        Step,
    )
    from kognitos_async.testing.platform_v1.world import PlatformWorld

CODE = "set_output('total', sum_of(inputs))"
_GRAINS = (1_000_000_000, 1_000_000, 1_000, 1)
_STAMP = "2025-01-31T12:00:00Z"


def run_json(
    run: EmulatedPlatformRun, *, with_outputs: bool = True, step: Step | None = None
) -> dict[str, Any]:
    """A run, now or at an earlier step."""
    step = step or run.history[-1]
    entered = run.nanoseconds_of(step.at)
    # Timestamps vary in resolution, but never precede the creation of the run.
    grain = _GRAINS[(run.number + len(run.steps)) % len(_GRAINS)]
    moment = timestamp(max(run.created_ns, entered - entered % grain))
    members = dict(step.members)
    if step.word == "completed" and with_outputs:
        members = {"outputs": run.outputs or {}, **members}
    state = {step.word: members, "update_time": moment}
    shown: dict[str, Any] = {
        "name": run.name,
        "create_time": timestamp(run.created_ns),
        "update_time": moment,
        "state": state if run.number % 2 else dict(reversed(state.items())),
        "stage": run.stage,
        "stage_version": run.stage_version,
        "executable_steps": {
            "inputs": run.inputs,
            "executables": [{"code": CODE, "phase_type": "AUTOMATION_PHASE_TYPE_MAIN"}],
        },
        "invocation_details": {"user_id": run.user, "invocation_source": run.source},
    }
    if run.inputs:
        shown["user_inputs"] = run.inputs
    return shown


def automation_json(automation: EmulatedAutomation, stage: str = PUBLISHED) -> dict[str, Any]:
    """An automation in a stage."""
    shown: dict[str, Any] = {
        "name": automation.name,
        "display_name": automation.display_name,
        "english_code": "the total is the sum of the inputs",
        "code": CODE,
        "create_time": timestamp(automation.created_ns),
        "update_time": timestamp(automation.updated_ns),
        "version": automation.version(stage),
        "input_specs": list(automation.input_specs),
        "description": f"{automation.display_name}, emulated",
        "author_id": USER,
        "update_user_id": USER,
        "activation_state": "AUTOMATION_ACTIVATION_STATE_UNSPECIFIED",
        "connections": {},
        "marked_outputs": ["total"],
    }
    if automation.published:
        shown |= {
            "activation_state": "AUTOMATION_ACTIVATION_STATE_ACTIVE",
            "latest_published_version": automation.version(),
            "publish_time": timestamp(automation.created_ns),
            "publish_user_id": USER,
        }
    if automation.deleted:
        shown["delete_time"] = timestamp(automation.updated_ns)
    return shown


def revision_json(automation: EmulatedAutomation, stage: str) -> dict[str, Any]:
    """The revision of an automation in a stage."""
    version = automation.version(stage)
    newest = "1.1" if automation.published else "0.1"
    return {
        "name": f"{automation.name}/revisions/{version}",
        "snapshot": automation_json(automation, stage),
        "create_time": timestamp(automation.created_ns),
        "alternate_ids": ["latest"] if version == newest else [],
    }


def exception_json(world: PlatformWorld, exception: EmulatedException) -> dict[str, Any]:
    """An exception."""
    shown: dict[str, Any] = {
        "name": exception.name,
        "run": exception.run,
        "automation": exception.automation,
        "location": {"start_byte": "0", "end_byte": "24"},
        "message": exception.message,
        "description": exception.description,
        "create_time": timestamp(exception.created_ns),
        "update_time": timestamp(exception.updated_ns),
        "state": f"EXCEPTION_STATE_{exception.state}",
        "stage": exception.stage,
        "execution_id": exception.execution_id,
        "extra": {"variable": "total"},
    }
    if exception.group:
        shown["group"] = group_name(world, exception.group)
    if exception.resolver is not None:
        shown["resolver"] = exception.resolver
    return shown


def group_name(world: PlatformWorld, group: str) -> str:
    """The full name of an exception group."""
    return f"{world.workspace}/exceptionGroups/{group}" if group else ""


def group_json(world: PlatformWorld, group: str) -> dict[str, Any]:
    """An exception group."""
    return {
        "name": group_name(world, group),
        "title": GROUPS.get(group, "Ungrouped"),
        "description": f"{GROUPS.get(group, 'Other')} that runs met",
        "suggested_action": "Answer the question",
    }


def event_json(event: EmulatedEvent, now: float) -> dict[str, Any]:
    """An event, as far as it is written at `now`."""
    moment = timestamp(event.created_ns)
    shown: dict[str, Any] = {
        "name": event.name,
        "state": "STATE_COMPLETE" if event.is_done(now) else "STATE_STREAMING",
        "create_time": moment,
        "update_time": moment,
        event.kind: event.payload_at(now),
    }
    if event.exception is not None:
        shown["exception"] = event.exception
    return shown


def organization_json(world: PlatformWorld) -> dict[str, Any]:
    """The organization."""
    return {
        "name": world.organization,
        "title": "Emulated organization",
        "create_time": _STAMP,
        "update_time": _STAMP,
        "owner_display_name": "Emulated owner",
        "owner_email": "owner@example.com",
    }


def workspace_json(world: PlatformWorld) -> dict[str, Any]:
    """The workspace."""
    return {
        "name": world.workspace,
        "title": "Emulated workspace",
        "workspace_icon": "cube",
        "workspace_icon_color": "blue",
        "create_time": _STAMP,
        "update_time": _STAMP,
        "creator_display_name": "Emulated owner",
        "creator_email": "owner@example.com",
    }


def run_events(run: EmulatedPlatformRun) -> list[tuple[str, dict[str, Any]]]:
    """The events of a run, oldest first, each with its node kind ('' for none)."""
    found: list[tuple[str, dict[str, Any]]] = []
    for step in tuple(run.history):
        found.append(("", {"run_update": {"run": run_json(run, step=step)}}))
        found.extend((kind, _journal(run, step, entry)) for kind, entry in _entries(run, step))
    return found


def _entries(run: EmulatedPlatformRun, step: Step) -> list[tuple[str, Mapping[str, Any]]]:
    node = {"node_id": "node-1", "code_location": {"start_byte": "0", "end_byte": "24"}}
    call = {**node, "node_kind": "FunctionCall"}
    match step.word:
        case "executing":
            assignment = {**node, "node_id": "node-2", "node_kind": "Assignment"}
            return [
                ("", {"started": {}}),
                ("FunctionCall", {"node_started": call}),
                ("FunctionCall", {"node_executed": {**call, "inputs": run.inputs, "outputs": {}}}),
                ("Assignment", {"node_executed": assignment}),
            ]
        case "completed":
            return [("", {"completed": {"outputs": run.outputs or {}}})]
        case "stopped":
            return [("", {"stopped": {"user_stopped": {}}})]
        case "failed":
            error = {
                "id": step.members.get("id", "error"),
                "description": step.members.get("description", ""),
            }
            return [("", {"failed": {"error": error}})]
        case _:
            return []


def _journal(run: EmulatedPlatformRun, step: Step, entry: Mapping[str, Any]) -> dict[str, Any]:
    _, organization, _, workspace, _, automation, *_ = run.name.split("/")
    journal = {
        "execution_id": run.execution_id,
        "run_id": run.id,
        "event_time": timestamp(run.nanoseconds_of(step.at)),
        "automation_id": automation,
        "workspace_id": workspace,
        "organization_id": organization,
        "stage": run.stage,
        **entry,
    }
    return {"execution_journal": journal}
