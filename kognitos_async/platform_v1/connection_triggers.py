"""Triggers of connections, and paths and values of books."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from kognitos_async import checks
from kognitos_async.messages import segment
from kognitos_async.platform_v1.filters import filter_text
from kognitos_async.platform_v1.models.generated import books as models
from kognitos_async.platform_v1.names import AUTOMATION, CONNECTION, WORKSPACE
from kognitos_async.platform_v1.outgoing import instance
from kognitos_async.platform_v1.resource import Resource, given

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kognitos_async.platform_v1.filters import Filter
    from kognitos_async.platform_v1.names import Name, Named

TRIGGER = (*WORKSPACE, "triggers")
CONNECTION_TRIGGER = (*CONNECTION, "triggers")
_A_NAME = re.compile(r"^(organizations|workspaces|connections|triggers)/")


class ConnectionTriggers(Resource):
    """Methods of `client.books.connections` for triggers."""

    async def list_triggers(
        self,
        *,
        filter: Filter | str | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> tuple[models.TriggerInstance, ...]:
        """The triggers of a workspace. (ListWorkspaceTriggerInstances)"""
        workspace = self._scope.workspace(workspace_id, organization_id)
        answer = await self._send(
            "GET",
            f"{workspace.path}/triggers",
            models.RetrieveWorkspaceTriggerInstancesResponse,
            query={"filter": filter_text(filter)},
        )
        return answer.trigger_instances

    async def add_trigger(
        self,
        connection: str,
        book: str,
        version: str,
        *,
        trigger_id: str,
        name: str,
        configuration: Mapping[str, models.BookValue] | None = None,
        filter_expression: models.Expression | None = None,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.TriggerInstance:
        """The new trigger of a connection. (AddWorkspaceBookConnectionTriggerInstance)"""
        found = self._scope.connection(connection, workspace_id, organization_id)
        body: dict[str, object] = {
            "trigger_id": checks.text("trigger_id", trigger_id),
            "name": checks.text("name", name),
        }
        if configuration:
            body["configuration"] = book_values("configuration", configuration)
        if filter_expression is not None:
            body["filter_expression"] = instance("filter_expression", filter_expression, models.Expression)
        answer = await self._send(
            "POST",
            f"{below_book(found, book, version)}/triggers",
            models.AddWorkspaceBookConnectionTriggerInstanceResponse,
            body=body,
            confidential=True,
        )
        return given(answer.trigger_instance, "trigger_instance")

    async def set_trigger_automations(
        self,
        trigger: str | models.TriggerInstance,
        automation_ids: Iterable[str | Named],
        *,
        connection: str,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> models.TriggerInstance:
        """The trigger after attaching these automations, given as ids, names or models.

        (SetAutomationsForTriggerInstance)
        """
        of = self._scope.connection(connection, workspace_id, organization_id)
        name = self._trigger(trigger, of)
        answer = await self._send(
            "POST",
            f"{name.path}/automations",
            models.SetAutomationsForTriggerInstanceResponse,
            body={
                "automation_ids": self._scope.ids(
                    "automation_ids", automation_ids, AUTOMATION, within=of.parent(WORKSPACE)
                ),
                "connection_id": of.id,
            },
        )
        return given(answer.trigger_instance, "trigger_instance")

    async def remove_trigger(
        self,
        connection: str,
        trigger: str | models.TriggerInstance,
        *,
        workspace_id: str | None = None,
        organization_id: str | None = None,
    ) -> None:
        """Delete a trigger, given by id, name or model. (RemoveWorkspaceBookConnectionTriggerInstance)"""
        name = self._scope.connection(connection, workspace_id, organization_id)
        await self._send(
            "DELETE",
            f"{name.path}/triggers/{segment(self._trigger(trigger, name).id)}",
            None,
        )

    def _trigger(self, trigger: str | models.TriggerInstance, connection: Name) -> Name:
        """The name of a trigger below its workspace."""
        given_name = trigger.id if isinstance(trigger, models.TriggerInstance) else trigger
        workspace = connection.parent(WORKSPACE)
        if not isinstance(given_name, str) or not _A_NAME.search(given_name):
            # These ids come from another service and may hold slashes.
            return workspace.child("triggers", checks.identifier("trigger", given_name))
        if "connections/" in given_name:
            below = self._scope.resolve("trigger", given_name, CONNECTION_TRIGGER, within=connection)
            return workspace.child("triggers", below.id)
        return self._scope.resolve("trigger", given_name, TRIGGER, within=workspace)


def book_path(book: str, version: str) -> str:
    """The path of a version of a book."""
    return (
        f"/books/{segment(checks.identifier('book', book))}/{segment(checks.identifier('version', version))}"
    )


def below_book(connection: Name, book: str, version: str) -> str:
    """The path of a connection below a version of its book."""
    workspace = connection.parent(WORKSPACE).path
    return f"{workspace}{book_path(book, version)}/connections/{segment(connection.id)}"


def book_values(name: str, values: Mapping[str, models.BookValue]) -> dict[str, models.BookValue]:
    """Named values of a book, checked. Raises `TypeError` or `ValueError` naming the invalid member."""
    if not isinstance(values, Mapping):
        raise TypeError(f"{name} must be a mapping of names to BookValue, got {type(values).__name__}")
    return {key: instance(f"{name}[{key!r}]", value, models.BookValue) for key, value in values.items()}
