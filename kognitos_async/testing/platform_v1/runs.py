"""Platform API handlers for organizations, workspaces, automations and runs."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from kognitos_async.testing.platform_v1 import aip160
from kognitos_async.testing.platform_v1.handling import (
    FAILED_PRECONDITION,
    ApiError,
    Ask,
    Handler,
    Pages,
    filter_of,
    invalid,
    not_found,
)
from kognitos_async.testing.platform_v1.model import DRAFT, PUBLISHED, EmulatedAutomation
from kognitos_async.testing.platform_v1.rendering import (
    automation_json,
    organization_json,
    revision_json,
    run_events,
    run_json,
    workspace_json,
)
from kognitos_async.testing.platform_v1.values import problems_of, remote_files
from kognitos_async.testing.platform_v1.world import NotPossibleError, PlatformWorld
from kognitos_async.testing.routing import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kognitos_async.testing.platform_v1.model import EmulatedPlatformRun

RunIdForm = Literal["name", "id", "alternate"]
"""How an invocation names the run: by full name, by id, or by both in turn."""

_RUN_FIELDS = {
    "create_time": aip160.Field(lambda run: run.created_ns, aip160.ORDERED, aip160.nanoseconds, quoted=True)
}
_STAGES = {"DRAFT": DRAFT, "PUBLISHED": PUBLISHED}
_TITLE = aip160.Field(lambda item: item["title"], ("=", "!=", ":"))


def _stage(text: str) -> str:
    word = text.removeprefix("AUTOMATION_STAGE_")
    if word not in _STAGES:
        message = "DRAFT or PUBLISHED is expected"
        raise ValueError(message)
    return word


class RunHandlers:
    """Handlers of organizations, workspaces, automations and runs."""

    def __init__(
        self,
        world: PlatformWorld,
        pages: Pages,
        *,
        list_outputs: bool,
        is_stored: Callable[[str], bool] | None,
        run_id_form: RunIdForm,
        capacity_message: str,
    ) -> None:
        self._world = world
        self._pages = pages
        self._list_outputs = list_outputs
        self._is_stored = is_stored
        self._capacity_message = capacity_message
        self._run_id_form: RunIdForm = run_id_form
        self._invocations = count()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Handlers by operationId."""
        return {
            "GetOrganization": lambda _ask: Reply(200, organization_json(self._world)),
            "GetWorkspace": lambda _ask: Reply(200, workspace_json(self._world)),
            "CurrentUserOrganizations": self._list_organizations,
            "ListWorkspaces": self._list_workspaces,
            "CurrentUserOrganizationWorkspaces": self._list_workspaces,
            "GetAutomation": self._get_automation,
            "QueryAutomation": self._query_automation,
            "ListAutomations": self._list_automations,
            "GetAutomationRevision": self._get_revision,
            "ListAutomationRevisions": self._list_revisions,
            "InvokeAutomation": self._invoke,
            "GetRun": lambda ask: Reply(200, run_json(self._run(ask))),
            "ListRuns": self._list_runs,
            "PauseRun": self._pause,
            "ContinueRun": self._continue,
            "ListRunEvents": self._list_run_events,
        }

    # Organizations and workspaces

    def _list_organizations(self, ask: Ask) -> Reply:
        return self._titled(ask, "user_organizations", organization_json(self._world))

    def _list_workspaces(self, ask: Ask) -> Reply:
        field = "workspaces" if ask.operation == "ListWorkspaces" else "user_workspaces"
        return self._titled(ask, field, workspace_json(self._world))

    def _titled(self, ask: Ask, field: str, item: dict[str, Any]) -> Reply:
        found = filter_of(ask, {"title": _TITLE})
        return self._pages.cut(ask, field, [(0, item)] if found.matches(item) else [], _itself)

    # Automations

    def _automation(self, ask: Ask) -> EmulatedAutomation:
        return self._world.automations[ask.path("automation_id")]

    def _get_automation(self, ask: Ask) -> Reply:
        automation = self._automation(ask)
        return Reply(200, automation_json(automation, DRAFT if automation.published else PUBLISHED))

    def _query_automation(self, ask: Ask) -> Reply:
        automation, stage = self._automation(ask), ask.values["stage"]
        self._check_stage(automation, stage)
        return Reply(200, automation_json(automation, stage))

    def _check_stage(self, automation: EmulatedAutomation, stage: str) -> None:
        if stage not in {DRAFT, PUBLISHED}:
            raise invalid([("stage", f"must be {DRAFT} or {PUBLISHED}")])
        if automation.deleted or (stage == PUBLISHED and not automation.published):
            raise not_found(f"A version of automation {automation.id} in stage {stage}")

    def _list_automations(self, ask: Ask) -> Reply:
        fields = {
            "state": aip160.Field(
                lambda automation: "PUBLISHED" if automation.published else "DRAFT", read=_stage
            )
        }
        found = filter_of(ask, fields)
        automations = [
            automation
            for automation in self._world.automations.values()
            if (ask.values.get("show_deleted") or not automation.deleted) and found.matches(automation)
        ]
        automations.sort(key=lambda automation: automation.number, reverse=True)
        listed = [(automation.number, automation) for automation in automations]
        return self._pages.cut(ask, "automations", listed, automation_json, default=10, newest_first=True)

    def _revisions(self, automation: EmulatedAutomation) -> list[tuple[str, str]]:
        return [("DRAFT", DRAFT)] + ([("PUBLISHED", PUBLISHED)] if automation.published else [])

    def _get_revision(self, ask: Ask) -> Reply:
        automation, wanted = self._automation(ask), ask.path("revision_id")
        for _, stage in self._revisions(automation):
            revision = revision_json(automation, stage)
            if wanted in {automation.version(stage), *revision["alternate_ids"]}:
                return Reply(200, revision)
        raise not_found(f"Revision {wanted} of automation {automation.id}")

    def _list_revisions(self, ask: Ask) -> Reply:
        automation = self._automation(ask)
        found = filter_of(ask, {"stage": aip160.Field(lambda item: item[0], read=_stage)})
        listed = [
            (number, stage)
            for number, (word, stage) in enumerate(self._revisions(automation))
            if found.matches((word, stage))
        ]
        return self._pages.cut(ask, "revisions", listed, lambda stage: revision_json(automation, stage))

    # Runs

    def _run(self, ask: Ask) -> EmulatedPlatformRun:
        return self._world.runs[ask.path("run_id")]

    def _invoke(self, ask: Ask) -> Reply:
        automation, stage = self._automation(ask), ask.body["stage"]
        self._check_stage(automation, stage)
        inputs: dict[str, Any] = ask.body.get("inputs") or {}
        problems = [
            problem for name, value in inputs.items() for problem in problems_of(value, f"inputs.{name}")
        ]
        if problems:
            raise invalid(problems)
        if self._is_stored is not None:
            for name in remote_files(inputs):
                if not self._is_stored(name):
                    raise not_found(f"File {name}")
        if self._world.is_full():
            raise ApiError(403, self._capacity_message.format(capacity=self._world.capacity))
        run = self._world.add_run(automation, stage=stage, inputs=inputs)
        number = next(self._invocations)
        bare = self._run_id_form == "id" or (self._run_id_form == "alternate" and number % 2 == 1)
        return Reply(200, {"run_id": run.id if bare else run.name})

    def _list_runs(self, ask: Ask) -> Reply:
        self._world.catch_up()
        found = filter_of(ask, _RUN_FIELDS)
        runs, key = self._world.run_list.page(
            ask.path("automation_id"),
            self._pages.place(ask, 10),
            self._pages.size(ask, 10),
            found.matches,
            found.least.get("create_time", 0),
        )
        items = [run_json(run, with_outputs=self._list_outputs) for run in runs]
        return self._pages.reply(ask, "runs", items, key, default=10)

    def _pause(self, ask: Ask) -> Reply:
        return self._transition(ask, lambda run: self._world.pause(run, ask.body["reason"]))

    def _continue(self, ask: Ask) -> Reply:
        return self._transition(ask, self._world.resume)

    def _transition(self, ask: Ask, move: Any) -> Reply:
        run = self._run(ask)
        try:
            move(run)
        except NotPossibleError as error:
            raise ApiError(400, str(error), code=FAILED_PRECONDITION) from error
        return Reply(200, run_json(run))

    def _list_run_events(self, ask: Ask) -> Reply:
        found = filter_of(ask, {"node_kind": aip160.Field(lambda item: item[0], quoted=True)})
        listed = [
            (number, event) for number, event in enumerate(run_events(self._run(ask))) if found.matches(event)
        ]
        return self._pages.cut(ask, "run_events", listed, lambda event: event[1], default=100)


def _itself(item: Any) -> Any:
    return item
