"""Settings of the platform client from arguments and the environment, and their validation."""

from __future__ import annotations

import pytest

from kognitos_async import ConfigurationError, KognitosClient, PlatformClient

TOKEN = "kgn_pat_" + "s3cr3t"


def test_settings_come_from_the_environment(monkeypatch):
    """Arguments go before it."""
    for name, value in {
        "KOGNITOS_TOKEN": TOKEN,
        "KOGNITOS_ORGANIZATION_ID": "o",
        "KOGNITOS_WORKSPACE_ID": "organizations/o/workspaces/w",
        "KOGNITOS_REGION": "eu-1",
    }.items():
        monkeypatch.setenv(name, value)
    client = PlatformClient()
    assert repr(client) == "PlatformClient(base_url='https://app.eu-1.kognitos.com/api/v1')"
    assert str(client._scope.workspace(None)) == "organizations/o/workspaces/w"
    other = PlatformClient(region="us-1", organization_id="p", workspace_id="v")
    assert "us-1" in repr(other)
    assert str(other._scope.workspace(None)) == "organizations/p/workspaces/v"


@pytest.mark.parametrize(
    ("region", "host"), [("us", "us-1"), ("eu", "eu-1"), ("eu-1", "eu-1"), (None, "us-1")]
)
def test_one_region_serves_both_clients(monkeypatch, region, host):
    """Us is us-1 here."""
    if region:
        monkeypatch.setenv("KOGNITOS_REGION", region)
    assert f"app.{host}.kognitos.com" in repr(PlatformClient(TOKEN))
    assert repr(KognitosClient("k")).count("rest-api") == 1


@pytest.mark.parametrize("path", ["", "/", "/v2", "/api/v1", "/api/v1/"])
def test_one_address_serves_both_clients(monkeypatch, path):
    """Whichever API's version it ends with."""
    monkeypatch.setenv("KOGNITOS_BASE_URL", f"http://127.0.0.1:9000{path}")
    assert "'http://127.0.0.1:9000/api/v1'" in repr(PlatformClient(TOKEN))
    assert "'http://127.0.0.1:9000/v2'" in repr(KognitosClient("k"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"token": None}, "no token: pass token or set KOGNITOS_TOKEN"),
        ({"token": "a b"}, "token must be printable"),
        ({"region": "mars"}, "us-1, eu-1"),
        ({"base_url": "http://example.com"}, "unencrypted"),
        ({"organization_id": ""}, "organization_id must be a non-empty"),
        ({"organization_id": "o", "workspace_id": "organizations/p/workspaces/w"}, "contradictory"),
        ({"workspace_id": "automations/x"}, "workspace_id must be an id or a name"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"poll": 3}, "poll must be a PollPolicy"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_refused_at_once(settings, says):
    """Saying what to set; the token is never shown."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        PlatformClient(**{"token": TOKEN, **settings})
    assert TOKEN not in str(caught.value)


def test_a_missing_organization_is_named_when_it_is_needed():
    """A client for names in full needs none."""
    with pytest.raises(ConfigurationError, match="KOGNITOS_ORGANIZATION_ID"):
        PlatformClient(TOKEN).automations.list()
