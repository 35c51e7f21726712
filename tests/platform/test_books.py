"""Books and their connections: each method's request, as the vendor's document wants it."""

from __future__ import annotations

from datetime import date, datetime

import msgspec
import pytest

from kognitos_async import DecodeError, F
from kognitos_async.platform_v1.books import Books
from kognitos_async.platform_v1.connections import Connections
from kognitos_async.platform_v1.models.generated import books as models
from tests.platform.recorder import SCOPE, WORKSPACE, Recorder, sent

SECRET = models.Authentication(
    authentication_id="oauth",
    authentication_credentials=(
        models.CredentialValue(id="password", value=models.BookValue(text_value="hunter2")),
    ),
)
CONDITION = models.Expression(
    binary_expression=models.BinaryExpression(
        operator=models.BinaryOperator.EQUALS,
        left=models.Expression(
            noun_phrases_expression=models.NounPhrases(noun_phrases=(models.NounPhrase(head="subject"),))
        ),
        right=models.Expression(value_expression=models.BookValue(text_value="invoice")),
    )
)
SEARCH = {"top_k": 3, "max_distance": 0.5}
BOOK = "/books/email%20book/1.2"

CATALOGUE = {
    "ListBooks": (lambda r: r.list(filter=F.name == "email"), "/books"),
    "GetBook": (lambda r: r.get("email book", "1.2"), BOOK),
    "ListBookProcedures": (lambda r: r.procedures("email book", "1.2"), f"{BOOK}/procedures"),
    "ListTags": (lambda r: r.tags(), "/tags"),
    "ListLatestBooks": (lambda r: r.list_latest(page_size=5), "/books:latest"),
    "ListBookVersions": (lambda r: r.versions("email book"), "/books/email%20book/versions"),
    "ListBookConcepts": (lambda r: r.concepts("email book", "1.2"), f"{BOOK}/concepts"),
    "ListWorkspaceBooks": (lambda r: r.list_workspace(), f"/{WORKSPACE}/books"),
    "ListWorkspaceBookProcedures": (
        lambda r: r.workspace_procedures("email book", "1.2"),
        f"/{WORKSPACE}{BOOK}/procedures",
    ),
    "ListWorkspaceBookConcepts": (
        lambda r: r.workspace_concepts("email book", "1.2"),
        f"/{WORKSPACE}{BOOK}/concepts",
    ),
    "SearchBookProcedures": (lambda r: r.search_procedures("mail", **SEARCH), "/procedures:search"),
    "SearchBooks": (lambda r: r.search("mail", **SEARCH), "/books:search"),
    "SearchBookConcepts": (lambda r: r.search_concepts("mail", **SEARCH), "/concepts:search"),
    "SearchWorkspaceBookProcedures": (
        lambda r: r.search_workspace_procedures("mail", **SEARCH),
        f"/{WORKSPACE}/procedures:search",
    ),
    "SearchWorkspaceBooks": (lambda r: r.search_workspace("mail", **SEARCH), f"/{WORKSPACE}/books:search"),
    "SearchWorkspaceBookConcepts": (
        lambda r: r.search_workspace_concepts("mail", **SEARCH),
        f"/{WORKSPACE}/concepts:search",
    ),
}
CONNECTIONS = {
    "ListWorkspaceBookConnectionDiscoverables": (
        lambda r: r.discoverables("c1", search="table", offset=0, limit=20),
        f"/{WORKSPACE}/connections/c1/discoverables",
    ),
    "SearchWorkspaceBookConnectionProcedures": (
        lambda r: r.search_procedures("c1", "mail", **SEARCH),
        f"/{WORKSPACE}/connections/c1/procedures:search",
    ),
    "AddWorkspaceBookConnection": (
        lambda r: r.add(
            "email book",
            "1.2",
            connection_name="mine",
            authentication=SECRET,
            config_map={
                "host": models.BookValue(text_value="h"),
                "port": models.BookValue(number_value=25.0),
            },
            labels=[models.Label(key="k", value="v")],
            oauth_flow=models.OAuthFlow.CLIENT_CREDENTIALS,
        ),
        f"/{WORKSPACE}{BOOK}/connections",
    ),
    "ListWorkspaceBookConnections": (
        lambda r: r.list_of_book("email book", "1.2"),
        f"/{WORKSPACE}{BOOK}/connections",
    ),
    "UpdateWorkspaceBookConnection": (
        lambda r: r.update("c1", "email book", "1.2", connection_name="mine", authentication=SECRET),
        f"/{WORKSPACE}{BOOK}/connections/c1",
    ),
    "GetWorkspaceBookConnection": (lambda r: r.get("c1"), f"/{WORKSPACE}/connections/c1"),
    "ListAllWorkspaceBookConnections": (lambda r: r.list(filter="x = 1"), f"/{WORKSPACE}/connections"),
    "UpgradeWorkspaceBookConnection": (
        lambda r: r.upgrade("c1", "email book", "1.2", new_version="2.0"),
        f"/{WORKSPACE}{BOOK}/connections/c1/upgrade",
    ),
    "AuthorizeWorkspaceBookConnection": (
        lambda r: r.authorize("c1"),
        f"/{WORKSPACE}/connections/c1/authorize",
    ),
    "SetDiscovered": (lambda r: r.discover("c1", ["a", "b"]), f"/{WORKSPACE}/connections/c1/discover"),
    "ListWorkspaceBookConnectionProcedures": (
        lambda r: r.procedures("c1"),
        f"/{WORKSPACE}/connections/c1/procedures",
    ),
    "AddWorkspaceBookConnectionTriggerInstance": (
        lambda r: r.add_trigger(
            "c1",
            "email book",
            "1.2",
            trigger_id="new mail",
            name="invoices",
            configuration={"folder": models.BookValue(text_value="in")},
            filter_expression=CONDITION,
        ),
        f"/{WORKSPACE}{BOOK}/connections/c1/triggers",
    ),
    "SetAutomationsForTriggerInstance": (
        lambda r: r.set_trigger_automations("t1", ["a1"], connection="c1"),
        f"/{WORKSPACE}/triggers/t1/automations",
    ),
    "RemoveWorkspaceBookConnectionTriggerInstance": (
        lambda r: r.remove_trigger("c1", "t/1"),
        f"/{WORKSPACE}/connections/c1/triggers/t%2F1",
    ),
    "ListWorkspaceTriggerInstances": (lambda r: r.list_triggers(filter="x = 1"), f"/{WORKSPACE}/triggers"),
    "GetWorkspaceBookConnectionUserInfo": (
        lambda r: r.user_info("c1"),
        f"/{WORKSPACE}/connections/c1/user-info",
    ),
}
SECRETIVE = {
    "AddWorkspaceBookConnection",
    "UpdateWorkspaceBookConnection",
    "GetWorkspaceBookConnection",
    "UpgradeWorkspaceBookConnection",
    "AuthorizeWorkspaceBookConnection",
    "ListWorkspaceBookConnections",
    "ListAllWorkspaceBookConnections",
}
"""Operations whose bodies or answers hold credentials or addresses that authorize."""


@pytest.mark.parametrize(
    ("operation", "resource", "call", "path"),
    [
        pytest.param(operation, resource, call, path, id=operation)
        for resource, table in ((Books, CATALOGUE), (Connections, CONNECTIONS))
        for operation, (call, path) in table.items()
    ],
)
async def test_each_method_sends_its_operation(operation, resource, call, path):
    """Its path, a query and a body that the document allows; the sample answer is decoded."""
    recorder = await sent(operation, call, resource)
    assert recorder.last.path == path
    assert recorder.last.repeatable == (recorder.last.method == "GET" or operation.startswith("Search"))


@pytest.mark.parametrize("operation", sorted(SECRETIVE))
async def test_what_holds_credentials_is_confidential(operation):
    """An answer that cannot be read is not shown in the error."""
    recorder = await sent(operation, CONNECTIONS[operation][0], Connections)
    assert recorder.last.confidential


def test_connections_are_found_at_the_books():
    """`client.books.connections`."""
    assert isinstance(Books(Recorder(), SCOPE).connections, Connections)


async def test_a_search_says_no_more_than_it_knows():
    """The server's own number of results and distance, unless they are given."""
    recorder = Recorder()
    await Books(recorder, SCOPE).search("send a mail")
    assert recorder.body == {"query": "send a mail"}
    await Books(recorder, SCOPE).search("send a mail", top_k=1, max_distance=0)
    assert recorder.body == {"query": "send a mail", "top_k": 1, "max_distance": 0.0}


async def test_a_connection_is_set_up_with_what_was_given():
    """Nothing else is sent, and nested values are written as they were built."""
    recorder = Recorder()
    connections = Connections(recorder, SCOPE)
    await connections.add("email", "1", connection_name="mine")
    assert recorder.body == {"connection_name": "mine"}
    await connections.update("c1", "email", "1", connection_name="mine", authentication=SECRET)
    assert recorder.body["authentication"] == {
        "authentication_id": "oauth",
        "authentication_credentials": [{"id": "password", "value": {"text_value": "hunter2"}}],
    }


@pytest.mark.parametrize("shown", [repr, str])
def test_credentials_are_not_shown(shown):
    """Neither a credential's value, nor a sensitive one, nor the address that authorizes."""
    sensitive = models.BookValue(
        sensitive_value=models.SensitiveValue(value=models.BookValue(text_value="hunter2"))
    )
    answer = models.BookConnectionResponse(
        book_connection_descriptor=models.BookConnectionDescriptor(
            connection_id="c1", authentication=SECRET, config_map={"key": sensitive}
        ),
        authorize_url=models.BookConnectionOAuthURLResponse(url="https://login/?state=hunter2"),
    )
    assert "hunter2" not in shown(answer)
    assert "c1" in shown(answer)
    assert b"hunter2" in msgspec.json.encode(answer)


@pytest.mark.parametrize(
    "call",
    [
        lambda b: b.search(""),
        lambda b: b.search("x", top_k=0),
        lambda b: b.search("x", top_k=True),
        lambda b: b.search("x", max_distance=float("nan")),
        lambda b: b.search("x", max_distance="0.5"),
        lambda b: b.get("", "1"),
        lambda b: b.get("x", ".."),
        lambda b: b.versions(3),
        lambda b: b.connections.get("organizations/o2/workspaces/w1/connections/c1"),
        lambda b: b.connections.discover("c1", "table"),
        lambda b: b.connections.discoverables("c1", limit=-1),
        lambda b: b.connections.discoverables("c1", offset=True),
        lambda b: b.connections.add("x", "1", connection_name=""),
        lambda b: b.connections.add("x", "1", connection_name="n", authentication={"id": "x"}),
        lambda b: b.connections.add("x", "1", connection_name="n", labels=["a"]),
        lambda b: b.connections.add("x", "1", connection_name="n", config_map={"a": "b"}),
        lambda b: b.connections.add("x", "1", connection_name="n", oauth_flow="magic"),
        lambda b: b.connections.set_trigger_automations("t1", "a1", connection="c1"),
        lambda b: b.connections.remove_trigger("c1", ""),
        lambda b: b.connections.add_trigger("c1", "x", "1", trigger_id="t", name="n", configuration={"a": 1}),
    ],
)
async def test_arguments_are_checked_before_sending(call):
    """Empty, of the wrong type or another organization's."""
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError)):
        await call(Books(recorder, SCOPE))
    assert not recorder.requests


async def test_full_names_stand_for_ids():
    """Of connections and triggers too."""
    recorder = Recorder()
    connections = Connections(recorder, SCOPE)
    await connections.set_trigger_automations(
        f"{WORKSPACE}/triggers/t1", ["a1"], connection=f"{WORKSPACE}/connections/c1"
    )
    assert recorder.last.path == f"/{WORKSPACE}/triggers/t1/automations"
    assert recorder.body == {"automation_ids": ["a1"], "connection_id": "c1"}
    await connections.get("c1", workspace_id="organizations/o2/workspaces/w2", organization_id="o2")
    assert recorder.last.path == "/organizations/o2/workspaces/w2/connections/c1"


async def test_discover_nothing_removes_all():
    """An empty list is sent as one."""
    recorder = Recorder()
    assert await Connections(recorder, SCOPE).discover("c1", []) is None
    assert recorder.body == {"what": []}


async def test_answers_with_one_member_are_unwrapped():
    """`DecodeError` where the member is not there, an empty tuple for a list that is left out."""
    recorder = Recorder()
    books = Books(recorder, SCOPE)
    recorder.answers = [{"book": {"name": "email"}}, {"versions": ["1", "2"]}, {}, {}]
    assert (await books.get("email", "1")).name == "email"
    assert await books.versions("email") == ("1", "2")
    assert await books.tags() == ()
    with pytest.raises(DecodeError, match="book"):
        await books.get("email", "1")


@pytest.mark.parametrize(
    "trigger",
    [
        "t1",
        "triggers/t1",
        f"{WORKSPACE}/triggers/t1",
        f"{WORKSPACE}/connections/c1/triggers/t1",
        models.TriggerInstance(id="t1", name="Mail arrived"),
    ],
    ids=str,
)
async def test_a_trigger_is_named_in_any_form(trigger):
    """Its id reaches the API, where an id belongs."""
    recorder = Recorder()
    resource = Connections(recorder, SCOPE)
    assert await resource.remove_trigger("c1", trigger) is None
    assert recorder.last.path == f"/{WORKSPACE}/connections/c1/triggers/t1"
    await resource.set_trigger_automations(
        trigger, ["a1", f"{WORKSPACE}/automations/a2"], connection=f"{WORKSPACE}/connections/c1"
    )
    assert recorder.last.path == f"/{WORKSPACE}/triggers/t1/automations"
    assert recorder.body == {"automation_ids": ["a1", "a2"], "connection_id": "c1"}


@pytest.mark.parametrize(
    "trigger",
    [
        "organizations/o1/workspaces/w2/triggers/t1",
        f"{WORKSPACE}/connections/c2/triggers/t1",
        f"{WORKSPACE}/connections/c1",
        "",
        models.TriggerInstance(),
        7,
    ],
    ids=str,
)
async def test_triggers_of_others_and_what_is_no_trigger_are_refused(trigger):
    """Before anything is sent."""
    recorder = Recorder()
    with pytest.raises((ValueError, TypeError), match="trigger"):
        await Connections(recorder, SCOPE).remove_trigger("c1", trigger)
    assert not recorder.requests


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (
            models.BookValue(number_value=float("nan")),
            ValueError,
            r"config_map\['x'\].number_value must be a finite",
        ),
        (models.BookValue(boolean_value=1), TypeError, "boolean_value must be bool"),
        (models.BookValue(text_value=5), TypeError, "text_value must be str"),
        (
            models.BookValue(datetime_value=datetime(2026, 1, 1)),
            ValueError,
            "datetime_value must be a datetime",
        ),
        (models.BookValue(date_value=date(2026, 1, 1)), TypeError, "date_value must be a model of its own"),
        (
            models.BookValue(list_value=models.BookListValue(values=({},))),
            None,
            None,
        ),
        ({"text_value": "x"}, TypeError, "must be BookValue, got dict"),
    ],
    ids=str,
)
async def test_models_are_checked_before_they_are_sent(value, kind, says):
    """Deep inside as well; nothing has checked them when they were made."""
    recorder = Recorder()
    call = Connections(recorder, SCOPE).add("b", "1", connection_name="n", config_map={"x": value})
    if kind is None:
        await call
        return
    with pytest.raises(kind, match=says) as caught:
        await call
    assert "hunter2" not in str(caught.value)
    assert not recorder.requests


async def test_scalars_of_numpy_go_out_as_numbers():
    """In models too."""
    numpy = pytest.importorskip("numpy")
    recorder = Recorder()
    value = models.BookValue(number_value=numpy.float64(0.5), boolean_value=numpy.bool_(False))
    await Connections(recorder, SCOPE).add("b", "1", connection_name="n", config_map={"x": value})
    assert recorder.body["config_map"]["x"] == {"number_value": 0.5, "boolean_value": False}
