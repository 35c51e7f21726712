"""Organizations and workspaces: each method's request, as the vendor's document wants it."""

from __future__ import annotations

import pytest

from kognitos_async import BadRequestError, ConfigurationError, F, Pager
from kognitos_async.platform_v1.names import Scope
from kognitos_async.platform_v1.organizations import Organizations
from kognitos_async.platform_v1.workspaces import Workspaces
from tests.platform.recorder import SCOPE, WORKSPACE, Recorder, query_of, sent

ORGANIZATION = {
    "CurrentUserOrganizations": (lambda r: r.list(), "/me/organizations"),
    "GetOrganization": (lambda r: r.get(), "/organizations/o1"),
    "GetOrganizationPreferences": (lambda r: r.preferences(), "/organizations/o1/preferences"),
    "GetInvitation": (lambda r: r.invitation("i 1"), "/organizations/o1/invitations/i%201"),
    "ListOrganizationUserInvites": (lambda r: r.list_invites(), "/organizations/o1/invites"),
    "ListOrganizationRoles": (lambda r: r.list_roles(), "/organizations/o1/roles"),
    "ListOrganizationUsers": (lambda r: r.list_users(), "/organizations/o1/users"),
    "GetUserBasicInfo": (lambda r: r.user("u1"), "/organizations/o1/users/u1"),
}
IN_WORKSPACE = {
    "ListWorkspaces": (lambda r: r.list(), "/organizations/o1/workspaces"),
    "CurrentUserOrganizationWorkspaces": (lambda r: r.list_mine(), "/me/organizations/o1/workspaces"),
    "GetWorkspace": (lambda r: r.get(), f"/{WORKSPACE}"),
    "GetWorkspacePreferences": (lambda r: r.preferences(), f"/{WORKSPACE}/preferences"),
    "ListWorkspaceUserInvites": (lambda r: r.list_invites(), f"/{WORKSPACE}/invites"),
    "ListWorkspaceRoles": (lambda r: r.list_roles(), f"/{WORKSPACE}/roles"),
    "ListWorkspaceUsers": (lambda r: r.list_users(), f"/{WORKSPACE}/users"),
    "CountWorkspaceUsers": (lambda r: r.count_users(["w1", "w2"]), "/organizations/o1/workspaces:countUsers"),
}


@pytest.mark.parametrize(
    ("operation", "resource", "call", "path"),
    [
        pytest.param(operation, resource, call, path, id=operation)
        for resource, table in ((Organizations, ORGANIZATION), (Workspaces, IN_WORKSPACE))
        for operation, (call, path) in table.items()
    ],
)
async def test_each_method_sends_its_operation(operation, resource, call, path):
    """Its path, a query and a body that the document allows; the sample answer is decoded."""
    recorder = await sent(operation, call, resource)
    assert recorder.last.path == path
    assert recorder.last.repeatable


async def test_lists_pass_filter_order_and_page():
    """As the user gave them, the filter built or as text."""
    recorder = Recorder()
    workspaces = Workspaces(recorder, SCOPE)
    await workspaces.list(
        filter=F.title.contains('a "b"'), order_by="title desc", page_size=7, page_token="t"
    )
    assert dict(recorder.query) == {
        "filter": 'title:"a \\"b\\""',
        "order_by": "title desc",
        "page_size": "7",
        "page_token": "t",
    }
    await workspaces.list_mine(filter="title='X'")
    assert dict(recorder.query) == {"filter": "title='X'", "page_size": "100"}


async def test_a_list_walks_its_pages():
    """The next page's token is followed, the other parameters stay."""
    recorder = Recorder()
    recorder.answers = [
        {"users": [{"user": {"display_name": "A"}}], "next_page_token": "2"},
        {"users": [{"user": {"display_name": "B"}}], "next_page_token": ""},
    ]
    pager = Organizations(recorder, SCOPE).list_users(filter=F.role == "Viewer", page_size=1)
    assert isinstance(pager, Pager)
    assert [user.user.display_name async for user in pager] == ["A", "B"]
    first, second = (dict(query) for query in map(query_of, recorder.requests))
    assert second == {**first, "page_token": "2"}


@pytest.mark.parametrize("call", [lambda o: o.list(page_size=0), lambda o: o.list_roles(page_size=1001)])
def test_page_sizes_are_checked_at_once(call):
    """Before anything is sent."""
    with pytest.raises(ValueError, match="page_size must be 1 to 1000"):
        call(Organizations(Recorder(), SCOPE))


async def test_full_names_and_models_stand_for_ids():
    """In every place an id does."""
    recorder = Recorder()
    organizations, workspaces = Organizations(recorder, SCOPE), Workspaces(recorder, SCOPE)
    recorder.answers = [{"name": WORKSPACE, "title": "t"}]
    workspace = await workspaces.get(WORKSPACE)
    assert workspace.id == "w1"
    await workspaces.get(workspace)
    assert recorder.last.path == f"/{WORKSPACE}"
    await organizations.invitation("organizations/o1/invitations/i1")
    assert recorder.last.path == "/organizations/o1/invitations/i1"
    await workspaces.preferences(workspace_id="w2")
    assert recorder.last.path == "/organizations/o1/workspaces/w2/preferences"
    await workspaces.count_users([WORKSPACE, "w2"])
    assert recorder.body == {"workspace_ids": ["w1", "w2"]}


async def test_another_organization_only_on_purpose():
    """A full name of another organization is refused, unless organization_id names that one too."""
    recorder = Recorder()
    organizations, workspaces = Organizations(recorder, SCOPE), Workspaces(recorder, SCOPE)
    with pytest.raises(ValueError, match="is of organization 'o2'"):
        await organizations.user("organizations/o2/users/u1")
    with pytest.raises(ValueError, match="is of organization 'o2'"):
        await workspaces.get("organizations/o2/workspaces/w2")
    assert not recorder.requests
    await organizations.user("organizations/o2/users/u1", organization_id="o2")
    assert recorder.last.path == "/organizations/o2/users/u1"
    await organizations.get("o2")
    assert recorder.last.path == "/organizations/o2"
    await organizations.preferences(organization_id="organizations/o2")
    assert recorder.last.path == "/organizations/o2/preferences"


async def test_without_an_organization_or_workspace_nothing_is_sent():
    """Without an organization nothing is sent."""
    with pytest.raises(ConfigurationError, match="KOGNITOS_ORGANIZATION_ID"):
        await Organizations(Recorder(), Scope()).get()
    with pytest.raises(ConfigurationError, match="KOGNITOS_WORKSPACE_ID"):
        await Workspaces(Recorder(), Scope("o1")).get()


@pytest.mark.parametrize("workspaces", ["w1", 3, [""], [None]])
async def test_workspaces_to_count_are_several_ids(workspaces):
    """One str is not a list of them."""
    recorder = Recorder()
    with pytest.raises((TypeError, ValueError), match="workspace"):
        await Workspaces(recorder, SCOPE).count_users(workspaces)
    assert not recorder.requests


async def test_errors_reach_the_caller():
    """As the sender raises them, from a pager with the token of the page."""

    class Refusing:
        async def send(self, request, decoder):
            raise BadRequestError(
                "no",
                status=400,
                message="no",
                details=[],
                body=b"",
                request_id=None,
                method="GET",
                path="/",
                attempts=1,
                retry_after=None,
            )

    with pytest.raises(BadRequestError) as caught:
        await Organizations(Refusing(), SCOPE).list(page_token="p").collect()
    assert caught.value.continuation_token == "p"
