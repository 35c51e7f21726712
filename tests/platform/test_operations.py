"""Every operation of the API has a method, and what the methods send is what the API describes."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import msgspec
import pytest

from kognitos_async import F, PlatformClient, Stage
from kognitos_async.platform_v1.models.base import Model
from kognitos_async.platform_v1.models.generated import analytics, automations, books
from tests.platform import spec

START = datetime(2026, 1, 2, tzinfo=UTC)
SCHEDULE = automations.ScheduleConfig(
    start=automations.ScheduleStart(time_zone="UTC", start_date=automations.Date(year=2026, month=1, day=2)),
    repeat_interval=automations.RepeatInterval(unit=automations.FrequencyUnit.DAY, interval=2),
)
CREDENTIAL = automations.CredentialInfo(book="b", book_version="1")
REPLACEMENT = automations.ConnectionReplacement(
    old_connection_id="c1", new_connection_id="c2", connection_alias="a"
)
SETUP = {
    "connection_name": "mine",
    "authentication": books.Authentication(authentication_id="a"),
    "config_map": {"host": books.BookValue(text_value="h")},
    "labels": [books.Label(key="k", value="v")],
    "oauth_flow": books.OAuthFlow("OAuthFlowAuthorizationCode"),
}


async def streamed(block):
    """What comes piece by piece, all of it."""
    async with block as pieces:
        return [piece async for piece in pieces]


CALLS = {
    "GetOrganization": lambda c: c.organizations.get(),
    "CurrentUserOrganizations": lambda c: c.organizations.list(filter=F.title == "x"),
    "GetOrganizationPreferences": lambda c: c.organizations.preferences(),
    "GetInvitation": lambda c: c.organizations.invitation("i"),
    "ListOrganizationUserInvites": lambda c: c.organizations.list_invites(),
    "ListOrganizationRoles": lambda c: c.organizations.list_roles(),
    "ListOrganizationUsers": lambda c: c.organizations.list_users(order_by="email desc", page_token="t"),
    "GetUserBasicInfo": lambda c: c.organizations.user("u"),
    "GetWorkspace": lambda c: c.workspaces.get(),
    "ListWorkspaces": lambda c: c.workspaces.list(filter=F.title.contains("x"), order_by="title"),
    "CurrentUserOrganizationWorkspaces": lambda c: c.workspaces.list_mine(),
    "GetWorkspacePreferences": lambda c: c.workspaces.preferences(),
    "ListWorkspaceUserInvites": lambda c: c.workspaces.list_invites(),
    "ListWorkspaceRoles": lambda c: c.workspaces.list_roles(),
    "ListWorkspaceUsers": lambda c: c.workspaces.list_users(filter="role_scope=workspace"),
    "CountWorkspaceUsers": lambda c: c.workspaces.count_users(["w", "organizations/o/workspaces/x"]),
    "GetAutomation": lambda c: c.automations.get("a"),
    "QueryAutomation": lambda c: c.automations.query("a", stage="DRAFT"),
    "GetAutomationRevision": lambda c: c.automations.get_revision("1.0", automation="a"),
    "ListAutomationRevisions": lambda c: c.automations.list_revisions("a", filter=F.stage == "DRAFT"),
    "ListAutomations": lambda c: c.automations.list(filter=F.state == "PUBLISHED", show_deleted=True),
    "InvokeAutomation": lambda c: c.automations.invoke("a", {"n": Decimal("1.5")}, stage=Stage.DRAFT),
    "ListDefaultInputsHistory": lambda c: c.automations.list_default_inputs_history("a"),
    "CountConnectionUsage": lambda c: c.automations.count_connection_usage(["c"]),
    "TraceConnectionUsage": lambda c: c.automations.trace_connection_usage("c"),
    "ExtractAutomationCodeConnections": lambda c: c.automations.extract_connections(
        "a", filter="stage=DRAFT"
    ),
    "UpgradeAutomationConnections": lambda c: c.automations.upgrade_connections("a", [REPLACEMENT]),
    "SwitchAutomationConnections": lambda c: c.automations.switch_connections("a", [REPLACEMENT]),
    "RemoveAutomationConnections": lambda c: c.automations.remove_connections(
        "a", [automations.ConnectionRemoval(connection_id="c", connection_alias="a")]
    ),
    "AddAutomationConnections": lambda c: c.automations.add_connections("a", [CREDENTIAL]),
    "GetAutomationVisualization": lambda c: c.automations.visualization("a"),
    "CreateAutomationSchedule": lambda c: c.automations.create_schedule("a", SCHEDULE),
    "UpdateAutomationSchedule": lambda c: c.automations.update_schedule("a", SCHEDULE),
    "GetAutomationSchedule": lambda c: c.automations.get_schedule("a"),
    "DeleteAutomationSchedule": lambda c: c.automations.delete_schedule("a"),
    "DisableAutomationSchedule": lambda c: c.automations.disable_schedule("a"),
    "EnableAutomationSchedule": lambda c: c.automations.enable_schedule("a"),
    "DeleteWorkspaceConnection": lambda c: c.automations.delete_connection("c"),
    "CreateAutomationTrigger": lambda c: c.automations.create_trigger(
        "a", automations.AutomationTrigger(trigger_id="t", phase_type=automations.PhaseType.MAIN)
    ),
    "ListAutomationTriggers": lambda c: c.automations.list_triggers("a"),
    "ListBooks": lambda c: c.books.list(page_size=5),
    "GetBook": lambda c: c.books.get("b", "1"),
    "ListBookProcedures": lambda c: c.books.procedures("b", "1"),
    "ListTags": lambda c: c.books.tags(),
    "ListLatestBooks": lambda c: c.books.list_latest(),
    "ListBookVersions": lambda c: c.books.versions("b"),
    "ListBookConcepts": lambda c: c.books.concepts("b", "1"),
    "ListWorkspaceBooks": lambda c: c.books.list_workspace(),
    "ListWorkspaceBookProcedures": lambda c: c.books.workspace_procedures("b", "1"),
    "ListWorkspaceBookConcepts": lambda c: c.books.workspace_concepts("b", "1"),
    "ListWorkspaceBookConnectionDiscoverables": lambda c: c.books.connections.discoverables(
        "c", search="x", offset=0, limit=5
    ),
    "SearchBookProcedures": lambda c: c.books.search_procedures("q", top_k=3, max_distance=0.5),
    "SearchBooks": lambda c: c.books.search("q"),
    "SearchBookConcepts": lambda c: c.books.search_concepts("q"),
    "SearchWorkspaceBookProcedures": lambda c: c.books.search_workspace_procedures("q"),
    "SearchWorkspaceBookConnectionProcedures": lambda c: c.books.connections.search_procedures("c", "q"),
    "SearchWorkspaceBooks": lambda c: c.books.search_workspace("q"),
    "SearchWorkspaceBookConcepts": lambda c: c.books.search_workspace_concepts("q"),
    "AddWorkspaceBookConnection": lambda c: c.books.connections.add("b", "1", **SETUP),
    "ListWorkspaceBookConnections": lambda c: c.books.connections.list_of_book("b", "1"),
    "UpdateWorkspaceBookConnection": lambda c: c.books.connections.update("c", "b", "1", **SETUP),
    "GetWorkspaceBookConnection": lambda c: c.books.connections.get("c"),
    "ListAllWorkspaceBookConnections": lambda c: c.books.connections.list(filter="x=1"),
    "UpgradeWorkspaceBookConnection": lambda c: c.books.connections.upgrade("c", "b", "1", new_version="2"),
    "AuthorizeWorkspaceBookConnection": lambda c: c.books.connections.authorize("c"),
    "SetDiscovered": lambda c: c.books.connections.discover("c", ["table"]),
    "ListWorkspaceBookConnectionProcedures": lambda c: c.books.connections.procedures("c"),
    "AddWorkspaceBookConnectionTriggerInstance": lambda c: c.books.connections.add_trigger(
        "c",
        "b",
        "1",
        trigger_id="t",
        name="n",
        configuration={"a": books.BookValue(number_value=1.0)},
        filter_expression=books.Expression(value_expression=books.BookValue(boolean_value=True)),
    ),
    "SetAutomationsForTriggerInstance": lambda c: c.books.connections.set_trigger_automations(
        "t", ["a"], connection="c"
    ),
    "RemoveWorkspaceBookConnectionTriggerInstance": lambda c: c.books.connections.remove_trigger("c", "t"),
    "ListWorkspaceTriggerInstances": lambda c: c.books.connections.list_triggers(filter="x=1"),
    "GetWorkspaceBookConnectionUserInfo": lambda c: c.books.connections.user_info("c"),
    "GetRun": lambda c: c.runs.get("r", automation="a"),
    "ListRuns": lambda c: c.runs.list("a", filter=F.create_time >= START),
    "PauseRun": lambda c: c.runs.pause("r", automation="a", reason="lunch"),
    "ContinueRun": lambda c: c.runs.resume("r", automation="a"),
    "QueryAutomationRunAggregates": lambda c: c.runs.aggregates(),
    "QueryDailyRunAggregates": lambda c: c.runs.daily_aggregates(
        start=date(2026, 1, 1), end=date(2026, 1, 31), filter=F.automation_id == "a"
    ),
    "ConfigureAutomationEstimates": lambda c: c.analytics.configure_estimates(
        [analytics.AutomationEstimate(automation_id="a", cost_usd="1", time_saved_secs=3)]
    ),
    "QueryInsights": lambda c: c.analytics.query_insights(
        start=START, end=START + timedelta(days=1), workspace_ids=["w"], automation_ids=["a", "b"]
    ),
    "QueryAutomationEstimates": lambda c: c.analytics.query_estimates(),
    "GetExecutionOutputs": lambda c: c.runs.execution_outputs("e"),
    "ListRunEvents": lambda c: c.runs.events("r", automation="a", filter=F.node_kind == "Assignment"),
    "UploadFile": lambda c: c.files.upload(b"abc", file_name="a.txt"),
    "DownloadFile": lambda c: streamed(c.files.download("f")),
    "GetFileMetadata": lambda c: c.files.metadata("f"),
    "DeleteFile": lambda c: c.files.delete("f"),
    "GenerateUploadUrl": lambda c: c.files.generate_upload_url(expire=60),
    "GenerateDownloadUrl": lambda c: c.files.generate_download_url("f"),
    "QueryMetrics": lambda c: c.analytics.query_metrics(
        ["runs", "pages"],
        start=START,
        end=START + timedelta(days=1),
        group_by=["status"],
        interval="day",
        aggregation="SUM",
    ),
    "GetException": lambda c: c.exceptions.get("x"),
    "ListExceptions": lambda c: c.exceptions.list(filter=F.state == "PENDING", skip=3),
    "CreateEvent": lambda c: c.exceptions.reply("r", "Use 7", automation="a"),
    "ListEvents": lambda c: c.exceptions.events("r", automation="a"),
    "GetEvent": lambda c: c.exceptions.get_event("e", run="r", automation="a"),
    "StreamEvents": lambda c: streamed(c.exceptions.stream("r", automation="a")),
    "CancelGeneration": lambda c: c.exceptions.cancel_generation("r", automation="a"),
    "ListExceptionGroups": lambda c: c.exceptions.list_groups(),
    "CountExceptionsByGroup": lambda c: c.exceptions.count_by_group(filter=F.state == "PENDING"),
    "CountExceptionsByAutomation": lambda c: c.exceptions.count_by_automation(),
    "GetGuideEntry": lambda c: c.exceptions.get_guide_entry("g", automation="a"),
    "ListGuideEntries": lambda c: c.exceptions.list_guide_entries(show_deleted=True),
}


class Pieces:
    """A streamed answer: an event for those who want one, bytes for the others."""

    status = 200
    headers: ClassVar = {}

    async def pieces(self, patience):
        yield b'{"name": "e"}'

    async def refusal(self, limit):
        return b""


class Spy:
    """A transport that holds each request against the specification and answers with a sample."""

    request_timeout = 30.0

    def __init__(self):
        self.operations = []
        self.targets = []

    def answer(self, method, target, body):
        from kognitos_async.messages import Response  # noqa: PLC0415

        name = spec.check(method, target, body)
        self.operations.append(name)
        self.targets.append(target)
        sample = spec.sample(spec.answer_schema(name))
        spec.validator(spec.answer_schema(name)).validate(sample)
        sample.pop("next_page_token", None)
        return Response(200, {}, msgspec.json.encode(sample))

    async def open(self):
        pass

    async def close(self):
        pass

    async def attempt(self, request, fresh_until=None):
        return self.answer(request.method, request.target, request.body)

    @asynccontextmanager
    async def stream(self, request, *, accept):
        self.operations.append(spec.check(request.method, request.target, request.body))
        yield Pieces()

    def deadline(self, patience):
        return asyncio.timeout(patience)

    async def attempt_with(self, request, upload):
        body = b"".join([piece async for piece in upload.pieces()])
        assert len(body) == upload.size
        assert b'name="filename"' in body
        assert b'name="content"' in body
        return self.answer(request.method, request.target, body)


@pytest.fixture
async def client():
    client = PlatformClient("kgn_pat_x", organization_id="o", workspace_id="w")
    client._sender.transport = Spy()
    async with client:
        yield client


def test_there_are_102_operations_and_each_has_its_call():
    """Those of the vendor's own file."""
    assert len(spec.OPERATIONS) == 102
    assert CALLS.keys() == spec.OPERATIONS.keys()


@pytest.mark.parametrize("operation", CALLS)
async def test_what_is_sent_is_what_the_api_describes(client, operation):
    """Method, path, query and body; and an answer with every member is read."""
    called = CALLS[operation](client)
    result = await called
    assert client._sender.transport.operations == [operation]
    if hasattr(called, "collect"):
        assert result.items
        items = await called.collect()
        assert len(items) == len(result.items)


def test_every_operation_is_named_by_the_method_that_sends_it():
    """In its docstring, once."""
    client = PlatformClient("kgn_pat_x")
    kinds = [
        client.organizations,
        client.workspaces,
        client.automations,
        client.runs,
        client.exceptions,
        client.files,
        client.books,
        client.books.connections,
        client.analytics,
    ]
    texts = [
        inspect.getdoc(member) or ""
        for kind in kinds
        for name, member in inspect.getmembers(type(kind), callable)
        if not name.startswith("_")
    ]
    for operation in spec.OPERATIONS:
        assert any(f"({operation})" in text for text in texts), operation


def test_every_public_method_is_documented_and_typed():
    """The first line says what comes back."""
    client = PlatformClient("kgn_pat_x")
    for kind in (client, client.runs, client.automations, client.exceptions, client.files, client.books):
        for name, member in inspect.getmembers(type(kind), inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.getdoc(member), name
                assert "return" in member.__annotations__, name


def test_models_are_forward_compatible():
    """Unknown members are ignored, unknown words kept, integers read as text or number, absence is fine."""
    for module in (analytics, automations, books):
        for name, kind in vars(module).items():
            if isinstance(kind, type) and issubclass(kind, Model) and kind.__module__ == module.__name__:
                fields = msgspec.structs.fields(kind)
                required = {field.encode_name for field in fields if field.required}
                if not required:
                    assert msgspec.json.decode(b'{"hologram": 1}', type=kind) == kind(), name
    found = msgspec.convert(
        {"trigger_id": "t", "phase_type": "PHASE_TYPE_NEW"}, automations.AutomationTrigger, strict=False
    )
    assert found.phase_type == "PHASE_TYPE_NEW"
    assert not found.phase_type.known
    for number in (3, "3"):
        aggregate = msgspec.convert({"runs_count": number}, analytics.CumulativeRunInsight, strict=False)
        assert aggregate.runs_count == 3
