"""Resource names: ids, short and full names, and what is refused before anything is sent."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kognitos_async import ConfigurationError
from kognitos_async.platform_v1.names import AUTOMATION, FILE, RUN, WORKSPACE, Scope, parse_name

SCOPE = Scope("o1", "w1")
FULL = "organizations/o1/workspaces/w1/automations/a1"


@pytest.mark.parametrize(
    "given",
    ["a1", "automations/a1", "workspaces/w1/automations/a1", FULL, SimpleNamespace(name=FULL)],
    ids=["id", "short", "longer", "full", "model"],
)
def test_an_automation_is_named_in_any_form(given):
    """An id, the end of a name, the whole name, or what carries it."""
    assert str(SCOPE.resolve("automation", given, AUTOMATION)) == FULL


def test_a_full_name_needs_no_scope():
    """It says everything itself."""
    assert str(Scope().resolve("run", f"{FULL}/runs/r1", RUN)) == f"{FULL}/runs/r1"


def test_ids_are_percent_encoded_in_paths_and_plain_in_names():
    """Whatever an id holds stays in its own segment."""
    name = Scope("o 1", "w?").resolve("automation", "ä%2F#", AUTOMATION)
    assert str(name) == "organizations/o 1/workspaces/w?/automations/ä%2F#"
    assert name.path == "/organizations/o%201/workspaces/w%3F/automations/%C3%A4%252F%23"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            "organizations/o1/workspaces/w1/exceptions/x",
            "a name like organizations/…/workspaces/…/automations/…",
        ),
        (f"{FULL}/runs/r1", "a name like"),
        ("organizations/o2/workspaces/w1/automations/a1", "is of organization 'o2', the client's is 'o1'"),
        ("automations/", "at least 1 character"),
        ("automations/a1/runs", "a name like"),
        ("/a1", "a name like"),
        ("", "at least 1 character"),
        ("..", "must be an id"),
        ("automations/..", "must be an id"),
    ],
)
def test_what_is_not_an_automation_of_ours_is_refused(given, says):
    """Before anything is sent, naming the argument."""
    with pytest.raises(ValueError, match="automation") as caught:
        SCOPE.resolve("automation", given, AUTOMATION)
    assert says in str(caught.value)


@pytest.mark.parametrize("given", [None, 3, b"a1", SimpleNamespace(name=3), SimpleNamespace()])
def test_what_carries_no_name_is_a_type_error(given):
    """None too, such as an environment variable that is not set: no id, and no setting stands in for it."""
    with pytest.raises(TypeError, match="automation must be an id, a resource name"):
        SCOPE.resolve("automation", given, AUTOMATION)


def test_models_whose_name_is_for_people_are_refused():
    """A trigger's or a book's name is no resource name; it would go out as an id."""
    with pytest.raises(TypeError, match="automation must be an id or a resource name, got a SimpleNamespace"):
        SCOPE.resolve("automation", SimpleNamespace(name="My trigger"), AUTOMATION)


def test_ids_of_several_names():
    """Ids and names in any form, of one workspace."""
    within = SCOPE.workspace(None)
    assert (
        SCOPE.ids("automations", ["a1", FULL, SimpleNamespace(name=FULL)], AUTOMATION, within=within)
        == ["a1"] * 3
    )
    with pytest.raises(ValueError, match=r"automations\[1\] .*contradict"):
        SCOPE.ids("automations", ["a1", FULL.replace("w1", "w2")], AUTOMATION, within=within)
    for wrong in ("a1", b"a1", 3):
        with pytest.raises(TypeError, match="automations must be a sequence"):
            SCOPE.ids("automations", wrong, AUTOMATION, within=within)


def test_another_organization_may_be_named_on_purpose():
    """By giving its id to the call as well."""
    name = SCOPE.resolve("file", "organizations/o2/files/f", FILE, organization_id="o2")
    assert str(name) == "organizations/o2/files/f"


def test_arguments_that_contradict_each_other_are_refused():
    """A run of one automation is not one of another."""
    within = SCOPE.resolve("automation", "a2", AUTOMATION)
    with pytest.raises(ValueError, match="contradictory"):
        SCOPE.resolve("run", f"{FULL}/runs/r1", RUN, within=within)
    with pytest.raises(ValueError, match="contradictory"):
        SCOPE.resolve("automation", FULL, AUTOMATION, workspace_id="w2")


def test_a_name_in_another_workspace_says_so_itself():
    """The client's workspace is only what stands in where none is named."""
    name = SCOPE.resolve("automation", "workspaces/w2/automations/a", AUTOMATION)
    assert str(name) == "organizations/o1/workspaces/w2/automations/a"


def test_what_is_missing_is_named():
    """With what to set, or what to pass."""
    with pytest.raises(ConfigurationError, match="KOGNITOS_ORGANIZATION_ID"):
        Scope().organization(None)
    with pytest.raises(ConfigurationError, match="KOGNITOS_WORKSPACE_ID"):
        Scope("o1").workspace(None)
    with pytest.raises(ConfigurationError, match="pass its full name, or its automation"):
        SCOPE.resolve("run", "r1", RUN)


def test_a_scope_takes_full_names_too():
    """A workspace's name tells its organization."""
    assert Scope.of(None, "organizations/o1/workspaces/w1") == SCOPE
    assert str(Scope.of("organizations/o1", "w1").workspace(None)) == "organizations/o1/workspaces/w1"
    with pytest.raises(ConfigurationError, match="contradictory"):
        Scope.of("o2", "organizations/o1/workspaces/w1")


def test_full_names_from_the_api_are_checked():
    """One that is short, or of another kind, is none."""
    assert parse_name("run", f"{FULL}/runs/r1", RUN).id == "r1"
    assert (
        str(parse_name("run", f"{FULL}/runs/r1", RUN).parent(WORKSPACE)) == "organizations/o1/workspaces/w1"
    )
    for wrong in ("r1", "runs/r1", FULL):
        with pytest.raises(ValueError, match="run must be"):
            parse_name("run", wrong, RUN)
