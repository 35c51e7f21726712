"""Settings from arguments and the environment, and their validation."""

from __future__ import annotations

import math

import pytest

from kognitos_async import ConfigurationError, KognitosClient, PollPolicy, RetryPolicy
from kognitos_async.rest_v2.client import HOSTS

KEY = "a-key"


def address(**options):
    """The base URL of a client."""
    return repr(KognitosClient(KEY, **options)).partition("base_url='")[2].partition("'")[0]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        (None, "rest-api.app.kognitos.com"),
        ("us", "rest-api.app.kognitos.com"),
        ("eu", "rest-api.eu.kognitos.com"),
        ("uk", "rest-api.uk.kognitos.com"),
    ],
)
def test_each_region_has_its_host(region, host, monkeypatch):
    """Given as an argument or in the environment; us by default."""
    assert address(region=region) == f"https://{host}/v2"
    if region:
        monkeypatch.setenv("KOGNITOS_REGION", region)
        assert address() == f"https://{host}/v2"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://host", "https://host/v2"),
        ("https://host/", "https://host/v2"),
        ("https://host/v2", "https://host/v2"),
        ("https://host/v2/", "https://host/v2"),
        ("https://host:8443/prefix/v2", "https://host:8443/prefix/v2"),
        ("https://host/prefix", "https://host/prefix/v2"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v2"),
        ("http://localhost:1/v2", "http://localhost:1/v2"),
        ("http://[::1]:1", "http://[::1]:1/v2"),
        ("HTTPS://Host", "https://Host/v2"),
    ],
)
def test_a_base_url_works_with_and_without_its_version(given, used, monkeypatch):
    """From the argument and from the environment."""
    assert address(base_url=given) == used
    monkeypatch.setenv("KOGNITOS_BASE_URL", given)
    assert address() == used


def test_arguments_take_precedence_over_the_environment(monkeypatch):
    """An explicit region also over a base URL from the environment."""
    monkeypatch.setenv("KOGNITOS_BASE_URL", "https://environment")
    monkeypatch.setenv("KOGNITOS_REGION", "uk")
    assert address(base_url="https://argument") == "https://argument/v2"
    assert address(region="eu") == f"https://{HOSTS['eu']}/v2"
    assert address() == "https://environment/v2"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": "mars"}, "us, eu, uk"),
        ({"region": 7}, "region"),
        ({"region": ""}, "KOGNITOS_REGION"),
        ({"base_url": ""}, "KOGNITOS_BASE_URL"),
        ({"base_url": "http://rest-api.app.kognitos.com"}, "https"),
        ({"base_url": "http://127.0.0.1.evil.example"}, "https"),
        ({"base_url": "http://localhost.evil.example"}, "https"),
        ({"base_url": "http://10.0.0.1"}, "https"),
        ({"base_url": "ftp://host"}, "https"),
        ({"base_url": "host/v2"}, "https"),
        ({"base_url": "https://"}, "host"),
        ({"base_url": "https://user:pass@host"}, "nothing else"),
        ({"base_url": "http://127.0.0.1@evil.example"}, "nothing else"),
        ({"base_url": "https://host?key=1"}, "nothing else"),
        ({"base_url": "https://host/#x"}, "nothing else"),
        ({"base_url": "https://h ost"}, "nothing else"),
        ({"base_url": "https://höst"}, "nothing else"),
        ({"base_url": "https://host:port"}, "URL"),
        ({"base_url": "https://host:99999"}, "URL"),
        ({"base_url": "https://[::1"}, "URL"),
        ({"base_url": b"https://host"}, "str"),
        ({"agent_id": 7}, "agent_id"),
        ({"agent_id": ""}, "KOGNITOS_AGENT_ID"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": -1}, "request_timeout"),
        ({"request_timeout": math.inf}, "request_timeout"),
        ({"request_timeout": math.nan}, "request_timeout"),
        ({"request_timeout": True}, "request_timeout"),
        ({"request_timeout": None}, "request_timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 1.5}, "max_connections"),
        ({"max_connections": True}, "max_connections"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"requests_per_second": "10"}, "requests_per_second"),
        ({"retry": None}, "retry"),
        ({"retry": PollPolicy()}, "retry"),
        ({"poll": RetryPolicy()}, "poll"),
    ],
)
def test_invalid_settings_are_refused(options, words):
    """ConfigurationError, which is a ValueError, names the setting."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        KognitosClient(KEY, **options)
    assert isinstance(caught.value, ValueError)


def test_the_error_for_a_missing_key_names_the_variable(monkeypatch):
    """Also if the variable is empty."""
    with pytest.raises(ConfigurationError, match="KOGNITOS_API_KEY"):
        KognitosClient()
    monkeypatch.setenv("KOGNITOS_API_KEY", "")
    with pytest.raises(ConfigurationError, match="KOGNITOS_API_KEY"):
        KognitosClient()
    monkeypatch.setenv("KOGNITOS_API_KEY", KEY)
    KognitosClient()


@pytest.mark.parametrize(
    "key", ["kgn_pat_secretpart", "secret part", "secret\npart", "secretpart\u00e9", " "]
)
def test_an_invalid_key_is_refused_without_being_shown(key, monkeypatch):
    """Wherever it came from."""
    monkeypatch.setenv("KOGNITOS_API_KEY", key)
    for make in (KognitosClient, lambda: KognitosClient(key)):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert "part" not in str(caught.value)


def test_a_key_of_the_other_api_is_refused():
    """The error names the right client: `kgn_pat_…` is for PlatformClient."""
    with pytest.raises(ConfigurationError, match="PlatformClient"):
        KognitosClient("kgn_pat_123")
    with pytest.raises(ConfigurationError, match="str"):
        KognitosClient(b"bytes")  # type: ignore[arg-type]


def test_a_wrong_region_in_the_environment_is_named(monkeypatch):
    """The variable's name is in the message."""
    monkeypatch.setenv("KOGNITOS_REGION", "mars")
    with pytest.raises(ConfigurationError, match=r"KOGNITOS_REGION.*mars"):
        KognitosClient(KEY)


def test_a_client_does_not_show_its_key():
    """Repr is what debuggers and logs print."""
    client = KognitosClient("sk-secret")
    for thing in (client, client.runs, client.files, client.processes, client._sender.redactor):
        assert "sk-secret" not in repr(thing)
        assert "sk-secret" not in str(thing)
